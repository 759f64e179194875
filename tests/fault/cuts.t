#!/usr/bin/perl
# The network is cut and the process is killed at every message of a run, in both directions; then the message is delivered again. However
# the first run ended, the database looks afterwards exactly as after an undisturbed run, and nothing is left behind: no lock, no open
# transaction, no backend. A plain run takes a sample of the points; PAWL_FAULT_POINTS=all (make fault) takes each.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib", $FindBin::Bin;
use Test::More;
use Sweep;

my %transactional = (
    '0001_marks.sql'    => "CREATE TABLE marks (name text);\nINSERT INTO marks VALUES ('0001');\n",
    '0002_several.sql'  => "CREATE TABLE a (id int PRIMARY KEY, b text);\nALTER TABLE a ADD COLUMN c int DEFAULT 7;\nINSERT INTO a SELECT n, 'x' || n FROM generate_series(1, 500) n;\nCREATE INDEX a_b ON a (b);\nINSERT INTO marks VALUES ('0002');\n",
    '0003_copy.sql'     => "COPY marks (name) FROM stdin;\n0003\n0003 too\n\\.\nINSERT INTO marks VALUES ('0003 last');\n",
    '0004_do.sql'       => "DO \$\$ BEGIN FOR n IN 1 .. 3 LOOP INSERT INTO marks VALUES ('0004 ' || n); END LOOP; END \$\$;\n",
    '0005_function.sql' => "CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';\nINSERT INTO marks SELECT '0005 ' || twice(21);\n",
    '0006_session.sql'  => "SET search_path TO nowhere;\nINSERT INTO public.marks VALUES ('0006');\n",
    '0007_empty.sql'    => "-- nothing to do\n",
    '0008_blocks.sql'   => "BEGIN;\nINSERT INTO marks VALUES ('0008 first');\nCOMMIT;\nBEGIN;\nINSERT INTO marks VALUES ('0008 second');\nCOMMIT;\n",
    '0009_last.sql'     => "ALTER TABLE marks ADD COLUMN n int;\nUPDATE marks SET n = 1;\nINSERT INTO marks VALUES ('0009', 1);\n",
    'repeat_totals.sql' => "CREATE OR REPLACE VIEW totals AS SELECT name, count(*) FROM marks GROUP BY name;\nINSERT INTO marks VALUES ('totals');\n",
);

# What PostgreSQL refuses in a transaction, between ordinary statements.
my %concurrently = (
    '0001_base.sql' => <<'SQL',
CREATE TABLE marks (name text);
CREATE TABLE big (id int PRIMARY KEY, n int, name text);
INSERT INTO big SELECT n, n % 10, 'x' || n FROM generate_series(1, 500) n;
CREATE INDEX big_old ON big (n);
CREATE INDEX big_older ON big (n DESC);
CREATE TABLE parts (n int) PARTITION BY RANGE (n);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (10);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
INSERT INTO parts SELECT generate_series(1, 19);
SQL
    '0002_index.sql'   => "INSERT INTO marks VALUES ('0002');\nCREATE INDEX CONCURRENTLY big_n ON big (n);\nINSERT INTO marks VALUES ('0002 after');\n",
    '0003_exists.sql'  => "CREATE INDEX CONCURRENTLY IF NOT EXISTS big_name ON big (name);\n",
    '0004_unique.sql'  => "CREATE UNIQUE INDEX CONCURRENTLY big_unique ON big (name, id);\nINSERT INTO marks VALUES ('0004');\n",
    '0005_unnamed.sql' => "CREATE INDEX CONCURRENTLY ON big (n, name);\n",
    '0006_drop.sql'    => "INSERT INTO marks VALUES ('0006');\nDROP INDEX CONCURRENTLY big_old;\nDROP INDEX CONCURRENTLY IF EXISTS big_older;\n",
    '0007_reindex.sql' => "REINDEX INDEX CONCURRENTLY big_n;\nREINDEX TABLE CONCURRENTLY big;\nINSERT INTO marks VALUES ('0007');\n",
    '0008_detach.sql'  => "ALTER TABLE parts DETACH PARTITION parts_1 CONCURRENTLY;\nINSERT INTO marks VALUES ('0008');\n",
    '0009_vacuum.sql'  => "VACUUM (ANALYZE) big;\n",
    '0010_last.sql'    => "ALTER TABLE big ADD COLUMN last int;\nINSERT INTO marks VALUES ('0010');\n",
    'repeat_totals.sql' => "CREATE OR REPLACE VIEW totals AS SELECT name, count(*) FROM marks GROUP BY name;\nINSERT INTO marks VALUES ('totals');\n",
);

# Statements that are repeated, each round a transaction, between ordinary ones. How often a row was touched is told at the end.
my %batches = (
    '0001_base.sql' => "CREATE TABLE marks (name text);\nCREATE TABLE jobs (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);\nINSERT INTO jobs SELECT generate_series(1, 9);\n",
    '0002_only.sql' => "-- pawl: batch\nUPDATE jobs SET n = n + 1 WHERE id IN (SELECT id FROM jobs WHERE n = 0 ORDER BY id LIMIT 3);\n",
    '0003_between.sql' => <<'SQL',
INSERT INTO marks SELECT '0003: ' || id || ' was touched ' || n || ' times' FROM jobs;
-- pawl: batch pause=1ms max_lag=1h
UPDATE jobs SET n = n + 10 WHERE id IN (SELECT id FROM jobs WHERE n < 10 ORDER BY id LIMIT 4);
INSERT INTO marks VALUES ('0003 between');
-- pawl: batch
WITH gone AS (DELETE FROM jobs WHERE id IN (SELECT id FROM jobs ORDER BY id LIMIT 2) RETURNING *)
INSERT INTO marks SELECT '0003: ' || id || ' went with ' || n FROM gone;
INSERT INTO marks VALUES ('0003 last');
SQL
    '0004_nothing.sql'  => "-- pawl: batch\nDELETE FROM jobs;\n",
    '0005_last.sql'     => "ALTER TABLE marks ADD COLUMN n int;\nINSERT INTO marks VALUES ('0005');\n",
);

# Where the first answers are refusals, because there is no ledger yet: a cut between a refusal and what follows it is still a cut.
my @first = map { {fault => 'cut', at => "before:server:$_"} } 16 .. 36;
my $first = Sweep->new(name => 'one', files => {'0001_marks.sql' => $transactional{'0001_marks.sql'}}, points => \@first);
Sweep::run('at the first answers', sample => scalar @first, jobs => 4, sweeps => [$first]);

for my $set (['transactional', \%transactional], ['concurrently', \%concurrently], ['batches', \%batches]) {
    my ($name, $files) = @$set;
    Sweep::run("$name files", sample => 60, jobs => 4, sweeps => [Sweep->new(name => $name, files => $files)]);
}

done_testing();
