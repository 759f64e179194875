#!/usr/bin/perl
# The way down while Google says nothing: whoever waits for a login is told at once, and what leaves on purpose keeps its chance until the
# grace is over.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Select;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);
use Pawl::LocalCloud;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Process qw(built);
use Pawl::Wait qw(wait_until patience);
use Pawl::Worker;

my $cloud      = Pawl::LocalCloud->start;
my $database   = Pawl::Postgres->new;
my $migrations = Pawl::Migrations->new('0001_a.sql' => 'CREATE TABLE a ();');
delete $ENV{DATABASE_URL}; # that of the private server
my $SECRET     = 'secret:projects/p/secrets/s/versions/1';

# A server that takes connections and never answers; heard() waits until somebody has asked it.
my $silent = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', LocalPort => 0) or die "cannot listen: $!";
my $nowhere = '127.0.0.1:' . $silent->sockport;
sub heard {
    wait_until { IO::Select->new($silent)->can_read(0) } what => 'somebody to ask Google';
    return $silent->accept; # is kept open
}

# How long it takes to end after the signal, and its exit code.
sub end_of {
    my ($process, $signal) = @_;
    my $start = time;
    $process->signal($signal);
    my $exit = $process->wait_end;
    return (time - $start, $exit);
}

subtest 'a login that Google does not answer for does not keep the service' => sub {
    my $worker = Pawl::Worker->start(migrations => $migrations, cloud => $cloud, ready => 0, env => {DATABASE_URL => $SECRET, GCE_METADATA_HOST => $nowhere});
    $worker->port;
    my $asked = heard();
    my ($seconds, $exit) = end_of($worker->process, 'TERM');
    cmp_ok($seconds, '<', patience(2), 'it ends at once');
    is($exit, 0, 'exit code 0');
    $worker->wait_log(qr/every delivery was answered/);
};

subtest 'nor does a delivery that waits for it' => sub {
    my $worker = Pawl::Worker->start(migrations => $migrations, cloud => $cloud, ready => 0, env => {DATABASE_URL => $SECRET, GCE_METADATA_HOST => $nowhere});
    $cloud->create_topic('slow');
    $cloud->create_subscription('slow', topic => 'slow', push => $worker->url . '/', account => $worker->account, audience => $worker->audience, ackDeadlineSeconds => 30);
    my $asked = heard();
    my $id = $cloud->publish('slow', {});
    wait_until { $worker->request(GET => '/health')->{status} == 200 && @{$cloud->deliveries('slow')->{inFlight}} } what => 'the delivery to be under way';
    my ($seconds, $exit) = end_of($worker->process, 'TERM');
    cmp_ok($seconds, '<', patience(2), 'it ends at once');
    is($exit, 0, 'exit code 0');
    my ($delivery) = $cloud->wait_attempts('slow', $id, 1);
    is($delivery->{status}, 503, 'the delivery is told to come again');
    like($delivery->{answer}, qr/"SHUTTING_DOWN"/, 'and why');
};

subtest 'nor keys that are not sent' => sub {
    my $worker = Pawl::Worker->start(database => $database, migrations => $migrations, ready => 0, env => {PAWL_JWKS_URL => "http://$nowhere/certs"});
    $worker->port;
    my $asked = heard();
    my ($seconds, $exit) = end_of($worker->process, 'TERM');
    cmp_ok($seconds, '<', patience(2), 'it ends at once');
    is($exit, 0, 'exit code 0');
};

subtest 'told to end before it listens, it does' => sub {
    my %waits = (
        'a targets file that is a secret' => {PAWL_TARGETS => $SECRET},
        'a topic whose project only Google knows' => {DATABASE_URL => $database->url, PAWL_RESULT_TOPIC => 'results', GOOGLE_CLOUD_PROJECT => undef},
    );
    for my $what (sort keys %waits) {
        my $worker = Pawl::Worker->start(migrations => $migrations, cloud => $cloud, ready => 0, env => {GCE_METADATA_HOST => $nowhere, %{$waits{$what}}});
        my $asked = heard();
        my ($seconds, $exit) = end_of($worker->process, 'TERM');
        cmp_ok($seconds, '<', patience(2), "$what: at once");
        is($exit, 0, 'exit code 0');
        $worker->wait_log(qr/told to end, before it listened/);
        ok(!grep({ $_->{message} =~ /listening/ } $worker->logs), 'nothing listened');
    }
};

subtest 'Ctrl-C ends a verb of the shell that waits for Google' => sub {
    my $process = Pawl::Process->start(name => 'pawl migrate', quiet => 1, command => [built('pawl'), 'migrate'],
        env => {DATABASE_URL => $SECRET, GCE_METADATA_HOST => $nowhere, PAWL_MIGRATIONS => $migrations->folder});
    my $asked = heard();
    my ($seconds, $exit) = end_of($process, 'INT');
    cmp_ok($seconds, '<', patience(2), 'at once');
    is($exit, 3, 'as what may be tried again');
    like($process->err, qr/shutting down/, 'and says why');
};

# ---- what leaves on the way down -------------------------------------------------------------------------------------

$cloud->create_topic('dead');
$cloud->create_subscription('parked', topic => 'dead');
my $publish = '/v1/' . $cloud->topic_name('dead') . ':publish';

# A worker that is told to end while it parks a message, its first: `path` takes so long to answer.
sub park_late {
    my ($name, $path, $delay_ms) = @_;
    my $worker = Pawl::Worker->start(database => $database, migrations => $migrations, cloud => $cloud,
        env => {$cloud->google, CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB => $cloud->url, PAWL_DEAD_LETTER_TOPIC => $cloud->topic_name('dead'), PAWL_GRACE => '1500ms'});
    $cloud->create_topic($name);
    $cloud->create_subscription($name, topic => $name, push => $worker->url . '/', account => $worker->account, audience => $worker->audience, ackDeadlineSeconds => 30);
    $cloud->fault($path, delay_ms => $delay_ms);
    my $id = $cloud->publish($name, {nosuch => 1});
    $worker->wait_log(qr/nosuch/); # it was refused, and is being parked
    my ($seconds, $exit) = end_of($worker->process, 'TERM');
    $cloud->clear_faults;
    my ($delivery) = $cloud->wait_attempts($name, $id, 1);
    return ($seconds, $exit, $delivery);
}

for my $case (['token', '/computeMetadata/'], ['topic', $publish]) {
    my ($what, $path) = @$case;
    subtest "a dead letter that waits for its $what when the end comes is still parked" => sub {
        my ($seconds, $exit, $delivery) = park_late("late-$what", $path, 1000);
        cmp_ok($seconds, '>', 0.5, 'it is waited for');
        is($exit, 0, 'exit code 0');
        is($delivery->{status}, 200, 'the delivery is acknowledged');
        my ($letter) = $cloud->wait_pulled('parked', 1);
        is($letter->{message}{attributes}{pawl_error}, 'REQUEST_MALFORMED', 'the letter lies there');
    };
}

subtest 'one that Pub/Sub does not take is given up a second after the grace, and not acknowledged' => sub {
    my ($seconds, $exit, $delivery) = park_late('never', $publish, 30000);
    cmp_ok($seconds, '>', 1.5, 'not before the grace is over');
    cmp_ok($seconds, '<', patience(5), 'soon after');
    is($exit, 0, 'exit code 0');
    cmp_ok($delivery->{status}, '>=', 400, 'it will come again');
};

done_testing();
