# A small client of the Pub/Sub REST interface, for localcloud and for the official emulator.
package Pawl::PubSub;
use strict;
use warnings;
use Carp qw(croak);
use HTTP::Tiny;
use JSON::PP ();
use MIME::Base64 qw(encode_base64 decode_base64);
use POSIX qw(strftime);
use Pawl::Wait qw(patience);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

sub at {
    my ($class, $url, $project) = @_;
    return bless {url => $url, project => $project}, $class;
}

sub url { return $_[0]{url} }
sub project { return $_[0]{project} }
sub topic_name { my ($self, $id) = @_; return $id =~ m{/} ? $id : "projects/$self->{project}/topics/$id" }
sub subscription_name { my ($self, $id) = @_; return $id =~ m{/} ? $id : "projects/$self->{project}/subscriptions/$id" }

# One request; the body is a Perl structure. Returns (status, decoded answer or text).
sub try_request {
    my ($self, $method, $path, $body) = @_;
    my $http = HTTP::Tiny->new(timeout => patience(20), max_redirect => 0);
    my %content
        = defined $body
        ? (content => ref $body ? $json->encode($body) : $body, headers => {'Content-Type' => 'application/json'})
        : ();
    my $response = $http->request($method, $self->{url} . $path, \%content);
    my $decoded  = eval { $json->decode($response->{content}) };
    return ($response->{status}, $decoded // $response->{content});
}

# The same, but anything else than 200 dies.
sub request {
    my ($self, $method, $path, $body) = @_;
    my ($status, $answer) = $self->try_request($method, $path, $body);
    croak "$method $path: $status " . (ref $answer ? $json->encode($answer) : $answer) if $status != 200;
    return $answer;
}

sub create_topic {
    my ($self, $id, $resource) = @_;
    return $self->request(PUT => '/v1/' . $self->topic_name($id), $resource // {});
}

# create_subscription('s', topic => 't', push => 'http://127.0.0.1:1/', account => 'push@...', audience => '...', and
# fields of the resource)
sub create_subscription {
    my ($self, $id, %options) = @_;
    my $topic = delete $options{topic};
    my ($push, $account, $audience) = delete @options{qw(push account audience)};
    my %resource = (topic => $self->topic_name($topic), %options);
    if (defined $push) {
        $resource{pushConfig} = {pushEndpoint => $push};
        $resource{pushConfig}{oidcToken}
            = {serviceAccountEmail => $account, defined $audience ? (audience => $audience) : ()}
            if defined $account;
    }
    $resource{deadLetterPolicy}{deadLetterTopic} = $self->topic_name($resource{deadLetterPolicy}{deadLetterTopic})
        if $resource{deadLetterPolicy};
    return $self->request(PUT => '/v1/' . $self->subscription_name($id), \%resource);
}

# A message for :publish. Data may be a Perl structure, which is sent as JSON, or bytes, or undef.
sub message {
    my ($self, $data, %options) = @_;
    my %message;
    $message{data}        = encode_base64(ref $data ? $json->encode($data) : $data, '') if defined $data;
    $message{attributes}  = $options{attributes} if $options{attributes};
    $message{orderingKey} = $options{key} if defined $options{key};
    return \%message;
}

# publish('topic', {target => 'main'}, attributes => {...}, key => '...') returns the message id.
sub publish {
    my ($self, $topic, $data, %options) = @_;
    return ($self->publish_all($topic, $self->message($data, %options)))[0];
}

sub publish_all {
    my ($self, $topic, @messages) = @_;
    return
        @{$self->request(POST => '/v1/' . $self->topic_name($topic) . ':publish', {messages => \@messages})
            ->{messageIds}};
}

# The received messages, each with its data decoded as {bytes}.
sub pull {
    my ($self, $subscription, $most) = @_;
    my $answer = $self->request(
        POST => '/v1/' . $self->subscription_name($subscription) . ':pull',
        {maxMessages => $most // 100, returnImmediately => JSON::PP::true()});
    my @received = @{$answer->{receivedMessages} // []};
    $_->{bytes} = decode_base64($_->{message}{data} // '') for @received;
    return @received;
}

sub acknowledge {
    my ($self, $subscription, @received) = @_;
    return $self->request(
        POST => '/v1/' . $self->subscription_name($subscription) . ':acknowledge',
        {ackIds => [map { ref $_ ? $_->{ackId} : $_ } @received]});
}

sub deadline {
    my ($self, $subscription, $seconds, @received) = @_;
    return $self->request(
        POST => '/v1/' . $self->subscription_name($subscription) . ':modifyAckDeadline',
        {ackIds => [map { ref $_ ? $_->{ackId} : $_ } @received], ackDeadlineSeconds => $seconds});
}

# Everything published since then, in seconds of Unix time, is delivered again, where it is still retained.
sub seek {
    my ($self, $subscription, $since) = @_;
    return $self->request(
        POST => '/v1/' . $self->subscription_name($subscription) . ':seek',
        {time => strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $since)});
}

1;
