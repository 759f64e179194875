#!/usr/bin/perl
# `pawl` from a shell: the same engine, exit codes that scripts can use, help everywhere, and two at once are safe.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Process qw(built);
use Pawl::Shell qw(pawl start_pawl);
use Pawl::Wait qw(wait_until);

my $database   = Pawl::Postgres->new;
my $migrations = Pawl::Migrations->new('0001_a.sql' => 'CREATE TABLE a ();', '0002_b.sql' => "CREATE TABLE b (); INSERT INTO b DEFAULT VALUES;\n");
my %here = (database => $database, migrations => $migrations);

subtest 'help answers everywhere, and wrong usage exits 2' => sub {
    for my $arguments (['--help'], ['help'], ['-h'], map({ [$_, '--help'], ['help', $_] } qw(serve migrate plan status new)), ['help', 'options'], ['help', 'errors'], ['help', 'LOCK_HELD'], ['help', '--lock-wait'], ['help', 'PAWL_URL'], ['--version'], ['version']) {
        my $result = pawl($arguments);
        is($result->{exit}, 0, "pawl @$arguments: exit 0");
        isnt($result->{out}, '', "pawl @$arguments: answers");
        is($result->{err}, '', "pawl @$arguments: on standard output");
    }
    for my $arguments ([], ['nonsense'], ['migrate', '--nonsense'], ['migrate', '--lock-wait'], ['migrate', '--lock-wait', 'soon'], ['migrate', 'operand'], ['new'], ['help', 'nonsense'], ['migrate', '--color=blue'], ['status', '--json=x']) {
        my $result = pawl($arguments, %here);
        is($result->{exit}, 2, "pawl @$arguments: exit 2");
        isnt($result->{err}, '', "pawl @$arguments: says why on standard error");
    }
    like(pawl(['help', '--lock-wait'])->{out}, qr/^pawl serve\n  --lock-wait 0s\.\.3600s .*^pawl migrate, adopt/ms, 'a flag that two kinds of commands have: each');
    like(pawl(['help', 'nonsense'])->{err}, qr/^pawl: there is no help on 'nonsense'.*\n\z/, 'no help: one line');
    like(pawl(['repair'], %here)->{err}, qr/takes one argument \(quote it\): FILE, not 0/, 'an argument that is missing is named');
    is(pawl(['migrate', '--json', '--nonsense'], %here)->{json}{error}, 'USAGE', 'as JSON where that is asked for');
    my $result = pawl(['migrate'], migrations => $migrations, env => {DATABASE_URL => undef});
    is($result->{exit}, 2, 'without a database: exit 2');
    like($result->{err}, qr/DATABASE_URL/, 'which is named');
};

subtest 'what cannot be written is a failure' => sub {
    local $ENV{DATABASE_URL}    = $database->url;
    local $ENV{PAWL_MIGRATIONS} = $migrations->folder;
    my $pawl = built('pawl');
    for my $command ('status', 'status --json', 'plan', 'lint', 'help', 'version') {
        my $said = `$pawl $command 2>&1 >/dev/full`;
        is($? >> 8, 1, "pawl $command to a full disk: exit 1");
        like($said, qr/standard output/, 'and says why');
    }
};

subtest 'plan, migrate, status' => sub {
    my $plan = pawl(['plan'], %here);
    is($plan->{exit}, 0, 'plan: exit 0');
    like($plan->{out}, qr/0001_a\.sql.*0002_b\.sql.*2 migrations pending/s, 'plan lists what is pending');
    is($database->value(q{SELECT count(*) FROM pg_namespace WHERE nspname = 'pawl'}), 0, 'and touches nothing');
    my $migrate = pawl(['migrate', '--to', '1', '--reason', 'by hand'], %here);
    is($migrate->{exit}, 0, 'migrate --to: exit 0');
    like($migrate->{err}, qr/applied 0001_a\.sql/, 'it tells as it goes');
    like($migrate->{out}, qr/applied 1 migration in \d+ ms; the database is at version 1/, 'and sums up');
    is($database->value('SELECT reason FROM pawl.runs'), 'by hand', 'the reason is kept');
    my $json = pawl(['status', '--json'], %here)->{json};
    is_deeply([map { $_->{state} } @{$json->{migrations}}], ['applied', 'pending'], 'status --json');
    $json = pawl(['migrate', '--json'], %here)->{json};
    is($json->{status}, 'applied', 'migrate --json: one object');
    is_deeply([map { $_->{file} } @{$json->{migrations}}], ['0002_b.sql'], 'with what was applied');
    is($database->value('SELECT count(*) FROM b'), 1, 'once');
    my $again = pawl(['migrate'], %here);
    is($again->{exit}, 0, 'again: exit 0');
    like($again->{out}, qr/nothing pending/, 'nothing pending');
    like(pawl(['status'], %here)->{out}, qr/2 applied, 0 pending/, 'status sums up');
};

subtest 'new numbers as its neighbours do' => sub {
    my $files = Pawl::Migrations->new('0009_a.sql' => '', '0010_b.sql' => '');
    my $result = pawl(['new', 'Add Orders!'], migrations => $files);
    is($result->{exit}, 0, 'exit 0');
    like($result->{out}, qr{/0011_add_orders\.sql\n\z}, 'the next number, a plain name');
    ok(-f $files->path('0011_add_orders.sql'), 'the file is there');
    my $stamps = Pawl::Migrations->new('20260101120000_a.sql' => '');
    like(pawl(['new', 'b'], migrations => $stamps)->{out}, qr{/20\d{12}_b\.sql\n\z}, 'by the time where its neighbours are');
    my $empty = Pawl::Migrations->new;
    like(pawl(['new', 'first'], migrations => $empty)->{out}, qr{/0001_first\.sql\n\z}, 'an empty folder starts at 0001');
    $empty = Pawl::Migrations->new;
    like(pawl(['plan'], database => $database, migrations => $empty)->{err}, qr/holds no migrations/, 'and is pointed out where it may be the wrong one');
    is(pawl(['new', '!!!'], migrations => $empty)->{exit}, 2, 'a name without letters: exit 2');
};

subtest 'what fails says where, and exits 1' => sub {
    $migrations->write('0003_bad.sql', "CREATE TABLE half ();\nSELECT\n  nosuch;\n");
    my $result = pawl(['migrate', '--color', 'never'], %here);
    is($result->{exit}, 1, 'exit 1');
    like($result->{err}, qr/0003_bad\.sql, line 3, statement 2 of 2/, 'file, line, statement');
    like($result->{err}, qr/MIGRATION_FAILED \(SQLSTATE 42703\)/, 'code');
    like($result->{err}, qr/to do:/, 'what to do');
    my $json = pawl(['migrate', '--json'], %here)->{json};
    is($json->{error}, 'MIGRATION_FAILED', 'the same as JSON');
    ok(!$database->has_table('half'), 'nothing is half done');
    $migrations->remove('0003_bad.sql');
    $migrations->write('0001_a.sql', 'CREATE TABLE a (changed int);');
    is(pawl(['migrate'], %here)->{exit}, 1, 'a changed file: exit 1');
    like(pawl(['status'], %here)->{out}, qr/changed\s+0001_a\.sql/, 'status says which');
    $migrations->write('0001_a.sql', 'CREATE TABLE a ();');
};

subtest 'a schema that was there before is adopted, and a late version is applied where that is said' => sub {
    my $old = Pawl::Postgres->new;
    my $files = Pawl::Migrations->new('0001_a.sql' => 'CREATE TABLE a ();', '0003_c.sql' => 'CREATE TABLE c ();');
    my @there = (database => $old, migrations => $files);
    is(pawl(['adopt'], @there)->{exit}, 2, 'without a baseline: exit 2');
    is(pawl(['adopt', '--baseline', '2'], @there)->{json}, undef, 'a version that is no file');
    my $result = pawl(['adopt', '--baseline', '1', '--reason', 'it was there'], @there);
    is($result->{exit}, 0, 'adopt: exit 0');
    like($result->{out}, qr/\Aadopted 0001_a\.sql\nadopted 1 migration, none was run; the database is at version 1\n/, 'says what it recorded');
    ok(!$old->has_table('a'), 'and ran nothing');
    is(pawl(['adopt', '--baseline=1', '--json'], @there)->{json}{adopted}, 0, 'again: nothing to record, as JSON');
    is(pawl(['migrate'], @there)->{exit}, 0, 'the rest is applied');
    $files->write('0002_b.sql', 'CREATE TABLE b ();');
    like(pawl(['migrate'], @there)->{err}, qr/MIGRATION_OUT_OF_ORDER.*--out-of-order/s, 'a late version is refused, naming the way');
    like(pawl(['plan', '--out-of-order'], @there)->{out}, qr/pending 0002_b\.sql/, 'plan --out-of-order shows it');
    is(pawl(['migrate', '--out-of-order'], @there)->{exit}, 0, 'migrate --out-of-order applies it');
    ok($old->has_table('b'), 'it is there');
};

subtest 'a rollback takes back by the down files, where that is permitted' => sub {
    my $fresh = Pawl::Postgres->new;
    my $files = Pawl::Migrations->new('0001_a.sql' => 'CREATE TABLE a ();', '0001_a.down.sql' => 'DROP TABLE a;',
        '0002_b.sql' => 'CREATE TABLE b ();', '0002_b.down.sql' => 'DROP TABLE b;');
    my @there = (database => $fresh, migrations => $files);
    is(pawl(['migrate'], @there)->{exit}, 0, 'up');
    like(pawl(['rollback'], @there)->{err}, qr/NOT_PERMITTED/, 'not without --allow-rollback');
    is(pawl(['rollback', '--allow-rollback', '--steps', '1', '--to', '1'], @there)->{exit}, 2, 'either --steps or --to');
    my $result = pawl(['rollback', '--allow-rollback'], @there);
    is($result->{exit}, 0, 'rollback: exit 0');
    like($result->{err}, qr/rolled back 0002_b\.sql/, 'it tells as it goes');
    like($result->{out}, qr/rolled back 1 migration in \d+ ms; the database is at version 1/, 'and sums up');
    ok(!$fresh->has_table('b'), 'the table is gone');
    my $json = pawl(['rollback', '--to=0', '--json'], @there, env => {PAWL_ROLLBACK => 'true'})->{json};
    is($json->{status}, 'rolled_back', 'as JSON');
    is($json->{rolled_back}, 1, 'with how many');
    is($fresh->value('SELECT count(*) FROM pawl.migrations'), 0, 'the ledger is empty');
};

subtest 'a database that is not there: exit 3, and no password in what is said' => sub {
    my $result = pawl(['migrate'], migrations => $migrations, env => {DATABASE_URL => 'postgresql://u:hunter2secret@127.0.0.1:1/x'});
    is($result->{exit}, 3, 'exit 3: try again later');
    unlike($result->{err} . $result->{out}, qr/hunter2secret/, 'the password is not shown');
    $result = pawl(['migrate'], migrations => $migrations, env => {DATABASE_URL => 'postgresql://u:hunter2secret@@@:::/x?nosuch=1'});
    isnt($result->{exit}, 0, 'a broken URL fails');
    unlike($result->{err} . $result->{out}, qr/hunter2secret/, 'without its password');
};

subtest 'a second migrate waits for the first, naming it, and finds nothing left to do' => sub {
    $migrations->write('0004_slow.sql', "CREATE TABLE slow ();\nSELECT pg_sleep(1.5);\n");
    my $first = start_pawl(['migrate'], %here);
    wait_until { $database->value(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())}) > 0 } what => 'the first to hold the lock';
    my $short = pawl(['migrate', '--lock-wait', '100ms'], %here);
    is($short->{exit}, 3, 'one that does not wait long enough: exit 3');
    like($short->{err}, qr/LOCK_HELD/, 'its code');
    my $second = pawl(['migrate'], %here);
    is($second->{exit}, 0, 'the second: exit 0');
    like($second->{err}, qr/waiting: .*shell-/, 'it named the run it waited for');
    like($second->{out}, qr/nothing pending/, 'nothing was left to do');
    is($first->wait_end, 0, 'the first: exit 0');
    is($database->value(q{SELECT count(*) FROM pawl.migrations WHERE file = '0004_slow.sql'}), 1, 'applied once');
};

subtest 'closed standard files are not mistaken for the database' => sub {
    my $fresh = Pawl::Postgres->new;
    my $files = Pawl::Migrations->new(map { ("000${_}_a.sql" => "CREATE TABLE a$_ ();") } 1 .. 6);
    my $process = Pawl::Process->start(name => 'pawl without files', command => ['sh', '-c', 'exec "$0" migrate <&- 2>&-', built('pawl')],
        env => {DATABASE_URL => $fresh->url, PAWL_MIGRATIONS => $files->folder});
    is($process->wait_end(30), 0, 'exit 0');
    like($process->out, qr/applied 6 migrations/, 'all is applied');
    is($fresh->value('SELECT sum(attempts) FROM pawl.runs'), 1, 'on one connection');
};

subtest 'repair answers the question that a cut-off statement leaves' => sub {
    my $fresh = Pawl::Postgres->new;
    my $files = Pawl::Migrations->new('0001_t.sql' => "CREATE TABLE t (n int);\n", '0002_do.sql' => "DO \$\$BEGIN INSERT INTO t VALUES (1); COMMIT; PERFORM pg_sleep(60); END\$\$;\n");
    my %there = (database => $fresh, migrations => $files);
    my $run = start_pawl(['migrate'], %there);
    wait_until { $fresh->value(q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active' AND datname = current_database()}) > 0 } what => 'the block to run';
    $run->signal('KILL');
    $run->wait_end(10);
    my $asks = pawl(['migrate'], %there);
    is($asks->{exit}, 1, 'the next one stops');
    like($asks->{err}, qr/0002_do\.sql, line 1.*did it take effect\?.*pawl repair --done 0002_do\.sql/s, 'and asks');
    is(pawl(['repair', '0002_do.sql'], %there)->{exit}, 2, 'an answer must be one');
    my $answer = pawl(['repair', '--done', '0002_do.sql'], %there);
    is($answer->{exit}, 0, 'exit 0');
    like($answer->{out}, qr/the statement of 0002_do\.sql counts as done/, 'and says what it did');
    is($fresh->value(q{SELECT reason FROM pawl.runs WHERE state = 'repaired'}), 'repair --done 0002_do.sql', 'and is on record');
    is(pawl(['repair', '--again', '0002_do.sql'], %there)->{exit}, 2, 'nothing is left to answer');
    like(pawl(['migrate'], %there)->{out}, qr/nothing pending/, 'the ledger is complete');
    is($fresh->value('SELECT count(*) FROM t'), 1, 'it took effect once');
};

subtest 'Ctrl-C rolls back and leaves nothing behind' => sub {
    $migrations->write('0005_long.sql', "CREATE TABLE long ();\nSELECT pg_sleep(60);\n");
    my $run = start_pawl(['migrate'], %here);
    wait_until { $database->value(q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%' AND state = 'active' AND datname = current_database()}) > 0 } what => 'the statement to run';
    $run->signal('INT');
    is($run->wait_end(10), 3, 'exit 3');
    ok(!$database->has_table('long'), 'rolled back');
    is($database->value(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())}), 0, 'no lock is left');
    $migrations->write('0005_long.sql', 'CREATE TABLE long ();');
    is(pawl(['migrate'], %here)->{exit}, 0, 'the next one finishes');
};

subtest 'twenty at once on an empty database: all exit 0, each migration once' => sub {
    my $fresh = Pawl::Postgres->new;
    my $fifty = Pawl::Migrations->new(map { sprintf('%04d_t.sql', $_) => "CREATE TABLE t$_ ();\nINSERT INTO marks VALUES ($_);\n" } 2 .. 50);
    $fifty->write('0001_marks.sql', 'CREATE TABLE marks (n int);');
    my @runs = map { start_pawl(['migrate'], database => $fresh, migrations => $fifty) } 1 .. 20;
    my @exits = map { $_->wait_end(60) } @runs;
    is_deeply(\@exits, [(0) x 20], 'all exit 0') or diag map { $_->err } @runs;
    is($fresh->value('SELECT count(*) || \'/\' || count(DISTINCT n) FROM marks'), '49/49', 'each once');
    is($fresh->value('SELECT count(*) FROM pawl.migrations'), 50, 'fifty rows in the ledger');
};

done_testing();
