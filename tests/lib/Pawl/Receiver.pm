# A push endpoint that does as its path says and writes down what it was sent:
#   /answer/STATUS/...        answers so
#   /after/N/STATUS/...       answers 500 to the first N requests of this path, then STATUS
#   /slow/MS/STATUS/...       answers so, later
#   /never/...                takes the request and keeps quiet
# One child process serves all connections side by side.
package Pawl::Receiver;
use strict;
use warnings;
use Carp qw(croak);
use File::Temp ();
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use POSIX qw(_exit);
use Time::HiRes qw(time);

my $json = JSON::PP->new->utf8->canonical;

sub start {
    my ($class) = @_;
    my $listener
        = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 128, Proto => 'tcp', Blocking => 0)
        or croak "cannot listen: $!";
    my $self = bless {
        port => $listener->sockport,
        file => File::Temp->new(TEMPLATE => 'pawl-receiver.XXXXXX', TMPDIR => 1),
        owner => $$
    }, $class;
    my $pid = fork // croak "cannot fork: $!";
    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(TERM INT HUP);
        $SIG{PIPE} = 'IGNORE';
        eval { $self->_serve($listener); 1 } or print STDERR $@;
        _exit(1);
    }
    $self->{pid} = $pid;
    return $self;
}

sub url { my ($self, $path) = @_; return "http://127.0.0.1:$self->{port}$path" }

# All requests so far, in the order of their arrival: {path, query, headers (lower-case names), text, body (decoded),
# at, raw}.
sub requests {
    my ($self, $path) = @_;
    open my $in, '<', $self->{file}->filename or croak "cannot read: $!";
    my @requests = map { $json->decode($_) } grep {/\n\z/} <$in>;
    for my $request (@requests) {
        $request->{body} = eval { $json->decode($request->{text}) };
    }
    return grep { !defined $path || $_->{path} eq $path } @requests;
}

sub _serve {
    my ($self, $listener) = @_;
    my ($select, %open, %seen) = IO::Select->new($listener);
    open my $log, '>>', $self->{file}->filename or croak "cannot write: $!";
    $log->autoflush(1);
    while (1) {
        for my $socket ($select->can_read(0.01)) {
            if ($socket == $listener) {
                my $client = $listener->accept or next;
                $select->add($client);
                $open{$client} = {socket => $client, bytes => ''};
                next;
            }
            my $connection = $open{$socket};
            if (!sysread $socket, $connection->{bytes}, 65536, length $connection->{bytes}) {
                $select->remove($socket);
                delete $open{$socket};
                close $socket;
                next;
            }
            my $request = _take($connection) or next;
            print {$log} $json->encode($request) . "\n";
            $connection->{answer} = _answer($request->{path}, \%seen);
        }
        _send($_) for grep { $_->{answer} && $_->{answer}{at} <= time } values %open;
    }
    return;
}

# The first whole request of a connection, taken off its bytes.
sub _take {
    my ($connection) = @_;
    $connection->{bytes} =~ /\A(.*?\r\n\r\n)/s or return;
    my $head = $1;
    my ($length) = $head =~ /^content-length:\s*(\d+)/mi;
    return if length($connection->{bytes}) < length($head) + ($length // 0);
    substr $connection->{bytes}, 0, length $head, '';
    my $text = substr $connection->{bytes}, 0, $length // 0, '';
    my ($method, $path, $query) = $head =~ m{\A(\S+) ([^ ?]+)(?:\?(\S*))?} or return;
    my %headers = map { lc($1) => $2 if /^([^:]+):\s*(.*?)\r?$/ } split /\r\n/, $head =~ s/\A.*?\r\n//sr;
    return {method => $method, path => $path, query => $query, headers => \%headers, text => $text, at => time};
}

sub _answer {
    my ($path, $seen) = @_;
    return {at => time, status => $1} if $path                               =~ m{^/answer/(\d+)};
    return {at => time, status => $seen->{$path}++ < $1 ? 500 : $2} if $path =~ m{^/after/(\d+)/(\d+)};
    return {at => time + $1 / 1000, status => $2} if $path                   =~ m{^/slow/(\d+)/(\d+)};
    return undef if $path                                                    =~ m{^/never};
    return {at => time, status => 404};
}

sub _send {
    my ($connection) = @_;
    my $status       = (delete $connection->{answer})->{status};
    my $bare         = $status < 200 || $status == 204;
    syswrite $connection->{socket}, "HTTP/1.1 $status Answer\r\n" . ($bare ? "\r\n" : "Content-Length: 3\r\n\r\nok\n");
    return;
}

sub stop {
    my ($self) = @_;
    return if !$self->{pid} || $self->{owner} != $$;
    local ($?, $!);
    kill 'KILL', $self->{pid};
    waitpid delete $self->{pid}, 0;
    return;
}

sub DESTROY { my ($self) = @_; $self->stop; return }

1;
