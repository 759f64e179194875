# What Pub/Sub does, as clauses that run against localcloud and against the official emulator, so that the stand-in
# cannot drift. Where the two differ, localcloud follows production; every such difference has a name in %DIFFERENCES and
# is checked on both sides. Pushes of the emulator go through localcloud's signing relay, which gives them what they lack.
package Pawl::Contract;
use strict;
use warnings;
use Exporter qw(import);
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use Test::More;
use Time::HiRes qw(time);
use Pawl::Receiver;
use Pawl::Wait qw(wait_until);
our @EXPORT_OK = qw(check_contract);

#     what                                    production (localcloud)   emulator
#<<<
our %DIFFERENCES = (
    'status 202 acknowledges'              => [1,                        0],
    'status 203 acknowledges'              => [0,                        1],
    'the push says its ordering key'       => [1,                        0],
    'an attribute-only push has data'      => [0,                        1],
    'ordered pushes are dead-lettered'     => [1,                        0],    # measured: not in 70 s
    'exactly-once push is refused'         => [1,                        0],
    'filters are applied'                  => [1,                        0],
    'a nonsense filter is refused'         => [1,                        0],
    'an ack deadline of 5 s is refused'    => [1,                        0],
    'more than 100 attributes are refused' => [1,                        0],
    'values over 1,024 bytes are refused'  => [1,                        0],
);
#>>>

my $ACCOUNT  = 'push@contract.iam.gserviceaccount.com';
my $AUDIENCE = 'https://pawl.example';

# check_contract(pubsub => Pawl::PubSub, kind => 'localcloud' or 'emulator', receiver => Pawl::Receiver, endpoint => sub
# of a path giving the push URL)
sub check_contract {
    my (%server)  = @_;
    my $self      = bless {%server, serial => 0}, __PACKAGE__;
    my $deadlines = $self->begin_deadlines;                      # they take ten seconds: the rest goes on meanwhile
    #<<<
    my @clauses   = (
        ['topics are created once and found by name',            'topics'],
        ['bad names are refused',                                'names'],
        ['publishing refuses what is no message',                'refusals'],
        ['a pulled message is what was published',               'pull'],
        ['a message comes until it is acknowledged',             'redelivery'],
        ['a push has the documented shape',                      'push_shape'],
        ['a message of attributes alone is pushed',              'push_attributes'],
        ['five statuses acknowledge, all others do not',         'statuses'],
        ['a refused push comes again with the same id',          'retry'],
        ['an ordering key waits for its refused message',        'ordering'],
        ['used-up attempts end in the dead-letter topic',        'dead_letter'],
        ['subscriptions can be changed, paused and removed',     'subscriptions'],
        ['filters keep messages out',                            'filters'],
        ['limits',                                               'limits'],
        ['seeking back delivers again',                          'seek'],
    );
    #>>>
    for my $clause (@clauses) {
        my ($name, $method) = @$clause;
        subtest $name => sub { $self->$method };
    }
    subtest 'at the ack deadline a message comes again' => sub { $self->end_deadlines($deadlines) };
    return;
}

# ---- helpers -------------------------------------------------------------------------------------------------

sub differs {
    my ($self, $name) = @_;
    my $row = $DIFFERENCES{$name} // die "no difference is named '$name'";
    return $row->[$self->{kind} eq 'emulator' ? 1 : 0];
}

# A topic of its own for each clause, so that clauses do not meet.
sub fresh {
    my ($self) = @_;
    my $id = 'contract-' . ++$self->{serial};
    $self->{pubsub}->create_topic($id);
    return $id;
}

sub push_to {
    my ($self, $topic, $path, %options) = @_;
    my $id = "$topic-" . ++$self->{serial};
    $self->{pubsub}->create_subscription(
        $id,
        topic => $topic,
        ackDeadlineSeconds => 10,
        push => $self->{endpoint}->($path),
        account => $ACCOUNT,
        audience => $AUDIENCE,
        %options,
    );
    return $id;
}

sub arrived {
    my ($self, $path, $count) = @_;
    my @requests;
    wait_until { (@requests = $self->{receiver}->requests($path)) >= $count } seconds => 20,
        what => "$count pushes to $path";
    return @requests;
}

sub refused {
    my ($self, $method, $path, $body, $status, $name) = @_;
    my ($got, $answer) = $self->{pubsub}->try_request($method, "/v1/projects/$self->{pubsub}{project}/$path", $body);
    is $got, $status, $name;
    return ref $answer ? $answer->{error} : undef;
}

sub pull_until {
    my ($self, $subscription, $count) = @_;
    my @received;
    wait_until { push @received, $self->{pubsub}->pull($subscription); @received >= $count } seconds => 30,
        what => "$count messages on $subscription";
    return @received;
}

# ---- topics and publishing -----------------------------------------------------------------------------------

sub topics {
    my ($self)  = @_;
    my $pubsub  = $self->{pubsub};
    my $created = $pubsub->create_topic('contract-topic');
    is $created->{name}, $pubsub->topic_name('contract-topic'), 'the resource has its full name';
    my $error = $self->refused(PUT => 'topics/contract-topic', {}, 409, 'a second one is refused');
    is $error->{status}, 'ALREADY_EXISTS', 'with Google\'s name for it';
    is $error->{code}, 409, 'and its number';
    is $pubsub->request(GET => '/v1/' . $created->{name})->{name}, $created->{name}, 'it can be read';
    my $list = $pubsub->request(GET => "/v1/projects/$pubsub->{project}/topics")->{topics};
    ok + (grep { $_->{name} eq $created->{name} } @$list), 'it is in the list';
    $pubsub->create_subscription('contract-of-topic', topic => 'contract-topic');
    is_deeply $pubsub->request(GET => "/v1/$created->{name}/subscriptions")->{subscriptions},
        [$pubsub->subscription_name('contract-of-topic')], 'it knows its subscriptions';
    $pubsub->request(DELETE => "/v1/$created->{name}");
    is $self->refused(GET => 'topics/contract-topic', undef, 404, 'it can be deleted')->{status}, 'NOT_FOUND',
        'and is not found then';
    is $pubsub->request(GET => '/v1/' . $pubsub->subscription_name('contract-of-topic'))->{topic}, '_deleted-topic_',
        'its subscription outlives it';
    return;
}

sub names {
    my ($self) = @_;
    $self->refused(PUT => 'topics/t1', {}, 400, 'two characters');
    $self->refused(PUT => 'topics/1topic', {}, 400, 'a digit in front');
    $self->refused(PUT => 'topics/google-topic', {}, 400, 'goog in front');
    $self->refused(PUT => 'topics/' . 'x' x 256, {}, 400, '256 characters');
    $self->refused(
        PUT => 'subscriptions/s1',
        {topic => $self->{pubsub}->topic_name('nobody')}, 400, 'a short subscription'
    );
    $self->refused(
        PUT => 'subscriptions/contract-lost',
        {topic => $self->{pubsub}->topic_name('nobody')}, 404, 'a topic that is not there'
    );
    $self->refused(POST => 'subscriptions/nobody:pull', {maxMessages => 1}, 404, 'a subscription that is not there');
    return;
}

sub refusals {
    my ($self) = @_;
    my $topic = $self->fresh;
    $self->refused(POST => 'topics/nobody:publish', {messages => [{data => 'YQ=='}]}, 404, 'no such topic');
    $self->refused(POST => "topics/$topic:publish", {messages => []}, 400, 'no messages');
    $self->refused(POST => "topics/$topic:publish", {messages => [{}]}, 400, 'an empty message');
    $self->refused(POST => "topics/$topic:publish", {messages => [{data => '%%%'}]}, 400, 'data that is not base64');
    $self->refused(
        POST => "topics/$topic:publish",
        {messages => [map { {data => 'YQ=='} } 1 .. 1001]}, 400, '1,001 messages'
    );
    $self->refused(POST => "topics/$topic:publish", '{"messages":', 400, 'no JSON');
    return;
}

sub limits {
    my ($self)  = @_;
    my $topic   = $self->fresh;
    my $publish = sub {
        my ($message) = @_;
        return (
            $self->{pubsub}->try_request(
                POST => '/v1/' . $self->{pubsub}->topic_name($topic) . ':publish',
                {messages => [$message]}))[0];
    };
    is $publish->({attributes => {map { ("a$_" => 'x') } 1 .. 100}}), 200, '100 attributes';
    is $publish->({attributes => {map { ("a$_" => 'x') } 1 .. 101}}),
        $self->differs('more than 100 attributes are refused') ? 400 : 200, '101 attributes';
    is $publish->({attributes => {a => 'x' x 1024}}), 200, 'a value of 1,024 bytes';
    is $publish->({attributes => {a => 'x' x 1025}}),
        $self->differs('values over 1,024 bytes are refused') ? 400 : 200, 'a value of 1,025 bytes';
    my $subscribe = sub { return {topic => $self->{pubsub}->topic_name($topic), ackDeadlineSeconds => $_[0]} };
    $self->refused(PUT => 'subscriptions/contract-601', $subscribe->(601), 400, 'an ack deadline of 601 s');
    $self->refused(PUT => 'subscriptions/contract-600', $subscribe->(600), 200, 'an ack deadline of 600 s');
    $self->refused(
        PUT => 'subscriptions/contract-5',
        $subscribe->(5), $self->differs('an ack deadline of 5 s is refused') ? 400 : 200, 'an ack deadline of 5 s'
    );
    return;
}

# ---- pull ----------------------------------------------------------------------------------------------------

sub pull {
    my ($self) = @_;
    my $pubsub = $self->{pubsub};
    my $topic  = $self->fresh;
    $pubsub->create_subscription("$topic-pull", topic => $topic, enableMessageOrdering => JSON::PP::true());
    my $bytes      = join '', map {chr} 0 .. 255;
    my $id         = $pubsub->publish($topic, $bytes, attributes => {env => 'prod', empty => ''}, key => 'k');
    my ($received) = $self->pull_until("$topic-pull", 1);
    is $received->{message}{messageId}, $id, 'the id that publishing gave';
    is $received->{bytes}, $bytes, 'the same bytes';
    is_deeply $received->{message}{attributes}, {env => 'prod', empty => ''}, 'the same attributes';
    is $received->{message}{orderingKey}, 'k', 'the ordering key';
    like $received->{message}{publishTime}, qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z\z/,
        'the publish time in RFC 3339';
    ok !exists $received->{deliveryAttempt}, 'no delivery attempt without a dead-letter policy';
    $pubsub->acknowledge("$topic-pull", $received);
    my @same     = map { $pubsub->publish($topic, $_, key => 'same') } 1 .. 3;
    my @together = $self->pull_until("$topic-pull", 3);
    is_deeply [map { $_->{message}{messageId} } @together], \@same, 'messages with one ordering key come in order';
    $pubsub->publish($topic, 'later', key => 'same');
    is_deeply [$pubsub->pull("$topic-pull")], [], 'and the next of the key when they are acknowledged';
    $pubsub->acknowledge("$topic-pull", @together);
    is + ($self->pull_until("$topic-pull", 1))[0]{bytes}, 'later', 'not earlier';
    my @ids = $pubsub->publish_all($topic, map { {data => $_} } '-_-_', '+/+/', 'YQ', 'YQ==');
    is scalar(keys %{{map { $_ => 1 } @ids}}), 4, 'each message has an id of its own';
    my %data = map { $_->{message}{messageId} => $_->{message}{data} } $self->pull_until("$topic-pull", 4);
    is_deeply [@data{@ids}], ['+/+/', '+/+/', 'YQ==', 'YQ=='],
        'both alphabets of base64, padded or not, come back in the standard one';
    return;
}

sub redelivery {
    my ($self) = @_;
    my $pubsub = $self->{pubsub};
    my $topic  = $self->fresh;
    $pubsub->create_subscription("$topic-pull", topic => $topic);
    my $id = $pubsub->publish($topic, 'again');
    my ($first) = $self->pull_until("$topic-pull", 1);
    is_deeply [$pubsub->pull("$topic-pull")], [], 'leased to one puller, it is not given to another';
    $pubsub->deadline("$topic-pull", 0, $first);
    my ($second) = $self->pull_until("$topic-pull", 1);
    is $second->{message}{messageId}, $id, 'given back, it comes again with the same id';
    isnt $second->{ackId}, $first->{ackId}, 'with another ack id';
    $pubsub->acknowledge("$topic-pull", $second);
    $pubsub->deadline("$topic-pull", 60, $second);
    is_deeply [$pubsub->pull("$topic-pull")], [], 'acknowledged, it stays away';
    $self->refused(
        POST => "subscriptions/$topic-pull:acknowledge",
        {ackIds => ['nonsense']}, 400, 'a foreign ack id is refused'
    );
    return;
}

# ---- push ----------------------------------------------------------------------------------------------------

sub push_shape {
    my ($self) = @_;
    my $pubsub = $self->{pubsub};
    my $topic  = $self->fresh;
    my $grave  = $self->fresh;
    my $path   = "/answer/200/$topic";
    my $name   = $self->push_to(
        $topic, $path,
        enableMessageOrdering => JSON::PP::true(),
        deadLetterPolicy => {deadLetterTopic => $grave});
    my $id      = $pubsub->publish($topic, {a => 1}, attributes => {env => 'prod'}, key => 'k');
    my ($push)  = $self->arrived($path, 1);
    my $message = $push->{body}{message};
    is $push->{method}, 'POST', 'it is a POST';
    like $push->{headers}{'content-type'}, qr{^application/json}, 'of JSON';
    is $push->{body}{subscription}, $pubsub->subscription_name($name), 'it names the subscription in full';
    is $message->{messageId}, $id, 'it has the id';
    is $message->{message_id}, $id, 'and its twin';
    like $message->{publishTime}, qr/Z\z/, 'it has the publish time';
    is $message->{publish_time}, $message->{publishTime}, 'and its twin';
    is decode_base64($message->{data}), '{"a":1}', 'it has the data';
    is_deeply $message->{attributes}, {env => 'prod'}, 'it has the attributes';
    is $message->{orderingKey}, $self->differs('the push says its ordering key') ? 'k' : undef,
        'it has the ordering key';
    is $push->{body}{deliveryAttempt}, 1, 'it counts the attempt, as there is a dead-letter policy';
    like $push->{text}, qr{projects\\/}, 'slashes are escaped';
    my ($header, $claims)
        = map { JSON::PP->new->utf8->decode(decode_base64(tr{-_}{+/}r)) }
        ($push->{headers}{authorization} // '') =~ /\ABearer ([\w-]+)\.([\w-]+)\.[\w-]+\z/;
    is $header->{alg}, 'RS256', 'it carries a signed token';
    is $claims->{aud}, $AUDIENCE, 'for the audience of the subscription';
    is $claims->{email}, $ACCOUNT, 'of its service account';
    return;
}

sub push_attributes {
    my ($self) = @_;
    my $topic  = $self->fresh;
    my $path   = "/answer/200/$topic";
    $self->push_to($topic, $path);
    $self->{pubsub}->publish($topic, undef, attributes => {target => 'main'});
    my ($push) = $self->arrived($path, 1);
    is_deeply $push->{body}{message}{attributes}, {target => 'main'}, 'the attributes are there';
    is $push->{body}{message}{data} // '', '', 'and no data';
    is exists $push->{body}{message}{data} ? 1 : 0, $self->differs('an attribute-only push has data'),
        'not even an empty one';
    return;
}

sub statuses {
    my ($self)        = @_;
    my @refusing      = (400, 401, 403, 404, 413, 429, 500, 503, 206);
    my @acknowledging = (102, 200, 201, 204);
    for my $status (202, 203) {
        push @{$self->differs("status $status acknowledges") ? \@acknowledging : \@refusing}, $status;
    }
    my %path  = map { $_ => "/answer/$_/statuses" } @acknowledging, @refusing;
    my $topic = $self->fresh;
    my @names = map { $self->push_to($topic, $path{$_}) } sort keys %path;
    $self->{pubsub}->publish($topic, 'status');
    $self->arrived($path{$_}, 2) for @refusing;
    for my $status (@acknowledging) {
        is scalar($self->{receiver}->requests($path{$status})), 1, "$status acknowledges";
    }
    for my $status (@refusing) {
        cmp_ok scalar($self->{receiver}->requests($path{$status})), '>=', 2, "$status does not";
    }
    $self->{pubsub}->request(DELETE => '/v1/' . $self->{pubsub}->subscription_name($_))
        for @names;    # or they go on for ever
    return;
}

sub retry {
    my ($self) = @_;
    my $topic  = $self->fresh;
    my $path   = "/after/2/200/$topic";
    $self->push_to($topic, $path);
    my $id     = $self->{pubsub}->publish($topic, 'retry');
    my @pushes = $self->arrived($path, 3);
    is_deeply [map { $_->{body}{message}{messageId} } @pushes], [$id, $id, $id], 'three times the same id';
    is_deeply [map { $_->{body}{message}{publishTime} } @pushes], [($pushes[0]{body}{message}{publishTime}) x 3],
        'and the same publish time';
    ok !exists $pushes[0]{body}{message}{orderingKey}, 'no ordering key where none was given';
    return;
}

sub ordering {
    my ($self) = @_;
    my $pubsub = $self->{pubsub};
    my $topic  = $self->fresh;
    my $path   = "/after/3/200/$topic";
    $self->push_to($topic, $path, enableMessageOrdering => JSON::PP::true());
    my @first  = map { $pubsub->publish($topic, "first $_", key => 'one') } 1 .. 3;
    my @pushes = $self->arrived($path, 6);
    my @ids    = map { $_->{body}{message}{messageId} } @pushes;
    is_deeply [@ids[0 .. 3]], [($first[0]) x 4], 'the refused first message is tried until it is acknowledged';
    is_deeply [@ids[4, 5]], [@first[1, 2]], 'then the others come in order';
    return;
}

sub dead_letter {
    my ($self)   = @_;
    my $pubsub   = $self->{pubsub};
    my $topic    = $self->fresh;
    my $grave    = $self->fresh;
    my $path     = "/answer/500/$topic";
    my %resource = (
        topic => $pubsub->topic_name($topic),
        deadLetterPolicy => {deadLetterTopic => $pubsub->topic_name($grave), maxDeliveryAttempts => 4});
    my $error = $self->refused(PUT => 'subscriptions/contract-four', \%resource, 400, 'four attempts are too few');
    is $error->{status}, 'OUT_OF_RANGE', 'by range';
    $pubsub->create_subscription("$grave-pull", topic => $grave, enableMessageOrdering => JSON::PP::true());
    my @ordered = $self->differs('ordered pushes are dead-lettered') ? (enableMessageOrdering => JSON::PP::true()) : ();
    my $name    = $self->push_to($topic, $path, @ordered,
        deadLetterPolicy => {deadLetterTopic => $grave, maxDeliveryAttempts => 5});
    my $id       = $pubsub->publish($topic, 'dead', attributes => {env => 'prod'}, key => 'k');
    my ($buried) = $self->pull_until("$grave-pull", 1);
    my ($first)  = $self->arrived($path, 5);
    my $message  = $buried->{message};
    isnt $message->{messageId}, $id, 'it has another id';
    is $buried->{bytes}, 'dead', 'the same data';
    is $message->{orderingKey}, 'k', 'and the same ordering key';
    is $message->{attributes}{env}, 'prod', 'its attributes are kept';
    is $message->{attributes}{CloudPubSubDeadLetterSourceDeliveryCount}, 5, 'it says how often it was tried';
    is $message->{attributes}{CloudPubSubDeadLetterSourceSubscription}, $name, 'in which subscription';
    is $message->{attributes}{CloudPubSubDeadLetterSourceSubscriptionProject}, $pubsub->project, 'of which project';
    is $message->{attributes}{CloudPubSubDeadLetterSourceTopicPublishTime} =~ s/\.?0*Z\z//r,
        $first->{body}{message}{publishTime} =~ s/\.?0*Z\z//r, 'and when it was published first';
    is_deeply [map { $_->{body}{deliveryAttempt} } $self->{receiver}->requests($path)], [1 .. 5],
        'five attempts were made';
    return;
}

# ---- subscriptions -------------------------------------------------------------------------------------------

sub subscriptions {
    my ($self) = @_;
    my $pubsub = $self->{pubsub};
    my $topic  = $self->fresh;
    my $path   = "/answer/200/$topic";
    my $name   = $self->push_to($topic, $path);
    my $full   = '/v1/' . $pubsub->subscription_name($name);
    is $pubsub->request(GET => $full)->{pushConfig}{oidcToken}{audience}, $AUDIENCE, 'what was configured can be read';
    $self->refused(
        PUT => "subscriptions/$name",
        {topic => $pubsub->topic_name($topic)}, 409, 'a second one is refused'
    );
    my $changed = $pubsub->request(
        PATCH => $full, {
            subscription =>
                {ackDeadlineSeconds => 60, retryPolicy => {minimumBackoff => '1s', maximumBackoff => '2.5s'}},
            updateMask => 'ackDeadlineSeconds,retryPolicy'
        });
    is $changed->{ackDeadlineSeconds}, 60, 'a field is changed';
    is $changed->{retryPolicy}{maximumBackoff}, '2.500s', 'durations are written as Google writes them';
    is $changed->{pushConfig}{pushEndpoint}, $self->{endpoint}->($path), 'the others stay';
    my ($status) = $pubsub->try_request(PATCH => $full, {subscription => {topic => 'x'}, updateMask => 'topic'});
    is $status, 400, 'its topic cannot be changed';
    $pubsub->request(POST => "$full:modifyPushConfig", {pushConfig => {}});
    my $id = $pubsub->publish($topic, 'paused');
    my ($received) = $self->pull_until($name, 1);
    is $received->{message}{messageId}, $id, 'paused, it can be pulled';
    $pubsub->request(DELETE => $full);
    is $self->refused(GET => "subscriptions/$name", undef, 404, 'it can be deleted')->{status}, 'NOT_FOUND',
        'and is not found then';
    ($status) = $pubsub->try_request(
        PUT => '/v1/' . $pubsub->subscription_name("$topic-once"), {
            topic => $pubsub->topic_name($topic),
            enableExactlyOnceDelivery => JSON::PP::true(),
            pushConfig => {pushEndpoint => $self->{endpoint}->($path)}});
    is $status, $self->differs('exactly-once push is refused') ? 400 : 200, 'exactly-once delivery is for pull alone';
    return;
}

sub filters {
    my ($self) = @_;
    my $pubsub = $self->{pubsub};
    my $topic  = $self->fresh;
    my %filter = (
        equal => 'attributes.env = "prod"',
        other => 'attributes.env != "prod"',
        has => 'attributes:env AND NOT attributes:"x y"',
        prefix => '(hasPrefix(attributes.env, "pr") OR attributes.env="test")',
    );
    my ($status) = $pubsub->try_request(
        PUT => '/v1/' . $pubsub->subscription_name("$topic-bad"),
        {topic => $pubsub->topic_name($topic), filter => 'env is prod'});
    is $status, $self->differs('a nonsense filter is refused') ? 400 : 200, 'a nonsense filter';
    $pubsub->create_subscription("$topic-$_", topic => $topic, filter => $filter{$_}) for sort keys %filter;
    my %id = map { $_ => $pubsub->publish($topic, 'x', attributes => {env => $_}) } 'prod', 'test', 'dev';
    my %passes
        = $self->differs('filters are applied')
        ? (equal => ['prod'], other => ['test', 'dev'], has => ['prod', 'test', 'dev'], prefix => ['prod', 'test'])
        : map { $_ => ['prod', 'test', 'dev'] } keys %filter;

    for my $name (sort keys %filter) {
        my @received = $self->pull_until("$topic-$name", scalar @{$passes{$name}});
        is_deeply [sort map { $_->{message}{messageId} } @received], [sort @id{@{$passes{$name}}}], $filter{$name};
    }
    return;
}

sub seek {
    my ($self) = @_;
    my $pubsub = $self->{pubsub};
    my $topic  = $self->fresh;
    my $full   = '/v1/' . $pubsub->subscription_name("$topic-pull");
    $pubsub->create_subscription("$topic-pull", topic => $topic, retainAckedMessages => JSON::PP::true());
    my $id = $pubsub->publish($topic, 'again');
    $pubsub->acknowledge("$topic-pull", $self->pull_until("$topic-pull", 1));
    my ($status) = $pubsub->try_request(POST => "$full:seek", {time => '2026-01-01T00:00:00Z'});
    is $status, 200, 'back to a time before it was published';
    is + ($self->pull_until("$topic-pull", 1))[0]{message}{messageId}, $id, 'it comes again with the same id';
    $pubsub->request(POST => "$full:seek", {time => '2100-01-01T00:00:00Z'});
    is_deeply [$pubsub->pull("$topic-pull")], [], 'seeking ahead acknowledges everything';
    return;
}

# ---- the ack deadline ----------------------------------------------------------------------------------------

sub begin_deadlines {
    my ($self) = @_;
    my $pubsub = $self->{pubsub};
    my $topic  = $self->fresh;
    my %begun  = (push => "/never/$topic", pull => "$topic-pull");
    $pubsub->create_subscription("$topic-pull", topic => $topic, ackDeadlineSeconds => 10);
    $begun{name} = $self->push_to($topic, $begun{push});
    $begun{id}   = $pubsub->publish($topic, 'late');
    ($begun{lease}) = $self->pull_until("$topic-pull", 1);
    $begun{at} = time;
    return \%begun;
}

sub end_deadlines {
    my ($self, $begun)   = @_;
    my ($first, $second) = $self->arrived($begun->{push}, 2);
    is $second->{body}{message}{messageId}, $begun->{id}, 'a push without an answer comes again';
    cmp_ok $second->{at} - $first->{at}, '>=', 9.5, 'not before its deadline';
    my ($received) = $self->pull_until($begun->{pull}, 1);
    is $received->{message}{messageId}, $begun->{id}, 'a message pulled and not acknowledged comes again';
    $self->{pubsub}->request(DELETE => '/v1/' . $self->{pubsub}->subscription_name($begun->{name}));
    return;
}

1;
