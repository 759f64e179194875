#!/usr/bin/perl
# Files as people and pg_dump write them for psql: each is applied as psql would, or refused by name, against the real server.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Shell qw(pawl);

my $database = Pawl::Postgres->new;

sub applies {
    my ($name, $sql, $question, $answer) = @_;
    my $fresh = Pawl::Postgres->new;
    my $result = pawl(['migrate', '--color', 'never'], database => $fresh, migrations => Pawl::Migrations->new('0001_x.sql' => $sql), seconds => 120);
    is($result->{exit}, 0, "$name: applied") or diag $result->{err};
    is($fresh->value($question), $answer, "$name: as psql would") if $result->{exit} == 0;
    return;
}

sub refused {
    my ($name, $sql, $words) = @_;
    my $result = pawl(['migrate', '--color', 'never'], database => $database, migrations => Pawl::Migrations->new('0001_x.sql' => $sql));
    is($result->{exit}, 1, "$name: refused");
    like($result->{err}, qr/0001_x\.sql/, "$name: by file");
    like($result->{err}, $words, "$name: and reason");
    return;
}

applies('a byte order mark', "\xEF\xBB\xBFCREATE TABLE t (x int);\nINSERT INTO t VALUES (1);\n", 'SELECT count(*) FROM t', 1);
applies('CR LF line ends', "CREATE TABLE t (x text);\r\nINSERT INTO t VALUES ('a\r\nb');\r\n", 'SELECT length(x) FROM t', 3);
applies('no final semicolon', "CREATE TABLE t (x int);\nINSERT INTO t VALUES (1)", 'SELECT count(*) FROM t', 1);
applies('nested comments', "/* a /* b ; */ ' \$\$ */ CREATE TABLE t (x int); -- ; '\nINSERT INTO t VALUES (1); /* end */", 'SELECT count(*) FROM t', 1);
applies('dollar quotes in dollar quotes', "DO \$a\$ BEGIN EXECUTE \$b\$ CREATE TABLE t (x int); INSERT INTO t VALUES (1); \$b\$; END \$a\$;", 'SELECT count(*) FROM t', 1);
applies('BEGIN ATOMIC', "CREATE TABLE t (x int);\nCREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC INSERT INTO t VALUES (1); SELECT CASE WHEN true THEN 2 END; END;\nSELECT f();", 'SELECT count(*) FROM t', 1);
applies('a rule of several statements', "CREATE TABLE t (x int); CREATE TABLE u (x int);\nCREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO u VALUES (1); INSERT INTO u VALUES (2););\nINSERT INTO t VALUES (1);", 'SELECT count(*) FROM u', 2);
applies('COPY with its data', "CREATE TABLE t (a int, b text);\nCOPY t (a, b) FROM stdin;\n1\tx;y\n2\t\\N\n3\t'\n\\.\n\nCOPY t FROM stdin WITH (FORMAT csv);\n4,\"a,\nb\"\n\\.\nSELECT 1;", 'SELECT count(*) FROM t', 4);
applies('what pg_dump writes around it', "\\restrict k3Y\nSET statement_timeout = 0;\nSELECT pg_catalog.set_config('search_path', '', false);\nCREATE TABLE public.t (x int);\nCOPY public.t (x) FROM stdin;\n1\n\\.\n\\unrestrict k3Y\n", 'SELECT count(*) FROM t', 1);
applies('its own BEGIN and COMMIT', "BEGIN;\nCREATE TABLE t (x int);\nCOMMIT;\nBEGIN;\nINSERT INTO t VALUES (1);\nCOMMIT;\n", 'SELECT count(*) FROM t', 1);
applies('nothing at all', '', 'SELECT statements FROM pawl.migrations', 0);
applies('only comments', "-- nothing\n/* here */ ;;\n", 'SELECT statements FROM pawl.migrations', 0);
applies('a no-break space after the last semicolon', "CREATE TABLE t (x int);\xC2\xA0", 'SELECT count(*) FROM t', 0);
applies('syntax that only the server knows', "CREATE TABLE t (x int);\nINSERT INTO t SELECT 1 WHERE (SELECT true) IS TRUE;", 'SELECT count(*) FROM t', 1);

refused('syntax that the server does not know', "CREATE TABLE half ();\nSELECT JSON_TABLE(1 NESTED);\n", qr/line 2, statement 2.*42601/s);
refused('another psql command', "SELECT 1;\n\\i other.sql\n", qr/line 2.*\\i|\\i.*line 2/s);
refused('COPY without its end', "CREATE TABLE half (x int);\nCOPY half FROM stdin;\n1\n", qr/line 2|COPY/);
refused('a quote without its end', "SELECT 1;\nSELECT 'oops;\n", qr/line 2/);
refused('Latin-1', "SELECT 1;\nSELECT 'caf\xE9';\n", qr/UTF-8.*line 2|line 2.*UTF-8/s);
refused('UTF-16', "\xFF\xFES\0E\0L\0", qr/UTF-16/);
refused('a NUL', "SELECT 1;\0", qr/NUL/);
refused('another client encoding', "SET client_encoding = 'LATIN1';\nSELECT 1;\n", qr/client_encoding|encoding/);
ok(!$database->has_table('half'), 'nothing is left of what was refused');

# Memory is looked at only where no sanitizer adds its own.
my $megabytes = ($ENV{BUILD} // '') =~ m{/(?:asan|tsan|coverage)$} ? 10 : 100;
my $line = join("\t", 1, 'x' x 97) . "\n";
my $rows = int($megabytes * 1_000_000 / length $line);
applies("a file of $megabytes MB", "CREATE TABLE t (a int, b text);\nCOPY t FROM stdin;\n" . $line x $rows . "\\.\n", 'SELECT count(*) FROM t', $rows);
done_testing();
