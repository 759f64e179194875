# `pawl COMMAND ...` from a shell: run to its end, with what it said and how it ended.
package Pawl::Shell;
use strict;
use warnings;
use Exporter qw(import);
use JSON::PP ();
use Pawl::Process qw(built);
our @EXPORT_OK = qw(pawl start_pawl);

sub _environment {
    my (%options) = @_;
    my %env = (PAWL_LOG_FORMAT => undef, %{$options{env} // {}});
    $env{DATABASE_URL}    = $options{database}->url if $options{database};
    $env{PAWL_MIGRATIONS} = $options{migrations}->folder if $options{migrations};
    return \%env;
}

# start_pawl(['migrate'], database => Pawl::Postgres, migrations => Pawl::Migrations, env => {...}, folder => ...): a
# Pawl::Process.
sub start_pawl {
    my ($arguments, %options) = @_;
    return Pawl::Process->start(
        name => "pawl @$arguments",
        command => [built('pawl'), @$arguments],
        env => _environment(%options),
        map { $_ => $options{$_} } grep { defined $options{$_} } qw(folder stdin),
    );
}

# The same to its end: {exit, out, err, json}; json is the decoded standard output when it is JSON.
sub pawl {
    my ($arguments, %options) = @_;
    my $process = start_pawl($arguments, %options);
    my $exit    = $process->wait_end($options{seconds} // 60);
    my %result  = (exit => $exit, out => $process->out, err => $process->err);
    $result{json} = eval { JSON::PP->new->utf8->decode($result{out}) };
    return \%result;
}

1;
