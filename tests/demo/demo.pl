#!/usr/bin/perl
# `make demo`: a published message migrates a real PostgreSQL through the real worker; then a duplicate, a migration that fails and is
# parked, the fix and its replay. Run by tests/with-postgres; ends by itself.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin, "$FindBin::Bin/../lib";
use JSON::PP ();
use Pawl::Shell qw(pawl);
use Pawl::Wait qw(wait_until);
use stage qw(say_step show set_up);

$| = 1;
my $json = JSON::PP->new->canonical;

say_step('a private PostgreSQL, a local Pub/Sub that signs its pushes, and the worker');
my ($database, $cloud, $migrations, $worker) = set_up();
show("database   " . $database->url);
show("Pub/Sub    " . $cloud->url . "   topics pawl-migrate, pawl-dead");
show("worker     " . $worker->url . "   pawl serve, pid " . $worker->pid);

# The worker's answer to a push, without the list of files that it gives as well.
sub told {
    my ($delivery) = @_;
    my $body = eval { JSON::PP->new->decode($delivery->{answer} // '') } or return "POST / -> $delivery->{status}";
    my $what = $body->{error} ? "$body->{error}: $body->{message}"
        : "$body->{status} ($body->{applied} applied, version $body->{version}, $body->{ms} ms)";
    return "POST / -> $delivery->{status}  $what";
}

sub answers {
    my ($id) = @_;
    return map { told($_) } @{$cloud->deliveries('pawl-push', $id)->{deliveries}};
}

sub publish {
    my ($request) = @_;
    my $id = $cloud->publish('pawl-migrate', $request);
    show("publish pawl-migrate " . $json->encode($request) . "  -> message $id");
    return $id;
}

say_step('a deploy publishes one message');
my $id = publish({release => '4f2c1a9', reason => 'first deploy'});
$cloud->wait_acknowledged('pawl-push', $id);
show($_) for answers($id);
show($database->execute(q{SELECT format('%s  %s (%s, %s ms)', state, rpad(file, 33),
        CASE statements WHEN 1 THEN '1 statement' ELSE statements || ' statements' END, ms) FROM pawl.migrations ORDER BY finished_at, file}));
show($database->execute(q{SELECT 'select * from products:  ' || string_agg(title, ' | ' ORDER BY sku) FROM products}));

say_step('the same message again: nothing to do');
$id = publish({release => '4f2c1a9', reason => 'delivered twice'});
$cloud->wait_acknowledged('pawl-push', $id);
show($_) for answers($id);

say_step('a migration with a mistake: five attempts, then the dead-letter topic');
my $wrong = "ALTER TABLE orders ADD COLUMN coupon text;\nCREATE INDEX orders_coupon ON orders (cuopon);\n";
$migrations->write('0007_coupons.sql', $wrong);
$id = publish({release => '8d03e77'});
wait_until { $cloud->deliveries('pawl-push', $id)->{unacknowledged} == 0 } seconds => 30, what => 'the message to be parked';
show((answers($id))[0]);
show('... ' . scalar(answers($id)) . ' attempts; nothing is half done: columns named orders.coupon: '
        . $database->value(q{SELECT count(*) FROM information_schema.columns WHERE table_name = 'orders' AND column_name = 'coupon'}));

say_step('the fix, and the replay of what is parked');
(my $right = $wrong) =~ s/cuopon/coupon/;
$migrations->write('0007_coupons.sql', $right);
my @parked = wait_until { my @got = $cloud->pull('pawl-parked'); @got ? \@got : undef } seconds => 10, what => 'the dead letter';
for my $letter (@{$parked[0]}) {
    show("parked: message $letter->{message}{messageId}, data $letter->{bytes}, after "
            . "$letter->{message}{attributes}{CloudPubSubDeadLetterSourceDeliveryCount} deliveries");
    my $again = $cloud->publish('pawl-migrate', $letter->{bytes}); # publish first,
    $cloud->acknowledge('pawl-parked', $letter);                   # acknowledge after: nothing is lost in between
    $cloud->wait_acknowledged('pawl-push', $again);
    show($_) for answers($again);
}

say_step('pawl status');
my $status = pawl(['status', '--color', -t STDOUT ? 'always' : 'never'], database => $database, migrations => $migrations);
show($status->{out});

say_step('SIGTERM: the worker ends by itself');
show('exit code ' . $worker->stop);
$cloud->stop;
