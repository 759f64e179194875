#!/usr/bin/perl
# `make run`: the worker, a database and the local Pub/Sub, left running to play with until Ctrl-C. The worker reads migrations/ itself,
# so that a file added there is applied by the next message. Run by tests/with-postgres.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../lib";
use Cwd qw(abs_path);
use stage qw(say_step show set_up);

package here {    # the real folder, where Pawl::Worker wants something with a folder
    sub new { my ($class, $folder) = @_; return bless {folder => $folder}, $class }
    sub folder { return $_[0]{folder} }
}

$| = 1;
my $folder = abs_path("$FindBin::Bin/../../migrations");
my ($database, $cloud, undef, $worker) = set_up(migrations => here->new($folder), cloud_port => $ENV{CLOUD_PORT} // 8085, port => $ENV{PORT} // 8080);
my $project = $cloud->project;
say_step('running; Ctrl-C ends it');
show("worker     " . $worker->url . "    (GET /health, GET /ready, POST /)");
show("Pub/Sub    " . $cloud->url . "    (project $project: topics pawl-migrate and pawl-dead, subscriptions pawl-push and pawl-parked)");
show("database   psql '" . $database->url . "'");
show("migrations $folder");
say_step('publish');
show("curl -s " . $cloud->url . "/v1/projects/$project/topics/pawl-migrate:publish -d '{\"messages\":[{\"attributes\":{\"reason\":\"by hand\"}}]}'");
show("CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB=" . $cloud->url . "/ CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true \\\n"
        . "  gcloud --project=$project pubsub topics publish pawl-migrate --message='{\"release\":\"abc\"}'");
say_step('from a shell');
show("DATABASE_URL='" . $database->url . "' " . ($ENV{BUILD} // 'build/debug') . "/pawl status");
say_step('log');

# What a person wants of a line; whoever pipes this gets the line itself.
sub readable {
    my ($line) = @_;
    my ($clock) = $line->{time} =~ /T(.{8})/;
    my @fields = map { defined $line->{$_} ? "$_=$line->{$_}" : () } qw(messageId deliveryAttempt release code sqlstate);
    return join(' ', $clock, lc $line->{severity}, $line->{message}, @fields) . ($line->{remedy} ? "\n         to do: $line->{remedy}" : '');
}

my $ended = 0;
$SIG{INT} = $SIG{TERM} = sub { $ended = 1 };
my $shown = 0;
while (!$ended && $worker->running) {
    my @lines = $worker->logs;
    show(-t STDOUT && $_->{message} ? readable($_) : $_->{line}) for @lines[$shown .. $#lines];
    $shown = @lines;
    select undef, undef, undef, 0.1;
}
show('the worker ended with exit code ' . $worker->stop);
$cloud->stop;
