#!/usr/bin/perl
# The official emulator keeps the same contract, but for the named differences; its pushes come through localcloud's
# signing relay. Where it is not installed this is skipped.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/../lib";
use Test::More;
use Pawl::Contract qw(check_contract);
use Pawl::Emulator;
use Pawl::LocalCloud;
use Pawl::Receiver;

my $emulator = Pawl::Emulator->start_or_skip(project => 'contract');
my $receiver = Pawl::Receiver->start;
my $relay    = Pawl::LocalCloud->start(project => 'contract', relay => $receiver->url(''));

check_contract(
    kind => 'emulator',
    pubsub => $emulator,
    receiver => $receiver,
    endpoint => sub {
        $relay->url
            . "/relay$_[0]?audience=https://pawl.example&email=push\@contract.iam.gserviceaccount.com&attempts=true";
    },
);
done_testing;
