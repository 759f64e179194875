# `pawl serve` for a test: started on a port of its own against a database, a folder and localcloud; its log is read
# line by line.
package Pawl::Worker;
use strict;
use warnings;
use Carp qw(croak);
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Time::HiRes qw(time);
use Pawl::Process qw(built);
use Pawl::Wait qw(wait_until patience);

our $AUDIENCE = 'https://pawl.example';
my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# Pawl::Worker->start(database => Pawl::Postgres, migrations => Pawl::Migrations, cloud => Pawl::LocalCloud, env =>
# {PAWL_LOCK_WAIT => '2s'}, ready => 0 to go on before it is ready)
sub start {
    my ($class, %options) = @_;
    my $self = bless {account => $class->account($options{cloud})}, $class;
    my %env  = (
        PORT => 0,
        PAWL_ADDRESS => '127.0.0.1',
        PAWL_AUDIENCE => $AUDIENCE,
        PAWL_CALLERS => $self->{account},
        PAWL_LOG_FORMAT => 'json',
        PAWL_LOCK_WAIT => '8s',
        $options{database}   ? (DATABASE_URL => $options{database}->url)         : (),
        $options{migrations} ? (PAWL_MIGRATIONS => $options{migrations}->folder) : (),
        $options{cloud}      ? (PAWL_JWKS_URL => $options{cloud}->jwks_url)      : (),
        %{$options{env} // {}},
    );
    $self->{process} = Pawl::Process->start(
        name => 'pawl serve',
        command => [built('pawl'), 'serve', @{$options{arguments} // []}],
        env => \%env
    );
    $self->wait_ready if $options{ready} // 1;
    return $self;
}

# The service account whose pushes the worker takes; give it to create_subscription().
sub account {
    my ($class, $cloud) = @_;
    return
        ref $class
        ? $class->{account}
        : 'push@' . ($cloud ? $cloud->project : 'pawl-test') . '.iam.gserviceaccount.com';
}

sub audience { return $AUDIENCE }
sub process { return $_[0]{process} }
sub pid { return $_[0]{process}->pid }
sub running { return $_[0]{process}->running }
sub signal { my ($self, $signal) = @_; return $self->{process}->signal($signal) }
sub stop { return $_[0]{process}->stop }
sub exit_code { return $_[0]{process}->exit_code }
sub wait_end { my ($self, $seconds) = @_; return $self->{process}->wait_end($seconds) }

sub port {
    my ($self) = @_;
    $self->{port} //= wait_until {
        croak 'the worker did not start: ' . $self->{process}->tail if !$self->running;
        (map { $_->{port} } grep { $_->{port} } $self->logs)[0]
    }
    what => 'the worker to listen';
    return $self->{port};
}

sub url { my ($self) = @_; return 'http://127.0.0.1:' . $self->port }

sub wait_ready {
    my ($self, $seconds) = @_;
    my $url = $self->url . '/ready';
    wait_until {
        croak 'the worker ended: ' . $self->{process}->tail if !$self->running;
        HTTP::Tiny->new(timeout => patience(5))->get($url)->{status} == 200
    }
    seconds => $seconds // 20, what => 'the worker to be ready';
    return;
}

# ---- the log -------------------------------------------------------------------------------------------------

# The log lines so far, decoded, each with its text as {line}. A line that is not JSON is {line} alone.
sub logs {
    my ($self) = @_;
    my @lines = grep { /\n\z/ && /\S/ } map { split /^/ } $self->{process}->err, $self->{process}->out;
    return map { $self->_log_entry($_) } @lines;
}

sub _log_entry {
    my ($self, $line) = @_;
    my $entry = eval { $json->decode($line) };
    return {ref $entry eq 'HASH' ? %$entry : (), line => $line};
}

# wait_log(qr/listening/): the first line whose message matches.
sub wait_log {
    my ($self, $pattern, $seconds) = @_;
    return wait_until {
        (grep { ($_->{message} // $_->{line}) =~ $pattern } $self->logs)[0]
    }
    seconds => $seconds // 20, what => "a log line like $pattern";
}

# ---- requests ------------------------------------------------------------------------------------------------

# request(GET => '/health'); request(POST => '/', body => {...} or bytes, token => '...', headers => {...}, seconds =>
# 30) Returns {status, headers, content, json}.
sub request {
    my ($self, $method, $path, %options) = @_;
    my %headers = %{$options{headers} // {}};
    $headers{Authorization} = "Bearer $options{token}" if defined $options{token};
    my %content;
    if (defined $options{body}) {
        $headers{'Content-Type'} //= 'application/json';
        %content = (content => ref $options{body} ? $json->encode($options{body}) : $options{body});
    }
    my $http     = HTTP::Tiny->new(timeout => patience($options{seconds} // 30), max_redirect => 0);
    my $response = $http->request($method, $self->url . $path, {headers => \%headers, %content});
    $response->{json} = eval { $json->decode($response->{content}) };
    return $response;
}

# Bytes to the port as they are; returns all that came back until the worker closed the connection or the time was over.
sub raw {
    my ($self, $bytes, $seconds) = @_;
    my $socket = $self->connect;
    print {$socket} $bytes;
    return $self->read_all($socket, $seconds);
}

sub connect {
    my ($self) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->port, Proto => 'tcp')
        or croak "cannot connect: $!";
    $socket->autoflush(1);
    return $socket;
}

sub read_all {
    my ($self, $socket, $seconds) = @_;
    my ($all, $deadline, $select) = ('', time + patience($seconds // 5), IO::Select->new($socket));
    while ((my $left = $deadline - time) > 0) {
        next if !$select->can_read($left);
        last if !sysread $socket, $all, 65536, length $all;
    }
    return $all;
}

1;
