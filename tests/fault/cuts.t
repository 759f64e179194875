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

Sweep->new(name => 'transactional', files => \%transactional)->run(sample => 120);

done_testing();
