#!/usr/bin/perl
# The official emulator keeps the same contract, but for the named differences; its pushes come through localcloud's
# signing relay. Where it is not installed this is skipped: (apt) google-cloud-cli-pubsub-emulator and a Java runtime,
# or PAWL_PUBSUB_EMULATOR=the jar.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/../lib";
use HTTP::Tiny;
use IO::Socket::INET;
use Test::More;
use Pawl::Contract qw(check_contract);
use Pawl::LocalCloud;
use Pawl::Process;
use Pawl::PubSub;
use Pawl::Receiver;
use Pawl::Wait qw(wait_until);

my $below  = 'platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar';
my ($java) = grep {-x} map {"$_/java"} split /:/, $ENV{PATH};
my ($jar)  = $ENV{PAWL_PUBSUB_EMULATOR} // map { glob "$_/$below" } '/usr/lib/google-cloud-sdk',
    '/usr/share/google-cloud-sdk', '/opt/google-cloud-sdk', ($ENV{HOME} // '') . '/google-cloud-sdk';
if (!$java || !$jar) {
    diag 'NOT CHECKED against the official Pub/Sub emulator: ' . ($java ? 'its jar' : 'Java') . ' is not installed';
    plan skip_all => 'the official Pub/Sub emulator is not installed';
}

my $port     = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1)->sockport;
my $receiver = Pawl::Receiver->start;
my $relay    = Pawl::LocalCloud->start(project => 'contract', relay => $receiver->url(''));
my $emulator
    = Pawl::Process->start(name => 'emulator', command => [$java, '-jar', $jar, '--host=127.0.0.1', "--port=$port"]);
wait_until {
    die 'the emulator ended: ' . $emulator->tail if !$emulator->running;
    HTTP::Tiny->new(timeout => 2)->get("http://127.0.0.1:$port/")->{status} == 200
}
seconds => 60, what => 'the emulator';

check_contract(
    kind => 'emulator',
    pubsub => Pawl::PubSub->at("http://127.0.0.1:$port", 'contract'),
    receiver => $receiver,
    endpoint => sub {
        $relay->url
            . "/relay$_[0]?audience=https://pawl.example&email=push\@contract.iam.gserviceaccount.com&attempts=true";
    },
);
done_testing;
