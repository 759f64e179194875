#!/usr/bin/perl
# Who the worker is at the database: a connection string from Secret Manager, a password that changes meanwhile, Cloud SQL's IAM
# authentication with an access token as password; and that what is secret is nowhere to be read.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET;
use Test::More;
use Pawl::LocalCloud;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Process;
use Pawl::Shell qw(pawl start_pawl);
use Pawl::Wait qw(wait_until);
use Pawl::Worker;

my $cloud      = Pawl::LocalCloud->start(project => "p$$");
my $database   = Pawl::Postgres->new;
my $migrations = Pawl::Migrations->new('0001_a.sql' => 'CREATE TABLE a ();');
my %google     = $cloud->google;
my $token      = 'ya29.localcloud'; # what localcloud's metadata server gives out
my $account    = "pawl\@p$$.iam";   # its service account, as PostgreSQL names it
my $person     = "person_$$";
my $host       = $ENV{PGHOST};

# The private server trusts everybody: these two have to show a password.
sub demand_password {
    my @roles = @_;
    open my $in, '<', "$ENV{PGDATA}/pg_hba.conf" or die "pg_hba.conf: $!";
    my $rules = do { local $/; <$in> };
    open my $out, '>', "$ENV{PGDATA}/pg_hba.conf" or die "pg_hba.conf: $!";
    print {$out} map({ qq{local all "$_" scram-sha-256\n} } @roles), $rules;
    close $out or die;
    $database->execute('SELECT pg_reload_conf()');
    wait_until { pawl(['status'], migrations => $migrations, env => {DATABASE_URL => url($roles[-1])})->{exit} != 0 } what => 'the server to want a password';
}

sub url {
    my ($user, $password) = @_;
    my $who = ($user =~ s/\@/%40/r) . (defined $password ? ":$password" : '');
    return "postgresql://$who\@/" . $database->name . "?host=$host";
}

sub set_password { my ($role, $password) = @_; return $database->execute(qq{ALTER ROLE "$role" PASSWORD '$password'}) }

sub push_to {
    my ($worker) = @_;
    return $worker->request(POST => '/', token => $cloud->token(claims => {aud => $worker->audience, email => $worker->account}),
        body => {message => {messageId => "" . int(1e9 * rand), publishTime => '2026-01-01T00:00:00Z', data => ''}, subscription => 'projects/p/subscriptions/s'});
}

sub log_of { my ($worker) = @_; return join '', map { $_->{line} } $worker->logs }

for my $role ($account, $person) {
    $database->execute(qq{CREATE ROLE "$role" LOGIN SUPERUSER PASSWORD 'first-pass'});
}
set_password($account, $token);
demand_password($account, $person);

subtest 'a secret holds the connection string' => sub {
    my $reference = $cloud->set_secret('url', url($person, 'first-pass') . "\n");
    my $result = pawl(['migrate'], migrations => $migrations, env => {%google, DATABASE_URL => $reference});
    is($result->{exit}, 0, 'migrated') or diag $result->{err};
    ok($database->has_table('a'), 'the table is there');
    is(pawl([$_], migrations => $migrations, env => {%google, DATABASE_URL => $reference})->{exit}, 0, "$_ can read it too") for qw(plan status);
};

subtest 'a secret that cannot be had' => sub {
    my %common = (migrations => $migrations);
    my $result = pawl(['migrate'], %common, env => {%google, DATABASE_URL => 'secret:projects/p/secrets/none/versions/latest'});
    is($result->{exit}, 1, 'one that is not there: exit 1');
    like($result->{err}, qr{SECRET_REFUSED|projects/p/secrets/none/versions/latest}, 'and is named');
    for my $name ('secret:', 'secret:projects/p/secrets/s', 'secret:projects/p/secrets/s/versions/1/', 'secret:projects/p/secrets/../versions/1') {
        my $refused = pawl(['migrate'], %common, env => {%google, DATABASE_URL => $name});
        is($refused->{exit}, 2, "$name: exit 2");
        like($refused->{err}, qr/DATABASE_URL.*secret's name must be like/, 'and how it must be');
    }
    my $process = start_pawl(['serve'], %common, env => {%google, DATABASE_URL => 'secret:nowhere', PAWL_AUDIENCE => 'a', PAWL_CALLERS => 'b@c', PORT => 0});
    is($process->wait_end, 2, 'serve does not start with such a name');
    my $elsewhere = pawl(['migrate'], %common, env => {%google, DATABASE_URL => $cloud->set_secret('x', 'y'), CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER => 'http://secrets.example'});
    is($elsewhere->{exit}, 2, 'nor is a secret asked for in the clear, but on loopback');
};

subtest 'Secret Manager away: come again, and served when it is back' => sub {
    my $reference = $cloud->set_secret('away', url($person, 'first-pass'));
    $cloud->fault('/v1/projects/', status => 403);
    my $worker = Pawl::Worker->start(migrations => $migrations, cloud => $cloud, ready => 0, env => {%google, DATABASE_URL => $reference});
    is($worker->request(GET => '/ready')->{status}, 503, 'not ready');
    $cloud->clear_faults;
    is(push_to($worker)->{status}, 200, 'a push finds it');
    is($worker->stop, 0, 'exit code 0');
};

subtest 'a password that is changed while the worker runs' => sub {
    my $reference = $cloud->set_secret('rotated', url($person, 'first-pass'));
    my $worker = Pawl::Worker->start(migrations => $migrations, cloud => $cloud, env => {%google, DATABASE_URL => $reference});
    my $before = $cloud->secret_accesses;
    is(push_to($worker)->{status}, 200, 'with the first one');
    $database->disconnect_all;
    is(push_to($worker)->{status}, 200, 'a new connection');
    is($cloud->secret_accesses, $before, 'asks for no secret again');
    set_password($person, 'second-pass');
    $cloud->set_secret('rotated', url($person, 'second-pass'));
    $database->disconnect_all;
    is(push_to($worker)->{status}, 200, 'with the second one');
    is($cloud->secret_accesses, $before + 1, 'after one look');
    set_password($person, 'third-pass');
    $database->disconnect_all;
    my $refused = push_to($worker);
    is($refused->{json}{error}, 'DATABASE_REFUSED', 'with one that nobody put into the secret');
    is($cloud->secret_accesses, $before + 2, 'one more look, not many');
    unlike(log_of($worker) . $refused->{content}, qr/first-pass|second-pass|ya29/, 'no password and no token is to be read');
    is($worker->stop, 0, 'exit code 0');
};

subtest 'IAM: the access token is the password, the service account the user' => sub {
    my $plain = "postgresql:///" . $database->name . "?host=$host";
    my $result = pawl(['status', '--database-iam', '--json'], migrations => $migrations, env => {%google, DATABASE_URL => $plain});
    is($result->{exit}, 0, 'logged in') or diag $result->{err};
    my $longer = Pawl::Migrations->new('0001_a.sql' => 'CREATE TABLE a ();', '0002_b.sql' => 'CREATE TABLE b ();');
    my $worker = Pawl::Worker->start(migrations => $longer, cloud => $cloud, env => {%google, DATABASE_URL => $plain, PAWL_DATABASE_IAM => 'true'});
    is(push_to($worker)->{status}, 200, 'a push too');
    is($database->value("SELECT tableowner FROM pg_tables WHERE tablename = 'b'"), $account, 'as the service account');
    unlike(log_of($worker), qr/ya29/, 'the token is nowhere to be read');
    is($worker->stop, 0, 'exit code 0');
    set_password($person, $token);
    is(pawl(['status', '--database-iam'], migrations => $migrations, env => {%google, DATABASE_URL => url($person, 'wrong')})->{exit}, 0,
        'a user that is named is taken, a password that is named is not');
    is(pawl(['status', '--database-iam'], migrations => $migrations, env => {%google, DATABASE_URL => $cloud->set_secret('iam', $plain)})->{exit}, 0,
        'and the string may come from a secret');
};

subtest 'IAM: what is refused' => sub {
    my $plain = "postgresql:///" . $database->name . "?host=$host";
    my %common = (migrations => $migrations);
    my $other = pawl(['status', '--database-iam'], %common, env => {%google, DATABASE_URL => $plain, PAWL_ACCESS_TOKEN => 'ya29.other'});
    is($other->{exit}, 1, 'a token of nobody knows whom');
    like($other->{err}, qr/DATABASE_URL/, 'says where to name the user');
    $other = pawl(['status', '--database-iam'], %common, env => {%google, DATABASE_URL => url($person), PAWL_ACCESS_TOKEN => 'ya29.other'});
    is($other->{exit}, 1, 'another token is not the password');
    unlike($other->{err}, qr/ya29/, 'and is not shown');
    my $odd = pawl(['status'], %common, env => {%google, DATABASE_URL => $plain, PAWL_DATABASE_IAM => 'yes'});
    is($odd->{exit}, 2, 'PAWL_DATABASE_IAM=yes: exit 2');
    like($odd->{err}, qr/PAWL_DATABASE_IAM is 'yes', but must be true or false/, 'and how it must be');
};

# A server that has no TLS: it answers N to the request for it (PostgreSQL chapter 55.7) and would hear the password next.
subtest 'IAM: no token over a connection in the clear' => sub {
    for my $mode ('', '?sslmode=disable', '?sslmode=prefer') {
        my $server = IO::Socket::INET->new(Listen => 8, LocalAddr => '127.0.0.1', Proto => 'tcp') or die "cannot listen: $!";
        my $process = start_pawl(['status', '--database-iam'], migrations => $migrations,
            env => {%google, DATABASE_URL => 'postgresql://u@127.0.0.1:' . $server->sockport . "/x$mode"});
        my $client = $server->accept;
        sysread $client, my $first, 8;
        is(unpack('x4N', $first), 80877103, "with '$mode' it asks for TLS first");
        syswrite $client, 'N';
        is(sysread($client, my $more, 1), 0, 'and hangs up when there is none');
        is($process->wait_end(20), 3, 'exit code 3');
        like($process->err, qr/does not support SSL/, 'and says so');
    }
};

subtest 'a socket whose path is too long is named as what it is' => sub {
    my $result = pawl(['status'], migrations => $migrations, env => {DATABASE_URL => 'postgresql://u@/x?host=/cloudsql/' . 'p' x 80 . ':r:i'});
    is($result->{exit}, 2, 'exit code 2');
    like($result->{err}, qr/more than 107/, 'with the limit');
};

subtest 'the first push token that is verified is logged, once' => sub {
    my $worker = Pawl::Worker->start(migrations => $migrations, cloud => $cloud, database => $database, env => {K_REVISION => 'pawl-00042-abc'});
    my $said = sub { return grep { ($_->{message} // '') eq 'a push token was verified with its signature intact' } $worker->logs };
    is($worker->request(POST => '/', token => 'a.b.c', body => '{}')->{status}, 401, 'a bad token');
    is(scalar $said->(), 0, 'proves nothing');
    push_to($worker) for 1 .. 2;
    is(scalar $said->(), 1, 'a good one does, once');
    is(($said->())[0]{revision}, 'pawl-00042-abc', 'for this revision');
    is($worker->stop, 0, 'exit code 0');
};

$database->execute(qq{DROP OWNED BY "$account", "$person"});
$database->execute(qq{DROP ROLE "$account", "$person"});
done_testing();
