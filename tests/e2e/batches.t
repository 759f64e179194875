#!/usr/bin/perl
# A batch from its announcement to its end: planned, killed and stopped in the middle, delivered again, asked about.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use POSIX ();
use Test::More;
use Pawl::LocalCloud;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Shell qw(pawl start_pawl);
use Pawl::Wait qw(wait_until);
use Pawl::Worker;

my $ROUND     = "UPDATE t SET n = n + 1 WHERE id IN (SELECT id FROM t WHERE n = 0 LIMIT 50);\n";
my $EACH_ONCE = 'SELECT count(*) || min(n)::text || max(n) FROM t';

sub database {
    my $database = Pawl::Postgres->new;
    $database->execute('CREATE TABLE t AS SELECT n AS id, 0 AS n FROM generate_series(1, 1000) n; ANALYZE t');
    return $database;
}
sub migrations { return Pawl::Migrations->new('0001_fill.sql' => "-- pawl: batch $_[0]\n$ROUND", '0002_after.sql' => 'CREATE TABLE after ();') }

sub wait_rounds {
    my ($database, $rounds) = @_;
    wait_until { $database->value('SELECT count(*) FROM t WHERE n > 0') >= 50 * $rounds } what => "$rounds rounds";
    return;
}

subtest 'it is announced, and told when it is done' => sub {
    my %here = (database => database(), migrations => migrations('pause=20ms max_lag=10s'));
    like(pawl(['plan'], %here)->{out}, qr/0001_fill\.sql:2: UPDATE, a batch: in rounds, until one touches no row; pause\n +20 ms; standbys at most 10\.0 s behind\n/, 'plan');
    is_deeply(pawl(['plan', '--json'], %here)->{json}{migrations}[0]{plan}[0]{batch}, {pause_ms => 20, max_lag_ms => 10000}, 'as JSON');
    is(pawl(['plan', '--json'], %here)->{json}{migrations}[1]{plan}[0]{batch}, undef, 'what is none');
    my $result = pawl(['migrate'], %here);
    is($result->{exit}, 0, 'migrate: exit 0');
    like($result->{err}, qr/^0001_fill\.sql: 1000 rows in 20 rounds\napplied 0001_fill\.sql \(/m, 'rows and rounds');
    is($here{database}->value($EACH_ONCE), '100011', 'each row once');
};

subtest 'lint knows it' => sub {
    my $files = Pawl::Migrations->new('0001_all.sql' => "-- pawl: batch\nDELETE FROM t WHERE n = 0;\n");
    my @there = (migrations => $files, env => {DATABASE_URL => undef});
    my $lint  = pawl(['lint'], @there);
    like($lint->{out}, qr/0001_all\.sql:2: advice: batch-unlimited: t, in a batch\n/, 'in words');
    is($lint->{exit}, 0, 'an advice: exit 0');
    ok(pawl(['lint', '--json'], @there)->{json}{findings}[0]{batch}, 'as JSON');
};

for my $signal ('KILL', 'TERM') {
    subtest "SIG$signal in the middle, and again" => sub {
        my %here = (database => database(), migrations => migrations('pause=100ms'));
        my $run  = start_pawl(['migrate'], %here);
        wait_rounds($here{database}, 3);
        $run->signal($signal);
        my $exit = $run->wait_end;
        is($exit, $signal eq 'KILL' ? 137 : 3, "exit code $exit");
        like($run->err, qr/shutting down after \d+ rows in \d+ rounds of its batch/, 'says how far it has got') if $signal eq 'TERM';
        my $rows = $here{database}->value('SELECT count(*) FROM t WHERE n > 0');
        ok($rows >= 150 && $rows < 1000 && $rows % 50 == 0, "$rows rows are done: whole rounds");
        like(pawl(['status'], %here)->{out}, qr/^partial +0001_fill\.sql\n.*0 applied, 1 pending, 1 partial$/ms, 'status');
        ok(!$here{database}->has_table('after'), 'what comes after it waits');
        my $again = pawl(['migrate'], %here);
        is($again->{exit}, 0, 'again: exit 0');
        my ($rest, $rounds) = (1000 - $rows, (1000 - $rows) / 50);
        like($again->{err}, qr/^0001_fill\.sql: $rest rows in $rounds rounds$/m, "the other $rest");
        is($here{database}->value($EACH_ONCE), '100011', 'each row once');
        like(pawl(['status'], %here)->{out}, qr/^2 applied, 0 pending$/m, 'status');
    };
}

my $cloud = Pawl::LocalCloud->start;

sub deliver {
    my ($worker) = @_;
    return $worker->request(
        POST => '/', token => $cloud->token(claims => {aud => $worker->audience, email => $worker->account}), seconds => 60,
        body => {message => {%{$cloud->message({})}, messageId => '7', publishTime => '2026-01-01T00:00:00Z'}, subscription => 'projects/p/subscriptions/s'}
    );
}

subtest 'the service: asked, stopped, delivered again' => sub {
    my $reader = 'ci@pawl-test.iam.gserviceaccount.com';
    my %here   = (database => database(), migrations => migrations('pause=250ms'), cloud => $cloud, env => {PAWL_READERS => $reader});
    my $worker = Pawl::Worker->start(%here);
    my $asker  = $cloud->token(claims => {aud => $worker->audience, email => $reader});
    my $pid    = fork // die "cannot fork: $!";
    POSIX::_exit(deliver($worker)->{status} == 503 ? 0 : 1) if $pid == 0;
    my $run = wait_until {
        my $run = $worker->request(GET => '/runs/7', token => $asker)->{json};
        $run && $run->{watched} ? $run : undef
    }
    what => 'progress of the run';
    like($run->{watched}, qr/^\d+ rows in \d+ rounds$/, 'GET /runs says how far it is');
    my $line = $worker->wait_log(qr/^0001_fill\.sql \d+ rows? in \d+ rounds?$/);
    is($line->{severity}, 'NOTICE', 'so does the log');
    is($line->{done} % 50, 0, 'in rows');
    is($worker->stop, 0, 'SIGTERM: exit code 0');
    waitpid $pid, 0;
    is($?, 0, 'the delivery was answered with 503');
    my $rows = $here{database}->value('SELECT count(*) FROM t WHERE n > 0');
    ok($rows > 0 && $rows < 1000, "between two rounds, after $rows rows");
    is($here{database}->value('SELECT error FROM pawl.runs'), 'SHUTTING_DOWN', 'recorded');
    $here{migrations}->write('0001_fill.sql', "-- pawl: batch\n$ROUND");
    my $next = Pawl::Worker->start(%here);
    is(deliver($next)->{status}, 200, 'delivered again: 200');
    is($here{database}->value($EACH_ONCE), '100011', 'each row once');
    my $rest = 1000 - $rows;
    is($next->wait_log(qr/^0001_fill\.sql: $rest rows in \d+ rounds$/)->{rows}, $rest, 'the log says how many are new');
    is($next->stop, 0, 'exit code 0');
};

done_testing();
