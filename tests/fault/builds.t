#!/usr/bin/perl
# What runs outside a transaction is cut off in its middle: while it waits for others, or builds. Other sessions read the table all the
# time, as they do in production, so each statement takes several waits, and what it leaves when it dies differs from time to time: an
# invalid index, one called _ccnew or _ccold, a partition that is half detached. The next delivery settles it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib", $FindBin::Bin;
use Test::More;
use Pawl::Shell qw(pawl);
use Sweep;

my $BASE = <<'SQL';
CREATE TABLE marks (name text);
CREATE TABLE big (id int PRIMARY KEY, n int, name text);
INSERT INTO big SELECT n, n % 10, 'x' || n FROM generate_series(1, 500) n;
CREATE INDEX big_old ON big (n);
CREATE TABLE parts (n int) PARTITION BY RANGE (n);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (10);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
INSERT INTO parts SELECT generate_series(1, 19);
SQL

my %statements = (
    'CREATE INDEX CONCURRENTLY'               => 'CREATE INDEX CONCURRENTLY big_n ON big (n, name)',
    'CREATE INDEX CONCURRENTLY IF NOT EXISTS' => 'CREATE INDEX CONCURRENTLY IF NOT EXISTS big_n ON big (n, name)',
    'CREATE UNIQUE INDEX CONCURRENTLY'        => 'CREATE UNIQUE INDEX CONCURRENTLY big_n ON big (n, name)',
    'CREATE INDEX CONCURRENTLY without a name' => 'CREATE INDEX CONCURRENTLY ON big (n, name)',
    'DROP INDEX CONCURRENTLY'                 => 'DROP INDEX CONCURRENTLY big_old',
    'REINDEX INDEX CONCURRENTLY'              => 'REINDEX INDEX CONCURRENTLY big_old',
    'REINDEX TABLE CONCURRENTLY'              => 'REINDEX TABLE CONCURRENTLY big',
    'DETACH PARTITION CONCURRENTLY'           => 'ALTER TABLE parts DETACH PARTITION parts_1 CONCURRENTLY',
);

# Readers that follow each other, so that somebody always holds the table; until the point is over.
sub readers {
    my ($database, $table) = @_;
    my @readers;
    for my $reader (0 .. 2) {
        my $session = $database->session;
        $session->send('SELECT pg_sleep(' . $reader * 0.25 . ')');
        for (1 .. 20) {
            $session->send("BEGIN; LOCK TABLE ONLY $table IN ACCESS SHARE MODE");
            $session->send($_) for 'SELECT pg_sleep(0.8)', 'COMMIT', 'SELECT pg_sleep(0.05)';
        }
        push @readers, $session;
    }
    return @readers;
}

sub stage {
    my ($database, $migrations, $table) = @_;
    my $base = pawl(['migrate', '--to', '1'], database => $database, migrations => $migrations);
    die "the base cannot be laid: $base->{err}" if $base->{exit} != 0;
    return readers($database, $table);
}

# Half of the points are patient: the orphan has ended when the next delivery comes.
my @points = map {
    my $at = "quiet:$_";
    map { ({fault => $_, at => $at}, {fault => $_, at => $at, patient => 1}) } qw(cut kill away ghost)
} 60, 250, 450;
my @sweeps;
for my $name (sort keys %statements) {
    my $files = {
        '0001_base.sql' => $BASE,
        '0002_statement.sql' => "INSERT INTO marks VALUES ('before');\n$statements{$name};\nINSERT INTO marks VALUES ('after');\n",
        '0003_last.sql' => "INSERT INTO marks VALUES ('last');\n",
    };
    my $table = $name =~ /^DETACH/ ? 'parts' : 'big';
    push @sweeps, Sweep->new(name => $name, files => $files, points => \@points, stage => sub { stage(@_, $table) });
}
Sweep::run('statements in their middle', sample => 42, jobs => 8, sweeps => \@sweeps);    # not a divisor of all: each statement has other points

done_testing();
