#!/usr/bin/perl
# Many deliveries at once, and workers that are told to end or are killed in the middle: each migration takes effect exactly once, and the
# next delivery finishes the work.
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

my $cloud = Pawl::LocalCloud->start;

# A stage of its own for each subtest: database, files, workers and a push subscription for each worker.
sub stage {
    my ($name, $migrations, $workers, %env) = @_;
    my $database = Pawl::Postgres->new;
    my @workers = map { Pawl::Worker->start(database => $database, migrations => $migrations, cloud => $cloud, env => {%env}) } 1 .. $workers;
    $cloud->create_topic($name);
    for my $n (1 .. $workers) {
        subscribe($name, "$name-$n", $workers[$n - 1]);
    }
    return ($database, @workers);
}

sub subscribe {
    my ($topic, $subscription, $worker) = @_;
    $cloud->create_subscription($subscription, topic => $topic, push => $worker->url . '/', account => $worker->account, audience => $worker->audience,
        ackDeadlineSeconds => 30, retryPolicy => {minimumBackoff => '0.1s', maximumBackoff => '0.5s'});
    return;
}

sub locks { my ($database) = @_; return $database->value(q{SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE locktype = 'advisory' AND datname = current_database()}) }
sub running { my ($database, $pattern) = @_; return $database->value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid() AND query LIKE '$pattern%'") }

subtest 'twenty at once to two workers: each migration once, all answered 200' => sub {
    my $files = Pawl::Migrations->new('0001_marks.sql' => 'CREATE TABLE marks (n int);', '0030_index.sql' => 'CREATE INDEX CONCURRENTLY marks_n ON marks (n);',
        map { sprintf('%04d_t.sql', $_) => "CREATE TABLE t$_ ();\nINSERT INTO marks VALUES ($_);\n" } 2 .. 29);
    my ($database, @workers) = stage('crowd', $files, 2);
    my @ids = $cloud->publish_all('crowd', map { $cloud->message({release => "r$_"}) } 1 .. 10); # to both subscriptions: twenty deliveries
    for my $n (1, 2) {
        for my $id (@ids) {
            my $delivery = $cloud->wait_acknowledged("crowd-$n", $id, 30);
            is($delivery->{status}, 200, "worker $n answered message $id with 200");
        }
    }
    my $refused = grep { $_->{status} != 200 } map { @{$cloud->deliveries("crowd-$_")->{deliveries}} } 1, 2;
    is($refused, 0, 'none had to be delivered again');
    is($database->value(q{SELECT count(*) || '/' || count(DISTINCT n) FROM marks}), '28/28', 'each migration once');
    is($database->value('SELECT count(*) FROM pawl.migrations'), 30, 'thirty rows in the ledger');
    is($database->value(q{SELECT indisvalid FROM pg_index WHERE indexrelid = 'marks_n'::regclass}), 't', 'the index is valid');
    is(locks($database), 0, 'no lock is left');
    is($_->stop, 0, 'exit code 0') for @workers;
};

subtest 'SIGTERM in mid-run: the statement may finish within the grace' => sub {
    my $files = Pawl::Migrations->new('0001_slow.sql' => "CREATE TABLE slow ();\nSELECT pg_sleep(1);\n", '0002_next.sql' => 'CREATE TABLE next ();');
    my ($database, $worker) = stage('grace', $files, 1, PAWL_GRACE => '20s');
    my $id = $cloud->publish('grace', {});
    wait_until { running($database, 'SELECT pg_sleep') } what => 'the statement to run';
    is($worker->stop, 0, 'exit code 0');
    my ($first) = $cloud->wait_attempts('grace-1', $id, 1);
    ok($first->{status} == 503 || $first->{status} == 200, 'it was answered, not cut off') or diag explain $first;
    is(locks($database), 0, 'no lock is left');
    my $again = Pawl::Worker->start(database => $database, migrations => $files, cloud => $cloud);
    subscribe('grace', 'grace-2', $again);
    $cloud->wait_acknowledged('grace-2', $cloud->publish('grace', {}));
    is($database->value('SELECT count(*) FROM pawl.migrations'), 2, 'the next delivery finished the work');
    is($again->stop, 0, 'exit code 0');
};

subtest 'SIGTERM in mid-run: a long statement is cancelled when the grace is over, and rolled back' => sub {
    my $files = Pawl::Migrations->new('0001_first.sql' => 'CREATE TABLE first ();', '0002_long.sql' => "CREATE TABLE long ();\nSELECT pg_sleep(120);\n");
    my ($database, $worker) = stage('cancel', $files, 1, PAWL_GRACE => '300ms');
    my $id = $cloud->publish('cancel', {});
    wait_until { running($database, 'SELECT pg_sleep') } what => 'the statement to run';
    is($worker->stop, 0, 'exit code 0');
    my ($first) = $cloud->wait_attempts('cancel-1', $id, 1);
    is($first->{status}, 503, 'answered 503');
    is(JSON::PP->new->decode($first->{answer})->{error}, 'SHUTTING_DOWN', 'which says why');
    ok(!$database->has_table('long'), 'rolled back');
    is(locks($database), 0, 'no lock is left');
    is(running($database, 'SELECT pg_sleep'), 0, 'no statement is left');
    $files->write('0002_long.sql', 'CREATE TABLE long ();');
    my $again = Pawl::Worker->start(database => $database, migrations => $files, cloud => $cloud);
    subscribe('cancel', 'cancel-2', $again);
    $cloud->wait_acknowledged('cancel-2', $cloud->publish('cancel', {}));
    ok($database->has_table('long'), 'the next delivery finished the work');
    is($again->stop, 0, 'exit code 0');
};

subtest 'kill -9 in mid-run: the orphan dies, and the redelivery finishes the work' => sub {
    my $files = Pawl::Migrations->new('0001_marks.sql' => 'CREATE TABLE marks (n int);', '0002_slow.sql' => "INSERT INTO marks VALUES (2);\nSELECT pg_sleep(30);\n", '0003_last.sql' => 'INSERT INTO marks VALUES (3);');
    my ($database, $worker) = stage('kill', $files, 1);
    my $id = $cloud->publish('kill', {});
    wait_until { running($database, 'SELECT pg_sleep') } what => 'the statement to run';
    $worker->signal('KILL');
    is($worker->wait_end, 137, 'killed');
    wait_until { locks($database) == 0 } seconds => 10, what => 'the orphan to die and free the lock';
    is($database->value('SELECT count(*) FROM marks'), 0, 'nothing is half done');
    $files->write('0002_slow.sql', "INSERT INTO marks VALUES (2);\n");
    my $again = Pawl::Worker->start(database => $database, migrations => $files, cloud => $cloud, env => {PORT => $worker->port});
    $cloud->wait_acknowledged('kill-1', $id, 30);
    is($database->value(q{SELECT string_agg(n::text, ',' ORDER BY n) FROM marks}), '2,3', 'each took effect once');
    is($again->stop, 0, 'exit code 0');
};

subtest 'a broken file, twenty deliveries: tried no more often than it must be' => sub {
    my $files = Pawl::Migrations->new('0001_bad.sql' => "SELECT pg_sleep(0.5);\nSELECT nosuch;\n");
    my ($database, $worker) = stage('broken', $files, 1);
    my $token = $cloud->token(claims => {aud => $worker->audience, email => $worker->account});
    my @pids;
    for my $n (1 .. 10) {
        my $pid = fork // die;
        if ($pid == 0) {
            my $response = $worker->request(POST => '/', token => $token, body => {message => {messageId => "b$n", publishTime => '2026-01-01T00:00:00Z', data => ''}, subscription => 'projects/p/subscriptions/s'});
            require POSIX;
            POSIX::_exit($response->{status} == 500 && $response->{json}{error} eq 'MIGRATION_FAILED' ? 0 : 1);
        }
        push @pids, $pid;
    }
    my $wrong = 0;
    for my $pid (@pids) { waitpid $pid, 0; $wrong += $? != 0 }
    is($wrong, 0, 'all ten heard why it failed');
    cmp_ok($database->value(q{SELECT count(*) FROM pawl.runs WHERE message NOT LIKE '%while this one waited%'}), '<', 10, 'those who waited shared the failure');
    is($worker->stop, 0, 'exit code 0');
};

done_testing();
