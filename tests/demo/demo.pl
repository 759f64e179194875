#!/usr/bin/perl
# `make demo`: a published message migrates a real PostgreSQL through the real worker; then a duplicate, a migration that fails and is
# parked, the fix and its replay. Run by tests/with-postgres; ends by itself.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../lib";
use JSON::PP ();
use Pawl::Shell qw(pawl);
use stage qw(say_step show set_up environment);

$| = 1;
say_step('a private PostgreSQL, a local Pub/Sub that signs its pushes, and the worker');
my ($database, $cloud, $migrations, $worker) = set_up();
my %environment = environment($cloud, $worker);
show("database   " . $database->url);
show("Pub/Sub    " . $cloud->url . "   topics pawl-migrate, pawl-dead");
show("worker     " . $worker->url . "   pawl serve, pid " . $worker->pid);

# A command as a person types it, and what it prints.
sub type {
    my (@arguments) = @_;
    show(join ' ', '$ pawl', map { /\s/ ? "'$_'" : $_ } @arguments);
    my $ended = pawl([@arguments, -t STDOUT && !$ENV{NO_COLOR} ? '--color=always' : ()],
        database => $database, migrations => $migrations, env => $environment{pawl});
    show($ended->{out} . $ended->{err} . ($ended->{exit} ? "exit code $ended->{exit}" : ''));
    return $ended->{out};
}

# The worker's answer to a push, without the list of files that it gives as well.
sub told {
    my ($delivery) = @_;
    my $body = eval { JSON::PP->new->decode($delivery->{answer} // '') } or return "POST / -> $delivery->{status}";
    my $what = $body->{error} ? "$body->{error}: $body->{message}"
        : "$body->{status} ($body->{applied} applied, version $body->{version}, $body->{ms} ms)";
    return "POST / -> $delivery->{status}  $what";
}

sub show_answer {
    my ($id) = @_;
    return show(told($cloud->wait_acknowledged('pawl-push', $id)));
}

say_step('a deploy publishes one message, and waits for the result');
my $start = time;
my ($id) = type('publish', '--release', '4f2c1a9', '--reason', 'first deploy', '--wait') =~ /^(\d+)/;
show_answer($id);
show($database->execute(q{SELECT 'select * from products:  ' || string_agg(title, ' | ' ORDER BY sku) FROM products}));

say_step('Pub/Sub delivers it once more: nothing to do');
$cloud->seek('pawl-push', $start);
show(told(($cloud->wait_attempts('pawl-push', $id, 2))[-1]));

say_step('a migration with a mistake: parked at once, nothing is half done');
my $wrong = "ALTER TABLE orders ADD COLUMN coupon text;\nCREATE INDEX orders_coupon ON orders (cuopon);\n";
$migrations->write('0007_coupons.sql', $wrong);
($id) = type('publish', '--release', '8d03e77', '--wait') =~ /^(\d+)/;
show_answer($id);
show('columns named orders.coupon: '
        . $database->value(q{SELECT count(*) FROM information_schema.columns WHERE table_name = 'orders' AND column_name = 'coupon'}));
type('replay');

say_step('the fix, and the replay of what is parked');
(my $right = $wrong) =~ s/cuopon/coupon/;
$migrations->write('0007_coupons.sql', $right);
($id) = type('replay', '--all') =~ /sent back as (\d+)/;
show_answer($id);

say_step('what the database says');
type('status');

say_step('SIGTERM: the worker ends by itself');
show('exit code ' . $worker->stop);
$cloud->stop;
