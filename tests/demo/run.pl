#!/usr/bin/perl
# `make run`: the worker, a database and the local Pub/Sub, left running to play with until Ctrl-C. The worker reads migrations/ itself,
# so that a file added there is applied by the next message. Run by tests/with-postgres.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../lib";
use Cwd qw(abs_path);
use stage qw(say_step show set_up environment);

package here {    # the real folder, where Pawl::Worker wants something with a folder
    sub new { my ($class, $folder) = @_; return bless {folder => $folder}, $class }
    sub folder { return $_[0]{folder} }
}

$| = 1;
my $folder = abs_path("$FindBin::Bin/../../migrations");
my ($database, $cloud, undef, $worker) = set_up(migrations => here->new($folder), cloud_port => $ENV{CLOUD_PORT} // 8085, port => $ENV{PORT} // 8080);
say_step('running; Ctrl-C ends it');
show("worker     " . $worker->url);
show("Pub/Sub    " . $cloud->url . "    (topics pawl-migrate and pawl-dead, subscriptions pawl-push and pawl-dead)");
show("database   " . $database->url);
show("migrations $folder    (a file added here is applied by the next message)");

say_step('paste this into another shell');
my %environment = environment($cloud, $worker);
my $build       = abs_path($ENV{BUILD} // 'build/debug');
sub exported { my (%variables) = @_; return join ' ', 'export', map { "$_=" . ($variables{$_} =~ m{[^\w.:/-]} ? "'$variables{$_}'" : $variables{$_}) } sort keys %variables }
show(exported(%{$environment{pawl}}));
show(exported(%{$environment{gcloud}}));
show(exported(DATABASE_URL => $database->url, PAWL_MIGRATIONS => $folder) . qq( PATH="$build:\$PATH"));
show(qq{TOKEN=\$(curl -s -H Metadata-Flavor:Google '$environment{identity}')});

say_step('then, for example');
show($_) for 'pawl publish --release abc --wait',
    q(gcloud pubsub topics publish pawl-migrate --message='{"release":"abc"}'),
    "curl -s $environment{publish} -d '" . '{"messages":[{"attributes":{"release":"abc"}}]}' . "'",
    qq(curl -s -H "Authorization: Bearer \$TOKEN" $environment{pawl}{PAWL_URL}/targets/default),
    'pawl status',
    'pawl replay';
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
