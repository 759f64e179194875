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
    'invalid', (SELECT json_agg(indexrelid::regclass) FROM pg_index WHERE NOT indisvalid),
    'partitions', (SELECT json_agg(json_build_array(inhrelid::regclass, inhparent::regclass, inhdetachpending)
        ORDER BY inhrelid::regclass::text) FROM pg_inherits
        WHERE inhrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)),
    'functions', (SELECT json_agg(proname ORDER BY proname) FROM pg_proc WHERE pronamespace = 'public'::regnamespace))
SQL

# What a run may leave behind once it is over: sessions of any kind, and what they hold. Those called psql are the test's own.
my $SESSIONS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name <> 'psql'";
my $REMAINS  = <<"SQL";
SELECT (SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE l.locktype = 'advisory' AND d.datname = current_database()) || ' advisory locks, '
    || (SELECT count(*) $SESSIONS AND state LIKE 'idle in transaction%') || ' idle transactions, '
    || (SELECT count(*) $SESSIONS) || ' backends'
SQL

# What the disturbed run left half done, for the record.
my $HALF = <<'SQL';
SELECT concat_ws(', ',
    (SELECT string_agg(indexrelid::regclass || ' invalid', ', ') FROM pg_index WHERE NOT indisvalid),
    (SELECT string_agg(inhrelid::regclass || ' half detached', ', ') FROM pg_inherits WHERE inhdetachpending))
SQL

# Sweep->new(name => 'transactional', files => {NAME => SQL, ...}, points => [{fault => 'cut', at => 'quiet:100'}, ...] when it is not
# every message, stage => sub of a database and the migrations, which makes the database ready for the disturbed run and returns what has
# to live as long)
sub new {
    my ($class, %options) = @_;
    return bless {%options, migrations => Pawl::Migrations->new(%{$options{files}})}, $class;
}

# run('name', sample => N, jobs => N at a time, sweeps => [...]): about N of all their points, or as many as PAWL_FAULT_POINTS says (a number, or
# "all"). Prints how many were tried and how many survived.
sub run {
    my ($name, %options) = @_;
    for my $sweep (@{$options{sweeps}}) {
        subtest "$sweep->{name}, undisturbed" => sub { $sweep->undisturbed };
    }
    my @all    = map { $_->points } @{$options{sweeps}};
    my $wanted = $ENV{PAWL_FAULT_POINTS} // $options{sample};
    my $sample = $wanted eq 'all' ? @all : min(scalar @all, $wanted);
    my @points = map { $all[$_ * @all / $sample] } 0 .. $sample - 1;
    my $started = time;
    my @said     = try_all($options{jobs}, @points);
    my @failures = grep { !/^(?:half done|missed): / } @said;
    my $missed   = grep {/^missed: /} @said;
    my $tried    = @points - $missed;
    note $_ for @said;
    diag $_ for @failures > 12 ? @failures[0 .. 11] : @failures;
    cmp_ok $missed, '<=', @points / 2, 'most points were met';
    my $total = sprintf '%d points tried of %d, %d survived', $tried, scalar @all, $tried - @failures;
    ok !@failures, "$name: $total";
    diag sprintf '%s: %s, in %.0f s', $name, $total, time - $started;
    my @half = sort map { s/^half done: //r } grep {/^half done: /} @said;
    diag 'half done when the next delivery came: ' . join '; ', @half if @half && $ENV{PAWL_FAULT_POINTS};
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
    return map { {%$_, sweep => $self} } @{$self->{points}} if $self->{points};
    my @client = 1 .. $self->{messages}{client};
    my @server = 1 .. $self->{messages}{server};
    my @everywhere = (map({ ("before:client:$_", "after:client:$_") } @client), map {"before:server:$_"} @server);
    my @points = map { ([cut => $_], [kill => $_]) } @everywhere;
    push @points, map { ([away => "after:client:$_"], [ghost => "after:client:$_"]) } @client;
    return map { {sweep => $self, fault => $_->[0], at => $_->[1]} } @points;
}

# ---- trying ------------------------------------------------------------------------------------------------------------

# In several processes at once; each says in a file what did not survive.
sub try_all {
    my ($jobs, @points) = @_;
    my $folder = File::Temp->newdir('pawl-sweep.XXXXXX', TMPDIR => 1);
    my @children;
    for my $job (1 .. $jobs) {
        my $pid = fork // die "cannot fork: $!";
        if ($pid == 0) {
            open my $out, '>', "$folder/$job" or POSIX::_exit(1);
            for my $i (grep { $_ % $jobs == $job - 1 } 0 .. $#points) {
                my $point = $points[$i];
                my $wrong = eval { $point->{sweep}->try_point($point) } // "died: $@";
                print {$out} "$point->{sweep}{name}: $point->{fault} $point->{at}: $wrong\0" if $wrong;
                print {$out} "missed: $point->{at}\0"                 if $point->{missed};
                print {$out} "half done: $point->{half}\0"            if $point->{half};
            }
            print {$out} "done\0";
            close $out;
            File::Temp::cleanup();
            POSIX::_exit(0);
        }
        push @children, $pid;
    }
    waitpid $_, 0 for @children;
    my @all;
    for my $job (1 .. $jobs) {
        open my $in, '<', "$folder/$job" or die "no result: $!";
        local $/ = "\0";
        chomp(my @said = <$in>);
        (pop @said // '') eq 'done' or push @all, "process $job of the sweep ended early";
        push @all, @said;
    }
    return @all;
}

# What is wrong with a point, '' when nothing is.
sub try_point {
    my ($self, $point) = @_;
    my $database = Pawl::Postgres->new;
    my @staged   = $self->{stage} ? $self->{stage}->($database, $self->{migrations}) : ();
    my $proxy    = Pawl::Proxy->start(at => $point->{at}, %{$FAULTS{$point->{fault}}});
    my $first    = $self->deliver($proxy->url($database));
    my $struck   = $proxy->struck;
    my @said     = $first;
    $point->{half} = half($database) if $point->{patient};
    push @said, $self->deliver($database->url) while @said == 1 || $said[-1]{exit} == 3 && @said <= $DELIVERIES;
    $proxy->stop;
    @staged = ();
    my $wrong = $self->judge($point, $struck, \@said, $database);
    $database->drop;
    return $wrong ? join "\n", $wrong, map {"exit $_->{exit}: $_->{err}"} @said : '';
}

sub judge {
    my ($self, $point, $struck, $said, $database) = @_;
    my $first = $said->[0]{exit};
    $point->{missed} = !$struck;
    return 'the fault did not strike' if !$struck && $point->{at} !~ /^quiet/;    # a statement may be quicker than that
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

# Once the disturbed run's backend has ended.
sub half {
    my ($database) = @_;
    remains($database);
    return eval { $database->value($HALF) } // '';
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
