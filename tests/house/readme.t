#!/usr/bin/perl
# README.md tells the truth: its tables are the ones that the binary prints, its commands exist, and the floor plan names every room.
use strict;
use warnings;
use Test::More;

my $pawl = ($ENV{BUILD} // 'build/debug') . '/pawl';
sub slurp { my ($file) = @_; open my $handle, '<', $file or die "$file: $!"; local $/; return <$handle> }

my $readme = slurp('README.md');
for my $topic (qw(options errors)) {
    my $table = `$pawl help $topic`;
    is($?, 0, "pawl help $topic answers");
    ok(index($readme, $table) >= 0, "README.md carries the table of $topic as the binary prints it")
        or diag "put this into README.md:\n$table";
}
ok(index(slurp('worker/script/hazards.md'), `$pawl help hazards`) >= 0, 'worker/script/hazards.md carries the table of hazards') or diag 'run make readme';
for my $target ($readme =~ /`make ([a-z-]+)/g) {
    like(slurp('Makefile'), qr/^\Q$target\E:/m, "make $target exists");
}
my $plan = slurp('worker/README.md');
my @unnamed = grep { !/^worker\/main|_/ and $plan !~ /\b\Q@{[m{(\w+)\.[ch]$}]}\E\b/ } sort split /\n/, `find worker -name '*.c'`;
ok(!@unnamed, 'worker/README.md names every room') or diag join "\n", @unnamed;
unlike(slurp($_), qr{/(?:home|root|work|tmp/wt)/|deb\.debian\.org|registry\.npmjs}, "$_ names no machine and no registry")
    for sort split /\n/, `find Makefile *.md cloudbuild.yaml worker infra tests migrations -name .terraform -prune -o -type f '(' -name '*.md' -o -name '*.yaml' -o -name '*.def' -o -name Makefile ')' -print`;
done_testing();
