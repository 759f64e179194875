# One sweep: an undisturbed run through the proxy tells how many messages there are and what the database looks like afterwards; then, for
# each point, a fresh database, a disturbed run, deliveries until one succeeds, and the same look.
package Sweep;
use strict;
use warnings;
use File::Temp ();
use JSON::PP ();
use List::Util qw(min);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Process;
use Pawl::Proxy;
use Pawl::Shell qw(pawl);
use Pawl::Wait qw(wait_until patience);

my $JOBS       = 4;        # they mostly wait
my $DELIVERIES = 5;        # after the disturbed one, at most
my $json       = JSON::PP->new->canonical->pretty;

# What strikes at a point. alone: the network stays away, so that only a later process can finish the work.
my %FAULTS = (
    cut   => {fault => 'cut'},
    away  => {fault => 'cut', alone => 1},
    ghost => {fault => 'ghost', alone => 1, linger => 300},
    kill  => {fault => 'kill'},
);

# All that a run may change, and how it may look halfway.
my $LOOK = <<'SQL';
SELECT json_build_object(
    'marks', (SELECT json_object_agg(name, n) FROM (SELECT name, count(*) AS n FROM public.marks GROUP BY name) m),
    'ledger', (SELECT json_agg(json_build_array(kind, version, file, checksum, state, statements, done, hashes, in_flight)
        ORDER BY kind, version) FROM pawl.migrations),
    'digest', (SELECT digest IS NOT NULL FROM pawl.state),
    'relations', (SELECT json_agg(json_build_array(relname, relkind) ORDER BY relname) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace),
    'columns', (SELECT json_agg(attrelid::regclass || '.' || attname ORDER BY attrelid::regclass::text, attnum) FROM pg_attribute
        WHERE NOT attisdropped AND attnum > 0
        AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)),
    'indexes', (SELECT json_agg(json_build_array(pg_get_indexdef(indexrelid), indisvalid, indisready, indislive)
        ORDER BY indexrelid::regclass::text) FROM pg_index
        WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)),
    'partitions', (SELECT json_agg(json_build_array(inhrelid::regclass, inhparent::regclass, inhdetachpending)
        ORDER BY inhrelid::regclass::text) FROM pg_inherits
        WHERE inhrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)),
    'functions', (SELECT json_agg(proname ORDER BY proname) FROM pg_proc WHERE pronamespace = 'public'::regnamespace))
SQL

# What a run may leave behind once it is over: sessions of any kind, and what they hold.
my $REMAINS = <<'SQL';
SELECT (SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE l.locktype = 'advisory' AND d.datname = current_database()) || ' advisory locks, '
    || (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND state LIKE 'idle in transaction%') || ' idle transactions, '
    || (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()) || ' backends'
SQL

# Sweep->new(name => 'transactional', files => {NAME => SQL, ...})
sub new {
    my ($class, %options) = @_;
    return bless {%options, migrations => Pawl::Migrations->new(%{$options{files}})}, $class;
}

# run(sample => N): about N of the points, or all when PAWL_FAULT_POINTS says so.
sub run {
    my ($self, %options) = @_;
    subtest "$self->{name}: cut and killed anywhere, it ends as an undisturbed run" => sub {
        $self->undisturbed or return;
        my @points = $self->points;
        my $all    = @points;
        my $sample = ($ENV{PAWL_FAULT_POINTS} // '') eq 'all' ? $all : min($all, $options{sample});
        @points = map { $points[$_ * $all / $sample] } 0 .. $sample - 1;
        my $started = time;
        my @failures = $self->try_all(@points);
        diag $_ for @failures > 12 ? @failures[0 .. 11] : @failures;
        ok !@failures, sprintf '%d points tried of %d, %d survived', scalar @points, $all, @points - @failures;
        diag sprintf '%s: %d points tried of %d, %d survived, in %.0f s', $self->{name}, scalar @points, $all,
            @points - @failures, time - $started;
    };
    return;
}

sub undisturbed {
    my ($self) = @_;
    my $database = Pawl::Postgres->new;
    my $proxy    = Pawl::Proxy->start(log => 1);
    my $result   = $self->deliver($proxy->url($database));
    $self->{messages} = $proxy->stop;
    is $result->{exit}, 0, 'an undisturbed run succeeds' or diag $result->{err};
    $self->{look} = look($database);
    cmp_ok $self->{messages}{$_}, '>', 20, "the $_ says $self->{messages}{$_} messages" for qw(client server);
    unlike $self->{look}, qr/\b0 :|partial|_cc(?:new|old)/, 'and leaves nothing half done';
    return $result->{exit} == 0;
}

# Every message of either side. Those of the client before they get through (the request is lost) and after (the answer is); those of the
# server before (what it says is lost). The network stays away, and the server hears of nothing, where the answer is lost.
sub points {
    my ($self) = @_;
    my @client = 1 .. $self->{messages}{client};
    my @server = 1 .. $self->{messages}{server};
    my @points;
    for my $fault (qw(cut kill)) {
        push @points, map { {fault => $fault, at => $_} } map({ ("before:client:$_", "after:client:$_") } @client),
            map {"before:server:$_"} @server;
    }
    push @points, map { ({fault => 'away', at => "after:client:$_"}, {fault => 'ghost', at => "after:client:$_"}) } @client;
    return @points;
}

# ---- trying ------------------------------------------------------------------------------------------------------------

# In several processes at once; each says in a file what did not survive.
sub try_all {
    my ($self, @points) = @_;
    my $folder = File::Temp->newdir('pawl-sweep.XXXXXX', TMPDIR => 1);
    my @children;
    for my $job (1 .. $JOBS) {
        my $pid = fork // die "cannot fork: $!";
        if ($pid == 0) {
            open my $out, '>', "$folder/$job" or POSIX::_exit(1);
            for my $i (grep { $_ % $JOBS == $job - 1 } 0 .. $#points) {
                my $wrong = eval { $self->try_point($points[$i]) } // "died: $@";
                print {$out} "$points[$i]{fault} $points[$i]{at}: $wrong\0" if $wrong;
            }
            print {$out} "done\0";
            close $out;
            File::Temp::cleanup();
            POSIX::_exit(0);
        }
        push @children, $pid;
    }
    waitpid $_, 0 for @children;
    my @failures;
    for my $job (1 .. $JOBS) {
        open my $in, '<', "$folder/$job" or die "no result: $!";
        local $/ = "\0";
        chomp(my @said = <$in>);
        (pop @said // '') eq 'done' or push @failures, "process $job of the sweep ended early";
        push @failures, @said;
    }
    return @failures;
}

# What is wrong with a point, '' when nothing is.
sub try_point {
    my ($self, $point) = @_;
    my $database = Pawl::Postgres->new;
    my $proxy    = Pawl::Proxy->start(at => $point->{at}, %{$FAULTS{$point->{fault}}});
    my $first    = $self->deliver($proxy->url($database));
    my $struck   = $proxy->struck;
    my @said     = $first;
    push @said, $self->deliver($database->url) while @said == 1 || $said[-1]{exit} == 3 && @said <= $DELIVERIES;
    $proxy->stop;
    my $wrong = $self->judge($point, $struck, \@said, $database);
    $database->drop;
    return $wrong ? join "\n", $wrong, map {"exit $_->{exit}: $_->{err}"} @said : '';
}

sub judge {
    my ($self, $point, $struck, $said, $database) = @_;
    my $first = $said->[0]{exit};
    return 'the fault did not strike' if !$struck;
    my $expected = $point->{fault} eq 'kill' ? qr/^(?:0|137)$/ : qr/^[03]$/;
    return "the disturbed run ended with $first" if $first !~ $expected;
    return "no delivery succeeded: the last ended with $said->[-1]{exit}" if $said->[-1]{exit} != 0;
    my $remains = remains($database);
    return "left behind: $remains" if $remains;
    my $look = look($database);
    return 'the database looks different: ' . difference($self->{look}, $look) if $look ne $self->{look};
    return '';
}

sub deliver {
    my ($self, $url) = @_;
    return pawl(
        ['migrate', '--lock-wait', '20s'],
        migrations => $self->{migrations},
        env => {DATABASE_URL => $url},
        seconds => 60,
    );
}

# ---- looking -----------------------------------------------------------------------------------------------------------

sub look {
    my ($database) = @_;
    my $text = eval { $database->value($LOOK) } // return "nothing to look at: $@";
    return $json->encode($json->decode($text));
}

# Backends of a client that is gone end by themselves, soon.
sub remains {
    my ($database) = @_;
    my $remains;
    eval {
        wait_until { ($remains = $database->value($REMAINS)) eq '0 advisory locks, 0 idle transactions, 0 backends' }
        seconds => 5;
    } and return '';
    return $remains // $@;
}

sub difference {
    my ($expected, $got) = @_;
    my %expected = map { $_ => 1 } split /\n/, $expected;
    my %got      = map { $_ => 1 } split /\n/, $got;
    my @lines    = (
        (map {"- $_"} grep { !$got{$_} } split /\n/, $expected),
        (map {"+ $_"} grep { !$expected{$_} } split /\n/, $got)
    );
    return join "\n", '', @lines > 20 ? @lines[0 .. 19] : @lines;
}

1;
