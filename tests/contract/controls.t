#!/usr/bin/perl
# What localcloud has beyond the contract that the emulator shares: keys, forged tokens, faults, the metadata server,
# and the pace of pushes.
use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/../lib";
use Digest::SHA qw(hmac_sha256);
use File::Temp ();
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 qw(decode_base64url encode_base64url);
use Test::More;
use Time::HiRes qw(time);
use Pawl::LocalCloud;
use Pawl::Process qw(built);
use Pawl::Receiver;
use Pawl::Wait qw(wait_until);

my $json     = JSON::PP->new->utf8;
my $cloud    = Pawl::LocalCloud->start(project => 'controls');
my $receiver = Pawl::Receiver->start;
my $http     = HTTP::Tiny->new(timeout => 20);

sub parts {
    my ($token) = @_;
    my ($header, $claims, $signature) = split /\./, $token, -1;
    return (
        $json->decode(decode_base64url($header)),
        $json->decode(decode_base64url($claims)),
        decode_base64url($signature),
        "$header.$claims"
    );
}

# Whether the signature holds, by the openssl program and the public key.
sub verifies {
    my ($token, $pem) = @_;
    my (undef, undef, $signature, $input) = parts($token);
    my $folder = File::Temp->newdir(TMPDIR => 1);
    my %file   = (pem => $pem, signature => $signature, input => $input);
    for my $name (keys %file) {
        open my $out, '>:raw', "$folder/$name" or die;
        print {$out} $file{$name};
        close $out or die;
    }
    my $openssl = Pawl::Process->start(
        quiet => 1,
        command => [
            'openssl', 'dgst', '-sha256', '-verify', "$folder/pem", '-signature', "$folder/signature", "$folder/input"
        ]);
    return $openssl->wait_end(20) == 0;
}

subtest 'the published keys rotate' => sub {
    my $answer = $http->get($cloud->jwks_url);
    like $answer->{headers}{'cache-control'}, qr/\Apublic, max-age=\d+, must-revalidate/, 'they say how long they hold';
    my @published = @{$json->decode($answer->{content})->{keys}};
    my $keys      = $cloud->keys;
    is_deeply [sort map { $_->{kid} } @published], [sort @$keys{qw(current previous)}], 'two are published';
    is_deeply [sort keys %{$published[0]}], [qw(alg e kid kty n use)], 'with what Google says of them';
    is length decode_base64url($published[0]{n}), 256, '2,048 bits';
    is $keys->{fetches}, 1, 'a fetch is counted';
    my $rotated = $cloud->rotate_keys;
    is $rotated->{current}, $keys->{next}, 'the next becomes current';
    is $rotated->{previous}, $keys->{current}, 'the current one previous';
    my @after = @{$json->decode($http->get($cloud->jwks_url)->{content})->{keys}};
    ok !(grep { $_->{kid} eq $keys->{previous} } @after), 'the previous one is published no more';
    $cloud->cache_keys(7, 5);
    $answer = $http->get($cloud->jwks_url);
    is "$answer->{headers}{'cache-control'} $answer->{headers}{age}",
        'public, max-age=7, must-revalidate, no-transform 5', 'lifetime and age can be set';
};

subtest 'tokens can be made and forged' => sub {
    my $keys = $cloud->keys;
    my ($header, $claims)
        = parts(my $token
            = $cloud->token(claims => {aud => 'https://x', email => undef, extra => [1, {a => JSON::PP::true()}]}));
    ok verifies($token, $keys->{pem}), 'the current key signs';
    is $header->{kid}, $keys->{current}, 'and is named';
    is $claims->{aud}, 'https://x', 'a claim is replaced';
    ok !exists $claims->{email}, 'one is left out';
    is_deeply $claims->{extra}, [1, {a => JSON::PP::true()}], 'one is added';
    is $claims->{exp} - $claims->{iat}, 3600, 'it lives for an hour';
    is $claims->{sub}, $claims->{azp}, 'sub and azp are one';
    $token = $cloud->token(key => 'rogue');
    is + (parts($token))[0]{kid}, $keys->{current}, 'a rogue key claims to be the current one';
    ok !verifies($token, $keys->{pem}), 'and does not verify';
    is + (parts($cloud->token(key => 'next')))[0]{kid}, $keys->{next}, 'the next key can sign before its time';
    ($header, undef, my $signature, my $input) = parts($cloud->token(key => 'hs256-public'));
    is $header->{alg}, 'HS256', 'the public key can be a secret';
    is $signature, hmac_sha256($input, $keys->{pem}), 'for an HMAC';
    like $cloud->token(key => 'none'), qr/\A[\w-]+\.[\w-]+\.\z/, 'none has no signature';
    my $raw = encode_base64url('{"alg":"RS256","alg":"RS256"}') . '.e30=';
    like $cloud->token(signing_input => $raw), qr/\A\Q$raw\E\.[\w-]{342}\z/, 'any bytes can be signed';
    is $cloud->token(signing_input => 'a.b', signature => 'SIGNATURE_REMOVED_BY_GOOGLE'),
        'a.b.SIGNATURE_REMOVED_BY_GOOGLE', 'and any signature given';
    is + ($cloud->try_request(POST => '/localcloud/token', {key => 'unheard'}))[0], 400, 'an unknown key is refused';
};

subtest 'faults strike as asked' => sub {
    $cloud->fault('/oauth2/', status => 500, times => 2, body => 'gone');
    is_deeply [map { $http->get($cloud->jwks_url)->{status} } 1 .. 3], [500, 500, 200], 'twice';
    $cloud->fault('/oauth2/', delay_ms => 300);
    my $begun = time;
    is $http->get($cloud->jwks_url)->{status}, 200, 'a slow answer';
    cmp_ok time - $begun, '>=', 0.29, 'is slow';
    $cloud->clear_faults;
    $cloud->create_topic('faulty');
    $cloud->fault('/v1/projects/controls/topics/faulty:publish', status => 503);
    is +
        ($cloud->try_request(POST => '/v1/projects/controls/topics/faulty:publish', {messages => [{data => 'YQ=='}]}))
        [0], 503, 'publishing can fail';
    $cloud->clear_faults;
    ok $cloud->publish('faulty', 'x'), 'until it is taken back';
};

subtest 'the metadata server answers those who ask properly' => sub {
    my $root   = $cloud->url . '/computeMetadata/v1';
    my %flavor = (headers => {'Metadata-Flavor' => 'Google'});
    is $http->get("$root/project/project-id")->{status}, 403, 'not without the header';
    my $answer = $http->get("$root/project/project-id", \%flavor);
    is $answer->{content}, 'controls', 'the project';
    is $answer->{headers}{'metadata-flavor'}, 'Google', 'with the header in return';
    ok $json->decode($http->get("$root/instance/service-accounts/default/token", \%flavor)->{content})->{access_token},
        'an access token';
    is $http->get("$root/instance/service-accounts/default/identity", \%flavor)->{status}, 400,
        'no identity without an audience';
    my $token = $http->get("$root/instance/service-accounts/default/identity?audience=https://me&format=full", \%flavor)
        ->{content};
    is + (parts($token))[1]{aud}, 'https://me', 'an identity for an audience';
    ok verifies($token, $cloud->keys->{pem}), 'signed';
};

subtest 'pushes keep production\'s pace' => sub {
    $cloud->create_topic('pace');
    $cloud->create_subscription(
        'pace-plain',
        topic => 'pace',
        push => $receiver->url('/after/4/200/plain'),
        account => 'a@b.c'
    );
    my $id    = $cloud->publish('pace', 'x');
    my @tries = $cloud->wait_attempts('pace-plain', $id, 5);
    is_deeply [map {"$_->{attempt} $_->{outcome} $_->{status}"} @tries],
        ['1 refused 500', '2 refused 500', '3 refused 500', '4 refused 500', '5 acknowledged 200'], 'the history tells';
    my @pushes = $receiver->requests('/after/4/200/plain');
    my @gaps   = map { $pushes[$_]{at} - $pushes[$_ - 1]{at} } 1 .. 4;
    cmp_ok $gaps[$_], '>=', 0.09 * 2**$_, 'pause ' . ($_ + 1) . ' has doubled' for 0 .. 3;
    my @claims = map { $_->{headers}{authorization} } @pushes;
    is $claims[0], $claims[4], 'one token serves many pushes';
    is + (parts($claims[0] =~ s/^Bearer //r))[1]{aud}, $receiver->url('/after/4/200/plain'),
        'its audience is the endpoint when none is configured';
    $cloud->create_subscription(
        'pace-policy',
        topic => 'pace',
        push => $receiver->url('/after/2/200/policy'),
        retryPolicy => {minimumBackoff => '1s', maximumBackoff => '1.5s'});
    my $second = $cloud->publish('pace', 'y');
    $cloud->wait_acknowledged('pace-policy', $second);
    @pushes = $receiver->requests('/after/2/200/policy');
    cmp_ok $pushes[1]{at} - $pushes[0]{at}, '>=', 0.99, 'a retry policy sets the pause';
    cmp_ok $pushes[2]{at} - $pushes[1]{at}, '>=', 1.49, 'up to its maximum';
};

subtest 'two hundred pushes at once' => sub {
    $cloud->create_topic('many');
    $cloud->create_subscription('many-push', topic => 'many', push => $receiver->url('/slow/300/200/many'));
    my @ids  = $cloud->publish_all('many', map { $cloud->message("m$_") } 1 .. 600);
    my $most = 0;
    wait_until {
        my $now = $cloud->deliveries('many-push', 'none');
        $most = @{$now->{inFlight}} if @{$now->{inFlight}} > $most;
        $now->{unacknowledged} == 0
    }
    seconds => 30, what => '600 pushes';
    is_deeply [sort map { $_->{body}{message}{messageId} } $receiver->requests('/slow/300/200/many')], [sort @ids],
        'each message once';
    cmp_ok $most, '>', 5, 'the window has grown';
    cmp_ok $most, '<=', 200, 'not beyond its bound';
};

subtest 'an unwrapped push is the bare data' => sub {
    $cloud->create_topic('bare');
    my %push = (pushEndpoint => $receiver->url('/answer/200/bare'), noWrapper => {writeMetadata => JSON::PP::true()});
    $cloud->request(
        PUT => '/v1/projects/controls/subscriptions/bare-push',
        {topic => 'projects/controls/topics/bare', pushConfig => \%push});
    my $id = $cloud->publish('bare', '{"target":"main"}', attributes => {env => 'prod'});
    $cloud->wait_acknowledged('bare-push', $id);
    my ($push) = $receiver->requests('/answer/200/bare');
    is $push->{text}, '{"target":"main"}', 'nothing around it';
    is $push->{headers}{'x-goog-pubsub-message-id'}, $id, 'the id is a header';
    is $push->{headers}{env}, 'prod', 'and so are attributes';
};

subtest 'nonsense does not hurt it' => sub {
    my ($port) = $cloud->url =~ /:(\d+)/;
    for my $bytes (
        "\0\0\0\0",
        "GET / HTTP/1.1\r\nHost: x\r\n",
        "POST /v1/projects/controls/topics/many:publish HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        "GET /%00%ff/v1 HTTP/1.1\r\nHost: x\r\n\r\n",
        'x' x 100000
        )
    {
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die;
        local $SIG{PIPE} = 'IGNORE';
        print {$socket} $bytes;
        close $socket;
    }
    for my $path (
        '/v1', '/v1/',
        '/v1/projects', '/v1/projects//topics/',
        '/v1/projects/p/topics/a/b/c/d/e', '/v1/projects/p/topics/abc:',
        '/relay', '/localcloud/deliveries',
        '/localcloud/nothing'
        )
    {
        my ($status) = $cloud->try_request(POST => $path, {});
        cmp_ok $status, '>=', 400, "POST $path";
    }
    is $http->get($cloud->url . '/')->{content}, "Ok\n", 'it is still there';
};

subtest 'the command line' => sub {
    my ($port) = $cloud->url =~ /:(\d+)/;
    my $run = sub { return Pawl::Process->start(quiet => 1, command => [built('localcloud'), @_]) };
    for my $wrong (
        ['--port', 'x'],
        ['--port', '65536'],
        ['--log', 'loud'],
        ['--relay', 'http://example.com/'],
        ['extra'], ['--nothing'])
    {
        is $run->(@$wrong)->wait_end, 2, "localcloud @$wrong: exit 2";
    }
    is $run->('--port', $port)->wait_end, 1, 'a port that is taken: exit 1';
    my $folder = File::Temp->newdir(TMPDIR => 1);
    my $file   = "$folder/port";
    my $other  = $run->('--port-file', $file, '--log', 'json', '--project', 'other');
    wait_until { -e $file } what => 'the port file';
    open my $in, '<', $file or die;
    chomp(my $said = <$in>);
    is $http->get("http://127.0.0.1:$said/")->{status}, 200, 'the file says the port';
    $http->request(PUT => "http://127.0.0.1:$said/v1/projects/other/topics/abc");
    $http->post("http://127.0.0.1:$said/v1/projects/other/topics/abc:publish",
        {content => '{"messages":[{"data":"YQ=="}]}'});
    wait_until { $other->err =~ /\n/ } what => 'a log line';
    is $json->decode((split /^/, $other->err)[0])->{severity}, 'INFO', 'the log can be JSON';
    is $other->stop, 0, 'SIGTERM: exit 0';
};

subtest 'it ends cleanly with pushes in flight' => sub {
    $cloud->create_topic('last');
    $cloud->create_subscription('last-push', topic => 'last', push => $receiver->url('/never/last'));
    $cloud->publish('last', 'x');
    wait_until { @{$cloud->deliveries('last-push')->{inFlight}} } what => 'a push in flight';
    is $cloud->stop, 0, 'exit 0';
};

done_testing;
