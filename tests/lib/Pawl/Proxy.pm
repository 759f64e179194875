# The failing network: build/VARIANT/proxy between pawl and the private server. See tests/fault/proxy.c.
package Pawl::Proxy;
use strict;
use warnings;
use Carp qw(croak);
use File::Temp ();
use Pawl::Process qw(built);
use Pawl::Wait qw(wait_until);

# Pawl::Proxy->start(delay => ms, log => 1, alone => 1, tcp => 1, fault => 'cut', at => 'before:client:7', linger => ms)
sub start {
    my ($class, %options) = @_;
    my $folder = File::Temp->newdir('pawl-proxy.XXXXXX', TMPDIR => 1);
    my $listen = $options{tcp} ? 'tcp' : $folder->dirname;
    my @command = (built('proxy'), '--server', $ENV{PGHOST}, '--listen', $listen);
    for my $name (qw(delay fault at linger)) { push @command, "--$name", $options{$name} if defined $options{$name} }
    for my $name (qw(log alone)) { push @command, "--$name" if $options{$name} }
    my $process = Pawl::Process->start(name => 'proxy', command => \@command);
    my $self    = bless {folder => $folder, process => $process}, $class;
    $self->{port} = wait_until {
        croak 'the proxy did not start: ' . $process->tail if !$process->running;
        $process->out =~ /^ready (\d+)$/m ? "$1 " : ''
    } what => 'the proxy to listen';
    return $self;
}

# The URL of a Pawl::Postgres through the proxy.
sub url {
    my ($self, $database, $more) = @_;
    my $name = $database->name;
    my ($host, $port) = ($self->{folder}->dirname, $self->{port} + 0);
    my $place = $port ? "127.0.0.1:$port/$name?sslmode=disable&gssencmode=disable" : "/$name?host=$host";
    return "postgresql://$ENV{PGUSER}\@$place" . ($more ? "&$more" : '');
}

# Has the fault struck?
sub struck { my ($self) = @_; return $self->{process}->out =~ /^struck$/m }

sub folder { my ($self) = @_; return $self->{folder}->dirname }

# Ends it: {client => number of messages, server => ..., client_types => with log: a letter for each, server_types,
# session_us => how long connections lasted}
sub stop {
    my ($self) = @_;
    $self->{process}->stop;
    my %count;
    for my $line (split /\n/, $self->{process}->out) {
        @count{$1, "$1_types"} = ($2, $3) if $line =~ /^(client|server) (\d+) (\S*)$/;
        $count{session_us} = $1 if $line =~ /^lived (\d+) us$/;
    }
    return \%count;
}

1;
