#!/usr/bin/perl
# Small migrations, fresh and with nothing to do, by pawl, by one psql session that runs the same files with BEGIN, a ledger insert and
# COMMIT each, and by dbmate; in alternating rounds on fresh databases, without and with a network's latency, as ratios of medians. Run
# by tests/with-postgres. What is looked at: COUNTS, NOOPS (numbers of files), DELAYS (ms each way), ROUNDS.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp ();
use Pawl::Postgres;
use Pawl::Process qw(built);
use Pawl::Proxy;

$| = 1;
$ENV{BUILD} //= 'build/release';
my @counts = split ' ', $ENV{COUNTS} // '1 100 1000 5000';
my @noops  = split ' ', $ENV{NOOPS}  // '100 1000 10000 50000';
my @delays = split ' ', $ENV{DELAYS} // '0 2';
my $dbmate = (glob 'build/npm/node_modules/@dbmate/*/bin/dbmate')[0];
my $folder = File::Temp->newdir('pawl-bench.XXXXXX', TMPDIR => 1);
print "*** dbmate is not here (npm install failed or is not there): its columns stay empty ***\n" if !$dbmate;

sub median { my @sorted = sort { $a <=> $b } grep {defined} @_; return @sorted ? $sorted[@sorted / 2] : undef }
sub rounds { my ($work) = @_; return $ENV{ROUNDS} // ($work <= 100 ? 9 : $work <= 1000 ? 5 : $work <= 20_000 ? 3 : 1) }
sub number { my ($format, $number) = @_; return defined $number ? sprintf $format, $number : '-' }
sub ratio { my ($a, $b) = @_; return defined $a && defined $b ? sprintf '%.2f', $a / $b : '-' }

# ---- files -------------------------------------------------------------------------------------------------------------

sub write_file {
    my ($name, $text) = @_;
    open my $out, '>', $name or die "$name: $!";
    print {$out} $text;
    close $out or die "$name: $!";
    return;
}

# The same migrations for all three, $sql->(n) each.
sub write_set {
    my ($count, $sql) = @_;
    my $set    = File::Temp->newdir('set.XXXXXX', DIR => $folder);
    my $script = "CREATE TABLE ledger (version bigint PRIMARY KEY, name text, applied timestamptz DEFAULT now());\n";
    mkdir "$set/$_" or die "$set/$_: $!" for qw(pawl dbmate);
    for my $n (1 .. $count) {
        my $file = sprintf '%06d_t.sql', $n;
        write_file("$set/pawl/$file", $sql->($n));
        write_file("$set/dbmate/$file", "-- migrate:up\n" . $sql->($n) . "-- migrate:down\n");
        $script .= "BEGIN;\nINSERT INTO ledger (version, name) VALUES ($n, 't');\n\\i $set/pawl/$file\nCOMMIT;\n";
    }
    write_file("$set/all.sql", $script);
    return $set;
}

# ---- running -----------------------------------------------------------------------------------------------------------

# Runs to the end and returns (milliseconds, peak memory in MB).
sub measured {
    my (@command) = @_;
    my $process = Pawl::Process->start(command => [built('tests/bench/measure'), "$folder/measured", @command], quiet => 1);
    my $exit    = $process->wait_end(1800);
    die "exit $exit: @command\n" . $process->tail if $exit != 0;
    open my $in, '<', "$folder/measured" or die "measured: $!";
    my ($us, $kb) = split ' ', scalar <$in>;
    return ($us / 1000, $kb / 1024);
}

# How to run a set with each of them; where is {host} (a socket's folder) and {database}.
my %runners = (
    pawl => sub {
        my ($set, $where) = @_;
        return ('env', "DATABASE_URL=postgresql:///$where->{database}?host=$where->{host}&user=pawl", built('pawl'), 'migrate', '--migrations', "$set/pawl");
    },
    psql => sub {
        my ($set, $where) = @_;
        return ('psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-h', $where->{host}, '-d', $where->{database}, '-f', "$set/all.sql");
    },
    dbmate => sub {
        my ($set, $where) = @_;
        return ($dbmate, '--url', "postgres://pawl@/$where->{database}?socket=$where->{host}", '-d', "$set/dbmate", '--no-dump-schema', 'migrate');
    },
);

sub place {
    my ($database, $proxy) = @_;
    return {database => $database->name, host => $proxy ? $proxy->folder : $ENV{PGHOST}};
}

# ---- fresh databases ---------------------------------------------------------------------------------------------------

sub fresh {
    my ($count, $delay) = @_;
    my $set = write_set($count, sub { "CREATE TABLE t$_[0] (id bigint PRIMARY KEY, name text NOT NULL);\n" });
    my (%ms, %mb);
    for my $round (1 .. rounds($count * (1 + 10 * $delay))) {
        for my $runner ('psql', 'pawl', $dbmate ? 'dbmate' : ()) {
            my $database = Pawl::Postgres->new;
            my $proxy    = $delay ? Pawl::Proxy->start(delay => $delay) : undef;
            $database->execute('CHECKPOINT');
            my ($ms, $mb) = measured($runners{$runner}->($set, place($database, $proxy)));
            my $tables = $database->value("SELECT count(*) FROM pg_class WHERE relname ~ '^t[0-9]+\$'");
            die "$runner made $tables tables of $count" if $tables != $count;
            push @{$ms{$runner}}, $ms;
            push @{$mb{$runner}}, $mb;
        }
    }
    my %m = map { $_ => median(@{$ms{$_} // []}) } qw(psql pawl dbmate);
    printf "%7d %8s %8s %8s %8s %8s   %s\n", $count, map({ number('%.0f', $m{$_}) } qw(pawl psql dbmate)), ratio(@m{qw(pawl psql)}),
        ratio(@m{qw(pawl dbmate)}), join ' ', map { number('%5.1f', median(@{$mb{$_} // []})) } qw(pawl psql dbmate);
    return;
}

# ---- nothing to do -----------------------------------------------------------------------------------------------------

# The database's share is the life of the session, as the proxy sees it, and the start is what `pawl version` takes; the rest is held
# against sha256sum over the files, less its own start.
sub noop {
    my ($count) = @_;
    my $set = write_set($count, sub { "-- $_[0]: " . 'words ' x 150 . "\nSELECT $_[0];\n" });    # about 1 kB, as migrations are
    my $database = Pawl::Postgres->new;
    measured($runners{pawl}->($set, place($database)));
    $database->execute("CREATE TABLE schema_migrations (version varchar PRIMARY KEY);
        INSERT INTO schema_migrations SELECT lpad(n::text, 6, '0') FROM generate_series(1, $count) n; ANALYZE") if $dbmate;
    my (@pawl, @dbmate, @share, @start, @hash, @mb);
    my $hash = sub { return (measured('sh', '-c', "cd $set/pawl && printf '%s\\0' $_[0] | xargs -0 -n 100000 sha256sum"))[0] };
    for my $round (1 .. 9) {
        my $proxy = Pawl::Proxy->start;
        my ($ms, $mb) = measured($runners{pawl}->($set, place($database, $proxy)));
        push @pawl,  $ms;
        push @mb,    $mb;
        push @share, $proxy->stop->{session_us} / 1000;
        push @start, (measured(built('pawl'), 'version'))[0];
        push @hash,  $hash->('*.sql') - $hash->('/dev/null');
        push @dbmate, (measured($runners{dbmate}->($set, place($database))))[0] if $dbmate && $round <= 3;
    }
    my @rest = map { $pawl[$_] - $share[$_] - $start[$_] } 0 .. $#pawl;
    printf "%7d %8s %8s %8s %8s %8s %8s %8s %8s   %5.1f\n", $count,
        map({ number('%.1f', median(@$_)) } \@pawl, \@share, \@start, \@rest, \@hash, \@dbmate),
        ratio(median(@rest), median(@hash)), ratio(median(@pawl), median(@dbmate)), median(@mb);
    return;
}

my $fsync = $ENV{PAWL_TEST_FSYNC} // 'off';
for my $delay (@delays) {
    printf "\nfresh, %s ms latency each way, fsync %s (medians, milliseconds; target: pawl/psql at most %s)\n", $delay, $fsync, $delay ? '0.2' : '1.0';
    printf "%7s %8s %8s %8s %8s %8s   %s\n", qw(files pawl psql dbmate /psql /dbmate), 'peak MB pawl, psql, dbmate';
    fresh($_, $delay) for @counts;
}
if (@noops) {
    print "\nnothing to do (medians, milliseconds; targets: the database's share is flat, rest/hash at most 1.0; hash: sha256sum of the files)\n";
    printf "%7s %8s %8s %8s %8s %8s %8s %8s %8s   %s\n", qw(applied pawl database start rest hash dbmate rest/hash /dbmate), 'peak MB';
    noop($_) for @noops;
}
