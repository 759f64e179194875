#!/usr/bin/perl
# One worker for several databases: a message's target selects, a subscription is bound to its targets, and what comes from development
# never touches production.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp;
use JSON::PP ();
use Test::More;
use Pawl::LocalCloud;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Shell qw(pawl start_pawl);
use Pawl::Worker;

delete $ENV{DATABASE_URL}; # that of the private server
my $cloud   = Pawl::LocalCloud->start;
my %google  = $cloud->google;
my %base    = (development => Pawl::Postgres->new, production => Pawl::Postgres->new);
my %files   = (
    development => Pawl::Migrations->new('0001_a.sql' => 'CREATE TABLE a ();', '0002_b.sql' => 'CREATE TABLE b ();'),
    production  => Pawl::Migrations->new('0001_a.sql' => 'CREATE TABLE a ();'),
);
my %subscription = map { $_ => $cloud->subscription_name("push-$_") } qw(development production operators);
my $reader = 'ci@pawl-test.iam.gserviceaccount.com';
my $id     = 1000;

sub targets {
    my (%change) = @_;
    return JSON::PP->new->canonical->encode({targets => [map { {
        name => $_, database => $base{$_}->url, migrations => $files{$_}->folder,
        subscriptions => [@subscription{$_, 'operators'}], %{$change{$_} // {}}} } qw(development production)]});
}

my $folder = File::Temp->newdir('pawl-targets.XXXXXX', TMPDIR => 1);
my $file   = "$folder/targets.json";
sub write_file { my ($content) = @_; open my $out, '>', $file or die "$file: $!"; print {$out} $content; close $out or die; return $file }

sub push_to {
    my ($worker, $from, $data) = @_;
    return $worker->request(POST => '/', token => $cloud->token(claims => {aud => $worker->audience, email => $worker->account}),
        body => {message => {%{$cloud->message($data)}, messageId => '' . ++$id, publishTime => '2026-01-01T00:00:00Z'}, subscription => $subscription{$from}});
}

sub ask {
    my ($worker, $path) = @_;
    return $worker->request(GET => $path, token => $cloud->token(claims => {aud => $worker->audience, email => $reader}));
}

sub untouched { my ($database) = @_; return !$database->has_table('a') && !$database->has_table('pawl.runs') && $database->value("SELECT count(*) FROM pg_namespace WHERE nspname = 'pawl'") eq '0' }

subtest 'two targets, each with its database, files and subscription' => sub {
    my $worker = Pawl::Worker->start(cloud => $cloud, env => {PAWL_TARGETS => write_file(targets()), PAWL_READERS => $reader});
    my $answer = push_to($worker, 'development', {target => 'production'});
    is($answer->{status}, 500, 'development addresses production: refused');
    is($answer->{json}{error}, 'TARGET_FORBIDDEN', 'for what it is');
    ok(untouched($base{production}), 'and production is untouched, its ledger too');

    is(push_to($worker, 'development', {})->{json}{target}, 'development', 'a bound subscription may leave the target out');
    ok($base{development}->has_table('b'), 'and its database has its files');
    is(push_to($worker, 'development', {target => 'development'})->{json}{status}, 'nothing_pending', 'or name it');
    ok(untouched($base{production}), 'production is still untouched');

    is(push_to($worker, 'development', {target => 'production'})->{json}{error}, 'TARGET_FORBIDDEN', 'refused again');
    my $refused = ask($worker, "/runs/$id")->{json};
    is($refused->{error}, 'TARGET_FORBIDDEN', 'whoever follows it hears why, from the ledger of its own target');
    ok(untouched($base{production}), 'not from that of production');

    is(push_to($worker, 'operators', {})->{json}{error}, 'TARGET_UNKNOWN', 'a subscription of both has to say which');
    is(push_to($worker, 'operators', {target => 'staging'})->{json}{error}, 'TARGET_UNKNOWN', 'and one that is there');
    is(push_to($worker, 'operators', {target => 'production'})->{status}, 200, 'then it is served');
    ok($base{production}->has_table('a') && !$base{production}->has_table('b'), 'with the files of that target');
    my $production_run = $id;
    local $subscription{stranger} = $cloud->subscription_name('stranger');
    is(push_to($worker, 'stranger', {target => 'production'})->{json}{error}, 'TARGET_FORBIDDEN', 'a subscription that is on no list is refused');
    is(push_to($worker, 'production', {target => 'development'})->{json}{error}, 'TARGET_FORBIDDEN', 'the other way round too');

    is(ask($worker, "/runs/$production_run")->{json}{target}, 'production', 'a run is found in whichever target it was');
    is(ask($worker, '/runs/1')->{status}, 404, 'one that is in none is not');
    is(ask($worker, "/targets/$_")->{json}{target}, $_, "GET /targets/$_") for qw(development production);
    is(scalar @{ask($worker, '/targets/development')->{json}{migrations}}, 2, 'with its own migrations');
    is(ask($worker, '/targets/default')->{status}, 404, 'and no other');
    is($worker->stop, 0, 'exit code 0');
};

subtest 'one database away, the other is served' => sub {
    my $worker = Pawl::Worker->start(cloud => $cloud, ready => 0, env => {PAWL_READERS => $reader,
        PAWL_TARGETS => write_file(targets(development => {database => 'postgresql://u:hunter2secret@127.0.0.1:1/x'}))});
    is($worker->request(GET => '/ready')->{status}, 503, 'not ready');
    is(push_to($worker, 'production', {})->{status}, 200, 'production is served');
    is(ask($worker, "/runs/$id")->{json}{target}, 'production', 'its run is found');
    is(ask($worker, '/runs/1')->{status}, 503, 'of an unknown one nobody can say that it is nowhere');
    is(push_to($worker, 'development', {})->{json}{error}, 'DATABASE_UNAVAILABLE', 'development has to come again');
    unlike(join('', map { $_->{line} } $worker->logs), qr/hunter2secret/, 'and no password is to be read');
    is($worker->stop, 0, 'exit code 0');
};

subtest 'the file may be a secret, and hold names of secrets' => sub {
    my $database = $cloud->set_secret('production-url', $base{production}->url);
    my $targets  = $cloud->set_secret('targets', targets(production => {database => $database}));
    my $worker   = Pawl::Worker->start(cloud => $cloud, env => {%google, PAWL_TARGETS => $targets});
    is(push_to($worker, 'production', {})->{json}{target}, 'production', 'served');
    is($worker->stop, 0, 'exit code 0');
};

subtest 'a shell names its target' => sub {
    my %env = (env => {PAWL_TARGETS => write_file(targets())});
    my $none = pawl(['status'], %env);
    is($none->{exit}, 1, 'without: exit 1');
    like($none->{err}, qr/--target.*development, production/, 'and those that there are');
    is(pawl(['status', '--target', 'staging'], %env)->{exit}, 1, 'one that is not there: exit 1');
    is(pawl(['status', '--target', 'production', '--json'], %env)->{json}{target}, 'production', 'status');
    $files{production}->write('0002_c.sql', 'CREATE TABLE c ();');
    is(pawl(['plan', '--target', 'production', '--json'], %env)->{json}{target}, 'production', 'plan');
    is(pawl(['migrate', '--target', 'production'], %env)->{exit}, 0, 'migrate');
    ok($base{production}->has_table('c') && !$base{development}->has_table('c'), 'there and nowhere else');
};

subtest 'what is wrong with the file stops the start' => sub {
    my %cases = (
        'no JSON' => ['{', qr/PAWL_TARGETS: \Q$file\E: JSON/],
        'an unknown member' => [targets(production => {rollbak => JSON::PP::true()}), qr/'rollbak'/],
        'a short subscription' => [targets(production => {subscriptions => ['push']}), qr/target 'production': subscriptions: .*'push'/],
        'a secret without a version' => [targets(production => {database => 'secret:projects/p/secrets/s'}), qr/target 'production': database: .*versions/],
        'no folder' => [targets(development => {migrations => '/no/such/folder'}), qr{PAWL_TARGETS.*/no/such/folder}],
    );
    my %serve = (env => {PORT => 0, PAWL_AUDIENCE => 'a', PAWL_CALLERS => 'b@c', PAWL_JWKS_URL => $cloud->jwks_url, PAWL_TARGETS => $file});
    for my $case (sort keys %cases) {
        write_file($cases{$case}[0]);
        my $process = start_pawl(['serve'], %serve);
        is($process->wait_end, 2, "$case: exit 2");
        like($process->err, $cases{$case}[1], 'and what it is');
    }
    write_file(targets());
    my $both = start_pawl(['serve'], env => {%{$serve{env}}, DATABASE_URL => 'postgresql:///x'});
    is($both->wait_end, 2, 'PAWL_TARGETS and DATABASE_URL: exit 2');
    like($both->err, qr/PAWL_TARGETS and DATABASE_URL/, 'both are named');
    my $missing = start_pawl(['serve'], env => {%{$serve{env}}, PAWL_TARGETS => '/no/such/file'});
    is($missing->wait_end, 2, 'no file: exit 2');
    like($missing->err, qr{PAWL_TARGETS: .*/no/such/file}, 'which is named');
};

done_testing();
