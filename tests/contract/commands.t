#!/usr/bin/perl
# `pawl publish` and `pawl replay` against the official emulator: what localcloud takes, taken by Google's own.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/../lib";
use File::Temp   qw(tempdir);
use MIME::Base64 qw(decode_base64);
use Test::More;
use Pawl::Emulator;
use Pawl::Shell qw(pawl);
use Pawl::Wait  qw(wait_until);

my $emulator = Pawl::Emulator->start_or_skip(project => 'p1');
$emulator->create_topic($_) for qw(migrate dead);
$emulator->create_subscription(
    'seen', topic => 'migrate',
    deadLetterPolicy => {deadLetterTopic => 'dead', maxDeliveryAttempts => 5}
);
$emulator->create_subscription('parked', topic => 'dead');
my %env = (
    PUBSUB_EMULATOR_HOST          => $emulator->host,
    GOOGLE_CLOUD_PROJECT          => 'p1',
    PAWL_TOPIC                    => 'migrate',
    PAWL_DEAD_LETTER_SUBSCRIPTION => 'parked',
    HOME                          => tempdir(CLEANUP => 1),
    map { $_ => undef }
        qw(GOOGLE_APPLICATION_CREDENTIALS PAWL_ACCESS_TOKEN CLOUDSDK_CONFIG GCE_METADATA_HOST PAWL_RELEASE),
);
sub run { my (@arguments) = @_; return pawl([@arguments], env => \%env) }

# One message of the subscription, held.
sub pull_one {
    my ($subscription) = @_;
    return wait_until { ($emulator->pull($subscription, 1))[0] } seconds => 20, what => "a message of $subscription";
}

my $published = run('publish', '--release', 'abc', '--attribute', 'env=prod', '--ordering-key', 'k');
is($published->{exit}, 0, 'a request is published') or diag $published->{err};
my $received = pull_one('seen');
is("$received->{message}{messageId}\n",       $published->{out},   'its id is the one that was printed');
is(decode_base64($received->{message}{data}), '{"release":"abc"}', 'with its data');
is_deeply($received->{message}{attributes}, {env => 'prod'}, 'its attributes');
is($received->{message}{orderingKey}, 'k', 'and its ordering key');

# Given back five times, it is parked: by the emulator when it is pulled the next time.
for my $attempt (1 .. 5) {
    $emulator->request(
        POST => '/v1/projects/p1/subscriptions/seen:modifyAckDeadline',
        {ackIds => [$received->{ackId}], ackDeadlineSeconds => 0}
    );
    $received = pull_one('seen') if $attempt < 5;
}
my $listed = wait_until {
    $emulator->pull('seen');
    my $run = run('replay', '--json');
    $run->{exit} == 0 && @{$run->{json}{messages}} ? $run : undef
}
seconds => 30, what => 'the message to be parked';
my ($parked) = @{$listed->{json}{messages}};
is($parked->{release}, 'abc',                         'what is parked is shown');
is($parked->{reason},  '5 deliveries to seen failed', 'with why');

my $replayed = run('replay', '--all', '--json');
is($replayed->{json}{sent}, 1, 'it is sent back') or diag $replayed->{err};
$received = pull_one('seen');
is($received->{message}{messageId},           $replayed->{json}{messages}[0]{sent_as}, 'and arrives');
is(decode_base64($received->{message}{data}), '{"release":"abc"}',                     'as it was');
is($received->{message}{orderingKey},         'k',                                     'with its key');
is_deeply(
    [sort keys %{$received->{message}{attributes}}], [qw(env pawl_published pawl_replay_of)],
    'its own attributes and ours, none of the platform'
);
is($received->{message}{attributes}{pawl_published}, $parked->{published}, 'the time of the original');
is(run('replay', '--all')->{out}, "nothing is parked in projects/p1/subscriptions/parked\n", 'nothing stays parked');
done_testing;
