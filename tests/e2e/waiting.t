#!/usr/bin/perl
# Runs that outlive the ack deadline, and deliveries that wait for them: the run goes on when its client hangs up, whoever waits hears in
# time who holds it, and the delivery after its end finds the work done.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use JSON::PP ();
use Pawl::LocalCloud;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Wait qw(wait_until);
use Pawl::Worker;

my $cloud      = Pawl::LocalCloud->start;
my $database   = Pawl::Postgres->new;
my $migrations = Pawl::Migrations->new('0001_long.sql' => "CREATE TABLE long ();\nSELECT pg_sleep(14);\n");
my @workers    = map { Pawl::Worker->start(database => $database, migrations => $migrations, cloud => $cloud, env => {PAWL_LOCK_WAIT => '1s'}) } 1, 2;
my $json       = JSON::PP->new->utf8;
$cloud->create_topic('migrate');
for my $n (0, 1) {
    $cloud->create_subscription("push-$n", topic => 'migrate', push => $workers[$n]->url . '/', account => $workers[$n]->account, audience => $workers[$n]->audience,
        filter => qq{attributes.pawl_lane = "$n"}, ackDeadlineSeconds => 10, retryPolicy => {minimumBackoff => '0.1s', maximumBackoff => '0.5s'});
}

my $long = $cloud->publish('migrate', {reason => 'long'}, attributes => {pawl_lane => '0'});
wait_until { $database->value(q{SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep(14)%' AND datname = current_database()}) > 0 } what => 'the run';

my $same = $cloud->publish('migrate', {reason => 'same worker'}, attributes => {pawl_lane => '0'});
my ($first) = $cloud->wait_attempts('push-0', $same, 1);
is($first->{status}, 503, 'a delivery to the same worker is sent back in time');
my $answer = $json->decode($first->{answer});
is($answer->{error}, 'LOCK_HELD', 'its code');
like($answer->{message}, qr/\Q$long\E/, 'it names the run that holds it');

my $other = $cloud->publish('migrate', {reason => 'another worker'}, attributes => {pawl_lane => '1'});
($first) = $cloud->wait_attempts('push-1', $other, 1);
is($first->{status}, 503, 'so is one to another worker');
$answer = $json->decode($first->{answer});
is($answer->{error}, 'LOCK_HELD', 'its code');
like($answer->{message}, qr/\Q$long\E.*0001_long\.sql/, 'it names run and file');

my @attempts = $cloud->wait_attempts('push-0', $long, 2, 30);
isnt($attempts[0]{outcome}, 'acknowledged', 'Pub/Sub hung up on the long run at the ack deadline');
my $last = $cloud->wait_acknowledged('push-0', $long, 30);
is($last->{status}, 200, 'a later delivery of the same message is answered 200');
is($database->value(q{SELECT count(*) FROM pawl.migrations WHERE state = 'applied'}), 1, 'the run went on to its end');
is($database->value("SELECT state FROM pawl.runs WHERE id = '$long'"), 'applied', 'and its row says so');
$cloud->wait_acknowledged('push-0', $same, 30);
$cloud->wait_acknowledged('push-1', $other, 30);
is($_->stop, 0, 'exit code 0') for @workers;
done_testing();
