#!/usr/bin/perl
# Two revisions and the messages of three deploys: a message that outruns the roll-out waits for its revision, an older deploy's message or
# replay is served by the newer image, which says so.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use JSON::PP ();
use POSIX qw(strftime);
use Pawl::LocalCloud;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Worker;

my $cloud    = Pawl::LocalCloud->start;
my $database = Pawl::Postgres->new;
my $json     = JSON::PP->new->utf8;
sub at { my ($seconds) = @_; return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time + $seconds)) }

my %files = ('0001_a.sql' => 'CREATE TABLE a ();');
my $old_files = Pawl::Migrations->new(%files);
my $new_files = Pawl::Migrations->new(%files, '0002_b.sql' => 'CREATE TABLE b ();');
my ($old, $new) = map {
    Pawl::Worker->start(database => $database, cloud => $cloud, migrations => $_->[0], env => {PAWL_RELEASE => $_->[1], PAWL_BUILT => at($_->[2])})
} [$old_files, 'one', -3600], [$new_files, 'two', -60];
$cloud->create_topic('migrate');
my %oidc = (oidcToken => {serviceAccountEmail => $old->account, audience => $old->audience});
sub route { my ($worker) = @_; return $cloud->request(POST => '/v1/' . $cloud->subscription_name('push') . ':modifyPushConfig', {pushConfig => {pushEndpoint => $worker->url . '/', %oidc}}) }
$cloud->create_subscription('push', topic => 'migrate', push => $old->url . '/', account => $old->account, audience => $old->audience,
    ackDeadlineSeconds => 20, retryPolicy => {minimumBackoff => '0.1s', maximumBackoff => '0.3s'});

subtest 'a message of the release that is here' => sub {
    my $delivery = $cloud->wait_acknowledged('push', $cloud->publish('migrate', {release => 'one'}));
    is($json->decode($delivery->{answer})->{status}, 'applied', 'is served');
};

subtest 'a message that outruns the roll-out waits for its revision' => sub {
    my $id = $cloud->publish('migrate', {release => 'two'});
    my @attempts = $cloud->wait_attempts('push', $id, 2);
    is($attempts[0]{status}, 503, 'the old revision sends it back');
    is($json->decode($attempts[0]{answer})->{error}, 'RELEASE_NOT_HERE', 'and says why');
    ok(!$database->has_table('b'), 'nothing ran');
    route($new);
    my $delivery = $cloud->wait_acknowledged('push', $id);
    is($json->decode($delivery->{answer})->{status}, 'applied', 'the new revision serves it');
    ok($database->has_table('b'), 'with its own files');
};

subtest 'an older deploy, published before the new image was built, is served by it' => sub {
    my $token = $cloud->token(claims => {aud => $new->audience, email => $new->account});
    my %message = (%{$cloud->message({release => 'one'})}, messageId => '7001', publishTime => at(-1800));
    my $response = $new->request(POST => '/', token => $token, body => {message => \%message, subscription => 'projects/p/subscriptions/s'});
    is($response->{status}, 200, 'is served');
    is($response->{json}{served_by}, 'two', 'the answer says by which release');
    is($response->{json}{release}, 'one', 'and for which');
};

subtest 'a replay keeps the time of its original' => sub {
    my $delivery = $cloud->wait_acknowledged('push', $cloud->publish('migrate', {release => 'one'}, attributes => {pawl_published => at(-1800), pawl_replay_of => '1'}));
    is($json->decode($delivery->{answer})->{served_by}, 'two', 'so the newer image serves it');
    my $id = $cloud->publish('migrate', {release => 'one'});
    my ($first) = $cloud->wait_attempts('push', $id, 1);
    is($first->{status}, 503, 'while a new message of a release that is not here waits');
};

is($_->stop, 0, 'exit code 0') for $old, $new;
done_testing();
