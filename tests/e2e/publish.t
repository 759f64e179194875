#!/usr/bin/perl
# `pawl publish`: what arrives at the topic, and following a run to its end. localcloud plays the worker's answers to
# GET /runs/ID, for the states that are hard to meet; last comes the real one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(sha256_hex);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP     ();
use MIME::Base64 qw(decode_base64);
use Test::More;
use Pawl::GitHub;
use Pawl::LocalCloud;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Shell qw(pawl start_pawl);
use Pawl::Worker;

my $json   = JSON::PP->new->utf8->canonical;
my $cloud  = Pawl::LocalCloud->start(project => 'p1');
my $home   = tempdir(CLEANUP => 1);
my ($host) = $cloud->url =~ m{^http://(.+)$};
$cloud->create_topic('migrate');
$cloud->create_subscription('seen', topic => 'migrate');

my %env = (
    CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB => $cloud->url . '/',
    GCE_METADATA_HOST                      => $host,
    HOME                                   => $home,
    map { $_ => undef }
        qw(GOOGLE_CLOUD_PROJECT GOOGLE_APPLICATION_CREDENTIALS PAWL_ACCESS_TOKEN PAWL_ID_TOKEN PAWL_TOPIC PAWL_URL
        PAWL_AUDIENCE PAWL_RELEASE PUBSUB_EMULATOR_HOST CLOUDSDK_CONFIG GITHUB_STEP_SUMMARY NO_COLOR PAWL_COLOR K_SERVICE),
);
sub publish { my ($arguments, %more) = @_; return pawl(['publish', @$arguments], env => {%env, %more}) }

# The one message that has come since, its data decoded.
sub arrived {
    my ($received) = $cloud->wait_pulled('seen', 1);
    return {%{$received->{message}}, request => $json->decode(decode_base64($received->{message}{data}))};
}
sub nothing_arrived { return !$cloud->pull('seen') }

# Answers of the worker, in order; the last one stays.
sub worker_says {
    my @answers = @_;
    $cloud->clear_faults;
    my $times = 0;
    for my $answer (reverse @answers) {
        my ($status, $body) = ref $answer eq 'ARRAY' ? @$answer : (200, $answer);
        $cloud->fault('/runs/', status => $status, body => ref $body ? $json->encode($body) : $body,
            $times++ ? (times => 1) : ());
    }
    return;
}

my %applied = (
    run        => '1', state => 'applied', target => 'default', version => '2', ms => 42,
    migrations => [
        {version => '1', file => '0001_a.sql', statements => 2, ms => 20},
        {version => '2', file => '0002_b.sql', statements => 1, ms => 9}
    ]
);
my %failed = (
    run     => '1', state => 'failed', target => 'default', error => 'MIGRATION_FAILED',
    message => 'relation "x" does not exist',
    file => '0003_c.sql', line => 4, statement => 2, statements => 3, sqlstate => '42P01', remedy => 'Correct the file.'
);

# ---- publishing ------------------------------------------------------------------------------------------------------

subtest 'a bare message asks for everything' => sub {
    my $run = publish(['--topic', 'migrate']);
    is($run->{exit}, 0, 'exit 0') or diag $run->{err};
    my $message = arrived();
    is($run->{out}, "$message->{messageId}\n", 'the message id is what is printed');
    is_deeply($message->{request}, {}, 'an empty request');
    ok(!$message->{orderingKey}, 'without an ordering key');
};

subtest 'every flag arrives' => sub {
    my $run = publish([
        qw(--topic=projects/p1/topics/migrate --target shop --release abc --to 7 --action plan --ordering-key shop),
        qw(--attribute sha=abc --attribute=env=a=b), '--reason', 'say "é"'
    ]);
    is($run->{exit}, 0, 'exit 0') or diag $run->{err};
    my $message = arrived();
    is_deeply($message->{request},
        {target => 'shop', release => 'abc', to => '7', action => 'plan', reason => "say \"\x{e9}\""}, 'the request');
    is_deeply($message->{attributes}, {sha => 'abc', env => 'a=b'}, 'the attributes');
    is($message->{orderingKey}, 'shop', 'the ordering key');
};

subtest 'topic, project and release may come from the environment' => sub {
    my $run     = publish(['--json'], PAWL_TOPIC => 'migrate', GOOGLE_CLOUD_PROJECT => 'p1', PAWL_RELEASE => 'r1');
    my $message = arrived();
    is_deeply($run->{json}, {message_id => $message->{messageId}, topic => 'projects/p1/topics/migrate'},
        'one JSON object')
        or diag $run->{err};
    is_deeply($message->{request}, {release => 'r1'}, 'the request');
};

subtest 'an emulator needs no credentials' => sub {
    my $run = publish(['--topic', 'migrate', '--project', 'p1'], PUBSUB_EMULATOR_HOST => $host,
        CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB => undef, GCE_METADATA_HOST => '127.0.0.1:1');
    is($run->{exit}, 0, 'exit 0') or diag $run->{err};
    is_deeply(arrived()->{request}, {}, 'it arrived');
};

subtest 'a proof of who publishes' => sub {
    my $github = Pawl::GitHub->start(make => sub { my ($audience) = @_; return "made.for.$audience" =~ tr/:/_/r });
    my %job    = $github->env;
    my $run    = publish(['--topic', 'migrate', '--release', 'r1'], %job);
    is($run->{exit}, 0, 'where the job may ask for one') or diag $run->{err};
    is_deeply(arrived()->{request}, {release => 'r1', proof => 'made.for.pawl_' . sha256_hex('{"release":"r1"}')},
        'it is made for the request, and goes with it');
    is(publish(['--topic', 'migrate', '--proof=never'], %job)->{exit}, 0, 'not where it is not wanted');
    is_deeply(arrived()->{request}, {}, 'as it is');
    my %fails = (
        'no such job'            => [[qw(--proof=always)],     2, qr/USAGE|only a job of GitHub Actions/, {}],
        'what no worker takes'   => [[qw(--attribute env=prod)], 2, qr/the attribute "env" is not known/, {%job}],
        'not the token of a job' => [[], 1, qr/GitHub makes no proof of who publishes/, {%job, ACTIONS_ID_TOKEN_REQUEST_TOKEN => 'stolen'}],
        'nobody there'           => [[], 3, qr/GitHub makes no proof of who publishes/, {%job, ACTIONS_ID_TOKEN_REQUEST_URL => 'http://127.0.0.1:9/'}],
        'no safe address'        => [[], 2, qr/no address that a token may be sent to/, {%job, ACTIONS_ID_TOKEN_REQUEST_URL => 'http://example.com/'}],
    );
    for my $what (sort keys %fails) {
        my ($flags, $exit, $says, $env) = @{$fails{$what}};
        my $failed = publish(['--topic', 'migrate', @$flags], %$env);
        is($failed->{exit}, $exit, "$what is exit $exit") or diag $failed->{err};
        like($failed->{err}, $says, 'and says so');
        unlike($failed->{err}, qr/stolen|\Q$job{ACTIONS_ID_TOKEN_REQUEST_TOKEN}\E/, 'without the token');
    }
    ok(nothing_arrived(), 'and nothing is published');
};

subtest 'trouble that passes is tried again, and published once more at the most' => sub {
    $cloud->fault('/v1/projects/p1/topics/migrate:publish', status => 503, times => 2);
    is(publish(['--topic', 'migrate'])->{exit}, 0, 'exit 0');
    arrived();
    ok(nothing_arrived(), 'one message');
};

subtest 'trouble that does not pass is exit 3' => sub {
    $cloud->fault('/v1/projects/p1/topics/migrate:publish', status => 503);
    my $run = publish(['--topic', 'migrate', '--timeout', '1s']);
    $cloud->clear_faults;
    is($run->{exit}, 3, 'exit 3');
    like($run->{err}, qr/PUBSUB_UNAVAILABLE/, 'with its code');
    is($run->{out}, '', 'and no message id');
};

subtest 'what cannot be is refused before anything is sent' => sub {
    my @wrong = (
        [[],                                                              {}, 2, qr/--topic/],
        [['--topic', 'nonesuch'],                                         {}, 1, qr/nonesuch.*NOT_FOUND/s],
        [['--topic', 'a/b'],                                              {}, 2, qr/--topic: .*projects/],
        [['--topic', 'migrate', '--action', 'drop'],                      {}, 2, qr/migrate\|plan\|rollback/],
        [['--topic', 'migrate', '--action', 'rollback'],                  {}, 2, qr/needs --steps or --to/],
        [['--topic', 'migrate', '--steps', '1'],                          {}, 2, qr/--action rollback/],
        [['--topic', 'migrate', '--action=rollback', '--steps=1', '--to=1'], {}, 2, qr/without --to/],
        [['--topic', 'migrate', '--attribute', 'novalue'],                {}, 2, qr/KEY=VALUE/],
        [['--topic', 'migrate', '--attribute', '=x'],                     {}, 2, qr/KEY=VALUE/],
        [['--topic', 'migrate', '--attribute', 'k=' . 'x' x 1025],        {}, 2, qr/1024/],
        [['--topic', 'migrate', '--wait'],                                {}, 2, qr/--url/],
        [['--topic', 'migrate', '--wait', '--url', 'http://example.com'], {}, 2, qr/--url.*https/],
        [['--topic', 'migrate', '--wait', '30', '--url', $cloud->url],    {}, 2, qr/takes no argument/],
        [['--topic', 'migrate'], {GCE_METADATA_HOST => '127.0.0.1:1'},        2, qr/which project/],
        [
            ['--topic', 'migrate', '--project', 'p1'], {GOOGLE_APPLICATION_CREDENTIALS => '/nonexistent'}, 2,
            qr/GOOGLE_APPLICATION_CREDENTIALS.*No such file/
        ],
    );
    for my $case (@wrong) {
        my ($arguments, $more, $exit, $words) = @$case;
        my $run = publish($arguments, %$more);
        is($run->{exit}, $exit, "exit $exit: @$arguments");
        like($run->{err}, $words, 'and says why');
        is($run->{out}, '', 'without a message id');
    }
    ok(nothing_arrived(), 'nothing was published');
};

subtest 'no credentials: the error says what to set' => sub {
    my $run =
        publish(['--topic', 'migrate', '--project', 'p1'], GCE_METADATA_HOST => undef, PAWL_ACCESS_TOKEN => 'a b');
    is($run->{exit}, 2, 'a token that is none is exit 2');
    unlike($run->{err}, qr/a b/, 'and is not repeated');
};

# ---- following -------------------------------------------------------------------------------------------------------

sub follow {
    my ($wait, @more) = @_;
    my %more = @more;
    return publish(['--topic', 'migrate', "--wait=$wait", '--url', $cloud->url, @{delete $more{arguments} // []}],
        %more);
}

subtest 'a run is followed to its end' => sub {
    my $summary = "$home/summary";
    worker_says([404, {error => 'HTTP_NOT_FOUND'}], {run => '1', state => 'waiting', holder => 'run 7 holds the lock'},
        [503, ''], {run => '1', state => 'running', progress => 'pawl 1 2/2 0002_b.sql'}, \%applied);
    my $run = follow('60s', GITHUB_STEP_SUMMARY => $summary);
    is($run->{exit}, 0, 'exit 0') or diag $run->{err};
    my $id = arrived()->{messageId};
    like($run->{out},
        qr/\A$id\nfile +statements +ms\n0001_a\.sql +2 +20\n0002_b\.sql +1 +9\napplied 2 migrations in 42 ms; the database is at version 2\n\z/,
        'id, table, sum');
    like($run->{err}, qr/not delivered yet.*waiting: run 7 holds the lock.*HTTP 503.*running: 2\/2 0002_b\.sql/s,
        'and what went on, on stderr');
    open my $in, '<', $summary or die "$summary: $!";
    my $markdown = do { local $/; <$in> };
    like($markdown, qr/^### pawl: applied 2 migrations in 42 ms; the database is at version 2$/m,
        'the summary has a heading');
    like($markdown, qr/^\| 0002\\_b\.sql \| 1 \| 9 \|$/m, 'and the table');
};

subtest 'a failed run is exit 1 and says where' => sub {
    worker_says(\%failed);
    my $run = follow('60s');
    is($run->{exit}, 1, 'exit 1');
    like($run->{out},
        qr/failed: relation "x" does not exist\n  at: +0003_c\.sql, line 4, statement 2 of 3\n  code: +MIGRATION_FAILED/,
        'with file, line and statement');
    like($run->{out}, qr/to do: +Correct the file/, 'and what to do');
    arrived();
};

subtest 'a run that does not end in time is exit 3' => sub {
    worker_says({run => '1', state => 'retry', error => 'LOCK_HELD', message => 'held by run 7'});
    my $run = follow('2s', GITHUB_STEP_SUMMARY => "$home/unfinished");
    is($run->{exit}, 3, 'exit 3');
    like($run->{err}, qr/retry: held by run 7.*has not ended after 2 s: retry.*RUN_UNFINISHED/s,
        'and says how it stood');
    ok(-s "$home/unfinished", 'the summary says so too');
    arrived();
};

subtest 'a worker that never answers is exit 3, and its silence is told apart' => sub {
    worker_says([503, '']);
    my $run = follow('2s');
    is($run->{exit}, 3, 'exit 3');
    like($run->{err}, qr/WORKER_UNAVAILABLE/, 'with its code');
    arrived();
};

subtest 'a worker that refuses is exit 1 at once' => sub {
    for my $status (401, 403, 400) {
        worker_says([$status, {error => 'X'}]);
        my $run = follow('60s');
        is($run->{exit}, 1, "$status: exit 1");
        like($run->{err}, qr/HTTP $status.*WORKER_REFUSED/s, 'with its code');
        arrived();
    }
};

subtest 'an answer that is none is asked for again' => sub {
    worker_says('not json', {status => 'applied'}, '[]', \%applied);
    is(follow('60s')->{exit}, 0, 'until there is a good one');
    arrived();
};

subtest 'JSON holds what the worker said' => sub {
    worker_says(\%applied);
    my $run = follow('60s', arguments => ['--json']);
    my $id  = arrived()->{messageId};
    is_deeply($run->{json}, {message_id => $id, topic => 'projects/p1/topics/migrate', run => \%applied}, 'as it came');
    is($run->{err}, '', 'and nothing else');
    worker_says(\%failed);
    $run = follow('60s', arguments => ['--json']);
    is($run->{exit}, 1, 'a failure is exit 1');
    is_deeply($run->{json}{run}, \%failed, 'as it came');
    arrived();
    worker_says({run => '1', state => 'running'});
    $run = follow('1s', arguments => ['--json']);
    is($run->{exit},             3,                'unfinished is exit 3');
    is($run->{json}{error},      'RUN_UNFINISHED', 'with its code');
    is($run->{json}{run}{state}, 'running',        'and the last state');
    arrived();
};

# The question as it is asked: path, patience and an ID token for the audience.
subtest 'the worker is asked with an ID token for its audience' => sub {
    my $listener = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', Proto => 'tcp') or die "listen: $!";
    my $url      = 'http://127.0.0.1:' . $listener->sockport;
    my $process  = start_pawl(
        ['publish', '--topic', 'migrate', '--wait=30s', '--url', "$url/", '--audience', 'https://pawl.example,other'],
        env => \%env);
    my $peer = $listener->accept or die "accept: $!";
    my $head = '';
    while (my $line = <$peer>) { $head .= $line; last if $line eq "\r\n" }
    my $body = $json->encode(\%applied);
    print {$peer} "HTTP/1.1 200 OK\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body";
    close $peer;
    is($process->wait_end(20), 0, 'exit 0') or diag $process->err;
    my $id = arrived()->{messageId};
    like($head, qr{\AGET /runs/$id\?wait=(?:2\d|1\d) HTTP/1\.1\r\n}, 'GET /runs/ID?wait=SECONDS');
    my ($claims) = $head =~ /^Authorization: Bearer [\w-]+\.([\w-]+)\.[\w-]+\r$/m;
    $claims = $json->decode(decode_base64($claims =~ tr{-_}{+/}r));
    is($claims->{aud},   'https://pawl.example',            'the first audience of the list');
    is($claims->{email}, 'pawl@p1.iam.gserviceaccount.com', 'and the e-mail address');
};

subtest 'without an ID token nothing is published' => sub {
    my $run = follow('30s', GCE_METADATA_HOST => undef, PAWL_ACCESS_TOKEN => 'ya29.hand',
        GOOGLE_APPLICATION_CREDENTIALS => login());
    is($run->{exit}, 2, 'which project? exit 2');
    $run = follow('30s', GOOGLE_CLOUD_PROJECT => 'p1', PAWL_ACCESS_TOKEN => 'ya29.hand',
        GOOGLE_APPLICATION_CREDENTIALS => login());
    is($run->{exit}, 1, 'exit 1');
    like($run->{err}, qr/PAWL_ID_TOKEN.*CREDENTIALS_MISSING/s, 'and the way out');
    ok(nothing_arrived(), 'nothing was published');
};

sub login {
    my $file = "$home/login.json";
    open my $out, '>', $file or die "$file: $!";
    print {$out}
        $json->encode({type => 'authorized_user', client_id => 'i', client_secret => 's', refresh_token => 'r'});
    close $out;
    return $file;
}

# ---- the real worker -------------------------------------------------------------------------------------------------

subtest 'the whole way: published, pushed, migrated, followed by the same command' => sub {
    my $database   = Pawl::Postgres->new;
    my $migrations = Pawl::Migrations->new('0001_a.sql' => "CREATE TABLE a ();\nCREATE TABLE b ();\n",
        '0002_slow.sql' => "SELECT pg_sleep(1.5);\n");
    my $worker = Pawl::Worker->start(
        database => $database, migrations => $migrations, cloud => $cloud,
        env      => {PAWL_READERS => 'pawl@p1.iam.gserviceaccount.com'}
    );
    $cloud->clear_faults;
    $cloud->create_topic('deploys');
    $cloud->create_subscription(
        'push', topic => 'deploys', push => $worker->url . '/', account => $worker->account,
        audience           => $worker->audience,
        ackDeadlineSeconds => 30, retryPolicy => {minimumBackoff => '0.1s', maximumBackoff => '0.2s'}
    );
    my @common = ('--topic', 'deploys', '--wait=60s', '--url', $worker->url, '--audience', $worker->audience);
    my $run    = publish([@common, '--reason', 'deploy']);
    is($run->{exit}, 0, 'exit 0') or diag $run->{err};
    like($run->{out},
        qr/^0001_a\.sql +2 +\d+\n0002_slow\.sql +1 +1[5-9]\d\d\napplied 2 migrations in \d+ ms; the database is at version 2$/m,
        'the table');
    ok($database->has_table('b'), 'the database was migrated');
    $run = publish([@common]);
    is($run->{exit}, 0, 'again: exit 0') or diag $run->{err};
    like($run->{out}, qr/^nothing pending/m, 'nothing pending');
    $migrations->write('0003_bad.sql', "CREATE TABLE c ();\nSELECT nonsense;\n");
    $run = publish([@common]);
    is($run->{exit}, 1, 'bad SQL: exit 1') or diag $run->{err};
    like($run->{out},
        qr/^failed: .*nonsense.*\n  at: +0003_bad\.sql, line 2, statement 2.*\n  code: +MIGRATION_FAILED$/m,
        'file, line and statement');
    $run =
        publish([@common], GCE_METADATA_HOST => undef,
        PAWL_ID_TOKEN =>
            $cloud->token(claims => {email => 'nobody@p1.iam.gserviceaccount.com', aud => $worker->audience}),
        PAWL_ACCESS_TOKEN => 'x', GOOGLE_CLOUD_PROJECT => 'p1');
    is($run->{exit}, 1, 'somebody else may not ask: exit 1');
    like($run->{err}, qr/HTTP 403/, 'HTTP 403');
};

done_testing();
