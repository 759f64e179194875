#!/usr/bin/perl
# `pawl replay`: what is parked is shown, chosen, sent back once, and never lost: published first, acknowledged after.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp   qw(tempdir);
use JSON::PP     ();
use MIME::Base64 qw(decode_base64);
use POSIX        qw(strftime);
use Test::More;
use Pawl::LocalCloud;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Shell qw(pawl start_pawl);
use Pawl::Wait  qw(wait_until);
use Pawl::Worker;

my $json   = JSON::PP->new->utf8->canonical;
my $cloud  = Pawl::LocalCloud->start(project => 'p1');
my ($host) = $cloud->url =~ m{^http://(.+)$};
$cloud->create_topic($_) for qw(migrate dead);
$cloud->create_subscription('again', topic => 'migrate');
$cloud->create_subscription('parked', topic => 'dead', ackDeadlineSeconds => 10);

my %env = (
    PUBSUB_EMULATOR_HOST          => $host,
    GOOGLE_CLOUD_PROJECT          => 'p1',
    PAWL_TOPIC                    => 'migrate',
    PAWL_DEAD_LETTER_SUBSCRIPTION => 'parked',
    HOME                          => tempdir(CLEANUP => 1),
    map { $_ => undef }
        qw(GOOGLE_APPLICATION_CREDENTIALS PAWL_ACCESS_TOKEN CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB CLOUDSDK_CONFIG GCE_METADATA_HOST),
);
sub replay { my ($arguments, %more) = @_; return pawl(['replay', @$arguments], env => {%env, %more}) }
sub ago { my ($seconds) = @_; return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time - $seconds)) }

# Parks a message as the worker does; returns its id in the dead-letter topic.
sub park {
    my ($data, %attributes) = @_;
    my $key = delete $attributes{key};
    return $cloud->publish('dead', $data, attributes => \%attributes, key => $key);
}
my %why = (
    pawl_error     => 'MIGRATION_FAILED', pawl_message => 'relation "x" does not exist', pawl_file => '0003_c.sql',
    pawl_line      => '4',
    pawl_statement => '2', pawl_sqlstate => '42P01', pawl_run => '7', pawl_target => 'shop'
);

# Everything on the request topic since, and how many lie parked.
sub sent_again {
    my @all = $cloud->pull('again');
    $cloud->acknowledge('again', @all) if @all;
    return map { $_->{message} } @all;
}
sub count_parked { return $cloud->deliveries('parked')->{unacknowledged} }

# Takes away what can be pulled at once, and says how much it was: what a replay has given back can be.
sub clear_parked {
    my $count = 0;
    while (my @all = $cloud->pull('parked')) {
        $cloud->acknowledge('parked', @all);
        $count += @all;
    }
    return $count;
}

subtest 'nothing parked: nothing to do' => sub {
    my $run = replay([]);
    is($run->{exit}, 0,                                                         'exit 0') or diag $run->{err};
    is($run->{out},  "nothing is parked in projects/p1/subscriptions/parked\n", 'and says so');
    is(replay(['--all'])->{exit}, 0,                                            'also when all is asked for');
};

subtest 'without a choice it only lists, oldest first' => sub {
    my $first = park({release => 'r1', target => 'shop'}, %why, pawl_message_id => '7',
        pawl_published => '2026-01-02T03:04:05.678Z');
    my $second = park(
        {release => '4f2c1a9'}, CloudPubSubDeadLetterSourceDeliveryCount => '5',
        CloudPubSubDeadLetterSourceSubscription        => 'push',
        CloudPubSubDeadLetterSourceSubscriptionProject => 'p1',
        CloudPubSubDeadLetterSourceTopicPublishTime    => '2026-01-03T00:00:00Z'
    );
    my $third = park(undef, note => 'by hand');
    for my $arguments ([], ['--list'], ['--list', '--all']) {
        my $run = replay($arguments);
        is($run->{exit}, 0, "exit 0: @$arguments") or diag $run->{err};
        my @lines = split /\n/, $run->{out};
        like($lines[0], qr/^id +first published +target +release +why$/, 'headings');
        like($lines[1],
            qr/^$first +2026-01-02T03:04:05Z +shop +r1 +MIGRATION_FAILED: 0003_c\.sql:4: relation "x" does not exist$/,
            'by the worker');
        like($lines[2], qr/^$second +2026-01-03T00:00:00Z +- +4f2c1a9 +5 deliveries to push failed$/, 'by Pub/Sub');
        like($lines[3], qr/^$third +\d{4}-\d\d-\d\dT\S+Z +- +- +$/,                                   'by whoever');
        like($lines[4], qr/^3 parked; send back with --all/,                                          'and what to do');
    }
    is(count_parked(),      3, 'all are still parked');
    is(scalar sent_again(), 0, 'nothing was sent');
    is(clear_parked(),      3, 'and given back at once');
};

subtest 'JSON says the same' => sub {
    my $id  = park({target => 'shop'}, %why, pawl_message_id => '7', pawl_published => '2026-01-02T03:04:05.678Z');
    my $run = replay(['--json']);
    is_deeply(
        $run->{json},
        {
            subscription => 'projects/p1/subscriptions/parked', topic => 'projects/p1/topics/migrate', chosen => 0,
            sent         => 0, dropped => 0, more => JSON::PP::false,
            messages     => [
                {
                    id     => $id, original_id => '7', published => '2026-01-02T03:04:05.678Z', state => 'parked',
                    target => 'shop',
                    error  => 'MIGRATION_FAILED', reason => '0003_c.sql:4: relation "x" does not exist'
                }
            ],
        },
        'one object'
    ) or diag $run->{out} . $run->{err};
    clear_parked();
};

subtest 'all goes back as it was, with a link to the original' => sub {
    park({a => 1}, %why, pawl_message_id => '7', pawl_published => '2026-01-02T03:04:05.678Z', env => 'prod',
        key => 'shop');
    my $bare =
        park("not json \xff", CloudPubSubDeadLetterSourceDeliveryCount => '5', googclient_schemaencoding => 'JSON');
    my $run = replay(['--all']);
    is($run->{exit}, 0, 'exit 0') or diag $run->{err};
    my ($one, $two) = sent_again();
    is(decode_base64($one->{data}), '{"a":1}', 'the data');
    is($one->{orderingKey},         'shop',    'the ordering key');
    is_deeply($one->{attributes}, {env => 'prod', pawl_replay_of => '7', pawl_published => '2026-01-02T03:04:05.678Z'},
        'its own attributes and ours');
    is(decode_base64($two->{data}),        "not json \xff", 'whatever the data was');
    is($two->{attributes}{pawl_replay_of}, $bare,           'the link, as far as it is known');
    is_deeply([sort keys %{$two->{attributes}}], [qw(pawl_published pawl_replay_of)], 'nothing of the platform');
    is(count_parked(), 0, 'nothing stays parked');
    like($run->{out},
        qr/sent back as $one->{messageId}\n.*sent back as $two->{messageId}\n2 of 2 sent back to projects\/p1\/topics\/migrate, 0 stay parked\n\z/s,
        'and it says so');
    is(replay(['--all'])->{out}, "nothing is parked in projects/p1/subscriptions/parked\n",
        'a second time there is nothing to do');
    is(scalar sent_again(), 0, 'and nothing is sent twice');
};

subtest 'a dry run shows what would go' => sub {
    park({target => 'shop'}, %why);
    park({target => 'blog'}, %why, pawl_target => 'blog');
    my $run = replay(['--target', 'blog', '--dry-run']);
    like($run->{out}, qr/blog .*\n +would be sent back\n1 of 2 would be sent back to projects\/p1\/topics\/migrate$/m, 'and counts');
    is(scalar sent_again(), 0, 'nothing was sent');
    is(count_parked(),      2, 'nothing was taken');
    clear_parked();
};

subtest 'messages are chosen by id, target and age' => sub {
    my $old     = park({n => 1}, %why, pawl_message_id => '71', pawl_published => ago(7200), pawl_target => 'shop');
    my $new     = park({n => 2}, %why, pawl_message_id => '72', pawl_published => ago(60),   pawl_target => 'shop');
    my $other   = park({n => 3}, %why, pawl_message_id => '73', pawl_published => ago(7200), pawl_target => 'blog');
    my $numbers = sub {
        my ($run) = @_;
        return join ',', map { $_->{id} } grep { $_->{state} eq 'would be sent back' } @{$run->{json}{messages}};
    };
    my @cases = (
        [['--id', $new],                                $new],
        [['--id', '71'],                                $old],
        [['--id', '71', "--id=$new"],                   "$old,$new"],
        [['--target', 'blog'],                          $other],
        [['--target', 'nobody'],                        ''],
        [['--older-than', '1h'],                        "$old,$other"],
        [['--newer-than', '1h'],                        $new],
        [['--older-than', '1h', '--target', 'shop'],    $old],
        [['--older-than', '30s', '--newer-than', '1h'], $new],
        [['--all'],                                     "$old,$other,$new"],
    );
    for my $case (@cases) {
        is($numbers->(replay([@{$case->[0]}, '--dry-run', '--json'])), $case->[1], "@{$case->[0]}");
    }
    my $run = replay(['--id', '72']);
    is($run->{exit}, 0, 'exit 0') or diag $run->{err};
    is_deeply([map { decode_base64($_->{data}) } sent_again()], ['{"n":2}'], 'only that one went');
    is(count_parked(), 2, 'the others stay');
    is(clear_parked(), 2, 'and were given back at once');
};

subtest 'what can never be served is dropped where that is said, and nothing else' => sub {
    my $bad  = park({relase => 'x'}, %why, pawl_error => 'REQUEST_MALFORMED');
    my $good = park({}, %why);
    is(replay(['--drop'])->{exit}, 2, 'not without a choice');
    like(replay(['--id', $bad, '--drop', '--dry-run'])->{out}, qr/^$bad .*\n +would be dropped\n$good .*\n1 of 2 would be dropped$/m,
        'a dry run shows it');
    is(count_parked(), 2, 'and takes nothing');
    my $run = replay(['--target', 'nobody', '--drop']);
    like($run->{out}, qr/^none of 2 is chosen, all stay parked$/m, 'a choice that fits none');
    $cloud->fault('/v1/projects/p1/subscriptions/parked:acknowledge', status => 400, body => '{}');
    $run = replay(['--id', $bad, '--drop']);
    $cloud->clear_faults;
    is($run->{exit}, 1, 'what is not acknowledged is a failure');
    like($run->{err}, qr/message $bad was not dropped/, 'and named');
    $run = replay(['--id', $bad, '--drop'], PAWL_TOPIC => undef);
    is($run->{exit}, 0, 'no topic is needed') or diag $run->{err};
    like($run->{out}, qr/^$bad .*\n +dropped\n$good .*\n1 of 1 dropped, 1 stay parked$/m, 'shown and counted');
    $run = replay(['--json', '--all', '--drop']);
    is_deeply([map { "$_->{id} $_->{state}" } @{$run->{json}{messages}}], ["$good dropped"], 'each with its state');
    is($run->{json}{dropped}, 1, 'and their number');
    is(count_parked(),        0, 'gone');
    is(scalar sent_again(),   0, 'and nothing was sent');
};

subtest 'an id that is not there stops everything' => sub {
    my $id  = park({}, %why);
    my $run = replay(['--id', $id, '--id', '999']);
    is($run->{exit}, 2, 'exit 2');
    like($run->{err}, qr/no message 999/, 'named');
    is(scalar sent_again(), 0, 'nothing was sent');
    is(count_parked(),      1, 'it stays parked');
    clear_parked();
};

subtest 'a publish that fails leaves everything parked' => sub {
    park({n => $_}, %why) for 1 .. 3;
    $cloud->fault('/v1/projects/p1/topics/migrate:publish', status => 503);
    my $run = replay(['--all', '--timeout', '1s']);
    is($run->{exit}, 3, 'exit 3 when it may pass');
    like($run->{err}, qr/PUBSUB_UNAVAILABLE/, 'with its code');
    $cloud->clear_faults;
    $cloud->fault('/v1/projects/p1/topics/migrate:publish', status => 403,
        body => '{"error":{"status":"PERMISSION_DENIED","message":"no"}}');
    $run = replay(['--all']);
    $cloud->clear_faults;
    is($run->{exit}, 1, 'exit 1 when it does not');
    like($run->{err}, qr/PERMISSION_DENIED: no/, 'with the reason');
    is(count_parked(),            3, 'nothing is lost');
    is(scalar sent_again(),       0, 'nothing was sent');
    is(replay(['--all'])->{exit}, 0, 'and the next one does it');
    is(scalar sent_again(),       3, 'all three');
};

subtest 'an acknowledgement that fails is told, and nothing is lost' => sub {
    my $id = park({}, %why);
    $cloud->fault('/v1/projects/p1/subscriptions/parked:acknowledge', status => 400, body => '{}');
    my $run = replay(['--all']);
    $cloud->clear_faults;
    is($run->{exit}, 1, 'exit 1');
    like($run->{err}, qr/message $id was sent back as \d+, and is still parked too/, 'and says which');
    is(scalar sent_again(), 1, 'it was sent');
    is(count_parked(),      1, 'and is still there');
    clear_parked();
};

subtest 'killed in the middle: what is parked and what was sent is everything' => sub {
    my $count = 12;
    $cloud->create_topic('dead-too');
    $cloud->create_subscription('parked-too', topic => 'dead-too', ackDeadlineSeconds => 10)
        ;    # of its own: what was held stays held for a minute
    $cloud->publish('dead-too', {n => $_}, attributes => {%why}) for 1 .. $count;
    $cloud->fault('/v1/projects/p1/topics/migrate:publish', delay_ms => 100);
    my $left    = sub { return $cloud->deliveries('parked-too')->{unacknowledged} };
    my $process = start_pawl(['replay', '--all', '--subscription', 'parked-too'], env => \%env);
    wait_until { $left->() <= $count - 3 } seconds => 20, what => 'three messages to be gone';
    $process->signal('KILL');
    $process->wait_end(10);
    $cloud->clear_faults;
    my %sent = map { (decode_base64($_->{data}) => 1) } sent_again();
    cmp_ok(scalar(keys %sent),             '<',  $count, 'it was in the middle');
    cmp_ok(scalar(keys %sent) + $left->(), '>=', $count, 'and nothing is lost: published first, acknowledged after');
};

subtest 'what Pub/Sub does not take keeps nothing else from going back' => sub {
    my $bad = park({release => 'bad'}, map { ("x$_" => 'x') } 1 .. 99);
    my $good = park({release => 'good'}, %why);
    my $run = replay(['--all', '--json']);
    is($run->{exit}, 1, 'exit 1');
    is_deeply([map { "$_->{id} $_->{state}" } @{$run->{json}{messages}}], ["$bad parked", "$good sent back"], 'the other one went');
    is($run->{json}{error}, 'PUBSUB_REFUSED', 'the code');
    like($run->{json}{message}, qr/^message $bad was not sent back: .*100 attributes/, 'which, and why');
    is_deeply([grep {/release/} map { decode_base64($_->{data}) } sent_again()], ['{"release":"good"}'], 'as one message');
    is(clear_parked(), 1, 'the refused one is still parked');
    park({release => "r$_"}, %why) for 1 .. 5;
    $cloud->fault('/v1/' . $cloud->topic_name('migrate') . ':publish', status => 403);
    $run = replay(['--all', '--json']);
    $cloud->clear_faults;
    is($run->{exit}, 1, 'a topic that takes nothing: exit 1');
    is(scalar(grep { $_->{state} eq 'parked' } @{$run->{json}{messages}}), 5, 'all are still parked');
    is(clear_parked(), 5, 'and given back');
};

subtest 'what is wrong is refused before anything is pulled' => sub {
    for my $case (
        [[],                             {PAWL_DEAD_LETTER_SUBSCRIPTION => undef}, 2, qr/--subscription/],
        [['--all'],                      {PAWL_TOPIC => undef},                    2, qr/--topic/],
        [['--subscription', 'nonesuch'], {},                                       1, qr/NOT_FOUND/],
        [['--subscription', 'projects/p1/topics/dead'], {},                        2, qr/subscriptions/],
        [['--older-than', '1d'],                        {},                        2, qr/--older-than/],
        [['all'],                                       {},                        2, qr/takes no argument/],
        )
    {
        my ($arguments, $more, $exit, $words) = @$case;
        my $run = replay($arguments, %$more);
        is($run->{exit}, $exit, "exit $exit: @$arguments");
        like($run->{err}, $words, 'and says why');
    }
};

subtest 'the whole way: failed, parked by Pub/Sub, mended, replayed, applied' => sub {
    my $database   = Pawl::Postgres->new;
    my $migrations = Pawl::Migrations->new('0001_a.sql' => "CREATE TABLE a ();\nSELECT nonsense;\n");
    my $worker     = Pawl::Worker->start(database => $database, migrations => $migrations, cloud => $cloud);
    $cloud->create_subscription(
        'push', topic => 'migrate', push => $worker->url . '/', account => $worker->account,
        audience           => $worker->audience,
        ackDeadlineSeconds => 30, retryPolicy => {minimumBackoff => '0.1s', maximumBackoff => '0.2s'},
        deadLetterPolicy   => {deadLetterTopic => 'dead', maxDeliveryAttempts => 5}
    );
    my $id = $cloud->publish('migrate', {reason => 'deploy'});
    wait_until { count_parked() == 1 } seconds => 30, what => 'the message to be parked';
    my $run = replay(['--json']);
    my ($message) = @{$run->{json}{messages}};
    ok($message->{reason},         "it says why: $message->{reason}");
    ok(!$database->has_table('a'), 'nothing was half done');
    $migrations->write('0001_a.sql', "CREATE TABLE a ();\n");
    $run = replay(['--id', $message->{id}, '--json']);
    is($run->{exit}, 0, 'sent back') or diag $run->{err};
    my $delivery = $cloud->wait_acknowledged('push', $run->{json}{messages}[0]{sent_as});
    is($json->decode($delivery->{answer})->{status}, 'applied', 'and applied');
    ok($database->has_table('a'), 'the table is there');
    is(count_parked(), 0, 'nothing is parked');
};

subtest 'the whole way again, parked by the worker: a second failure still names the first message' => sub {
    my $database   = Pawl::Postgres->new;
    my $migrations = Pawl::Migrations->new('0001_a.sql' => "CREATE TABLE a ();\nSELECT nonsense;\n");
    my $worker     = Pawl::Worker->start(
        database => $database, migrations => $migrations, cloud => $cloud,
        env => {PUBSUB_EMULATOR_HOST => $host, PAWL_DEAD_LETTER_TOPIC => $cloud->topic_name('dead')}
    );
    $cloud->create_topic('deploys');
    $cloud->create_subscription(
        'push-deploys', topic => 'deploys', push => $worker->url . '/',
        account => $worker->account, audience => $worker->audience, ackDeadlineSeconds => 30
    );
    my $id = $cloud->publish('deploys', {reason => 'deploy'});
    for my $round ('first', 'second') {
        wait_until { count_parked() == 1 } seconds => 30, what => "the message to be parked, $round time";
        my ($message) = @{replay(['--json'])->{json}{messages}};
        is($message->{error}, 'MIGRATION_FAILED', "$round failure: its code");
        like($message->{reason}, qr/0001_a\.sql.*line 2.*nonsense|0001_a\.sql:2:.*nonsense/, 'file, line and words');
        is($message->{target}, 'default', 'the target');
        is($message->{original_id}, $id, 'and the message that it began with');
        $migrations->write('0001_a.sql', "CREATE TABLE a ();\n") if $round eq 'second';
        my $run = replay(['--id', $id, '--topic', 'deploys']);
        is($run->{exit}, 0, 'sent back by the original id') or diag $run->{err};
    }
    wait_until { $database->has_table('a') } seconds => 30, what => 'the table';
    is(count_parked(), 0, 'applied, and nothing is parked');
};

done_testing();
