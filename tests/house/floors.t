#!/usr/bin/perl
# The law of the house, checked by machine: a floor includes only itself and the floors before it, each foreign library enters through
# its own room, banned words stay out, functions and files stay short.
use strict;
use warnings;
use Test::More;

my @floors = qw(base net auth google push script source migrate command);
my %rank = map { $floors[$_] => $_ } 0 .. $#floors;
my %never = ('push' => {migrate => 1}, 'migrate' => {'push' => 1});

# Header of a foreign library => the rooms that may include it (without .c, .h and what follows an underscore).
my %rooms = (
    'cjson/cJSON.h'      => qr{^worker/base/json},
    'event2/.*'          => qr{^worker/net/server},
    'http_parser.h'      => qr{^worker/net/server|^worker/net/request},
    'curl/.*'            => qr{^worker/net/client},
    'libpq-fe.h'         => qr{^worker/net/postgres},
    'openssl/.*'         => qr{^worker/auth/signature},
    'pg_query.h'         => qr{^worker/script/statement},
    'archive.*'          => qr{^worker/source/archive},
);
my @banned = qw(strcpy strcat sprintf vsprintf gets atoi atol atoll strtok alloca strtol strtoul strtoll strtoull system popen
                asctime ctime gmtime localtime rand srand setjmp longjmp tmpnam mktemp);

my $banned = do { my $any = join '|', @banned; qr/(?<![\w.>])($any)\s*\(/ };

my @files = sort split /\n/, `find worker -name '*.c' -o -name '*.h' -o -name '*.def'`; # not git: Cloud Build gets no repository
cmp_ok(scalar @files, '>', 30, 'the worker has its rooms');

my (@upwards, @foreign, @words, @long_files, @long_functions, @wordless);
for my $file (@files) {
    my ($floor) = $file =~ m{^worker/(\w+)/};
    open my $handle, '<', $file or die "$file: $!";
    my @lines = <$handle>;
    push @long_files, "$file: " . @lines . ' lines' if @lines > 600;
    push @wordless, $file unless $lines[0] =~ m{^// };
    my ($name, $start) = ('', 0);
    for my $number (1 .. @lines) {
        my $line = $lines[$number - 1];
        if ($line =~ /^#include "(\w+)\/[^"]+"/ and defined $floor) {
            push @upwards, "$file:$number includes $1/" if !exists $rank{$1} or $rank{$1} > $rank{$floor} or $never{$floor}{$1};
        }
        if ($line =~ /^#include <([^>]+)>/) {
            my $header = $1;
            for my $library (keys %rooms) {
                push @foreign, "$file:$number includes $header" if $header =~ /^$library$/ and $file !~ $rooms{$library};
            }
        }
        (my $code = $line) =~ s{//.*|"(?:[^"\\]|\\.)*"}{}g;
        push @words, "$file:$number uses $1" if $code =~ $banned;
        ($name, $start) = ($1, $number) if $line =~ /^[a-z].*?(\w+)\(.*(?<!;)$/ and $line !~ /=/;
        if ($line =~ /^\}/ and $start) {
            push @long_functions, "$file:$start $name has " . ($number - $start) . ' lines' if $number - $start > 100;
            $start = 0;
        }
    }
}
my $check = sub { my ($promise, @found) = @_; ok(!@found, $promise) or diag join "\n", @found };
$check->('a floor uses itself and what is above it in the plan, nothing else', @upwards);
$check->('each foreign library enters through its own room', @foreign);
$check->('no banned function is called', @words);
$check->('no file is longer than 600 lines', @long_files);
$check->('no function is longer than 100 lines', @long_functions);
$check->('every file opens with a word about what it is for', @wordless);
done_testing();
