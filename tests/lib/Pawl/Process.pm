# A process that a test starts: its output goes to files, and it is ended by its pid when the object goes, at the latest
# at the end of the test. When the test has failed by then, the tails of the newest outputs are shown.
package Pawl::Process;
use strict;
use warnings;
use Carp qw(croak);
use Exporter qw(import);
use File::Spec;
use File::Temp qw(tempdir);
use POSIX qw(:sys_wait_h _exit);
use Scalar::Util qw(weaken);
use Test::More ();
use Time::HiRes qw(sleep time);
use Pawl::Wait qw(wait_until patience);
our @EXPORT_OK = qw(built);

my (%alive, @ended);
my $SHOWN = 6;

# A program of the built tree, wherever the process is going to run.
sub built {
    my ($program) = @_;
    return File::Spec->rel2abs(($ENV{BUILD} // 'build/debug') . "/$program");
}

# Pawl::Process->start(name => 'worker', command => [...], env => {NAME => value, GONE => undef}, folder => working
# folder, stdin => file, quiet => 1 when its output is nobody's business)
sub start {
    my ($class, %options) = @_;
    my $folder = tempdir('pawl-test.XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $self   = bless {
        name => $options{name} // $options{command}[0],
        folder => $folder,
        out => "$folder/out",
        err => "$folder/err",
        owner => $$,
        quiet => $options{quiet},
    }, $class;
    my $pid = fork // croak "cannot fork: $!";
    $self->_become(%options) if $pid == 0;
    $self->{pid} = $pid;
    $alive{$pid} = $self;
    weaken $alive{$pid};
    return $self;
}

sub _become {
    my ($self, %options) = @_;
    my $ready
        = open(STDIN, '<', $options{stdin} // '/dev/null')
        && open(STDOUT, '>', $self->{out})
        && open(STDERR, '>', $self->{err});
    $ready &&= chdir $options{folder} if defined $options{folder};
    for my $name (keys %{$options{env} // {}}) {
        my $value = $options{env}{$name};
        if (defined $value) { $ENV{$name} = $value }
        else { delete $ENV{$name} }
    }
    if ($ready) {
        no warnings 'exec';
        exec {$options{command}[0]} @{$options{command}};
        print STDERR "cannot run $options{command}[0]: $!\n";
    }
    _exit(127);
}

sub pid { return $_[0]{pid} }

sub _collect {
    my ($self, $flags) = @_;
    return if defined $self->{status};
    if (waitpid($self->{pid}, $flags) == $self->{pid}) {
        $self->{status} = $?;
        delete $alive{$self->{pid}};
    }
    return;
}

sub running {
    my ($self) = @_;
    local ($?, $!);
    $self->_collect(WNOHANG);
    return !defined $self->{status};
}

# The exit code once it has ended (128 + number after a signal), undef while it runs.
sub exit_code {
    my ($self) = @_;
    return undef if $self->running;
    return WIFSIGNALED($self->{status}) ? 128 + WTERMSIG($self->{status}) : WEXITSTATUS($self->{status});
}

# Waits for the end; dies when it does not come.
sub wait_end {
    my ($self, $seconds) = @_;
    wait_until { !$self->running } seconds => $seconds // 20, what => "the end of $self->{name}";
    return $self->exit_code;
}

sub signal {
    my ($self, $signal) = @_;
    kill $signal, $self->{pid} if $self->running;
    return;
}

# TERM, and KILL for one that does not listen. Returns the exit code.
sub stop {
    my ($self) = @_;
    $self->signal('TERM');
    my $deadline = time + patience(15);
    sleep 0.01 while $self->running && time < $deadline;
    if ($self->running) {
        Test::More::diag("$self->{name} did not end on SIGTERM");
        $self->signal('KILL');
        $self->_collect(0);
    }
    return $self->exit_code;
}

sub _slurp {
    my ($file) = @_;
    open my $in, '<', $file or return '';
    local $/;
    return scalar(<$in>) // '';
}

sub out { return _slurp($_[0]{out}) }
sub err { return _slurp($_[0]{err}) }

sub tail {
    my ($self, $lines) = @_;
    my @all = split /^/, $self->err . $self->out;
    $lines //= 30;
    splice @all, 0, @all - $lines if @all > $lines;
    return join '', @all;
}

sub _end {
    my ($self) = @_;
    return if $self->{ended}++ || $self->{owner} != $$;
    local ($?, $!, $@);
    $self->stop if $self->running;
    return if $self->{quiet};
    push @ended, "--- $self->{name} (pid $self->{pid}) said at last:\n" . $self->tail;
    shift @ended if @ended > $SHOWN;
    return;
}

sub DESTROY {
    my ($self) = @_;
    $self->_end;
    return;
}

END {
    my $status = $?;
    $_->_end for grep {defined} values %alive;
    Test::More::diag($_) for $status || !Test::More->builder->is_passing ? @ended : ();
    $? = $status;
}

for my $signal (qw(INT TERM HUP)) {
    $SIG{$signal} = sub { exit 128 + {INT => 2, TERM => 15, HUP => 1}->{$signal} }
        if !$SIG{$signal};    # so that END runs
}

1;
