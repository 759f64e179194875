#!/usr/bin/perl
# infra/ and the worker must mean the same: names and defaults of options (worker/options.def), fields of the log that
# metrics and alerts are made from. Then the same with one thing wrong at a time, to prove that it would be noticed.
use strict;
use warnings;
use FindBin;
use Test::More;

my $top = "$FindBin::Bin/../..";

# What serve does not start without.
my @required = qw(DATABASE_URL PAWL_AUDIENCE PAWL_CALLERS);

sub slurp {
    local (@ARGV, $/) = @_;
    return scalar <>;
}

sub files {
    my ($folder, $ending) = @_;
    chomp(my @files = `find '$folder' -name '$ending' | sort`);
    return @files;
}

# { variable => { member, variable, default, commands, argument } }, rows of `serve` first where a variable has two.
sub options {
    my ($text) = @_;
    my %options;
    my $string = qr/NULL|"[^"]*"/;
    while ($text =~ /^X\((\w+), (\w+), $string, ($string), ($string), ([\w| ]+), ($string),/mg) {
        my ($kind, $member, $variable, $default, $commands, $argument) = map { s/^"|"$//gr } $1, $2, $3, $4, $5, $6;
        next unless $commands =~ /\bSERVE\b/;
        $options{$variable} = {kind => $kind, member => $member, default => $default, argument => $argument};
    }
    return \%options;
}

sub seconds {
    my ($text) = @_;
    my ($number, $unit) = $text =~ /^(\d+)(ms|s|min|h)?$/ or return;
    return $number * {ms => 0.001, s => 1, min => 60, h => 3600}->{$unit // 's'};
}

# { name => default } of the module's variables that have a string, number or bool as default; null is none.
sub module_defaults {
    my ($text) = @_;
    my %defaults;
    while ($text =~ /^variable "(\w+)" \{\n(.*?)^\}/msg) {
        my ($name, $body) = ($1, $2);
        $defaults{$name} = $1 if $body =~ /^  default += "?([^"\n\[{]*)"?$/m && $1 ne 'null';
    }
    return \%defaults;
}

sub settings {
    my ($text)   = @_;
    my ($map)    = $text =~ /^  settings = \{\n(.*?)^  \}/ms;
    my %settings = map { /^\s+(\w+)\s*= (.*?)(?: #.*)?$/ ? ($1 => $2) : () } split /\n/, $map // '';
    $settings{$1} = undef while $text =~ /env \{\n\s+name += "(\w+)"/g;
    return \%settings;
}

# Everything that is wrong, as sentences.
sub problems {
    my (%text) = @_;
    my @problems;
    my ($options, $defaults, $settings) =
        (options($text{options}), module_defaults($text{variables}), settings($text{service}));
    push @problems, "the service sets $_, which is no option" for grep { !$options->{$_} } sort keys %$settings;
    push @problems, "the service does not set $_"             for grep { !exists $settings->{$_} } @required;
    for my $option (values %$options) {
        my $default = $defaults->{$option->{member}} // next;
        push @problems, "variable $option->{member} has the default $default, the option has $option->{default}"
            if $default ne $option->{default};
    }
    my ($port) = $text{service} =~ /container_port = (\d+)/;
    push @problems, 'container_port is not the default of PORT' if ($port // '') ne $options->{PORT}{default};

    # The wait for the lock must end before Pub/Sub hangs up, and within the range of the option.
    my ($less) = ($settings->{PAWL_LOCK_WAIT} // '') =~ /^"\$\{var\.ack_deadline - (\d+)\}s"$/;
    my ($least, $most) = map { seconds($_) } split /\.\./, $options->{PAWL_LOCK_WAIT}{argument};
    my $wait = $defaults->{ack_deadline} - ($less // $defaults->{ack_deadline});
    push @problems, "PAWL_LOCK_WAIT is not a little under the ack deadline"
        unless $less && $wait > $least && $wait <= $most;

    while (my ($file, $content) = each %{$text{mentions}}) {
        my %seen;
        while ($content =~ /\b(PAWL_[A-Z_]*[A-Z])\b/g) {
            next if $seen{$1}++ || $options->{$1} || $text{options} =~ /"\Q$1\E"/;
            push @problems, "$file says $1, which is no option";
        }
    }
    my %field = map { $_ => 1 } $text{watch} =~ /jsonPayload\.(\w+)/g;
    push @problems, "the worker logs no field $_" for grep { $text{worker} !~ /"\Q$_\E"/ } sort keys %field;
    return @problems;
}

my $pawl  = "$top/infra/pawl";
my @named = grep { -e } files("$top/infra", '*'), "$top/cloudbuild.yaml", "$top/worker/Dockerfile";
my %text  = (
    options   => slurp("$top/worker/options.def"),
    variables => slurp("$pawl/variables.tf"),
    service   => slurp("$pawl/service.tf"),
    watch     => slurp("$pawl/watch.tf"),
    mentions  => {map { (s{^\Q$top\E/}{}r => slurp($_)) } grep { -f } @named},
    worker    => join('', map { slurp($_) } files("$top/worker", '*.c')),
);

is_deeply [problems(%text)], [], 'infra and worker agree';

my @faults = (
    [
        'a misspelt variable of the environment',
        'service',
        's/PAWL_AUDIENCE /PAWL_AUDIENCES /',
        qr/sets PAWL_AUDIENCES, which is no option/
    ],
    ['a required option that is not set', 'service', 's/^.*PAWL_CALLERS.*\n//m', qr/does not set PAWL_CALLERS/],
    ['a default that drifted',            'options', 's/"200ms"/"300ms"/',      qr/lock_timeout has the default 200ms/],
    ['another port', 'service', 's/container_port = 8080/container_port = 80/', qr/container_port/],
    ['a wait that outlives the delivery', 'service', 's/deadline - 30/deadline + 30/', qr/PAWL_LOCK_WAIT/],
    [
        'a metric on a field that is not logged', 'watch', 's/jsonPayload\.sta/jsonPayload.sto/',
        qr/logs no field stotus/
    ],
);
for my $fault (@faults) {
    my ($name, $where, $edit, $complaint) = @$fault;
    my %broken = %text;
    $_ = $broken{$where};
    eval "$edit; 1" or die $@;
    $broken{$where} = $_;
    ok(scalar(grep { /$complaint/ } problems(%broken)), "$name is noticed") or diag join("\n", problems(%broken));
}
ok scalar(grep { /no option/ } problems(%text, mentions => {x => 'PAWL_AUDIENZE=1'})),
    'a name that is no option is noticed anywhere';
done_testing;
