#!/usr/bin/perl
# tests/image/able and infra/image/build: where no image can be built, or nothing can be fetched for it, the tests of the image are skipped and say
# why; they do not fail.
use strict;
use warnings;
use FindBin;
use Test::More;
use File::Temp qw(tempdir);

plan skip_all => 'not root' if $> != 0;
plan skip_all => 'no new namespaces here' if system('unshare --mount --pid --fork true 2>/dev/null') != 0;
my $bin = tempdir('pawl-able.XXXXXX', TMPDIR => 1, CLEANUP => 1);

sub tool {
    my ($name, $script) = @_;
    open my $out, '>', "$bin/$name" or die $!;
    print $out "#!/bin/sh\n$script\n";
    close $out or die $!;
    chmod 0755, "$bin/$name";
    return;
}

sub able {
    local $ENV{PATH} = "$bin:$ENV{PATH}";
    my $said = `"$FindBin::Bin/../image/able" 2>&1`;
    return ($? >> 8, $said);
}
tool($_, 'exit 0') for qw(buildah skopeo docker-registry);
is_deeply [able()], [0, ''], 'tools that work are enough';
tool('buildah', 'echo "level=error" >&2; echo "mount: operation not permitted" >&2; exit 125');
is_deeply [able()], [1, "buildah does not work here: mount: operation not permitted\n"], 'a buildah that does not work is a reason to skip';
tool('buildah', '[ "$1" = --root ] && mkdir -p "$2" && echo "$2" > "' . $bin . '/root"');
is((able())[0], 0, 'it is tried');
open my $in, '<', "$bin/root" or die $!;
chomp(my $root = <$in>);
ok !-e $root, 'and nothing of that stays';

# infra/image/build with a buildah that says what a build says.
my $out = "$FindBin::Bin/../../build/image/able-test";
sub build {
    local $ENV{PATH} = "$bin:$ENV{PATH}";
    my $said = `"$FindBin::Bin/../../infra/image/build" worker/Dockerfile able-test 2>&1`;
    my $code = $? >> 8;
    my $why  = -e "$out/unfetched" ? `cat "$out/unfetched"` : undef;
    return ($code, $why, $said);
}
sub says { my ($line) = @_; return qq{for word; do [ "\$word" = bud ] || continue; echo '$line' >&2; exit 100; done; exit 0} }
tool('buildah', says('E: Failed to fetch http://deb.example/x  Could not connect'));
my ($code, $why, $said) = build();
is $code, 69, 'packages that cannot be fetched are told from a build that fails';
like $why, qr/^E: Failed to fetch/, 'and which';
like $said, qr/Failed to fetch/, 'and it is shown';
tool('buildah', says('worker/main.c:1:1: error: expected declaration'));
($code, $why) = build();
is $code, 1, 'a build that fails, fails';
is $why, undef, 'and is no reason to skip';
system('rm', '-rf', $out);
done_testing;
