# A fresh database on the private server of tests/with-postgres, dropped with the object. SQL goes through psql.
package Pawl::Postgres;
use strict;
use warnings;
use Carp qw(croak);
use JSON::PP ();
use Pawl::Process;

my $count = 0;

sub _psql {
    my ($database, @arguments) = @_;
    my $bin = $ENV{PG_BIN} ? "$ENV{PG_BIN}/psql" : 'psql';
    return ($bin, '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $database, @arguments);
}

sub new {
    my ($class, %options) = @_;
    croak 'there is no private PostgreSQL: run this through tests/with-postgres' if !$ENV{PGHOST};
    my $name = $options{name} // "pawl_test_$$" . '_' . ++$count;
    my $self = bless {name => $name, owner => $$}, $class;
    $self->_run('postgres', qq{CREATE DATABASE "$name"});
    return $self;
}

sub name { return $_[0]{name} }
sub url { my ($self) = @_; return "postgresql://$ENV{PGUSER}\@/$self->{name}?host=$ENV{PGHOST}" }

# Returns psql's output, unaligned and without headings; dies with the server's words when a statement fails.
sub _run {
    my ($self, $database, $sql) = @_;
    my $psql = Pawl::Process->start(name => 'psql', quiet => 1, command => [_psql($database, '-A', '-t', '-c', $sql)]);
    my $exit = $psql->wait_end(60);
    croak "psql: " . $psql->err if $exit != 0;
    return $psql->out;
}

sub execute { my ($self, $sql) = @_; return $self->_run($self->{name}, $sql) }

# The first column of the first row, as text.
sub value {
    my ($self, $sql) = @_;
    my $out = $self->execute($sql);
    chomp $out;
    return $out;
}

# All rows of a query, each a hash.
sub rows {
    my ($self, $sql) = @_;
    return @{JSON::PP->new->decode($self->value("SELECT coalesce(json_agg(q), '[]') FROM ($sql) q"))};
}

sub has_table { my ($self, $table) = @_; return $self->value("SELECT to_regclass('$table') IS NOT NULL") eq 't' }

# A connection that stays open, to hold locks: my $session = $pg->session; $session->run('BEGIN'); ...; it ends with the
# object.
sub session { my ($self) = @_; return Pawl::Postgres::Session->open($self->{name}) }

# Ends all other connections of the database.
sub disconnect_all {
    my ($self) = @_;
    return $self->_run('postgres',
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$self->{name}'"
    );
}

sub drop {
    my ($self) = @_;
    return if $self->{dropped}++ || $self->{owner} != $$;
    local ($?, $!, $@);
    eval { $self->_run('postgres', qq{DROP DATABASE IF EXISTS "$self->{name}" WITH (FORCE)}) };
    return;
}

sub DESTROY { my ($self) = @_; $self->drop; return }

package Pawl::Postgres::Session;
use strict;
use warnings;
use Carp qw(croak);
use IPC::Open2 qw(open2);

sub open {
    my ($class, $database) = @_;
    my $pid = open2(my $out, my $in, Pawl::Postgres::_psql($database, '-A', '-t', '-v', 'ON_ERROR_STOP=0'));
    return bless {pid => $pid, in => $in, out => $out, owner => $$}, $class;
}

# Sends without waiting: for a statement that is to block.
sub send {
    my ($self, $sql) = @_;
    my $in = $self->{in};
    print {$in} "$sql;\n" or croak "psql is gone: $!";
    $in->flush;
    return;
}

sub run {
    my ($self, $sql) = @_;
    $self->send($sql);
    my ($in, $lines) = ($self->{in}, '');
    print {$in} "\\echo -- done\n";
    $in->flush;
    while (defined(my $line = readline $self->{out})) {
        return $lines if $line eq "-- done\n";
        $lines .= $line;
    }
    croak 'psql ended';
}

sub close {
    my ($self) = @_;
    return if $self->{closed}++ || $self->{owner} != $$;
    local ($?, $!);
    CORE::close $self->{in};
    kill 'TERM', $self->{pid};
    waitpid $self->{pid}, 0;
    return;
}

sub DESTROY { my ($self) = @_; $self->close; return }

1;
