#!/usr/bin/perl
# The way of a message: published, pushed with a signed token, verified, migrated, answered, recorded.
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
my $migrations = Pawl::Migrations->new(
    '0001_people.sql' => "CREATE TABLE people (id int PRIMARY KEY, name text);\nINSERT INTO people VALUES (1, 'Ada');\n",
    '0002_index.sql'  => "CREATE INDEX CONCURRENTLY people_name ON people (name);\n",
    'repeat_count.sql' => "CREATE OR REPLACE VIEW people_count AS SELECT count(*) AS n FROM people;\n",
);
my $worker = Pawl::Worker->start(database => $database, migrations => $migrations, cloud => $cloud, env => {GOOGLE_CLOUD_PROJECT => 'proj'});
$cloud->create_topic($_) for qw(migrate dead);
$cloud->create_subscription('parked', topic => 'dead');
$cloud->create_subscription('push', topic => 'migrate', push => $worker->url . '/', account => $worker->account, audience => $worker->audience,
    ackDeadlineSeconds => 30, retryPolicy => {minimumBackoff => '0.1s', maximumBackoff => '0.5s'},
    deadLetterPolicy => {deadLetterTopic => 'dead', maxDeliveryAttempts => 5});

sub answer { my ($delivery) = @_; return JSON::PP->new->utf8->decode($delivery->{answer}) }
sub applied { return $database->value('SELECT count(*) FROM pawl.migrations') }

# Publishes, waits for the acknowledgement, returns (message id, decoded answer).
sub deliver {
    my ($data, %options) = @_;
    my $id = $cloud->publish('migrate', $data, %options);
    return ($id, answer($cloud->wait_acknowledged('push', $id)));
}

# Publishes what is to fail for good, waits until it is parked, returns (first answer, dead letter).
sub park {
    my ($data, %options) = @_;
    my $id = $cloud->publish('migrate', $data, %options);
    my ($letter) = $cloud->wait_pulled('parked', 1, 30);
    my ($first) = @{$cloud->deliveries('push', $id)->{deliveries}};
    return (answer($first), $letter, $first);
}

subtest 'a published message migrates the database' => sub {
    my ($id, $answer) = deliver({release => 'abc123', reason => 'first deploy'});
    is($answer->{status}, 'applied', 'the answer says so');
    is($answer->{run}, $id, 'the run is the message');
    is_deeply([map { $_->{file} } @{$answer->{migrations}}], ['0001_people.sql', '0002_index.sql', 'repeat_count.sql'], 'all files, in order');
    is($answer->{version}, '2', 'the newest version');
    is($database->value('SELECT n FROM people_count'), 1, 'the rows are there');
    is($database->value(q{SELECT indisvalid FROM pg_index WHERE indexrelid = 'people_name'::regclass}), 't', 'the index is valid');
    my ($run) = $database->rows("SELECT * FROM pawl.runs WHERE id = '$id'");
    is($run->{state}, 'applied', 'the run row says applied');
    my ($line) = grep { ($_->{messageId} // '') eq $id and ($_->{message} // '') =~ /^applied 3 migrations/ } $worker->logs;
    ok($line, 'one log line with the message id sums it up');
    is($line->{severity}, 'INFO', 'its severity');
    like($line->{'logging.googleapis.com/trace'}, qr{^projects/proj/traces/[0-9a-f]{32}$}, 'and its trace');
};

subtest 'another message changes nothing' => sub {
    my ($id, $answer) = deliver({release => 'abc123'});
    is($answer->{status}, 'nothing_pending', 'nothing is pending');
    is($answer->{applied}, 0, 'nothing was applied');
    is($answer->{round_trips}, 1, 'one round trip to the database');
    is(applied(), 3, 'the ledger is as it was');
    is($database->value("SELECT count(*) FROM pawl.runs WHERE id = '$id'"), 1, 'it has a run row all the same');
};

subtest 'the same push twice is one run row and no change' => sub {
    my $body = {message => {messageId => '77', publishTime => '2026-01-01T00:00:00Z', data => ''}, subscription => 'projects/p/subscriptions/s'};
    my $token = $cloud->token(claims => {aud => $worker->audience, email => $worker->account});
    for (1 .. 2) {
        my $response = $worker->request(POST => '/', body => $body, token => $token);
        is($response->{status}, 200, 'answered 200');
        is($response->{json}{status}, 'nothing_pending', 'nothing pending');
    }
    is($database->value("SELECT count(*) FROM pawl.runs WHERE id = '77'"), 1, 'one run row');
};

subtest 'attributes say the same as data; platform attributes are ignored' => sub {
    $migrations->write('0003_three.sql', 'CREATE TABLE three ();');
    $migrations->write('0004_four.sql', 'CREATE TABLE four ();');
    my ($id, $answer) = deliver(undef, attributes => {action => 'plan', googclient_schemaencoding => 'JSON'});
    is($answer->{status}, 'planned', 'a plan');
    is($answer->{pending}, 2, 'two are pending');
    ok(!$database->has_table('three'), 'a plan touches nothing');
    ($id, $answer) = deliver(undef, attributes => {to => '3'});
    is_deeply([map { $_->{file} } @{$answer->{migrations}}], ['0003_three.sql'], '`to` stops there');
    ok(!$database->has_table('four'), 'the later one waits');
    ($id, $answer) = deliver({}, attributes => {googclient_traceparent => '00-1-2-01'});
    is_deeply([map { $_->{file} } @{$answer->{migrations}}], ['0004_four.sql'], 'and comes with the next message');
};

subtest 'a statement that fails: file, line and reason; nothing half done; later files untouched' => sub {
    $migrations->write('0005_good.sql', 'CREATE TABLE good ();');
    $migrations->write('0006_bad.sql', "CREATE TABLE half ();\n\nINSERT INTO half\n  VALUES (nosuch);\n");
    $migrations->write('0007_later.sql', 'CREATE TABLE later ();');
    my ($answer, $letter, $first) = park({release => 'bad'});
    is($first->{status}, 500, 'the answer is 500: a dead letter in the end');
    is($answer->{error}, 'MIGRATION_FAILED', 'its code');
    is($answer->{file}, '0006_bad.sql', 'its file');
    is($answer->{line}, 4, 'its line');
    is($answer->{statement}, 2, 'its statement');
    is($answer->{sqlstate}, '42703', 'its SQLSTATE');
    like($answer->{message}, qr/nosuch/, "PostgreSQL's words");
    ok($answer->{remedy}, 'and what to do');
    ok($database->has_table('good'), 'what came before is kept');
    ok(!$database->has_table('half'), 'nothing is half done');
    ok(!$database->has_table('later'), 'later files are untouched');
    my ($line) = grep { ($_->{severity} // '') eq 'ERROR' } $worker->logs;
    like($line->{line}, qr/0006_bad\.sql/, 'the log names the file');
    is($letter->{message}{attributes}{CloudPubSubDeadLetterSourceDeliveryCount}, 5, 'five attempts, then parked');
    $migrations->write('0006_bad.sql', "CREATE TABLE half ();\n\nINSERT INTO half\n  DEFAULT VALUES;\n");
    my ($id, $again) = deliver($letter->{bytes});
    is($again->{status}, 'applied', 'the replay after the fix succeeds');
    is_deeply([map { $_->{file} } @{$again->{migrations}}], ['0006_bad.sql', '0007_later.sql'], 'with what was left');
};

subtest 'requests that cannot be honoured are refused by name' => sub {
    my @wrong = (
        [{tarlet => 'x'}, 'REQUEST_MALFORMED', qr/tarlet/],
        [{target => 'other'}, 'TARGET_UNKNOWN', qr/other/],
        [{to => '99'}, 'VERSION_UNKNOWN', qr/99/],
        [{action => 'rollback'}, 'REQUEST_MALFORMED', qr/steps/],
        [{steps => 1}, 'REQUEST_MALFORMED', qr/steps/],
        [{source => 'x'}, 'REQUEST_UNSUPPORTED', qr/source/],
        [{action => 'rollback', steps => 1}, 'NOT_PERMITTED', qr/PAWL_ROLLBACK/],
        [{out_of_order => JSON::PP::true}, 'NOT_PERMITTED', qr/PAWL_OUT_OF_ORDER/],
        ['[1]', 'REQUEST_MALFORMED', qr/object/],
        ['not json', 'REQUEST_MALFORMED', qr/JSON/],
    );
    my $token = $cloud->token(claims => {aud => $worker->audience, email => $worker->account});
    for my $case (@wrong) {
        my ($data, $code, $names) = @$case;
        my $body = {message => {%{$cloud->message($data)}, messageId => '8', publishTime => '2026-01-01T00:00:00Z'}, subscription => 'projects/p/subscriptions/s'};
        my $response = $worker->request(POST => '/', body => $body, token => $token);
        is($response->{status}, 500, "$code: 500");
        is($response->{json}{error}, $code, "$code: its code");
        like($response->{json}{message}, $names, "$code: named");
    }
};

subtest 'a changed file is refused by name before anything runs' => sub {
    $migrations->write('0003_three.sql', 'CREATE TABLE three (changed int);');
    $migrations->write('0008_eight.sql', 'CREATE TABLE eight ();');
    my ($answer) = park({release => 'changed'});
    is($answer->{error}, 'MIGRATION_CHANGED', 'its code');
    like($answer->{message}, qr/0003_three\.sql/, 'its file');
    ok(!$database->has_table('eight'), 'nothing ran');
    $migrations->write('0003_three.sql', 'CREATE TABLE three ();');
    my ($id, $again) = deliver({});
    is($again->{status}, 'applied', 'restored, it goes on');
};

is($worker->stop, 0, 'SIGTERM: exit code 0');
done_testing();
