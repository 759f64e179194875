#!/usr/bin/perl
# What a message boundary does not show: a network that falls silent, a server that is restarted under a run, and several runs against
# one file that cannot be in a transaction. On a server of its own, because that one is restarted.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib", $FindBin::Bin;
use Test::More;
use Time::HiRes qw(sleep time);
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Proxy;
use Pawl::Shell qw(pawl start_pawl);
use Pawl::Wait qw(wait_until);
use Sweep;

exec 'env', '-u', 'WITH_POSTGRES', 'PAWL_OWN_SERVER=1', "$FindBin::Bin/../with-postgres", $^X, $0 if !$ENV{PAWL_OWN_SERVER};
my $all = ($ENV{PAWL_FAULT_POINTS} // '') eq 'all';

# Deliveries until one succeeds: how they ended.
sub deliver {
    my ($database, $migrations) = @_;
    my @exits;
    do {
        push @exits, pawl(['migrate', '--lock-wait', '20s'], database => $database, migrations => $migrations)->{exit}
    } while $exits[-1] == 3 && @exits < 5;
    return @exits;
}

sub marks { my ($database) = @_; return $database->value(q{SELECT string_agg(n::text, ' ' ORDER BY n) FROM marks}) }

# ---- silence -----------------------------------------------------------------------------------------------------------

# Nothing comes any more, not even from the other side's kernel. Our own limits are a minute; a URL may say less.
my $SOON = 'connect_timeout=2&keepalives_idle=1&keepalives_interval=1&keepalives_count=2&tcp_user_timeout=3000';

sub silence {
    my ($name, $at, $sql, $limits, $seconds) = @_;
    subtest "a network that falls silent $name is noticed within $seconds s" => sub {
        my $files = Pawl::Migrations->new(
            '0001_marks.sql' => 'CREATE TABLE marks (n int); INSERT INTO marks VALUES (1);',
            '0002_long.sql'  => "INSERT INTO marks VALUES (2);\n$sql;\n",
        );
        my $database = Pawl::Postgres->new;
        my $proxy = Pawl::Proxy->start(tcp => 1, fault => 'hole', at => $at, linger => 300, alone => 1);
        my $started = time;
        my $result = pawl(['migrate'], migrations => $files, env => {DATABASE_URL => $proxy->url($database, $limits)}, seconds => $seconds);
        ok $proxy->struck, 'it fell silent';
        is $result->{exit}, 3, 'exit 3: later' or diag $result->{err};
        note sprintf 'noticed after %.1f s: %s', time - $started, $result->{err};
        $files->write('0002_long.sql', "INSERT INTO marks VALUES (2);\n");
        is_deeply [deliver($database, $files)], [0], 'the next delivery finishes the work';
        is marks($database), '1 2', 'each took effect once';
    };
    return;
}

silence('while it connects', 'after:client:1', 'SELECT 1', $SOON, 20);
silence('during a long statement', 'quiet:300', 'SELECT pg_sleep(120)', $SOON, 20);
silence('during much data', 'after:client:100', 'INSERT INTO marks SELECT 3 WHERE length(\'' . 'x' x 4_000_000 . '\') = 0', $SOON, 20);
silence('during a long statement, with our own limits', 'quiet:300', 'SELECT pg_sleep(240)', '', 90) if $all;

# ---- restarts ----------------------------------------------------------------------------------------------------------

sub restart {
    my @as = $> == 0 ? qw(setpriv --reuid=postgres --regid=postgres --clear-groups) : ();
    system(@as, "$ENV{PG_BIN}/pg_ctl", '-D', $ENV{PGDATA}, '-l', "$ENV{PGDATA}/server.log", '-m', 'immediate', '-w', '-s', 'restart') == 0
        or die 'the server does not come back';
    return;
}

subtest 'a server that is restarted under a run: the work is finished, each migration once' => sub {
    my %files = ('0001_marks.sql' => 'CREATE TABLE marks (n int); INSERT INTO marks VALUES (1);');
    $files{sprintf '%04d_x.sql', $_} = "INSERT INTO marks VALUES ($_);\nSELECT pg_sleep(0.03);\n" for 2 .. 12, 14 .. 20;
    $files{'0013_index.sql'} = 'CREATE INDEX CONCURRENTLY marks_n ON marks (n);';
    my $files = Pawl::Migrations->new(%files);
    for my $committed ($all ? map { 2 * $_ } 1 .. 10 : (4, 13)) {
        my $database = Pawl::Postgres->new;
        my $run = start_pawl(['migrate'], database => $database, migrations => $files);
        wait_until { (eval { $database->value('SELECT count(*) FROM pawl.migrations') } // 0) >= $committed - 1 } what => 'the run to get on';
        restart();
        my $exit = $run->wait_end(30);
        like $exit, qr/^[03]$/, "restarted after about $committed of 20: exit $exit";
        is((deliver($database, $files))[-1], 0, 'a delivery succeeds');
        is marks($database), join(' ', 1 .. 12, 14 .. 20), 'each took effect once';
        is $database->value(q{SELECT count(*) FROM pawl.migrations WHERE state = 'applied'}), 20, 'twenty rows in the ledger';
        is $database->value('SELECT count(*) FROM pg_index WHERE NOT indisvalid'), 0, 'no index is invalid';
        is Sweep::remains($database), '', 'nothing is left behind';
    }
};

# ---- doubles -----------------------------------------------------------------------------------------------------------

subtest 'four runs against files that cannot be in a transaction: no deadlock, each statement once' => sub {
    my %files = ('0001_marks.sql' => 'CREATE TABLE marks (n int); INSERT INTO marks SELECT generate_series(1, 100);');
    my @statements = ('CREATE INDEX CONCURRENTLY marks_n ON marks (n)', 'REINDEX TABLE CONCURRENTLY marks', 'DROP INDEX CONCURRENTLY marks_n');
    $files{sprintf '%04d_x.sql', $_} = "$statements[($_ - 2) % 3];\nINSERT INTO marks VALUES (1000 + $_);\n" for 2 .. 8;
    my $files = Pawl::Migrations->new(%files);
    for my $round (1 .. ($all ? 10 : 2)) {
        my $database = Pawl::Postgres->new;
        my @runs = map { start_pawl(['migrate'], database => $database, migrations => $files) } 1 .. 4;
        is_deeply [map { $_->wait_end(60) } @runs], [0, 0, 0, 0], 'all four exit 0';
        is $database->value('SELECT count(*) || \'/\' || count(DISTINCT n) FROM marks WHERE n > 1000'), '7/7', 'each once';
        is $database->value('SELECT count(*) FROM pg_index WHERE NOT indisvalid'), 0, 'no index is invalid';
        is Sweep::remains($database), '', 'nothing is left behind';
    }
};

open my $log, '<', "$ENV{PGDATA}/server.log" or die "no server log: $!";
is_deeply [grep {/deadlock/} <$log>], [], 'the server saw no deadlock';

done_testing();
