#!/usr/bin/perl
# What fails for good is parked at once, with what went wrong, and never tried again against the database; how a run ended is told.
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
my $migrations = Pawl::Migrations->new('0001_a.sql' => 'CREATE TABLE a ();');
(my $emulator = $cloud->url) =~ s{^http://}{};
my %topics = (PUBSUB_EMULATOR_HOST => $emulator, PAWL_DEAD_LETTER_TOPIC => $cloud->topic_name('dead'), PAWL_RESULT_TOPIC => $cloud->topic_name('results'));
my $worker = Pawl::Worker->start(database => $database, migrations => $migrations, cloud => $cloud, env => \%topics);
$cloud->create_topic($_) for qw(migrate dead results);
$cloud->create_subscription('parked', topic => 'dead');
$cloud->create_subscription('heard', topic => 'results');
$cloud->create_subscription('push', topic => 'migrate', push => $worker->url . '/', account => $worker->account, audience => $worker->audience,
    ackDeadlineSeconds => 30, retryPolicy => {minimumBackoff => '0.1s', maximumBackoff => '0.5s'});
my $json = JSON::PP->new->utf8;

subtest 'a run that went well is told' => sub {
    my $id = $cloud->publish('migrate', {release => 'r1'});
    my $answer = $cloud->wait_acknowledged('push', $id);
    my ($event) = $cloud->wait_pulled('heard', 1);
    is_deeply($json->decode($event->{bytes}), $json->decode($answer->{answer}), 'the event is the answer');
    is_deeply($event->{message}{attributes}, {status => 'applied', run => $id, target => 'default', release => 'r1'}, 'its attributes');
};

subtest 'a migration that fails is parked at once' => sub {
    $migrations->write('0002_bad.sql', "CREATE TABLE half ();\nSELECT\n  nosuch;\n");
    my $id = $cloud->publish('migrate', {release => 'r2'}, attributes => {reason => 'by test'}, key => 'main');
    my $delivery = $cloud->wait_acknowledged('push', $id);
    is($delivery->{attempt}, 1, 'the first delivery is the last');
    my $answer = $json->decode($delivery->{answer});
    is($answer->{status}, 'failed', 'the answer says that it failed');
    my ($letter) = $cloud->wait_pulled('parked', 1);
    is($answer->{parked}, $letter->{message}{messageId}, 'and where it is parked');
    is($letter->{bytes}, '{"release":"r2"}', 'the data is kept');
    is($letter->{message}{orderingKey}, 'main', 'so is the ordering key');
    my $attributes = $letter->{message}{attributes};
    is($attributes->{reason}, 'by test', 'and the attributes');
    my %wanted = (pawl_error => 'MIGRATION_FAILED', pawl_file => '0002_bad.sql', pawl_line => 3, pawl_statement => 2, pawl_sqlstate => '42703', pawl_run => $id, pawl_message_id => $id, pawl_target => 'default');
    is($attributes->{$_}, $wanted{$_}, "$_ = $wanted{$_}") for sort keys %wanted;
    like($attributes->{pawl_message}, qr/nosuch/, 'what PostgreSQL said');
    like($attributes->{pawl_published}, qr/^\d{4}-\d\d-\d\dT[\d:.]+Z$/, 'when it was first published');
    my ($event) = $cloud->wait_pulled('heard', 1);
    is($event->{message}{attributes}{status}, 'failed', 'the failure is told too');
    is($database->value("SELECT state FROM pawl.runs WHERE id = '$id'"), 'failed', 'the run row says failed');
    $migrations->remove('0002_bad.sql');
};

subtest 'so is a request that cannot be honoured; its long words are cut' => sub {
    my $id = $cloud->publish('migrate', {('x' x 2000) => 1});
    is($cloud->wait_acknowledged('push', $id)->{attempt}, 1, 'acknowledged at once');
    my ($letter) = $cloud->wait_pulled('parked', 1);
    is($letter->{message}{attributes}{pawl_error}, 'REQUEST_MALFORMED', 'its code');
    cmp_ok(length $letter->{message}{attributes}{pawl_message}, '<=', 1024, 'no value is longer than the platform allows');
    $cloud->wait_pulled('heard', 1);
};

subtest 'a hundred attributes leave no room, and it is parked all the same' => sub {
    my $id = $cloud->publish('migrate', {nosuch => 1}, attributes => {map { ("googclient_$_" => 'x') } 1 .. 97});
    is($cloud->wait_acknowledged('push', $id)->{attempt}, 1, 'acknowledged at once');
    my ($letter) = $cloud->wait_pulled('parked', 1);
    is($letter->{message}{attributes}{pawl_error}, 'REQUEST_MALFORMED', 'with its code');
    $cloud->wait_pulled('heard', 1);
    $cloud->publish('migrate', {}, attributes => {map { ("x$_" => 'x') } 1 .. 100});
    ($letter) = $cloud->wait_pulled('parked', 1);
    like($letter->{message}{attributes}{pawl_message}, qr/"x\d+" is not known/, 'nor do a hundred of the publisher hide why');
    $cloud->wait_pulled('heard', 1);
};

subtest 'the set that was reviewed, or none' => sub {
    $migrations->write('0003_c.sql', 'CREATE TABLE c ();');
    my $plan = $json->decode($cloud->wait_acknowledged('push', $cloud->publish('migrate', {action => 'plan'}))->{answer});
    like($plan->{digest}, qr/^[0-9a-f]{64}$/, 'a plan says the digest of the files');
    $migrations->write('0003_c.sql', 'CREATE TABLE c (id int);');
    my $answer = $json->decode($cloud->wait_acknowledged('push', $cloud->publish('migrate', {digest => $plan->{digest}}))->{answer});
    is($answer->{error}, 'DIGEST_MISMATCH', 'a file that was changed since is not applied');
    ok(!$database->has_table('c'), 'not in the database either');
    $migrations->write('0003_c.sql', 'CREATE TABLE c ();');
    $answer = $json->decode($cloud->wait_acknowledged('push', $cloud->publish('migrate', {digest => $plan->{digest}}))->{answer});
    is($answer->{status}, 'applied', 'what was reviewed is');
    $cloud->wait_pulled('parked', 1);
};

subtest 'when it cannot be parked, it is not acknowledged: nothing is lost' => sub {
    $cloud->fault('/v1/' . $cloud->topic_name('dead') . ':publish', status => 403);
    my $id = $cloud->publish('migrate', {nosuch => 1});
    my ($first) = $cloud->wait_attempts('push', $id, 1, 30);
    is($first->{status}, 500, 'answered 500');
    $cloud->clear_faults;
    $cloud->wait_acknowledged('push', $id, 30);
    my ($letter) = $cloud->wait_pulled('parked', 1);
    is($letter->{message}{attributes}{pawl_message_id}, $id, 'and parked by a later delivery');
};

subtest 'what failed and cannot be parked does not run again' => sub {
    $database->execute('CREATE SEQUENCE public.ran');
    $migrations->write('0004_bad.sql', "SELECT nextval('public.ran');\nSELECT nosuch;\n");
    $cloud->fault('/v1/' . $cloud->topic_name('dead') . ':publish', status => 403);
    my $id = $cloud->publish('migrate', {});
    $cloud->wait_attempts('push', $id, 4, 30);
    is($database->value('SELECT last_value FROM public.ran'), 1, 'four deliveries, one try against the database');
    $cloud->clear_faults;
    $cloud->wait_acknowledged('push', $id, 30);
    my ($letter) = $cloud->wait_pulled('parked', 1);
    is($letter->{message}{attributes}{pawl_sqlstate}, '42703', 'parked with what the first try said');
    is($letter->{message}{attributes}{pawl_file}, '0004_bad.sql', 'and its file');
    $migrations->write('0004_bad.sql', "SELECT nextval('public.ran');\nSELECT nosuch2;\n");
    $cloud->wait_acknowledged('push', $cloud->publish('migrate', {}));
    is($database->value('SELECT last_value FROM public.ran'), 2, 'another message is tried');
    $cloud->wait_pulled('parked', 1);
};

subtest 'dead letters that are pushed here do not go round' => sub {
    my $before = $database->value('SELECT last_value FROM public.ran');
    $cloud->create_subscription('round', topic => 'dead', push => $worker->url . '/', account => $worker->account, audience => $worker->audience,
        ackDeadlineSeconds => 30, retryPolicy => {minimumBackoff => '0.1s', maximumBackoff => '0.5s'});
    $cloud->wait_acknowledged('push', $cloud->publish('migrate', {}));
    my ($letter) = $cloud->wait_pulled('parked', 1);
    my ($first)  = $cloud->wait_attempts('round', $letter->{message}{messageId}, 4, 30);
    is($first->{status}, 500, 'it is not acknowledged there');
    is(scalar $cloud->pull('parked'), 0, 'and not parked again');
    is($database->value('SELECT last_value FROM public.ran'), $before + 2, 'one try for the message, one for its copy');
    $cloud->request(DELETE => '/v1/' . $cloud->subscription_name('round'));
    $migrations->remove('0004_bad.sql');
};

subtest 'a result topic that does not answer delays the answer by moments' => sub {
    $cloud->fault('/v1/' . $cloud->topic_name('results') . ':publish', delay_ms => 20000);
    my $answer = $cloud->wait_acknowledged('push', $cloud->publish('migrate', {}));
    cmp_ok($answer->{latencyMs}, '<', 8000, 'acknowledged long before the shortest deadline');
    $cloud->clear_faults;
};

subtest 'what may pass is not parked' => sub {
    my $session = $database->session;
    $session->run('BEGIN');
    $session->run('LOCK TABLE a IN ACCESS EXCLUSIVE MODE');
    $migrations->write('0004_a.sql', 'ALTER TABLE a ADD COLUMN x int;');
    my $id = $cloud->publish('migrate', {});
    my ($first) = $cloud->wait_attempts('push', $id, 1, 60);
    is($first->{status}, 503, 'a table that is held: 503');
    $session->run('COMMIT');
    is($cloud->wait_acknowledged('push', $id, 60)->{status}, 200, 'and done when it is free');
    is(scalar $cloud->pull('parked'), 0, 'nothing is parked');
};

is($worker->stop, 0, 'exit code 0');
done_testing();
