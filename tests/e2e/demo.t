#!/usr/bin/perl
# What a newcomer types first: `make demo` tells its story to the end, and the lines that `make run` prints work when they are pasted into
# another shell.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Pawl::Process;
use Pawl::Wait qw(wait_until);

my $plays = "$FindBin::Bin/../demo";
my @example = map { s{.*/}{}r } glob "$FindBin::Bin/../../migrations/*.sql";
plan skip_all => 'migrations/ holds another schema than the example' if "@example" !~ /^0001_create_customers\.sql .*0006_place_order\.sql repeat_order_totals\.sql$/;

my $demo = Pawl::Process->start(name => 'demo.pl', command => ["$plays/demo.pl"]);
is($demo->wait_end(60), 0, 'the demo ends well');
my $story = $demo->out;
for my $expected (
    qr/publish --release 4f2c1a9 .*?applied 7 migrations.*?POST \/ -> 200  applied/s, qr/once more.*?POST \/ -> 200  nothing_pending/s,
    qr/publish --release 8d03e77 .*?failed: 0007_coupons\.sql, line 2.*?exit code 1/s, qr/orders\.coupon: 0/,
    qr/replay --all.*?1 of 1 sent back.*?POST \/ -> 200  applied/s, qr/8 applied, 0 pending.*exit code 0/s)
{
    like($story, $expected, "it shows $expected");
}

SKIP: {
    skip 'curl is not installed', 3 if !grep { -x "$_/curl" } split /:/, $ENV{PATH};
    my $run = Pawl::Process->start(name => 'run.pl', command => ["$plays/run.pl"], env => {PORT => 0, CLOUD_PORT => 0});
    wait_until { $run->out =~ /^== log/m } seconds => 30, what => 'what to paste';
    my ($lines) = $run->out =~ /^== paste this.*?\n(.*?)^== then/ms;
    my $shell = Pawl::Process->start(name => 'shell', command => ['bash', '-c', <<"EOF"]);
set -eu
$lines
pawl publish --release abc --wait
curl -sf -H "Authorization: Bearer \$TOKEN" "\$PAWL_URL/targets/default"
pawl status
pawl replay
EOF
    is($shell->wait_end(60), 0, 'what make run prints can be pasted') or diag $shell->err;
    like($shell->out, qr/applied 7 migrations.*"target":"default".*7 applied, 0 pending.*nothing is parked/s, 'and each command finds its way');
    $run->signal('INT');
    is($run->wait_end(30), 0, 'Ctrl-C ends it');
}
done_testing();
