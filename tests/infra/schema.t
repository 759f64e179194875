#!/usr/bin/perl
# infra/ against the providers' own schemas: every resource type, block, argument and reference, see schema.mjs.
use strict;
use warnings;
use FindBin;

chomp(my $packages = `$FindBin::Bin/packages provider-google provider-random hcl2-parser`);
if ($? >> 8 == 3) {
    print "1..0 # SKIP $packages\n";
    exit 0;
}
die "packages: $packages\n" if $?;
exec 'node', "$FindBin::Bin/schema.mjs", $packages, "$FindBin::Bin/../../infra" or die "node: $!\n";
