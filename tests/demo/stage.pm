# The stage of `make demo` and `make run`: a database, the local Pub/Sub with its topics and subscriptions, and the worker, wired as in
# production: push with a signed token, five attempts, then the dead-letter topic.
package stage;
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Exporter qw(import);
use Pawl::LocalCloud;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Worker;
our @EXPORT_OK = qw(say_step show set_up);

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
        env => {PORT => $options{port} // 0, PAWL_LOG_FORMAT => 'json', GOOGLE_CLOUD_PROJECT => 'demo'});
    $cloud->create_topic($_) for qw(pawl-migrate pawl-dead);
    $cloud->create_subscription('pawl-parked', topic => 'pawl-dead');
    $cloud->create_subscription('pawl-push', topic => 'pawl-migrate', push => $worker->url . '/', account => $worker->account,
        audience => $worker->audience, ackDeadlineSeconds => 60, retryPolicy => {minimumBackoff => '0.1s', maximumBackoff => '1s'},
        deadLetterPolicy => {deadLetterTopic => 'pawl-dead', maxDeliveryAttempts => 5});
    return ($database, $cloud, $migrations, $worker);
}

1;
