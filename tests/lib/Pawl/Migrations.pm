# A temporary folder of migration files: Pawl::Migrations->new('0001_a.sql' => 'CREATE TABLE a ();', ...). Gone with the
# object.
package Pawl::Migrations;
use strict;
use warnings;
use Carp qw(croak);
use File::Temp ();

sub new {
    my ($class, %files) = @_;
    my $self = bless {folder => File::Temp->newdir('pawl-migrations.XXXXXX', TMPDIR => 1)}, $class;
    $self->write($_, $files{$_}) for keys %files;
    return $self;
}

sub folder { my ($self) = @_; return $self->{folder}->dirname }
sub path { my ($self, $name) = @_; return $self->folder . "/$name" }

sub write {
    my ($self, $name, $sql) = @_;
    open my $out, '>:raw', $self->path($name) or croak "cannot write $name: $!";
    print {$out} $sql;
    close $out or croak "cannot write $name: $!";
    return;
}

sub remove {
    my ($self, $name) = @_;
    unlink $self->path($name) or croak "cannot remove $name: $!";
    return;
}

1;
