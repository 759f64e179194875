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

# What the module leaves to the worker's default or to somebody else, and why.
my %left = (
    (map { $_ => 'baked into the image' } qw(PAWL_MIGRATIONS PAWL_RELEASE PAWL_BUILT)),
    (map { $_ => 'what Cloud Run needs is the default, or given by it' } qw(PORT PAWL_ADDRESS PAWL_GRACE PAWL_LOG_FORMAT)),
    (map { $_ => 'for other clouds than this one, and for tests' }
            qw(PAWL_JWKS_URL PAWL_PROOF_JWKS_URL PUBSUB_EMULATOR_HOST CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB
            CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER GCE_METADATA_HOST)),
    (map { $_ => 'the metadata server says who the worker is' } qw(PAWL_ACCESS_TOKEN GOOGLE_APPLICATION_CREDENTIALS)),
    (map { $_ => 'the default fits what Pub/Sub sends' } qw(PAWL_BODY_LIMIT PAWL_CONNECTIONS PAWL_CLOCK_SKEW)),
    PAWL_POOLER => 'Cloud SQL has none in front',
);

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
        $options{$variable} = {kind => $kind, member => $member, default => $default eq 'NULL' ? '' : $default, argument => $argument};
    }
    return \%options;
}

sub seconds {
    my ($text) = @_;
    my ($number, $unit) = $text =~ /^(\d+)(ms|s|min|h)?$/ or return;
    return $number * {ms => 0.001, s => 1, min => 60, h => 3600}->{$unit // 's'};
}

# { name => default } of the module's variables that have a string, number or bool as default, or an empty list; null is none.
sub module_defaults {
    my ($text) = @_;
    my %defaults;
    while ($text =~ /^variable "(\w+)" \{\n(.*?)^\}/msg) {
        my ($name, $body) = ($1, $2);
        $defaults{$name} = $1 if $body =~ /^  default += "?([^"\n\[{]*|\[\])"?$/m && $1 ne 'null';
    }
    return \%defaults;
}

sub settings {
    my ($text)   = @_;
    my $maps     = join '', $text =~ /^  (?:settings|choices) = \{\n(.*?)^  \}/msg;
    my %settings = map { /^\s+(\w+)\s*= (.*?)(?: #.*)?$/ ? ($1 => $2) : () } split /\n/, $maps;
    $settings{$1} //= undef while $text =~ /^\s+name += "(DATABASE_URL)"/mg;
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
    push @problems, "nothing in the module sets $_"           for grep { !exists $settings->{$_} && !$left{$_} } sort keys %$options;
    push @problems, "$_ is set, though it is left to others"  for grep { exists $settings->{$_} || !$options->{$_} } sort keys %left;
    for my $option (values %$options) {
        my $default = $defaults->{$option->{member}} // next;
        $default = '' if $default eq ({SWITCH => 'false', LIST => '[]', TEXT => '[]'}->{$option->{kind}} // ''); # not said
        push @problems, "variable $option->{member} has the default $default, the option has $option->{default}"
            if $default ne $option->{default};
    }
    my ($type) = $text{variables} =~ /^variable "targets" \{.*?object\(\{\n(.*?)^  \}\)\)/ms;
    my @offered = sort(($type // '') =~ /^\s+(\w+)\s+= /mg);
    my @members = sort($text{targets} =~ /^    \{"(\w+)", read_\w+, (?:true|false)\},/mg);
    push @problems, "a target has the members @members, the variable has @offered" if "@offered" ne "@members" || !@members;
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
    targets   => slurp("$top/worker/command/targets.c"),
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
    ['a switch that is on',                'variables', 's/(variable "database_iam".*?default +=) false/$1 true/s', qr/database_iam has the default true/],
    ['a list that is not empty',           'variables', 's/(variable "proof_refs".*?default +=) \[\]/$1 "main"/s', qr/proof_refs has the default main/],
    ['an option that cannot be set',       'service',   's/^.*PAWL_PROOF_REF .*\n//m', qr/nothing in the module sets PAWL_PROOF_REF/],
    ['an option that is set against what is said here', 'service', 's/PAWL_LOG_LEVEL /PAWL_GRACE /', qr/PAWL_GRACE is set, though/],
    ['a member that targets have not',     'variables', 's/lock_wait     = optional/lock_waits = optional/', qr/the variable has .*lock_waits/],
    ['a member that the variable has not', 'targets',   's/\{"rollback", read/{"rollbacks", read/', qr/has the members .*rollbacks/],
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
