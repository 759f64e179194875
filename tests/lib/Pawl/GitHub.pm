# The server that a job of GitHub Actions asks for tokens: for who brings the job's own token, it makes one for the audience asked for.
package Pawl::GitHub;
use strict;
use warnings;
use Carp qw(croak);
use IO::Socket::INET;
use JSON::PP ();
use POSIX    qw(_exit);

# start(make => sub ($audience) { the token, or undef: refused })
sub start {
    my ($class, %options) = @_;
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 16, Proto => 'tcp')
        or croak "cannot listen: $!";
    my $self = bless {port => $listener->sockport, token => "job.$$." . int rand 1e9, owner => $$}, $class;
    my $pid  = fork // croak "cannot fork: $!";
    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(TERM INT HUP);
        eval { $self->_serve($listener, $options{make}); 1 } or print STDERR $@;
        _exit(1);
    }
    $self->{pid} = $pid;
    return $self;
}

# What a job with id-token: write finds in its environment.
sub env {
    my ($self) = @_;
    return (
        ACTIONS_ID_TOKEN_REQUEST_URL   => "http://127.0.0.1:$self->{port}/token?api-version=2.0",
        ACTIONS_ID_TOKEN_REQUEST_TOKEN => $self->{token}
    );
}
sub token { my ($self) = @_; return $self->{token} }

sub _serve {
    my ($self, $listener, $make) = @_;
    while (my $client = $listener->accept) {
        my ($first, $head) = ('', '');
        while (my $line = <$client>) { $first ||= $line; $head .= $line; last if $line eq "\r\n" }
        my ($audience) = $first =~ m{^GET /token\?api-version=2\.0&audience=(\S+) };
        $audience =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge if defined $audience;
        my $known = $head =~ /^authorization: bearer \Q$self->{token}\E\r$/mi;
        my $made  = $known && defined $audience ? $make->($audience) : undef;
        my $body  = JSON::PP->new->encode(defined $made ? {count => 1, value => $made} : {message => 'no'});
        print {$client} 'HTTP/1.1 ' . (defined $made ? '200 OK' : '403 Forbidden') . "\r\nContent-Length: " . length($body)
            . "\r\nConnection: close\r\n\r\n$body";
        close $client;
    }
    return;
}

sub DESTROY {
    my ($self) = @_;
    return if !$self->{pid} || $self->{owner} != $$;
    local ($?, $!);
    kill 'KILL', $self->{pid};
    waitpid delete $self->{pid}, 0;
    return;
}

1;
