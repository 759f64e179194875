#!/usr/bin/perl
# A batch with max_lag waits for a real standby that falls behind, says so, and goes on when it has caught up. On servers of its own: a
# standby follows the whole of its server.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use Test::More;
use Time::HiRes qw(sleep);
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Process;
use Pawl::Shell qw(pawl start_pawl);
use Pawl::Wait qw(wait_until);

if (!$ENV{PAWL_TEST_STANDBY}) {
    @ENV{qw(PAWL_TEST_STANDBY WITH_POSTGRES)} = (1, '');
    exec "$FindBin::Bin/../with-postgres", $^X, $0 or die "cannot start a server: $!";
}

my $folder = tempdir('pawl-standby.XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $folder;
my @as = $> == 0 ? qw(setpriv --reuid=postgres --regid=postgres --clear-groups) : ();    # the server refuses to run as root
chown +(getpwnam 'postgres')[2, 3], $folder if @as;

sub run {
    my (@command) = @_;
    my $process = Pawl::Process->start(name => $command[0], command => [@as, "$ENV{PG_BIN}/$command[0]", @command[1 .. $#command]], folder => '/');
    my $exit = $process->wait_end(60);
    die "@command: " . $process->err if $exit != 0;
    return;
}

my $database = Pawl::Postgres->new;
my $migrations = Pawl::Migrations->new('0001_table.sql' => 'CREATE TABLE t AS SELECT n AS id, 0 AS n FROM generate_series(1, 1000) n;');
is(pawl(['migrate'], database => $database, migrations => $migrations)->{exit}, 0, 'a table and a ledger');
run('pg_basebackup', '-D', "$folder/data", '-h', $ENV{PGHOST}, '-U', $ENV{PGUSER}, qw(-R -c fast -X stream --no-sync));
open my $conf, '>>', "$folder/data/postgresql.auto.conf" or die "cannot write: $!";
print {$conf} "unix_socket_directories = '$folder'\nwal_receiver_status_interval = 1s\nfsync = off\nprimary_conninfo = 'host=$ENV{PGHOST} user=$ENV{PGUSER} application_name=reports'\n";
close $conf or die "cannot write: $!";
run('pg_ctl', '-D', "$folder/data", '-l', "$folder/log", '-w', 'start');

sub on_standby {
    my ($sql) = @_;
    local $ENV{PGHOST} = $folder;
    return $database->value($sql);
}

wait_until { $database->value(q{SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'}) eq '1' } what => 'the standby to stream';
on_standby('SELECT pg_wal_replay_pause()');
$migrations->write('0002_fill.sql', "-- pawl: batch pause=100ms max_lag=500ms\nUPDATE t SET n = n + 1 WHERE id IN (SELECT id FROM t WHERE n = 0 LIMIT 10);\n");
my $run = start_pawl(['migrate'], database => $database, migrations => $migrations);
my $said = wait_until { $database->value(q{SELECT progress FROM pawl.runs WHERE progress LIKE 'waits%'}) } what => 'the batch to wait';
like($said, qr/^waits for standby reports, which is \d+ s behind; \d+ rows in \d+ rounds$/, 'the run says what it waits for');
my $rows = $database->value('SELECT count(*) FROM t WHERE n > 0');
ok($rows > 0 && $rows < 1000, "after $rows rows");
sleep 1.5;
is($database->value('SELECT count(*) FROM t WHERE n > 0'), $rows, 'and touches no more while it waits');
is($database->value(q{SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pawl shell%' AND xact_start IS NOT NULL}), 0, 'with no transaction open');
on_standby('SELECT pg_wal_replay_resume()');
wait_until { $database->value('SELECT count(*) FROM t WHERE n > 0') > $rows } what => 'the batch to go on';
pass('it goes on once the standby has caught up');
on_standby('SELECT pg_wal_replay_pause()');
wait_until { $database->value(q{SELECT count(*) FROM pawl.runs WHERE progress LIKE 'waits%'}) } what => 'the batch to wait again';
$run->signal('TERM');
is($run->wait_end, 3, 'SIGTERM while it waits: exit code 3');
is($database->value('SELECT max(n) FROM t'), 1, 'no row was touched twice');
run('pg_ctl', '-D', "$folder/data", qw(-m immediate -w stop));
done_testing();
