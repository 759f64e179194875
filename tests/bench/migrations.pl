#!/usr/bin/perl
# 1,000 small migrations by pawl and by one psql session that runs the same files with BEGIN, a ledger insert and COMMIT each; in
# alternating rounds on fresh databases, as a ratio. Run by tests/with-postgres.
use strict;
use warnings;
use Time::HiRes qw(time);

my $build = $ENV{BUILD} // 'build/release';
my $count = $ENV{COUNT} // 1000;
my $rounds = $ENV{ROUNDS} // 5;
my $folder = `mktemp -d`;
chomp $folder;
mkdir "$folder/m" or die;
open my $script, '>', "$folder/all.sql" or die;
print $script "CREATE TABLE ledger (version int PRIMARY KEY, name text, applied timestamptz DEFAULT now());\n";
for my $n (1 .. $count) {
    my $sql = "CREATE TABLE t$n (id bigint PRIMARY KEY, name text NOT NULL);\n";
    open my $file, '>', sprintf("$folder/m/%05d_t.sql", $n) or die;
    print $file $sql;
    print $script "BEGIN;\nINSERT INTO ledger (version, name) VALUES ($n, 't');\n${sql}COMMIT;\n";
    close $file;
}
close $script;

sub timed {
    my (@command) = @_;
    my $start = time;
    system(@command) == 0 or die "failed: @command\n";
    return time - $start;
}

my (@pawl, @psql, @noop);
for my $round (1 .. $rounds) {
    system("psql -qc 'CREATE DATABASE bench_pawl' -c 'CREATE DATABASE bench_psql' -c CHECKPOINT >/dev/null") == 0 or die;
    local $ENV{DATABASE_URL} = "postgresql://pawl@/bench_pawl?host=$ENV{PGHOST}";
    my @mine = ("$build/pawl", 'migrate', '--migrations', "$folder/m", '--color', 'never');
    open my $saved, '>&', \*STDERR;
    open STDERR, '>', "$folder/log";
    open my $out, '>&', \*STDOUT;
    open STDOUT, '>', "$folder/out";
    push @psql, timed('psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-d', 'bench_psql', '-f', "$folder/all.sql");
    push @pawl, timed(@mine);
    push @noop, timed(@mine);
    open STDERR, '>&', $saved;
    open STDOUT, '>&', $out;
    my $applied = `psql -Atd bench_pawl -c 'SELECT count(*) FROM pawl.migrations'`;
    die "applied $applied of $count" if $applied != $count;
    system("psql -qc 'DROP DATABASE bench_pawl' -c 'DROP DATABASE bench_psql' >/dev/null") == 0 or die;
}
my ($p, $q, $n) = map { (sort { $a <=> $b } @$_)[0] } \@pawl, \@psql, \@noop;
printf "%d migrations: pawl %.0f ms, psql %.0f ms, ratio %.2f; no-op over %d applied: %.0f ms (minima of %d alternating rounds, fsync %s)\n",
    $count, $p * 1000, $q * 1000, $p / $q, $count, $n * 1000, $rounds, $ENV{PAWL_TEST_FSYNC} // 'off';
system 'rm', '-rf', $folder;
