#!/usr/bin/perl
# `pawl plan` and a message that asks for a plan tell what each pending statement will do to the target: locks, work, sizes, hazards.
# They touch nothing and wait for nobody.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Time::HiRes qw(time);
use Pawl::LocalCloud;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Shell qw(pawl);
use Pawl::Worker;

my $database = Pawl::Postgres->new;
$database->execute(<<'SQL');
CREATE TABLE orders (id int, note text);
INSERT INTO orders SELECT n, repeat('x', 100) FROM generate_series(1, 20000) n;
ANALYZE orders;
CREATE TABLE unread (x int);
ALTER TABLE unread SET (autovacuum_enabled = false);
SQL
$database->execute('VACUUM orders');
my $migrations = Pawl::Migrations->new(
    '0001_first.sql' => <<'SQL',
CREATE TABLE fresh (id bigint PRIMARY KEY);
ALTER TABLE orders ADD COLUMN state text;

CREATE INDEX orders_note ON orders (note);
SQL
    '0002_second.sql' => <<'SQL',
CREATE INDEX CONCURRENTLY orders_state ON public.orders (state);
ALTER TABLE fresh ALTER COLUMN id TYPE numeric;
-- pawl: allow type-rewrites it is empty
ALTER TABLE unread ALTER COLUMN x TYPE bigint;
SQL
);
my %here = (database => $database, migrations => $migrations);

subtest 'the whole text' => sub {
    my $plan = pawl(['plan'], %here);
    is($plan->{exit}, 0, 'exit 0');
    is($plan->{out}, <<'TEXT', 'file and line, what it does, to what, under which lock, how large that is, what can hurt');
pending 0001_first.sql: 3 statements
  0001_first.sql:1: CREATE TABLE
    fresh (not in the database yet): creates a table
  0001_first.sql:2: ALTER TABLE
    orders (2.7 MB, about 20,000 rows): adds a column
      ACCESS EXCLUSIVE lock, blocks reads and writes
  0001_first.sql:4: CREATE INDEX
    orders (2.7 MB, about 20,000 rows): builds an index
      SHARE lock, blocks writes for as long as that takes
    warning: index-blocks-writes: Building an index keeps writers out until it
      is built.
      instead: CREATE INDEX CONCURRENTLY ...;
    warning: work-under-lock: The transaction already keeps everybody out of a
      table, and goes on to something that takes long.
      instead: Put this statement into a migration of its own, or move the lock
        to the end.
pending 0002_second.sql: 3 statements
  0002_second.sql:1: CREATE INDEX CONCURRENTLY, outside a transaction
    public.orders (2.7 MB, about 20,000 rows): builds an index concurrently
      SHARE UPDATE EXCLUSIVE lock, blocks neither reads nor writes for as long
        as that takes
  0002_second.sql:2: ALTER TABLE
    fresh (not in the database yet): changes a column's type
  0002_second.sql:4: ALTER TABLE
    unread: changes a column's type
      ACCESS EXCLUSIVE lock, blocks reads and writes; writes all of it anew
        meanwhile
2 migrations pending
TEXT
    is((grep { length > 80 } split /\n/, $plan->{out}), 0, 'fits 80 columns');
    my $coloured = pawl(['plan', '--color', 'always'], %here)->{out};
    like($coloured, qr/\e\[33m    warning: index-blocks-writes/, 'in colour where it is wanted');
    $coloured =~ s/\e\[\d*m//g;
    is($coloured, $plan->{out}, 'with the same words');
    is($database->value(q{SELECT count(*) FROM pg_namespace WHERE nspname = 'pawl'}), 0, 'no ledger was made');
};

subtest 'the same for programs' => sub {
    my ($first, $second) = @{pawl(['plan', '--json'], %here)->{json}{migrations}};
    is($first->{statements}, 3, 'how many statements');
    my $create = $first->{plan}[2];
    is("$create->{line} $create->{tag} $create->{transaction}", '4 CREATE INDEX 1', 'one of them');
    my $bytes = delete $create->{effects}[0]{bytes};
    cmp_ok($bytes, '>', 2e6, 'how large its table is');
    is_deeply($create->{effects}, [{does => 'builds an index', relation => 'orders', lock => 'SHARE', blocks => 'writes', work => 'index build', exists => JSON::PP::true, rows => 20000}], 'what it does');
    is_deeply([map { $_->{hazard} } @{$create->{hazards}}], ['index-blocks-writes', 'work-under-lock'], 'its hazards');
    ok(!$second->{plan}[0]{transaction}, 'one that runs outside a transaction');
    is_deeply($second->{plan}[1]{hazards}, [], 'nothing can hurt a table that another pending file creates');
    is($second->{plan}[2]{effects}[0]{rows}, undef, 'a table that was never analysed has no numbers');
    is_deeply($second->{plan}[2]{hazards}, [], 'what somebody allowed is not told again');
};

subtest 'a plan waits for nobody and takes no lock' => sub {
    my $session = $database->session;
    $session->run('BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE');
    my $start = time;
    my $plan  = pawl(['plan'], %here);
    is($plan->{exit}, 0, 'exit 0 while somebody holds the table');
    like($plan->{out}, qr/orders \(2\.7 MB/, 'sizes and all');
    $session->run('ROLLBACK');
};

subtest 'a message that asks for a plan' => sub {
    my $cloud  = Pawl::LocalCloud->start;
    my $worker = Pawl::Worker->start(%here, cloud => $cloud);
    my $answer = $worker->request(
        POST => '/', token => $cloud->token(claims => {aud => $worker->audience, email => $worker->account}),
        body => {message => {%{$cloud->message({action => 'plan'})}, messageId => 'p1', publishTime => '2026-01-01T00:00:00Z'}, subscription => 'projects/p/subscriptions/s'}
    );
    is($answer->{status}, 200, 'is answered with 200');
    is($answer->{json}{status}, 'planned', 'planned');
    is($answer->{json}{migrations}[0]{plan}[1]{effects}[0]{lock}, 'ACCESS EXCLUSIVE', 'with its locks');
    is($worker->stop, 0, 'exit code 0');
};

subtest 'a thousand pending files' => sub {
    my $many  = Pawl::Migrations->new(map { sprintf('%04d_t.sql', $_) => "CREATE TABLE t$_ (id int);\nALTER TABLE orders ADD COLUMN c$_ int;\n" } 1 .. 1000);
    my $start = time;
    my $plan  = pawl(['plan', '--json'], database => $database, migrations => $many);
    is($plan->{json}{pending}, 1000, 'are all counted');
    cmp_ok(length $plan->{out}, '<', 4 << 20, 'in an answer of bounded size');
    is($plan->{json}{migrations}[999]{left_out}{statements}, 2, 'that says what it leaves out');
    my $text = pawl(['plan'], database => $database, migrations => $many)->{out};
    like($text, qr/pending 1000_t\.sql: 2 statements\n  not shown: 2 statements\n1000 migrations pending/, 'also for people');
};

subtest 'files that cannot be cut into statements are refused now, not at night' => sub {
    my $broken = Pawl::Migrations->new('0001_a.sql' => "SELECT 'oops;\n");
    my $plan   = pawl(['plan'], database => $database, migrations => $broken);
    is($plan->{exit}, 1, 'exit 1');
    like($plan->{err}, qr/0001_a\.sql, line 1/, 'which file');
};

done_testing();
