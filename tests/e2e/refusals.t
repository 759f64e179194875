#!/usr/bin/perl
# Whoever has no right to migrate is refused before a byte of the body is looked at, with one code for each reason; and bodies that are no
# push are refused by whoever has. Nothing of all that reaches the database.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use JSON::PP ();
use MIME::Base64 qw(encode_base64url encode_base64);
use Pawl::LocalCloud;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Wait qw(wait_until);
use Pawl::Worker;

my $cloud      = Pawl::LocalCloud->start;
my $database   = Pawl::Postgres->new;
my $migrations = Pawl::Migrations->new('0001_a.sql' => 'CREATE TABLE a ();');
my $worker     = Pawl::Worker->start(database => $database, migrations => $migrations, cloud => $cloud);
my $body = {message => {messageId => '1', publishTime => '2026-01-01T00:00:00Z', data => ''}, subscription => 'projects/p/subscriptions/s'};
my %good = (aud => $worker->audience, email => $worker->account);
my $false = JSON::PP::false();

sub token { my (%wish) = @_; $wish{claims} = {%good, %{$wish{claims} // {}}}; return $cloud->token(%wish) }
sub push_with { my ($token) = @_; return $worker->request(POST => '/', body => $body, token => $token) }

my $now = time;
my %matrix = (
    'another key'                      => [401, 'TOKEN_SIGNATURE',     token(key => 'rogue', header => {kid => $cloud->keys->{current}})],
    'a key that is not published'      => [401, 'TOKEN_KEY_UNKNOWN',   token(key => 'rogue', header => {kid => 'nosuch'})],
    'no algorithm and no signature'    => [401, undef,                 token(key => 'none', header => {alg => 'none'})],
    'no algorithm'                     => [401, 'TOKEN_ALGORITHM',     token(header => {alg => 'none'})],
    'no algorithm, spelt nOnE'         => [401, 'TOKEN_ALGORITHM',     token(header => {alg => 'nOnE'})],
    'HS256 with the public key'        => [401, 'TOKEN_ALGORITHM',     token(key => 'hs256-public')],
    'RS256 announced, HMAC made'       => [401, 'TOKEN_SIGNATURE',     token(key => 'hs256-public', header => {alg => 'RS256', kid => $cloud->keys->{current}})],
    'another audience'                 => [401, 'TOKEN_AUDIENCE',      token(claims => {aud => 'https://other'})],
    'our audience and a slash'         => [401, 'TOKEN_AUDIENCE',      token(claims => {aud => $worker->audience . '/'})],
    'a list of audiences'              => [401, undef,                 token(claims => {aud => [$worker->audience]})],
    'no audience'                      => [401, 'TOKEN_CLAIMS',        token(claims => {aud => undef})],
    'another issuer'                   => [401, 'TOKEN_ISSUER',        token(claims => {iss => 'https://accounts.example'})],
    'another account'                  => [403, 'CALLER_NOT_ALLOWED',  token(claims => {email => 'other@pawl-test.iam.gserviceaccount.com'})],
    'our account in capitals'          => [403, 'CALLER_NOT_ALLOWED',  token(claims => {email => uc $worker->account})],
    'no e-mail'                        => [401, 'TOKEN_CLAIMS',        token(claims => {email => undef})],
    'an e-mail that is not verified'   => [403, 'CALLER_UNVERIFIED',   token(claims => {email_verified => $false})],
    'an e-mail verified in words'      => [403, 'CALLER_UNVERIFIED',   token(claims => {email_verified => 'true'})],
    'expired'                          => [401, 'TOKEN_EXPIRED',       token(claims => {iat => $now - 7200, exp => $now - 3600})],
    'not yet valid'                    => [401, 'TOKEN_NOT_YET_VALID', token(claims => {iat => $now + 3000, exp => $now + 6000})],
    'a life of a week'                 => [401, 'TOKEN_NOT_YET_VALID', token(claims => {iat => $now, exp => $now + 604800})],
    'no expiry'                        => [401, 'TOKEN_CLAIMS',        token(claims => {exp => undef})],
    'an expiry in words'               => [401, 'TOKEN_CLAIMS',        token(claims => {exp => '' . ($now + 3600)})],
    'a critical header'                => [401, 'TOKEN_MALFORMED',     token(header => {crit => ['b64'], b64 => $false})],
    'no key id'                        => [401, undef,                 token(header => {kid => undef})],
    'two segments'                     => [401, 'TOKEN_MALFORMED',     (token() =~ /^(.*)\./)[0]],
    'four segments'                    => [401, 'TOKEN_MALFORMED',     token() . '.x'],
    'padding'                          => [401, 'TOKEN_MALFORMED',     token() . '='],
    'something after it'               => [401, 'TOKEN_MALFORMED',     token() . ' x'],
    'a signature of one byte less'     => [401, 'TOKEN_SIGNATURE',     substr(token(), 0, -2)],
    'the signature taken off'          => [401, 'TOKEN_SIGNATURE_REMOVED', (token() =~ /^(.*)\./)[0] . '.SIGNATURE_REMOVED_BY_GOOGLE'],
    'nothing at all'                   => [401, undef,                 ''],
);
my ($header, $payload) = split /\./, token();
my $claims = JSON::PP->new->encode({%good, email_verified => JSON::PP::true(), iss => 'https://accounts.google.com', sub => '1', iat => $now, exp => $now + 3600});
(my $twice = $claims) =~ s/\}$/,"aud":"https:\/\/other"}/;
(my $twin = $claims) =~ s/\}$/,"AUD":"https:\/\/other"}/;
(my $cut = $claims) =~ s/\Q@{[$worker->audience]}\E/@{[$worker->audience]}\\u0000evil/;
$matrix{'our audience with a NUL'} = [401, undef, $cloud->token(signing_input => "$header." . encode_base64url($cut))];
$matrix{'the audience twice'} = [401, undef, $cloud->token(signing_input => "$header." . encode_base64url($twice))];
$matrix{'the audience in capitals too'} = [401, 'TOKEN_CLAIMS', $cloud->token(signing_input => "$header." . encode_base64url($twin))];
$matrix{'claims with a tail'} = [401, undef, $cloud->token(signing_input => "$header." . encode_base64url("$claims\0{}"))];

for my $name (sort keys %matrix) {
    my ($status, $code, $token) = @{$matrix{$name}};
    my $response = push_with($token);
    is($response->{status}, $status, "$name: $status");
    is($response->{json}{error}, $code, "$name: $code") if $code;
}
is(push_with($matrix{'another audience'}[2])->{json}{message}, 'The token is meant for another audience.', 'a stranger is not told which audience is expected');

my $response = $worker->request(POST => '/', body => $body);
is($response->{status}, 401, 'no token: 401');
is($response->{json}{error}, 'TOKEN_MISSING', 'no token: its code');
my $line = 'Authorization: Bearer ' . token();
my $payload_text = JSON::PP->new->encode($body);
sub raw_push {
    my (@lines) = @_;
    my $answer = $worker->raw(join("\r\n", 'POST / HTTP/1.1', 'Host: pawl', 'Content-Type: application/json', 'Connection: close', 'Content-Length: ' . length $payload_text, @lines, '', $payload_text));
    return $answer =~ m{^HTTP/1\.1 (\d+)} ? $1 : 'nothing';
}
is(raw_push($line, $line), 401, 'two Authorization fields, equal ones even: 401');
is(raw_push("$line\0junk"), 400, 'a NUL behind the token: 400');
is(raw_push("X-Serverless-$line"), 401, 'a token in X-Serverless-Authorization: 401');
is(raw_push('Authorization: Basic ' . encode_base64('a:b', '')), 401, 'another scheme: 401');
is($worker->raw("POST / HTTP/1.1\r\nHost: pawl\r\nContent-Length: 500000\r\n\r\n") =~ m{^HTTP/1\.1 (\d+)} && $1, 401, 'the token is judged before a byte of the body is there');
is($database->value(q{SELECT count(*) FROM pg_namespace WHERE nspname = 'pawl'}), 0, 'none of them reached the database');

my @envelopes = (
    ['not JSON', 'hello'], ['a list', '[]'], ['no message', '{"subscription":"projects/p/subscriptions/s"}'],
    ['no message id', '{"message":{"publishTime":"2026-01-01T00:00:00Z"},"subscription":"projects/p/subscriptions/s"}'],
    ['two message ids', '{"message":{"messageId":"1","message_id":"2","publishTime":"2026-01-01T00:00:00Z"},"subscription":"projects/p/subscriptions/s"}'],
    ['no subscription', '{"message":{"messageId":"1","publishTime":"2026-01-01T00:00:00Z"}}'],
    ['data that is not base64', '{"message":{"messageId":"1","publishTime":"2026-01-01T00:00:00Z","data":"%%"},"subscription":"projects/p/subscriptions/s"}'],
    ['attributes that are no object', '{"message":{"messageId":"1","publishTime":"2026-01-01T00:00:00Z","attributes":[]},"subscription":"projects/p/subscriptions/s"}'],
    ['a member twice', '{"message":{"messageId":"1","messageId":"1","publishTime":"2026-01-01T00:00:00Z"},"subscription":"projects/p/subscriptions/s"}'],
    ['something after it', JSON::PP->new->encode($body) . '{}'], ['nothing', ''],
);
for my $case (@envelopes) {
    my ($name, $text) = @$case;
    my $answer = $worker->request(POST => '/', body => $text, token => token());
    is($answer->{status}, 400, "$name: 400");
    is($answer->{json}{error}, 'ENVELOPE_MALFORMED', "$name: its code");
}
is($worker->request(POST => '/', body => 'x' x 1_100_000, token => token())->{status}, 413, 'a body over the limit: 413');
is($worker->request(GET => '/', token => token())->{status}, 405, 'another method: 405');
is($worker->request(GET => '/nowhere')->{status}, 404, 'another path: 404');
is($worker->request(GET => '/health')->{status}, 200, 'GET /health: 200');

my @secrets = map { split /\./, $_->[2] } values %matrix;
my $log = join '', map { $_->{line} } $worker->logs;
my @leaked = grep { length > 40 and index($log, $_) >= 0 } @secrets;
is(scalar @leaked, 0, 'no part of a token is in the log');
is($worker->stop, 0, 'SIGTERM: exit code 0');
done_testing();
