#!/usr/bin/perl
# How the service starts and ends: it refuses to start without what it needs and names it, it answers while database and key server are away, and
# it can be PID 1.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Select;
use IO::Socket::INET;
use Test::More;
use IO::Socket::INET;
use Pawl::LocalCloud;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Process;
use Pawl::Wait qw(wait_until);
use Pawl::Worker;

my $build      = $ENV{BUILD} // 'build/debug';
my $cloud      = Pawl::LocalCloud->start;
my $database   = Pawl::Postgres->new;
my $migrations = Pawl::Migrations->new('0001_a.sql' => 'CREATE TABLE a ();');
my %complete   = (PAWL_AUDIENCE => 'https://pawl', PAWL_CALLERS => 'a@b', DATABASE_URL => $database->url, PAWL_MIGRATIONS => $migrations->folder,
    PAWL_JWKS_URL => $cloud->jwks_url, PORT => 0, PAWL_ADDRESS => '127.0.0.1');

sub children { # zombies are among them
    my ($pid) = @_;
    open my $in, '<', "/proc/$pid/task/$pid/children" or die "children of $pid: $!";
    return split ' ', <$in> // '';
}

sub refused {
    my (%change) = @_;
    my $process = Pawl::Process->start(name => 'pawl serve', command => ["$build/pawl", 'serve'], env => {%complete, %change}, quiet => 1);
    return ($process->wait_end, $process->err);
}

subtest 'it refuses to start, naming what is missing' => sub {
    for my $name (qw(PAWL_AUDIENCE PAWL_CALLERS DATABASE_URL)) {
        my ($exit, $said) = refused($name => undef);
        is($exit, 2, "without $name: exit 2");
        like($said, qr/\Q$name\E/, "$name is named");
    }
    my ($exit, $said) = refused(PAWL_AUDIENCE => undef, PAWL_CALLERS => '', DATABASE_URL => undef);
    like($said, qr/PAWL_AUDIENCE.*PAWL_CALLERS.*DATABASE_URL/, 'all at once');
    my %wrong = (PAWL_MIGRATIONS => '/no/such/folder', PORT => '99999', PAWL_CLOCK_SKEW => '2h', PAWL_JWKS_URL => 'http://keys.example/certs', PAWL_AUDIENCE => 'a,,b', PAWL_BUILT => 'yesterday', PAWL_LOG_FORMAT => 'xml');
    for my $name (sort keys %wrong) {
        my ($code, $words) = refused($name => $wrong{$name});
        is($code, 2, "$name=$wrong{$name}: exit 2");
        like($words, qr/\Q$name\E/, 'and is named');
    }
    my $taken = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 0);
    my ($code, $words) = refused(PORT => $taken->sockport);
    is($code, 2, 'a port that is taken: exit 2');
    like($words, qr/@{[$taken->sockport]}/, 'and is named');
};

subtest 'health answers at once, ready when the rest is there' => sub {
    my $worker = Pawl::Worker->start(database => $database, migrations => $migrations, cloud => $cloud, ready => 0);
    is($worker->request(GET => '/health')->{status}, 200, 'health');
    $worker->wait_ready;
    is($worker->request(GET => '/ready')->{json}{status}, 'ready', 'ready');
    is($worker->stop, 0, 'exit code 0');
};

subtest 'the database away: alive, not ready, deliveries are told to come again' => sub {
    my $worker = Pawl::Worker->start(migrations => $migrations, cloud => $cloud, ready => 0, env => {DATABASE_URL => 'postgresql://u:hunter2secret@127.0.0.1:1/x'});
    is($worker->request(GET => '/health')->{status}, 200, 'health');
    my $ready = $worker->request(GET => '/ready');
    is($ready->{status}, 503, 'not ready');
    is($ready->{json}{error}, 'DATABASE_UNAVAILABLE', 'and why');
    wait_until { 2 <= grep { $_->{line} =~ /cannot connect to the database/ } $worker->logs } what => 'the log to say it twice: at start, and for who asked';
    my $push = $worker->request(POST => '/', token => $cloud->token(claims => {aud => $worker->audience, email => $worker->account}),
        body => {message => {messageId => '1', publishTime => '2026-01-01T00:00:00Z', data => ''}, subscription => 'projects/p/subscriptions/s'});
    is($push->{status}, 503, 'a push: 503');
    ok($push->{headers}{'retry-after'}, 'with Retry-After');
    unlike(join('', map { $_->{line} } $worker->logs) . $push->{content}, qr/hunter2secret/, 'the password is nowhere');
    is($worker->stop, 0, 'exit code 0');
};

subtest 'the key server away: 503, and served when it is back' => sub {
    $cloud->fault('/oauth2/v3/certs', status => 500);
    my $worker = Pawl::Worker->start(database => $database, migrations => $migrations, cloud => $cloud, ready => 0);
    my %push = (token => $cloud->token(claims => {aud => $worker->audience, email => $worker->account}),
        body => {message => {messageId => '1', publishTime => '2026-01-01T00:00:00Z', data => ''}, subscription => 'projects/p/subscriptions/s'});
    my $response = $worker->request(POST => '/', %push);
    is($response->{status}, 503, 'told to come again');
    is($response->{json}{error}, 'KEYS_UNAVAILABLE', 'and why');
    $cloud->clear_faults;
    wait_until { $worker->request(POST => '/', %push)->{status} == 200 } seconds => 60, what => 'the keys to be fetched again';
    $cloud->fault('/oauth2/v3/certs', status => 500);
    is($worker->request(POST => '/', %push)->{status}, 200, 'keys that were fetched are served while the server is away');
    $cloud->clear_faults;
    is($worker->stop, 0, 'exit code 0');
};

subtest 'keys that were rotated are fetched when the first token of the new one comes' => sub {
    my $worker = Pawl::Worker->start(database => $database, migrations => $migrations, cloud => $cloud);
    my $push = sub {
        return $worker->request(POST => '/', token => $cloud->token(claims => {aud => $worker->audience, email => $worker->account}),
            body => {message => {messageId => '1', publishTime => '2026-01-01T00:00:00Z', data => ''}, subscription => 'projects/p/subscriptions/s'})->{status};
    };
    is($push->(), 200, 'the first key');
    my $before = $cloud->key_fetches;
    $cloud->rotate_keys;
    $cloud->rotate_keys; # the next key was published already: only the one after it is new
    is($push->(), 200, 'a key that was never seen');
    is($cloud->key_fetches, $before + 1, 'after one fetch');
    is($worker->stop, 0, 'exit code 0');
};

subtest 'a database that never answers: one question waits for it, the others do not' => sub {
    my $hole = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', Proto => 'tcp') or die "cannot listen: $!";
    my $url = 'postgresql://u@127.0.0.1:' . $hole->sockport . '/x?connect_timeout=300';
    my $worker = Pawl::Worker->start(migrations => $migrations, cloud => $cloud, ready => 0, env => {DATABASE_URL => $url});
    my @first = map { my $socket = $worker->connect; print {$socket} "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"; $socket } 1 .. 40;
    is($worker->request(GET => '/ready')->{status}, 503, 'one more asks and is answered');
    my $unanswered = grep { !IO::Select->new($_)->can_read(0) } @first;
    cmp_ok($unanswered, '>', 0, 'while somebody still looks');
    cmp_ok($unanswered, '<', 40, 'and not everybody with it');
    is($worker->request(POST => '/', body => '{}', token => 'a.b.c')->{status}, 401, 'a bad token is refused meanwhile');
    is($worker->stop, 0, 'exit code 0');
};

subtest 'as PID 1 it ends on SIGTERM and reaps' => sub {
    plan skip_all => 'needs root, unshare and a root folder that is a mount point, for a PID namespace of its own'
        if $> != 0 or system('unshare --pid --fork --mount-proc true 2>/dev/null') != 0;
    my $process = Pawl::Process->start(name => 'pawl as PID 1', env => \%complete,
        command => ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', 'sleep 0.2 & exec "$0" serve', "$build/pawl"]);
    wait_until { $process->err =~ /"port":(\d+)/ || $process->err =~ /port (\d+)/ } what => 'it to listen';
    my ($child) = children($process->pid);
    open my $status, '<', "/proc/$child/status" or die;
    my ($inside) = map { /^NSpid:.*\s(\d+)$/ } <$status>;
    is($inside, 1, 'it is PID 1');
    wait_until { !children($child) } what => 'its inherited child to be reaped';
    kill 'TERM', $child;
    is($process->wait_end, 0, 'exit code 0');
};

done_testing();
