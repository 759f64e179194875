#!/usr/bin/perl
# What a worker holds after 1,000 messages: memory and descriptors after the first and after the last, the pace, and the round trips to
# the database that a message with nothing to do costs. Run by tests/with-postgres.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Time::HiRes qw(time);
use Pawl::LocalCloud;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Worker;

my $count      = $ENV{COUNT} // 1000;
my $cloud      = Pawl::LocalCloud->start;
my $database   = Pawl::Postgres->new;
my $migrations = Pawl::Migrations->new(map { sprintf('%04d_t.sql', $_) => "CREATE TABLE t$_ ();\n" } 1 .. 50);
my $worker     = Pawl::Worker->start(database => $database, migrations => $migrations, cloud => $cloud);
my $token      = $cloud->token(claims => {aud => $worker->audience, email => $worker->account});

sub push_message {
    my ($id) = @_;
    my $answer = $worker->request(POST => '/', token => $token,
        body => {message => {messageId => "$id", publishTime => '2026-01-01T00:00:00Z', data => ''}, subscription => 'projects/p/subscriptions/s'});
    die "message $id: $answer->{status} $answer->{content}" if $answer->{status} != 200;
    return $answer->{json};
}

sub held {
    open my $in, '<', '/proc/' . $worker->pid . '/status' or die $!;
    my ($memory) = map { /^VmRSS:\s+(\d+)/ } <$in>;
    return ($memory, scalar(() = glob '/proc/' . $worker->pid . '/fd/*'));
}

push_message(1);
push_message(2);
my ($memory, $files) = held();
my $start = time;
my %trips;
$trips{push_message($_)->{round_trips}}++ for 3 .. $count + 2;
my $took = time - $start;
my ($memory_after, $files_after) = held();
printf "%d messages with nothing to do in %.1f s (one at a time, client included): memory %d kB after the first two, %d kB after the last; descriptors %d and %d; round trips to the database: %s\n",
    $count, $took, $memory, $memory_after, $files, $files_after, join ', ', map { "$_ ($trips{$_} messages)" } sort keys %trips;
$worker->stop;
