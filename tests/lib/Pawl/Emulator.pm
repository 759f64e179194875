# The official Pub/Sub emulator, where it is installed: (apt) google-cloud-cli-pubsub-emulator and a Java runtime, or
# PAWL_PUBSUB_EMULATOR=the jar. A test that needs it starts with `Pawl::Emulator->start_or_skip`.
package Pawl::Emulator;
use strict;
use warnings;
use parent -norequire, 'Pawl::PubSub';
use HTTP::Tiny;
use IO::Socket::INET;
use Test::More ();
use Pawl::Process;
use Pawl::PubSub;
use Pawl::Wait qw(wait_until);

# Pawl::Emulator->start_or_skip(project => 'contract'): can what Pawl::PubSub can. Skips the whole test, loudly, where
# there is none.
sub start_or_skip {
    my ($class, %options) = @_;
    my $below  = 'platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar';
    my ($java) = grep { -x } map { "$_/java" } split /:/, $ENV{PATH};
    my ($jar)  = $ENV{PAWL_PUBSUB_EMULATOR} // map { glob "$_/$below" } '/usr/lib/google-cloud-sdk',
        '/usr/share/google-cloud-sdk', '/opt/google-cloud-sdk', ($ENV{HOME} // '') . '/google-cloud-sdk';
    if (!$java || !$jar) {
        Test::More::diag(
            'NOT CHECKED against the official Pub/Sub emulator: ' . ($java ? 'its jar' : 'Java') . ' is not installed');
        Test::More::plan(skip_all => 'the official Pub/Sub emulator is not installed');
    }
    my $port = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1)->sockport;
    my $self = $class->at("http://127.0.0.1:$port", $options{project});
    $self->{host}    = "127.0.0.1:$port";
    $self->{process} = Pawl::Process->start(
        name    => 'emulator',
        command => [$java, '-jar', $jar, '--host=127.0.0.1', "--port=$port"]
    );
    wait_until {
        die 'the emulator ended: ' . $self->{process}->tail if !$self->{process}->running;
        HTTP::Tiny->new(timeout => 2)->get("http://127.0.0.1:$port/")->{status} == 200
    }
    seconds => 60, what => 'the emulator';
    return $self;
}

sub host { return $_[0]{host} }    # for PUBSUB_EMULATOR_HOST

1;
