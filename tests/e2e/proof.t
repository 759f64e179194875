#!/usr/bin/perl
# Where a proof of who published is demanded, only a job of the configured repository can ask for anything, and only for what its proof
# was made for; its dead letters can be replayed, also when GitHub's keys have changed since.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use File::Temp qw(tempdir);
use JSON::PP ();
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(sleep time);
use Pawl::GitHub;
use Pawl::LocalCloud;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Process qw(built);
use Pawl::Shell qw(pawl);
use Pawl::Worker;

my $json       = JSON::PP->new->utf8->canonical;
my $cloud      = Pawl::LocalCloud->start(project => 'p1');
my $database   = Pawl::Postgres->new;
my $migrations = Pawl::Migrations->new('0001_a.sql' => 'CREATE TABLE a ();');
(my $emulator = $cloud->url) =~ s{^http://}{};
my %settings = (
    PUBSUB_EMULATOR_HOST     => $emulator,
    PAWL_DEAD_LETTER_TOPIC   => $cloud->topic_name('dead'),
    PAWL_PROOF_JWKS_URL      => $cloud->jwks_url,
    PAWL_PROOF_REPOSITORY_ID => '11,4242',
    PAWL_PROOF_ENVIRONMENT   => 'production',
    PAWL_CLOCK_SKEW          => '0s',
);
$cloud->create_topic($_) for qw(migrate dead);
$cloud->create_subscription('parked', topic => 'dead');

sub start { return Pawl::Worker->start(database => $database, migrations => $migrations, cloud => $cloud, env => {%settings, @_}) }
my $worker = start();
$cloud->create_subscription('push', topic => 'migrate', push => $worker->url . '/', account => $worker->account, audience => $worker->audience,
    ackDeadlineSeconds => 30, retryPolicy => {minimumBackoff => '0.1s', maximumBackoff => '0.5s'});

# A second way to the fingerprint, after the README's words.
sub fingerprint { my ($request) = @_; return sha256_hex($json->encode({map { $_ => "$request->{$_}" } keys %$request})) }

# A token as GitHub makes it for a job; a claim that is undef is left out.
sub github_token {
    my ($request, %claims) = @_;
    my $now = int time;
    return $cloud->token(claims => {
        iss => 'https://token.actions.githubusercontent.com', aud => 'pawl:' . fingerprint($request), sub => 'repo:octo/shop:environment:production',
        iat => $now - 10, nbf => $now - 610, exp => $now + 290, email => undef, email_verified => undef, azp => undef,
        repository => 'octo/shop', repository_id => '4242', repository_owner => 'octo', repository_owner_id => '99', environment => 'production',
        ref => 'refs/heads/main', sha => '4f2c1a9', workflow => 'deploy', run_id => '777', run_attempt => '1', actor => 'mona', %claims});
}
sub proved { my ($request, %claims) = @_; return {%$request, proof => github_token($request, %claims)} }

# Delivers a message by hand, as published now; returns the answer.
sub deliver {
    my ($id, $data, %options) = @_;
    my $to      = $options{worker} // $worker;
    my $message = {%{$cloud->message($data, attributes => $options{attributes} // {})}, messageId => $id, publishTime => utc(time)};
    return $to->request(POST => '/', token => $cloud->token(claims => {aud => $to->audience, email => $to->account}),
        body => {message => $message, subscription => 'projects/p1/subscriptions/push'});
}
sub utc { my ($time) = @_; return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $time) }
sub run_row { my ($id) = @_; return $json->decode($database->value("SELECT to_jsonb(r) FROM pawl.runs r WHERE id = '$id'")) }

subtest 'a proof that holds' => sub {
    my $message = proved({release => 'r1'});
    my $id      = $cloud->publish('migrate', $message);
    my $answer  = $json->decode($cloud->wait_acknowledged('push', $id)->{answer});
    is($answer->{status}, 'applied', 'applied');
    my $run = run_row($id);
    is($run->{publisher}, 'github:octo/shop@refs/heads/main run 777', 'the publisher is the job');
    my %kept = (
        repository => 'octo/shop', repository_id => '4242', repository_owner_id => '99', environment => 'production', ref => 'refs/heads/main', sha => '4f2c1a9',
        workflow => 'deploy', run_id => '777', run_attempt => '1', actor => 'mona',
        request_sha256 => fingerprint({release => 'r1'}), token_sha256 => sha256_hex($message->{proof}));
    is_deeply($run->{proof}, \%kept, 'the ledger has the claims');
    my $logged = $worker->wait_log(qr/applied 1 migration/);
    is($logged->{publisher}, $run->{publisher}, 'the log names the job too');
    my ($signature) = $message->{proof} =~ /([^.]+)\z/;
    my $everything = join '', $json->encode($run), $json->encode($answer), map { $_->{line} } $worker->logs;
    ok(index($everything, substr $signature, 0, 40) < 0, 'the token is nowhere to be read');
};

# What publishes from a job gets its token for the fingerprint as it computes that, and the worker computes it again.
my $github = Pawl::GitHub->start(make => sub { my ($audience) = @_; return github_token({}, aud => $audience) });

sub installed { my ($name) = @_; return grep { -x "$_/$name" } split /:/, $ENV{PATH} }
subtest 'infra/publish proves what it asks for' => sub {
    plan skip_all => 'curl or jq is not installed' if !installed('curl') || !installed('jq');
    my $work = tempdir('pawl-proof.XXXXXX', TMPDIR => 1, CLEANUP => 1);
    open my $gcloud, '>', "$work/gcloud" or die $!; # plays its one part
    print $gcloud <<"SCRIPT";
#!$^X
use JSON::PP; use HTTP::Tiny; use MIME::Base64;
my (\$flags) = map { /^--flags-file=(.*)/ ? \$1 : () } \@ARGV;
open my \$in, '<', \$flags or die; local \$/; my \$message = JSON::PP->new->utf8->decode(scalar <\$in>)->{'--message'};
utf8::encode(\$message);
my \$answer = HTTP::Tiny->new->post('@{[$cloud->url]}/v1/projects/p1/topics/migrate:publish', {headers => {'content-type' => 'application/json'},
    content => encode_json({messages => [{data => encode_base64(\$message, '')}]})});
print JSON::PP->new->decode(\$answer->{content})->{messageIds}[0], "\\n";
SCRIPT
    close $gcloud or die $!;
    chmod 0755, "$work/gcloud";
    for my $request ('', '{"target": "default", "release": "4f2c1a9"}', '{"action": "plan", "to": "0001", "reason": "\\u00e9 \\"\\\\ /"}') {
        my $process = Pawl::Process->start(name => 'publish', env => {$github->env, PATH => "$work:$ENV{PATH}"},
            command => ["$FindBin::Bin/../../infra/publish", qw(--project=p1 --topic=migrate --url=x --audience=x --wait=0), "--message=$request"]);
        is($process->wait_end(30), 0, 'published: ' . ($request || 'nothing special')) or diag $process->err;
        my ($id) = $process->out =~ /^published (\d+) /;
        my $answer = $json->decode($cloud->wait_acknowledged('push', $id)->{answer});
        like($answer->{status} // "error $answer->{error}: $answer->{message}", qr/^(applied|nothing_pending|planned)$/, 'and believed');
        unlike($process->out . $process->err, qr/eyJ/, 'no token is shown');
    }

    # The README's steps, word for word but for the name of the target.
    open my $in, '<', "$FindBin::Bin/../../README.md" or die $!;
    my ($steps) = do { local $/; <$in> =~ /^```sh\n(jq.*?)^```/ms };
    open my $script, '>', "$work/steps" or die $!;
    print $script $steps =~ s/"shop"/"default"/r;
    close $script or die $!;
    my $process = Pawl::Process->start(name => 'steps', command => ['bash', '-euo', 'pipefail', 'steps'], folder => $work,
        env => {$github->env, PATH => "$work:$ENV{PATH}", GITHUB_SHA => '4f2c1a9'});
    is($process->wait_end(30), 0, 'published: step by step, as the README says') or diag $process->err;
    chomp(my $id = $process->out);
    is($json->decode($cloud->wait_acknowledged('push', $id)->{answer})->{status}, 'nothing_pending', 'and believed');
};

subtest 'pawl publish proves what it asks for' => sub {
    my %job = ($github->env, PUBSUB_EMULATOR_HOST => $emulator, GOOGLE_CLOUD_PROJECT => 'p1', PAWL_TOPIC => 'migrate');
    for my $flags ([], [qw(--target default --release 4f2c1a9 --attribute target=default)], [qw(--action plan --to 0001 --reason), 'é "\\ /']) {
        my $run = pawl(['publish', @$flags], env => {%job});
        is($run->{exit}, 0, "published: @$flags") or diag $run->{err};
        chomp(my $id = $run->{out});
        like($json->decode($cloud->wait_acknowledged('push', $id)->{answer})->{status}, qr/^(nothing_pending|planned)$/, 'and believed');
        like(run_row($id)->{publisher}, qr{^github:octo/shop\@}, 'as the job\'s');
        unlike($run->{out} . $run->{err}, qr/eyJ/, 'no token is shown');
    }
    is(pawl(['publish', '--proof=never'], env => {%job})->{exit}, 0, 'published without one');
    my ($letter) = $cloud->wait_pulled('parked', 1);
    is($letter->{message}{attributes}{pawl_error}, 'PROOF_MISSING', 'it is refused');
};

subtest 'without a proof nothing is done' => sub {
    $migrations->write('0002_b.sql', 'CREATE TABLE b ();');
    my $id = $cloud->publish('migrate', {release => 'r2'});
    is($json->decode($cloud->wait_acknowledged('push', $id)->{answer})->{error}, 'PROOF_MISSING', 'refused');
    my ($letter) = $cloud->wait_pulled('parked', 1);
    is($letter->{message}{attributes}{pawl_error}, 'PROOF_MISSING', 'and parked');
    is(run_row($id)->{error}, 'PROOF_MISSING', 'the run says why');
    is(deliver('e1', undef)->{json}{error}, 'PROOF_MISSING', 'so is an empty message');
    is($database->value("SELECT to_regclass('b') IS NULL"), 't', 'nothing was applied');
};

subtest 'a proof that does not hold' => sub {
    my $now   = int time;
    my %cases = (
        'was made for another request'  => [{release => 'r2', proof => github_token({release => 'r1'})},                          qr/TOKEN_AUDIENCE.*this worker expects "pawl:[0-9a-f]{64}"/],
        'was made for less'             => [{release => 'r2', to => '2', proof => github_token({release => 'r2'})},               qr/TOKEN_AUDIENCE/],
        'is of another repository'      => [proved({release => 'r2'}, repository_id => '4243'),                                   qr/repository_id "4243" is not on the list/],
        'is of another environment'     => [proved({release => 'r2'}, environment => 'staging'),                                  qr/environment "staging" is not on the list/],
        'is of no environment'          => [proved({release => 'r2'}, environment => undef),                                      qr/has no environment/],
        'had expired'                   => [proved({release => 'r2'}, iat => $now - 900, exp => $now - 600),                      qr/TOKEN_EXPIRED/],
        'is of the future'              => [proved({release => 'r2'}, iat => $now + 600, exp => $now + 900),                      qr/TOKEN_NOT_YET_VALID/],
        'is of another issuer'          => [proved({release => 'r2'}, iss => 'https://accounts.google.com'),                      qr/TOKEN_ISSUER/],
        'is the push token'             => [{proof => $cloud->token(claims => {aud => $worker->audience})},                       qr/TOKEN_ISSUER/],
        'is signed by another key'      => [{proof => $cloud->token(key => 'rogue', claims => {iss => 'https://token.actions.githubusercontent.com',
                                             aud => 'pawl:' . fingerprint({}), repository_id => '4242', environment => 'production', iat => $now - 10, exp => $now + 200})}, qr/TOKEN_SIGNATURE/],
    );
    my $serial = 0;
    for my $what (sort keys %cases) {
        my ($data, $message) = @{$cases{$what}};
        my $answer = deliver('f' . ++$serial, $data)->{json};
        is($answer->{error}, 'PROOF_REFUSED', $what);
        like($answer->{message}, $message, '... and why');
    }
    is(deliver('f0', {release => 'r2'}, attributes => {proof => github_token({release => 'r2'})})->{json}{error}, 'REQUEST_MALFORMED', 'is an attribute');
    is($database->value("SELECT to_regclass('b') IS NULL"), 't', 'nothing was applied');
    is($database->value("SELECT count(*) FROM pawl.runs WHERE id LIKE 'f%' AND (proof IS NOT NULL OR publisher NOT LIKE 'push@%')"), 0, 'and no claim believed');
};

subtest 'the one line of the README makes the audience' => sub {
    plan skip_all => 'jq is not here' if !grep { -x "$_/jq" } split /:/, $ENV{PATH};
    open my $readme, '<', "$FindBin::Bin/../../README.md" or die "README.md: $!";
    my ($line) = grep { /^audience=/ } <$readme>;
    my $folder = tempdir(CLEANUP => 1);
    my $serial = 0;
    for my $text ('{}', '{"to":1}', '{ "to" : "1", "reason":"a \"b\" \\\\ c\/d \u00e9 \u2028", "action":"plan" }', "{\"reason\":\"d\xc3\xa9ploiement \xf0\x9f\x9a\x80\",\"release\":\"r\"}") {
        open my $file, '>', "$folder/request.json" or die "request.json: $!";
        print {$file} $text;
        close $file or die "request.json: $!";
        my $audience = `cd '$folder' && $line printf %s "\$audience"`;
        my $request  = $json->decode($text);
        my $answer   = deliver('j' . ++$serial, {%$request, proof => github_token({}, aud => $audience)});
        is($answer->{status}, 200, $text) or diag $answer->{content};
        ok(!$answer->{json}{error}, '... is proved');
    }
};

my %replay = (PUBSUB_EMULATOR_HOST => $emulator, GOOGLE_CLOUD_PROJECT => 'p1', PAWL_TOPIC => 'migrate', PAWL_DEAD_LETTER_SUBSCRIPTION => 'parked');
subtest 'a dead letter can be replayed when its proof has expired' => sub {
    $cloud->wait_pulled('parked', 1) while $cloud->deliveries('parked')->{unacknowledged};
    $migrations->write('0003_c.sql', 'CREATE TABLE c (x nosuch);');
    my $expires = int(time) + 4;
    my $message = proved({release => 'r3'}, exp => $expires);
    my $first   = $cloud->publish('migrate', $message);
    is($json->decode($cloud->wait_acknowledged('push', $first)->{answer})->{error}, 'MIGRATION_FAILED', 'the migration fails');
    sleep 0.1 while time <= $expires + 1;
    my $late = $cloud->publish('migrate', $message);
    is($json->decode($cloud->wait_acknowledged('push', $late)->{answer})->{error}, 'PROOF_REFUSED', 'published again, it is refused');
    $migrations->write('0003_c.sql', 'CREATE TABLE c ();');
    my $sent = pawl(['replay', '--id', $first, '--json'], env => \%replay);
    is($sent->{exit}, 0, 'replayed') or diag $sent->{err};
    my ($again) = grep { defined } map { $_->{sent_as} } @{$sent->{json}{messages}};
    is($json->decode($cloud->wait_acknowledged('push', $again)->{answer})->{status}, 'applied', 'it is taken and applied');
    is(run_row($again)->{publisher}, 'github:octo/shop@refs/heads/main run 777', 'in the name of the same job');
};

subtest 'a replay that fails and is parked again keeps the first time' => sub {
    my $then = int(time) - 3600;
    my %old  = (nbf => $then - 10, iat => $then - 10, exp => $then + 290);
    $cloud->wait_pulled('parked', 1) while $cloud->deliveries('parked')->{unacknowledged};
    is(deliver('p1', proved({target => 'other'}, %old), attributes => {pawl_published => utc($then)})->{json}{error}, 'TARGET_UNKNOWN', 'proved, and wrong');
    my ($letter) = $cloud->wait_pulled('parked', 1);
    is(substr($letter->{message}{attributes}{pawl_published}, 0, 19), substr(utc($then), 0, 19), 'parked with its first time');
    is(deliver('p2', proved({target => 'other'}, %old))->{json}{error}, 'PROOF_REFUSED', 'without that time it would be refused');
};

subtest 'when the keys have changed, only a proof that was verified before is believed' => sub {
    my $known = proved({release => 'r4'});
    my $fresh = {release => 'r4', proof => github_token({release => 'r4'}, run_id => '778')};
    is(deliver('k1', $known)->{status}, 200, 'verified');
    $cloud->rotate_keys for 1 .. 2;
    my $later = start();
    is(deliver('k2', $known, worker => $later)->{json}{status}, 'nothing_pending', 'the same token is believed');
    is(run_row('k2')->{publisher}, 'github:octo/shop@refs/heads/main run 777', 'with its claims');
    my $answer = deliver('k3', $fresh, worker => $later)->{json};
    is($answer->{error}, 'PROOF_REFUSED', 'another one of the same key is not');
    like($answer->{message}, qr/TOKEN_KEY_UNKNOWN/, 'and why');
    is(deliver('k4', {%$known, to => '1'}, worker => $later)->{json}{error}, 'PROOF_REFUSED', 'nor is the same one for another request');
    is($later->stop, 0, 'exit code 0');
};

subtest 'when the keys are away, what is not known is tried again' => sub {
    my $known = proved({release => 'r5'});
    $worker->stop;
    $worker = start();
    is(deliver('a1', $known)->{status}, 200, 'verified');
    my $later  = start(PAWL_PROOF_JWKS_URL => 'http://127.0.0.1:9/');
    my $answer = deliver('a2', proved({release => 'r6'}), worker => $later);
    is($answer->{status}, 503, 'a new proof has to wait');
    is($answer->{json}{error}, 'KEYS_UNAVAILABLE', 'for the keys');
    is(deliver('a3', $known, worker => $later)->{status}, 200, 'a known one has not');
    is($later->stop, 0, 'exit code 0');
};

subtest 'settings that would prove nothing are refused' => sub {
    my %cases = (
        'an environment alone'    => {PAWL_PROOF_REPOSITORY_ID => ''},
        'a name in place of an id' => {PAWL_PROOF_REPOSITORY_ID => 'octo/shop'},
        'keys over plain http'    => {PAWL_PROOF_JWKS_URL => 'http://token.actions.githubusercontent.com/'},
    );
    for my $what (sort keys %cases) {
        my $refused = Pawl::Worker->start(database => $database, migrations => $migrations, cloud => $cloud, ready => 0, env => {%settings, %{$cases{$what}}});
        is($refused->wait_end, 2, "$what: exit code 2");
        like(join('', map { $_->{message} // '' } $refused->logs), qr/PAWL_PROOF_/, '... and the setting is named');
    }
};

is($worker->stop, 0, 'exit code 0');
done_testing();
