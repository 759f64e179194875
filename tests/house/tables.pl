#!/usr/bin/perl
# `make readme`: puts the tables that the binary prints into README.md, between their marks. tests/house/readme.t fails while they differ.
use strict;
use warnings;

my $pawl = ($ENV{BUILD} // 'build/debug') . '/pawl';
open my $in, '<', 'README.md' or die "README.md: $!";
my $readme = do { local $/; <$in> };
for my $topic (qw(options errors)) {
    my $table = `$pawl help $topic`;
    die "pawl help $topic failed" if $? != 0;
    $readme =~ s/(<!-- $topic -->\n).*?(<!-- end of $topic -->)/$1$table$2/s or die "README.md has no marks for $topic";
}
my $hazards = `$pawl help hazards`;
open my $file, '>', 'worker/script/hazards.md' or die "hazards.md: $!";
print $file "# What `pawl lint` knows\n\nPrinted by `pawl help hazards`; the rows are in [hazard.def](hazard.def).\n\n$hazards";
close $file;
open my $out, '>', 'README.md' or die "README.md: $!";
print $out $readme;
