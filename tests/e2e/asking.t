#!/usr/bin/perl
# Those on the readers list may ask how a run stands, what a target has and what was counted; nobody else may.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Time::HiRes qw(time);
use Pawl::LocalCloud;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Wait qw(wait_until);
use Pawl::Worker;

my $cloud      = Pawl::LocalCloud->start;
my $database   = Pawl::Postgres->new;
my $migrations = Pawl::Migrations->new('0001_a.sql' => 'CREATE TABLE a ();', 'repeat_v.sql' => 'CREATE OR REPLACE VIEW v AS SELECT 1 AS one;');
my $reader     = 'ci@pawl-test.iam.gserviceaccount.com';
my $worker     = Pawl::Worker->start(database => $database, migrations => $migrations, cloud => $cloud, env => {PAWL_READERS => $reader});
my $pusher     = $cloud->token(claims => {aud => $worker->audience, email => $worker->account});
my $asker      = $cloud->token(claims => {aud => $worker->audience, email => $reader});

sub push_message {
    my ($id, $data) = @_;
    return $worker->request(POST => '/', token => $pusher, seconds => 60,
        body => {message => {%{$cloud->message($data)}, messageId => $id, publishTime => '2026-01-01T00:00:00Z'}, subscription => 'projects/p/subscriptions/s'});
}
sub ask { my ($path, %options) = @_; return $worker->request(GET => $path, token => $options{token} // $asker, %options) }

subtest 'only readers may ask' => sub {
    for my $path ('/runs/1', '/targets/default', '/metrics') {
        is($worker->request(GET => $path)->{status}, 401, "$path without a token: 401");
        is(ask($path, token => $pusher)->{status}, 403, "$path by the pusher: 403");
        is($worker->request(POST => $path, token => $asker, body => '')->{status}, 405, "POST $path: 405");
    }
    is($worker->request(POST => '/', token => $asker, body => '{}')->{status}, 403, 'and a reader may not push');
};

subtest 'a run that nobody knows' => sub {
    is(ask('/runs/1')->{status}, 404, 'before there is a ledger: 404');
    is(ask('/runs/')->{status}, 404, 'no id: 404');
    is(ask("/runs/1'%20OR%201=1")->{status}, 404, 'something else than an id: 404');
};

subtest 'a run that went well' => sub {
    is(push_message('100', {release => 'r1'})->{status}, 200, 'pushed');
    my $run = ask('/runs/100')->{json};
    is($run->{state}, 'applied', 'applied');
    is($run->{run}, '100', 'its id');
    is($run->{release}, 'r1', 'its release');
    is($run->{publisher}, $worker->account, 'its publisher');
    is_deeply([map { $_->{file} } @{$run->{migrations}}], ['0001_a.sql', 'repeat_v.sql'], 'what it applied');
    push_message('101', {});
    is(ask('/runs/101')->{json}{state}, 'nothing_pending', 'one with nothing to do');
};

subtest 'a run that failed' => sub {
    $migrations->write('0002_bad.sql', "SELECT 1;\nSELECT nosuch;\n");
    is(push_message('102', {})->{status}, 500, 'pushed');
    my $run = ask('/runs/102')->{json};
    is($run->{state}, 'failed', 'failed');
    is($run->{error}, 'MIGRATION_FAILED', 'its code');
    is($run->{file}, '0002_bad.sql', 'its file');
    is($run->{line}, 2, 'its line');
    $migrations->remove('0002_bad.sql');
};

subtest 'a request that never became a run' => sub {
    is(push_message('103', {target => 'other'})->{status}, 500, 'refused');
    my $run = ask('/runs/103')->{json};
    is($run->{state}, 'failed', 'is known all the same');
    is($run->{error}, 'TARGET_UNKNOWN', 'with its code');
    $migrations->write('0003_unfinished.sql', "SELECT 'oops;\n");
    is(push_message('104', {})->{status}, 500, 'a file that is not acceptable');
    is(ask('/runs/104')->{json}{error}, 'SOURCE_INVALID', 'is known too');
    $migrations->remove('0003_unfinished.sql');
    push_message('111', {out_of_order => JSON::PP::true});
    push_message('112', {action => 'rollback', steps => 1});
    is(ask("/runs/$_")->{json}{error}, 'NOT_PERMITTED', 'so is what the target does not permit') for 111, 112;
};

subtest 'a plan' => sub {
    $migrations->write('0003_planned.sql', 'CREATE TABLE planned ();');
    is(push_message('109', {action => 'plan'})->{status}, 200, 'is answered');
    my $run = ask('/runs/109?wait=30')->{json};
    is($run->{state}, 'planned', 'can be asked for');
    is($run->{pending}, 1, 'with what is pending');
    is(ask('/runs/109')->{json}{attempts}, 1, 'asked once');
    $migrations->write('0003_planned.sql', "SELECT 'oops;\n");
    push_message('109', {action => 'plan'});
    is(ask('/runs/109')->{json}{error}, 'SOURCE_INVALID', 'one that fails says why');
    $migrations->remove('0003_planned.sql');
    $migrations->write('0001_a.sql', 'CREATE TABLE changed ();');
    is(push_message('110', {action => 'plan'})->{json}{error}, 'MIGRATION_CHANGED', 'so does one that the ledger refuses');
    is(ask('/runs/110')->{json}{error}, 'MIGRATION_CHANGED', 'its code');
    $migrations->write('0001_a.sql', 'CREATE TABLE a ();');
};

subtest 'a dead letter and a replay say where they come from' => sub {
    my %attributes = (CloudPubSubDeadLetterSourceDeliveryCount => '5', CloudPubSubDeadLetterSourceSubscription => 'deploys',
        CloudPubSubDeadLetterSourceSubscriptionProject => 'shop', CloudPubSubDeadLetterSourceTopicPublishTime => '2025-12-24T10:00:00.5+00:00');
    my $response = $worker->request(POST => '/', token => $pusher,
        body => {message => {attributes => \%attributes, messageId => '107', publishTime => '2026-01-01T00:00:00Z'}, subscription => 'projects/p/subscriptions/s'});
    is($response->{status}, 200, 'a dead letter is served');
    is_deeply(ask('/runs/107')->{json}{origin}, {subscription => 'projects/shop/subscriptions/deploys', deliveries => 5, published_at => '2025-12-24T10:00:00.500Z'}, 'its four attributes are kept');
    $worker->request(POST => '/', token => $pusher,
        body => {message => {attributes => {pawl_replay_of => '107', pawl_published => '2025-12-24T10:00:00Z', target => 'nowhere'}, messageId => '108', publishTime => '2026-01-01T00:00:00Z'}, subscription => 'projects/p/subscriptions/s'});
    is_deeply(ask('/runs/108')->{json}{origin}, {replay_of => '107', published_at => '2025-12-24T10:00:00.000Z'}, 'a replay names its original, also when it is refused');
    is(ask('/runs/100')->{json}{origin}, undef, 'others have none');
};

subtest 'a run that failed for the moment is not over' => sub {
    my $session = $database->session;
    $session->run('BEGIN');
    $session->run('LOCK TABLE a IN ACCESS EXCLUSIVE MODE');
    $migrations->write('0003_a.sql', 'ALTER TABLE a ADD COLUMN x int;');
    is(push_message('106', {})->{status}, 503, 'a table that is held');
    my $run = ask('/runs/106')->{json};
    is($run->{state}, 'retry', 'its state');
    is($run->{error}, 'LOCK_TIMEOUT', 'its code');
    ok($run->{remedy}, 'and what to do');
    $session->run('COMMIT');
    push_message('106', {});
    is(ask('/runs/106')->{json}{state}, 'applied', 'the next delivery ends it');
};

subtest 'waiting for a run to end' => sub {
    $migrations->write('0004_slow.sql', "CREATE TABLE slow ();\nSELECT pg_sleep(2);\n");
    my $pid = fork // die;
    if ($pid == 0) {
        push_message('105', {});
        require POSIX;
        POSIX::_exit(0);
    }
    wait_until { ask('/runs/105')->{status} == 200 } what => 'the run to be known';
    is(ask('/runs/105')->{json}{state}, 'running', 'it runs');
    my $start = time;
    is(ask('/runs/105?wait=1')->{json}{state}, 'running', 'a short wait ends before it');
    is(ask('/runs/105?x=y&wait=30', seconds => 40)->{json}{state}, 'applied', 'a long one with it');
    cmp_ok(time - $start, '<', 25, 'and not later');
    waitpid $pid, 0;
};

subtest 'a target' => sub {
    $migrations->write('0005_next.sql', 'CREATE TABLE next ();');
    my $target = ask('/targets/default')->{json};
    is($target->{pending}, 1, 'one is pending');
    is_deeply([map { "$_->{file} $_->{state}" } @{$target->{migrations}}], ['0001_a.sql applied', '0003_a.sql applied', '0004_slow.sql applied', '0005_next.sql pending', 'repeat_v.sql applied'], 'each with its state');
    is(ask('/targets/other')->{status}, 404, 'another target: 404');
};

subtest 'what was counted' => sub {
    my $metrics = ask('/metrics');
    like($metrics->{headers}{'content-type'}, qr{^application/openmetrics-text}, 'its type');
    like($metrics->{content}, qr/^pawl_deliveries_total\{outcome="applied"\} 3$/m, 'three runs applied something');
    like($metrics->{content}, qr/^pawl_deliveries_total\{outcome="CALLER_NOT_ALLOWED"\} \d+$/m, 'refusals by reason');
    like($metrics->{content}, qr/^pawl_migrations_applied_total 4$/m, 'four migrations');
    like($metrics->{content}, qr/# EOF\n\z/, 'the end');
};

subtest 'a statement that takes long' => sub {
    $migrations->write('0006_long.sql', "SELECT pg_sleep(60);\n");
    my $pid = fork // die;
    if ($pid == 0) {
        push_message('120', {});
        require POSIX;
        POSIX::_exit(0);
    }
    my $run = wait_until {
        my $run = ask('/runs/120')->{json};
        $run && $run->{watched} ? $run : undef
    }
    what => 'the run to be watched';
    is($run->{state}, 'running', 'while it runs');
    like($run->{progress}, qr{^pawl 120 \d+/\d+ 0006_long}, 'where it is');
    like($run->{watched}, qr/^runs for \d+ s, waits for Timeout PgSleep$/, 'and how its statement does');
    my $line = $worker->wait_log(qr/^0006_long\.sql runs for/);
    is($line->{severity}, 'NOTICE', 'the log says it too');
    $database->execute(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%' AND datname = current_database()});
    waitpid $pid, 0;
    $run = ask('/runs/120')->{json};
    is($run->{state}, 'failed', 'once it has ended');
    is($run->{watched}, undef, 'there is nothing to watch');
};

is($worker->stop, 0, 'exit code 0');
done_testing();
