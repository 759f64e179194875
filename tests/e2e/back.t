#!/usr/bin/perl
# Rollbacks and late versions by message, where the target permits them: once each, however often the message is delivered.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use JSON::PP ();
use Pawl::LocalCloud;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Worker;

my $cloud      = Pawl::LocalCloud->start;
my $database   = Pawl::Postgres->new;
my $migrations = Pawl::Migrations->new(map {; "000${_}_t.sql" => "CREATE TABLE t$_ ();", "000${_}_t.down.sql" => "DROP TABLE t$_;" } 1, 2, 4);
my $worker = Pawl::Worker->start(database => $database, migrations => $migrations, cloud => $cloud,
    env => {GOOGLE_CLOUD_PROJECT => 'proj', PAWL_ROLLBACK => 'true', PAWL_OUT_OF_ORDER => 'true'});
$cloud->create_topic('migrate');
$cloud->create_subscription('push', topic => 'migrate', push => $worker->url . '/', account => $worker->account, audience => $worker->audience,
    ackDeadlineSeconds => 30, retryPolicy => {minimumBackoff => '0.1s', maximumBackoff => '0.5s'});

sub deliver {
    my ($data) = @_;
    my $id = $cloud->publish('migrate', $data);
    return ($id, JSON::PP->new->utf8->decode($cloud->wait_acknowledged('push', $id)->{answer}));
}
sub versions { return $database->value(q{SELECT string_agg(version, ' ' ORDER BY version) FROM pawl.migrations}) }

my (undef, $up) = deliver({});
is($up->{status}, 'applied', 'up');
my ($id, $back) = deliver({action => 'rollback', steps => 1, reason => 'it was slow'});
is($back->{status}, 'rolled_back', 'a message takes back one step');
is($back->{rolled_back}, 1, 'the answer counts');
is($back->{version}, '2', 'and says what is left');
is(versions(), '1 2', 'the ledger forgot it');
ok(!$database->has_table('t4'), 'the table is gone');
my ($run) = $database->rows("SELECT * FROM pawl.runs WHERE id = '$id'");
is("$run->{state} $run->{applied} $run->{to} $run->{reason}", 'rolled_back 1 2 it was slow', 'the run is on record');

deliver({});
$migrations->write('0003_late.sql', 'CREATE TABLE t3 ();');
my (undef, $late) = deliver({out_of_order => JSON::PP::true});
is($late->{status}, 'applied', 'a late version is applied');
is_deeply([map { $_->{file} } @{$late->{migrations}}], ['0003_late.sql'], 'it alone');
my $stopped = $cloud->publish('migrate', {action => 'rollback', to => 1});
my ($first) = $cloud->wait_attempts('push', $stopped, 1);
is(JSON::PP->new->utf8->decode($first->{answer})->{error}, 'ROLLBACK_IMPOSSIBLE', 'what has no down file stops a rollback');
is(versions(), '1 2 3 4', 'before anything is touched');
done_testing();
