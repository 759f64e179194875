#!/usr/bin/perl
# Weather: messages good, duplicate, failing and wrong from eight publishers to three workers that are killed and restarted at random, while
# new migration files arrive and some of them are broken for a while. At the end every message is either done or parked, none is lost, and each
# migration took effect once. MESSAGES and SECONDS make it longer (`make soak`).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use List::Util qw(sum0);
use POSIX qw(_exit);
use Time::HiRes qw(time sleep);
use Pawl::LocalCloud;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Wait qw(wait_until);
use Pawl::Worker;

my $messages = $ENV{MESSAGES} // 240;
my $seconds  = $ENV{SECONDS}  // 8;
my $seed     = $ENV{SEED}     // time ^ $$;
my ($publishers, $lanes) = (8, 3);
srand $seed;
note "seed $seed";

my $cloud      = Pawl::LocalCloud->start;
my $database   = Pawl::Postgres->new;
my $migrations = Pawl::Migrations->new('0001_marks.sql' => 'CREATE TABLE marks (n int);');
(my $emulator = $cloud->url) =~ s{^http://}{};
$cloud->create_topic($_) for qw(migrate dead);
$cloud->create_subscription('parked', topic => 'dead');

sub start_worker {
    my (%env) = @_;
    return Pawl::Worker->start(database => $database, migrations => $migrations, cloud => $cloud, ready => 0,
        env => {PUBSUB_EMULATOR_HOST => $emulator, PAWL_DEAD_LETTER_TOPIC => $cloud->topic_name('dead'), PAWL_LOCK_WAIT => '3s', %env});
}

# A lane is a subscription and the worker that it pushes to; a worker that ended is followed by another on the same port.
my @workers = map { start_worker() } 1 .. $lanes;
my @ports   = map { $_->port } @workers;
for my $lane (0 .. $lanes - 1) {
    $cloud->create_subscription("lane-$lane", topic => 'migrate', push => $workers[$lane]->url . '/', account => $workers[$lane]->account,
        audience => $workers[$lane]->audience, filter => qq{attributes.pawl_lane = "$lane"}, ackDeadlineSeconds => 10,
        retryPolicy => {minimumBackoff => '0.1s', maximumBackoff => '2s'});
}

# ---- eight publishers ------------------------------------------------------------------------------------------------------

sub random_message {
    my ($n) = @_;
    my $dice = rand;
    my %lane = (attributes => {pawl_lane => '' . int rand $lanes});
    return ({release => 'r' . int($n / 10)}, %lane) if $dice < 0.6;    # good, and duplicates of one another
    return ({action => 'plan'}, %lane) if $dice < 0.7;
    return ({target => 'nowhere'}, %lane) if $dice < 0.8;               # fails for good
    return ({digest => 'f' x 64}, %lane) if $dice < 0.9;
    return ('this is not JSON', %lane);                                 # wrong
}

sub publish_part {
    my ($part, $file) = @_;
    my $count = int($messages / $publishers);
    open my $out, '>', $file or _exit(1);
    srand $seed + $part;
    for my $n (1 .. $count) {
        my ($data, %options) = random_message($n);
        print {$out} $cloud->publish('migrate', $data, %options), "\n";
        sleep rand 2 * $seconds / $count;
    }
    close $out;
    _exit(0);
}

my %publishing;
my $folder = $migrations->folder;
for my $part (1 .. $publishers) {
    my $pid = fork // die "fork: $!";
    if ($pid == 0) { # never through this test's own end
        eval { publish_part($part, "$folder/published.$part"); 1 } or print STDERR $@;
        _exit(1);
    }
    $publishing{$pid} = 1;
}

# ---- the weather -----------------------------------------------------------------------------------------------------------

my ($kills, $terms, $files, $broken) = (0, 0, 1, 0);
my $next_file = time;
while (%publishing) {
    for my $pid (keys %publishing) {
        delete $publishing{$pid} if waitpid($pid, POSIX::WNOHANG()) == $pid;
    }
    if (time >= $next_file) {
        $files++;
        my $name = sprintf '%04d_mark.sql', $files;
        my $sql  = $files % 5 ? "INSERT INTO marks VALUES ($files);\nSELECT pg_sleep(0.05);\n"
            : "CREATE INDEX CONCURRENTLY marks_$files ON marks (n);\nINSERT INTO marks VALUES ($files);\n";
        if ($files % 7 == 0) { # broken for a while
            $broken++;
            $migrations->write($name, "INSERT INTO marks VALUES ($files);\nSELECT nosuch;\n");
            sleep 0.3;
        }
        $migrations->write(".$name", $sql); # never half a file
        rename $migrations->path(".$name"), $migrations->path($name) or die $!;
        $next_file = time + $seconds / 40;
    }
    my $lane = int rand $lanes;
    my $kill = rand() < 0.7;
    $kill ? $kills++ : $terms++;
    $workers[$lane]->signal($kill ? 'KILL' : 'TERM');
    $workers[$lane]->wait_end(30);
    sleep rand 0.3;
    $workers[$lane] = start_worker(PORT => $ports[$lane]);
    sleep rand 0.5;
}

# ---- the reckoning ---------------------------------------------------------------------------------------------------------

my @ids = map { open my $in, '<', $_ or die "$_: $!"; my @lines = <$in>; chomp @lines; @lines } glob "$folder/published.*";
unlink glob "$folder/published.*";
is(scalar @ids, int($messages / $publishers) * $publishers, scalar(@ids) . ' messages were published');
wait_until { sum0(map { $cloud->deliveries("lane-$_")->{unacknowledged} } 0 .. $lanes - 1) == 0 } seconds => 120, what => 'every message to be acknowledged';

my %parked;
while (my @letters = $cloud->pull('parked')) {
    $parked{$_->{message}{attributes}{pawl_message_id}}++ for @letters;
    $cloud->acknowledge('parked', @letters);
}
my %run = map { $_->{id} => $_->{state} } $database->rows('SELECT id, state FROM pawl.runs');
my %planned;
for my $lane (0 .. $lanes - 1) {
    $planned{$_->{messageId}} = 1 for grep { $_->{outcome} eq 'acknowledged' && ($_->{answer} // '') =~ /"status":"planned"/ } @{$cloud->deliveries("lane-$lane")->{deliveries}};
}
my @lost = grep { !$parked{$_} && !$planned{$_} && ($run{$_} // '') !~ /^(?:applied|nothing_pending|superseded)$/ } @ids;
is(scalar @lost, 0, 'every message is done or parked') or diag map { "$_ " . ($run{$_} // 'no run') . "\n" } @lost;

# What was still pending when the last message came is for the next one: a last deploy.
my $lane = 0;
my $last = $cloud->publish('migrate', {reason => 'the last'}, attributes => {pawl_lane => "$lane"});
$cloud->wait_acknowledged("lane-$lane", $last, 60);
is($database->value('SELECT count(*) FROM marks'), $files - 1, 'each migration took effect');
is($database->value('SELECT count(DISTINCT n) FROM marks'), $files - 1, 'once');
is($database->value(q{SELECT count(*) FROM pawl.migrations WHERE state = 'applied'}), $files, 'the ledger has all files');
is($database->value('SELECT count(*) FROM pg_index WHERE NOT indisvalid'), 0, 'no index is invalid');
is($database->value(q{SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'}), 0, 'no transaction is left open');
is($_->stop, 0, 'a worker ends with exit code 0') for @workers;
is($database->value(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())}), 0, 'no lock is left');
my %outcomes;
$outcomes{$parked{$_} ? 'parked' : $planned{$_} ? 'planned' : $run{$_}}++ for @ids;
diag sprintf '%d messages, %d workers killed, %d told to end, %d files, %d of them broken for a while: %s', scalar @ids, $kills, $terms, $files, $broken,
    join ', ', map { "$outcomes{$_} $_" } sort keys %outcomes;
done_testing();
