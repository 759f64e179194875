#!/usr/bin/perl
# How long a cold start is: from exec to the first 200 on /health, next to an empty socket server in C, in alternating rounds. Then what
# is in the binary: size, shared objects, memory.
use strict;
use warnings;
use IO::Socket::INET;
use List::Util qw(min);
use Time::HiRes qw(time usleep);

my $build = $ENV{BUILD} // 'build/release';
my $rounds = $ENV{ROUNDS} // 40;
my $folder = `mktemp -d`;
chomp $folder;

sub free_port {
    my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 0) or die "no port: $!";
    return $socket->sockport;
}

sub first_answer { # milliseconds from fork to the first 200
    my ($port, @command) = @_;
    my $start = time;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDERR, '>', "$folder/log";
        exec @command;
        exit 127;
    }
    my $answer = '';
    while ($answer !~ m{^HTTP/1.1 200} and time - $start < 10) {
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or next;
        print $socket "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        $answer = <$socket> // '';
    }
    my $took = (time - $start) * 1000;
    my $memory = 0;
    if (open my $status, '<', "/proc/$pid/status") {
        /^VmHWM:\s+(\d+)/ and $memory = $1 while <$status>;
    }
    kill 'KILL', $pid;
    waitpid $pid, 0;
    die "no answer: @command\n" if $answer !~ /200/;
    return ($took, $memory);
}

$ENV{PAWL_AUDIENCE} = 'https://pawl';
$ENV{PAWL_CALLERS} = 'push@p.iam.gserviceaccount.com';
$ENV{PAWL_JWKS_URL} = 'http://127.0.0.1:9/certs'; # refused at once: the start does not wait for it
$ENV{DATABASE_URL} = "postgresql:///none?host=$folder";
$ENV{PAWL_MIGRATIONS} = $folder;
$ENV{PAWL_ADDRESS} = '127.0.0.1';

my (@pawl, @floor, $memory);
for (1 .. $rounds) {
    my $port = free_port();
    push @floor, (first_answer($port, "$build/tests/bench/floor", $port))[0];
    $port = $ENV{PORT} = free_port();
    my ($took, $peak) = first_answer($port, "$build/pawl", 'serve');
    push @pawl, $took;
    $memory = $peak;
}
my ($p, $f) = map { my @sorted = sort { $a <=> $b } @$_; {min => $sorted[0], median => $sorted[@sorted / 2]} } \@pawl, \@floor;
printf "exec to first 200: pawl min %.1f ms, median %.1f ms; empty C server min %.1f ms, median %.1f ms; ratio of minima %.1f, of medians %.1f (%d rounds)\n",
    $p->{min}, $p->{median}, $f->{min}, $f->{median}, $p->{min} / $f->{min}, $p->{median} / $f->{median}, $rounds;
system("strip -o $folder/pawl $build/pawl") == 0 or die 'strip';
printf "binary: %d bytes stripped, %d shared objects; peak memory at the first answer %d kB\n", -s "$folder/pawl",
    scalar(grep { /=>|ld-linux/ } `ldd $build/pawl`), $memory;
system 'rm', '-rf', $folder;
