#!/usr/bin/perl
# localcloud keeps the contract of Pub/Sub, after production.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/../lib";
use Test::More;
use Pawl::Contract qw(check_contract);
use Pawl::LocalCloud;
use Pawl::Receiver;

my $receiver = Pawl::Receiver->start;
my $cloud    = Pawl::LocalCloud->start(project => 'contract');
check_contract(kind => 'localcloud', pubsub => $cloud, receiver => $receiver, endpoint => sub { $receiver->url(@_) });
is $cloud->stop, 0, 'localcloud ends cleanly';
done_testing;
