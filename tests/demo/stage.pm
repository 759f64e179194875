# The stage of `make demo` and `make run`: a database, the local Pub/Sub with its topics and subscriptions, and the worker, wired as in
# production: push with a signed token, dead letters from the worker at once, from Pub/Sub after five attempts.
package stage;
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Exporter qw(import);
use JSON::PP ();
use Pawl::LocalCloud;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Worker;
our @EXPORT_OK = qw(say_step show set_up environment);

my $audience = 'https://pawl';
my $color = -t STDOUT && !$ENV{NO_COLOR};
sub paint { my ($code, $text) = @_; return $color ? "\e[${code}m$text\e[0m" : $text }
sub say_step { my ($text) = @_; print "\n", paint('1;36', "== $text"), "\n"; return }
sub show { my ($text) = @_; chomp $text; print map { "   $_\n" } split /\n/, $text, -1; return }

# The files of migrations/, in a folder of their own, so that the play may add to them.
sub copy_migrations {
    my %files;
    for my $path (glob "$FindBin::Bin/../../migrations/*.sql") {
        my ($name) = $path =~ m{([^/]+)$};
        open my $in, '<:raw', $path or die "$path: $!";
        local $/;
        $files{$name} = <$in>;
    }
    return Pawl::Migrations->new(%files);
}

sub set_up {
    my (%options) = @_;
    my $database   = Pawl::Postgres->new(name => $options{database} // 'shop');
    my $cloud      = Pawl::LocalCloud->start(project => 'demo', port => $options{cloud_port} // 0);
    my $migrations = $options{migrations} // copy_migrations();
    my $worker     = Pawl::Worker->start(database => $database, migrations => $migrations, cloud => $cloud,
        env => {PORT => $options{port} // 0, PAWL_LOG_FORMAT => 'json', GOOGLE_CLOUD_PROJECT => 'demo', PAWL_AUDIENCE => $audience,
            PAWL_READERS => $cloud->asker, PAWL_DEAD_LETTER_TOPIC => 'pawl-dead', PUBSUB_EMULATOR_HOST => $cloud->host});
    $cloud->create_topic($_) for qw(pawl-migrate pawl-dead);
    $cloud->create_subscription('pawl-dead', topic => 'pawl-dead');
    $cloud->create_subscription('pawl-push', topic => 'pawl-migrate', push => $worker->url . '/', account => $worker->account,
        audience => $audience, ackDeadlineSeconds => 60, retainAckedMessages => JSON::PP::true(),
        retryPolicy => {minimumBackoff => '0.1s', maximumBackoff => '1s'},
        deadLetterPolicy => {deadLetterTopic => 'pawl-dead', maxDeliveryAttempts => 5});
    return ($database, $cloud, $migrations, $worker);
}

# What `pawl publish`, `pawl replay` and gcloud have to know of it.
sub environment {
    my ($cloud, $worker) = @_;
    return (
        pawl => {PUBSUB_EMULATOR_HOST => $cloud->host, GCE_METADATA_HOST => $cloud->host, GOOGLE_CLOUD_PROJECT => $cloud->project,
            PAWL_TOPIC => 'pawl-migrate', PAWL_DEAD_LETTER_SUBSCRIPTION => 'pawl-dead', PAWL_URL => $worker->url, PAWL_AUDIENCE => $audience},
        gcloud => {CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB => $cloud->url . '/', CLOUDSDK_AUTH_DISABLE_CREDENTIALS => 'true',
            CLOUDSDK_CORE_PROJECT => $cloud->project},
        publish  => $cloud->url . '/v1/' . $cloud->topic_name('pawl-migrate') . ':publish',
        identity => $cloud->url . "/computeMetadata/v1/instance/service-accounts/default/identity?audience=$audience",
    );
}

1;
