#!/usr/bin/perl
# infra/publish: what pipelines run after a deploy. Against a worker played by this test and a gcloud played by a
# script, so that every answer can be had; and against localcloud with the real gcloud, where it is installed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Digest::SHA qw(sha256_hex);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP ();
use Pawl::LocalCloud;
use Pawl::Process;

sub installed {
    my ($name) = @_;
    return (grep { -x } map { "$_/$name" } split /:/, $ENV{PATH})[0];
}
my $curl = installed('curl') or plan skip_all => 'curl is not installed';
my $publish = "$FindBin::Bin/../../infra/publish";
my $work    = tempdir('pawl-publish.XXXXXX', TMPDIR => 1, CLEANUP => 1);

sub write_file {
    my ($name, $mode, $text) = @_;
    open my $out, '>', "$work/$name" or die $!;
    print $out $text;
    close $out or die $!;
    chmod $mode, "$work/$name";
    return "$work/$name";
}

sub slurp {
    open my $in, '<', "$work/$_[0]" or return '';
    local $/;
    return scalar(<$in>) // '';
}

# A worker that gives one answer after the other, the last one again and again: [status, body].
sub worker {
    my (@answers) = @_;
    my $server    = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', LocalPort => 0) or die $!;
    my $pid       = fork // die $!;
    return ("http://127.0.0.1:" . $server->sockport, $pid) if $pid;
    while (my $client = $server->accept) {
        my $head = '';
        while (my $line = <$client>) { $head .= $line; last if $line eq "\r\n" }
        open my $log, '>>', "$work/asked";
        print $log $head;
        close $log;
        my ($status, $body) = @{@answers > 1 ? shift @answers : $answers[0]};
        print $client "HTTP/1.1 $status x\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body";
        close $client;
    }
    exit 0;
}

# Runs infra/publish with the worker's answers; returns (exit code, output).
sub run {
    my ($answers, %options) = @_;
    unlink map { "$work/$_" } qw(asked called summary outputs flags flags.mode);
    my ($url, $pid) = worker(@$answers);
    my @arguments = (
        '--project=p1', '--topic=pawl-migrate', "--url=$url", '--audience=https://pawl.p1.internal',
        '--wait=40',     @{$options{arguments} // []}
    );
    my $process = Pawl::Process->start(
        name    => 'publish',
        quiet   => 1,
        command => [$publish, @arguments],
        env     => {
            PATH                => "$work/bin:$ENV{PATH}",
            PAUSE               => 0.1,
            GITHUB_STEP_SUMMARY => "$work/summary",
            GITHUB_OUTPUT       => "$work/outputs",
            ID_TOKEN            => undef,
            GITHUB_ACTIONS      => undef,
            (map { $_ => undef } qw(ACTIONS_ID_TOKEN_REQUEST_URL ACTIONS_ID_TOKEN_REQUEST_TOKEN)),
            %{$options{env} // {}}
        },
    );
    my $exit = $process->wait_end(30);
    kill KILL => $pid;
    waitpid $pid, 0;
    return ($exit, $process->out . $process->err);
}

mkdir "$work/bin";
# Both say how they were called; gcloud keeps the file of flags that it was given, and curl does its work.
write_file('bin/curl', 0755, "#!/bin/sh\necho \"curl \$*\" >> '$work/called'\nexec '$curl' \"\$@\"\n");
my $gcloud = <<"SCRIPT";
#!/bin/sh
echo "\$*" >> '$work/called'
for argument; do
    case \$argument in --flags-file=*) cp "\${argument#*=}" '$work/flags'; stat -c %a "\${argument#*=}" > '$work/flags.mode' ;; esac
done
case "\$*" in
*"topics publish"*) echo 4711 ;;
*print-identity-token*) echo the.token.itself ;;
esac
SCRIPT
write_file('bin/gcloud', 0755, $gcloud);

my $applied = [200, '{"state":"applied","run":"4711","applied":2,"version":"2"}'];
subtest 'applied' => sub {
    my ($exit, $said) = run(
        [[404, '{"error":"RUN_UNKNOWN"}'], [200, '{"state":"running","run":"4711"}'], $applied],
        arguments => ['--publisher=pawl-publisher@p1.iam.gserviceaccount.com', '--message={"release":"abc"}']
    );
    is $exit, 0, 'ends well';
    like $said, qr/^published 4711 to pawl-migrate: \{"release":"abc"\}\n/, 'says what it published';
    like $said, qr/waiting: running/,                                       'and that it waits';
    like $said, qr/^applied: .*"version":"2"/m,                             'and how it ended';
    like slurp('called'),
        qr/topics publish pawl-migrate --project=p1 --message=\{"release":"abc"\} --impersonate-service-account=pawl-publisher\@p1/,
        'publishes as the publisher';
    like slurp('called'),
        qr{print-identity-token --audiences=https://pawl.p1.internal --include-email --impersonate-service-account=pawl-publisher\@p1},
        'asks as the publisher';
    like slurp('asked'), qr{^GET /runs/4711\?wait=\d+ HTTP/1.1\r\n.*^Authorization: Bearer the\.token\.itself\r\n}ms,
        'asks for the run of the message';
    like slurp('outputs'), qr/^message_id=4711\nstate=applied\n\z/, 'tells GitHub';
    like slurp('summary'), qr/### Migration: applied\n/,             'and the summary';
};
for my $word (qw(nothing_pending superseded planned rolled_back)) {
    is((run([[200, qq({"state":"$word"})]]))[0], 0, "$word ends well");
}
subtest 'failed' => sub {
    my ($exit, $said) = run(
        [
            [
                200,
                '{"state":"failed","error":"MIGRATION_FAILED","message":"0002.sql:3: no \"state\":\"applied\" here"}'
            ]
        ]
    );
    is $exit, 1, 'fails';
    like $said,            qr/^failed: .*MIGRATION_FAILED/m, 'and says why';
    like slurp('outputs'), qr/state=failed/,                'tells GitHub';
};
subtest 'not over in time' => sub {
    my ($exit, $said) = run([[200, '{"state":"running"}']], arguments => ['--wait=1']);
    is $exit, 3, 'is neither good nor bad';
    like $said, qr{the run has not ended within 1 s; it goes on}, 'and says so';
};
is((run([[200, '<h1>Hello</h1>'], [503, ''], [500, 'oops'], [200, '{"state":"retry","error":"LOCK_HELD"}'], $applied]))[0],
    0, 'what passes is waited for');
subtest 'not allowed to ask' => sub {
    my ($exit, $said) = run([[403, '{}']]);
    is $exit, 1, 'fails at once';
    like $said, qr/refuses the question \(403\)/, 'and says what to look at';
};
subtest 'a token from elsewhere' => sub {
    my ($exit) = run([$applied], env => {ID_TOKEN => 'made.by.github'});
    is $exit, 0, 'ends well';
    unlike slurp('called'), qr/print-identity-token/,                        'gcloud is not asked for one';
    like slurp('asked'),    qr/^Authorization: Bearer made\.by\.github\r$/m, 'the given one is used';
};
subtest 'what is no token' => sub {
    for my $token (qq(a.b.c"\nurl = "http://127.0.0.1:1/), "a.b.c\n", 'a b', 'a\\.b', "\x{c3}\x{a9}.b.c") {
        my ($exit, $said) = run([$applied], env => {ID_TOKEN => $token});
        is $exit, 2, 'is refused';
        like $said, qr/\Apublish: ID_TOKEN is not an ID token[^\n]*\n\z/, 'in one line';
        is slurp('called') . slurp('asked'), '', 'before anything is published or asked';
    }
};
subtest 'the composite action' => sub {
    my $folder = "$FindBin::Bin/../../infra/github/migrate";
    open my $in, '<', "$folder/action.yaml" or die $!;
    my $action   = do { local $/; <$in> };
    my %handed   = $action =~ /^        ([A-Z_]+): \$\{\{ inputs\.(\w+) \}\}$/mg;
    my ($script) = $action =~ /^      run: \|\n((?:        .*\n)+)/m;
    my ($url, $pid) = worker($applied);
    my %inputs = (
        project => 'p1', topic => 'pawl-migrate', url => $url, audience => 'https://pawl.p1.internal', id_token => 'made.by.github',
        message => '{"release": "abc"}', wait => 40, proof => 'never'
    );
    unlink map { "$work/$_" } qw(asked called outputs);
    my $process = Pawl::Process->start(
        name    => 'action',
        quiet   => 1,
        command => ['bash', '-eo', 'pipefail', '-c', $script],
        env     => {
            PATH => "$work/bin:$ENV{PATH}", PAUSE => 0.1, GITHUB_ACTION_PATH => $folder, GITHUB_OUTPUT => "$work/outputs",
            map { $_ => $inputs{$handed{$_}} } keys %handed
        }
    );
    is $process->wait_end(30), 0, 'ends well' or diag $process->err;
    kill KILL => $pid;
    waitpid $pid, 0;
    is_deeply [sort values %handed], [sort keys %inputs], 'every input is handed over';
    like slurp('called'),  qr/topics publish pawl-migrate --project=p1 --message=\{"release": "abc"\}/, 'and used';
    like slurp('asked'),   qr/^Authorization: Bearer made\.by\.github\r$/m,                          'so is the token';
    is slurp('outputs'), "message_id=4711\nstate=applied\n", 'the outputs are told';
};
subtest 'publish only' => sub {
    my ($exit, $said) = run([$applied], arguments => ['--wait=0']);
    is $exit,          0,  'ends well';
    is slurp('asked'), '', 'and asks nothing';
};
# GitHub's side of a proof: a server that makes tokens.
sub with_tokens {
    my ($answer, $answers, %options) = @_;
    my ($url,    $pid)  = worker($answer);
    my ($exit,   $said) = run(
        $answers, %options,
        env => {
            ACTIONS_ID_TOKEN_REQUEST_URL   => "$url/token?api-version=2.0",
            ACTIONS_ID_TOKEN_REQUEST_TOKEN => 'ask.with.this',
            %{$options{env} // {}}
        }
    );
    kill KILL => $pid;
    waitpid $pid, 0;
    return ($exit, $said);
}
sub sent { return JSON::PP->new->decode(JSON::PP->new->decode(slurp('flags'))->{'--message'}) }
my $made = [200, '{"count":1,"value":"head.claims.signature"}'];

SKIP: {
    skip 'jq is not installed', 4 if !installed('jq');
    subtest 'a proof, where GitHub makes one' => sub {
        my ($exit, $said) = with_tokens(
            $made, [$applied],
            arguments => ['--message={"to": 7, "out_of_order": true, "reason": "say \"é\"", "release": "abc"}'],
            env       => {GITHUB_ACTIONS => 'true'}
        );
        is $exit, 0, 'ends well' or diag $said;
        my $print = sha256_hex('{"out_of_order":"true","reason":"say \"é\"","release":"abc","to":"7"}');
        like slurp('asked'),
            qr{^GET /token\?api-version=2\.0&audience=pawl:$print HTTP/1\.1\r\n.*?^Authorization: bearer ask\.with\.this\r\n}ms,
            'the token is made for the fingerprint of the request';
        my $expected = {
            to           => 7,
            out_of_order => JSON::PP::true,
            reason       => 'say "é"',
            release      => 'abc',
            proof        => 'head.claims.signature'
        };
        is_deeply sent(), $expected, 'and goes with it';
        like slurp('called'), qr/topics publish pawl-migrate --project=p1 --flags-file=\S+ --format/, 'by a file';
        is slurp('flags.mode'), "600\n", 'that nobody else may read';
        unlike slurp('called'), qr/head\.claims|ask\.with/, 'neither token is on any command line';
        like $said,   qr/\A::add-mask::head\.claims\.signature\n/,              'GitHub is told to hide it';
        unlike $said, qr/(?<!::add-mask::)head\.claims|ask\.with/,              'and it is not shown';
        like $said,   qr/^published 4711 to pawl-migrate: \{.*\}, with a proof/m, 'that there is one, is';
    };
    for my $case (['007', '7'], ['0', '0'], ['000', '0']) {
        with_tokens($made, [$applied], arguments => [qq(--message={"action":"rollback","to":"$case->[0]"})]);
        my $print = sha256_hex(qq({"action":"rollback","to":"$case->[1]"}));
        like slurp('asked'), qr{audience=pawl:$print }, "$case->[0] counts as $case->[1], as for the worker";
    }
    subtest 'no proof' => sub {
        my ($exit, $said) = with_tokens([404, 'no such job'], [$applied]);
        is $exit, 1, 'a proof that GitHub does not make is a failure';
        like $said, qr/GitHub made no token for the proof/, 'and says so';
        unlike slurp('called'), qr/publish/, 'nothing is published';
        ($exit, $said) = with_tokens($made, [$applied], arguments => ['--message=[1]']);
        is $exit, 2, 'what is no object cannot be proved';
        like $said, qr/--message is not a JSON object/, 'and says so';
        ($exit, $said) = run([$applied], arguments => ['--proof=always']);
        is $exit, 2, 'a job that may not ask for tokens cannot prove anything';
        like $said, qr/needs permissions: id-token: write/, 'and says what is missing';
        ($exit) = with_tokens($made, [$applied], arguments => ['--proof=never']);
        is $exit, 0, 'without a proof, where that is wanted';
        like slurp('called'), qr/--message=\{\}/, 'as it is';
        unlike slurp('asked'), qr/audience/, 'and none is asked for';
        is((run([$applied], arguments => ['--proof=maybe']))[0], 2, 'a third way is refused');
    };
}
subtest 'what others wrote is no command to GitHub' => sub {
    my $evil = "{\"state\":\"failed\",\"message\":\"x\"}\n::error::from the worker";
    write_file('bin/gcloud', 0755, $gcloud =~ s{^case}{echo '::warning::from gcloud' >&2\ncase}mr);
    my ($exit, $said) = run([[200, $evil]], env => {GITHUB_ACTIONS => 'true'}, arguments => ["--message={}\n::debug::from the request"]);
    write_file('bin/gcloud', 0755, $gcloud);
    is $exit, 1, 'the run failed';
    my ($word) = $said =~ /\A::stop-commands::([0-9a-f]{32})\n/;
    ok $word, 'commands are stopped before anything is said' or diag $said;
    like $said, qr/^::${word}::\n\z/m, 'until the end';
    like $said, qr/^::${_}::from /m, "a line with $_ is between" for qw(warning debug error);
    my ($again) = (run([$applied], env => {GITHUB_ACTIONS => 'true'}))[1] =~ /::stop-commands::(\w+)/;
    isnt $again, $word, 'by another word each time';
    unlike((run([$applied]))[1], qr/::/, 'elsewhere nothing of this is said');
    unlike slurp('summary'), qr/^(?!    |###|$)/m, 'the summary shows it as code';
};
is((run([$applied], arguments => ['--wait=soon']))[0], 2, 'a wait that is no number is refused');
is((run([$applied], arguments => ['--wait=99999999999999999999']))[0], 2, 'and one that is too large to count');
is(slurp('called'), '', 'before anything is published');
subtest 'a wait that begins with 0' => sub {
    my ($exit, $said) = run([$applied], arguments => ['--wait=08']);
    is $exit, 0, 'is decimal';
    like $said, qr/^applied: /m, 'and waited for';
};
is((run([$applied], arguments => ['--topic=']))[0],    2, 'a topic must be given');
is((run([$applied], arguments => ['--tpoic=x']))[0],   2, 'an unknown argument is refused');
{
    write_file('bin/gcloud', 0755, "#!/bin/sh\necho 'ERROR: no such topic' >&2\nexit 1\n");
    my ($exit, $said) = run([$applied]);
    is $exit, 1, 'a publish that fails is a failure';
    like $said, qr/no such topic/, 'and gcloud says why';
    unlink "$work/bin/gcloud";
}

SKIP: {
    my $build = $ENV{BUILD} // 'build/debug';
    skip 'the real gcloud is not installed', 1 if !installed('gcloud');
    skip "$build/localcloud is not built", 1 if !-x "$build/localcloud";
    my $cloud = Pawl::LocalCloud->start(project => 'p1');
    $cloud->create_topic('pawl-migrate');
    $cloud->create_subscription('all', topic => 'pawl-migrate');
    mkdir "$work/gcloud";
    my %real = (
        ID_TOKEN                                        => 'x',
        CLOUDSDK_CONFIG                                 => "$work/gcloud",
        CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB          => $cloud->url . '/',
        CLOUDSDK_AUTH_DISABLE_CREDENTIALS               => 'true',
        CLOUDSDK_CORE_DISABLE_PROMPTS                   => 1,
        CLOUDSDK_CORE_DISABLE_USAGE_REPORTING           => 'true',
        CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK => 'true',
    );
    my ($exit, $said) = run([$applied], arguments => ['--message={"release":"abc"}'], env => {%real});
    is $exit, 0, 'the real gcloud publishes' or diag $said;
    my ($received) = $cloud->wait_pulled('all', 1);
    is $received->{bytes}, '{"release":"abc"}', 'byte for byte';
    like $said,          qr/^published $received->{message}{messageId} to/,     'and its message id is understood';
    like slurp('asked'), qr{^GET /runs/$received->{message}{messageId}\?wait=}, 'and asked for';

    skip 'jq is not installed', 1 if !installed('jq');
    ($exit, $said) = with_tokens($made, [$applied], arguments => ['--message={"release":"a\"b"}'], env => {%real});
    is $exit, 0, 'it takes a message with a proof from a file' or diag $said;
    ($received) = $cloud->wait_pulled('all', 1);
    is $received->{bytes}, '{"release":"a\"b","proof":"head.claims.signature"}', 'byte for byte, too';
}
done_testing;
