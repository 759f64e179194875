#!/usr/bin/perl
# Google's own clients can work with localcloud: the npm package @google-cloud/pubsub in its REST fallback mode
# (installed to build/npm, never committed) and the real gcloud. What is not there is skipped, loudly.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/../lib";
use JSON::PP ();
use Test::More;
use Pawl::LocalCloud;
use Pawl::Process;

my $cloud = Pawl::LocalCloud->start(project => 'clients');

sub installed {
    my ($program) = @_;
    return (grep {-x} map {"$_/$program"} split /:/, $ENV{PATH})[0];
}

sub run {
    my ($name, $command, %env) = @_;
    my $process = Pawl::Process->start(name => $name, command => $command, env => \%env);
    return ($process->wait_end(180), $process);
}

sub skip_loudly {
    my ($why) = @_;
    diag "NOT CHECKED: $why";
    plan skip_all => $why;
    return;
}

subtest 'npm: @google-cloud/pubsub over REST' => sub {
    skip_loudly('node and npm are not installed') if !installed('node') || !installed('npm');
    my $folder = 'build/npm';
    if (!-d "$folder/node_modules/\@google-cloud/pubsub") {
        mkdir 'build';
        my ($exit, $npm) = run(
            'npm', [
                'npm', 'install', '--no-audit', '--no-fund',
                '--loglevel=error', '--prefix', $folder, '@google-cloud/pubsub@5'
            ]);
        skip_loudly('npm cannot install @google-cloud/pubsub: ' . $npm->tail(3)) if $exit != 0;
    }
    my ($endpoint) = $cloud->url =~ m{//(.*)};
    my ($exit, $node)
        = run('node', ['node', "$Bin/client.js", $endpoint, 'clients', 'from-node'],
        NODE_PATH => "$folder/node_modules");
    is $exit, 0, 'it creates a topic and a subscription, and publishes' or diag $node->tail;
    my @ids = split ' ', $node->out;
    my @received
        = sort { $a->{message}{messageId} <=> $b->{message}{messageId} } $cloud->wait_pulled('from-node-sub', 2);
    is_deeply [map { $_->{message}{messageId} } @received], \@ids, 'the messages have the ids that it was given';
    is $received[0]{bytes}, '{"target":"main"}', 'and its data';
    is_deeply $received[0]{message}{attributes}, {env => 'prod'}, 'and its attributes';
    is $received[1]{bytes}, "\0\xff>?", 'bytes arrive as they were';
    is $received[1]{message}{orderingKey}, 'k', 'with their ordering key';
};

subtest 'gcloud' => sub {
    skip_loudly('gcloud is not installed') if !installed('gcloud');
    my $config = File::Temp->newdir(TMPDIR => 1);
    my %env    = (
        CLOUDSDK_CONFIG => $config->dirname,
        CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB => $cloud->url . '/',
        CLOUDSDK_AUTH_DISABLE_CREDENTIALS => 'true',
        CLOUDSDK_CORE_PROJECT => 'clients',
        CLOUDSDK_CORE_DISABLE_PROMPTS => 1,
        CLOUDSDK_CORE_DISABLE_USAGE_REPORTING => 'true',
        CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK => 'true',
    );
    my $gcloud = sub {
        my (@words) = @_;
        my ($exit, $process) = run("gcloud @words[0 .. 1]", ['gcloud', 'pubsub', @words], %env);
        is $exit, 0, "gcloud pubsub @words[0 .. 1]" or diag $process->tail;
        return $process;
    };
    $gcloud->(qw(topics create from-gcloud));
    $gcloud->(
        qw(subscriptions create from-gcloud-push --topic=from-gcloud --push-endpoint=http://127.0.0.1:9/),
        qw(--push-auth-service-account=push@clients.iam.gserviceaccount.com),
        qw(--push-auth-token-audience=https://pawl.example --ack-deadline=600 --enable-message-ordering),
        qw(--min-retry-delay=10s --max-retry-delay=600s --expiration-period=never),
        qw(--dead-letter-topic=from-gcloud --max-delivery-attempts=7)
    );
    is_deeply $cloud->request(GET => '/v1/projects/clients/subscriptions/from-gcloud-push')->{deadLetterPolicy},
        {deadLetterTopic => 'projects/clients/topics/from-gcloud', maxDeliveryAttempts => 7},
        'the subscription is what was asked for';
    $cloud->request(DELETE => '/v1/projects/clients/subscriptions/from-gcloud-push');
    $cloud->create_subscription('from-gcloud-pull', topic => 'from-gcloud');
    my $publish = $gcloud->(
        qw(topics publish from-gcloud), '--message={"a":"?>~"}',
        '--attribute=env=prod,sha=abc', '--ordering-key=k1',
        '--format=json'
    );
    my $pull = $gcloud->(qw(subscriptions pull from-gcloud-pull --limit=5 --auto-ack --format=json));
    my ($received) = @{JSON::PP->new->utf8->decode($pull->out)};
    is $received->{message}{messageId}, JSON::PP->new->utf8->decode($publish->out)->{messageIds}[0],
        'it pulls what it published';
    is_deeply $received->{message}{attributes}, {env => 'prod', sha => 'abc'}, 'with its attributes';
    is $received->{message}{orderingKey}, 'k1', 'and its ordering key';
};

is $cloud->stop, 0, 'localcloud ends cleanly';
done_testing;
