#!/usr/bin/perl
# infra/pawl evaluated by Terraform itself: what its variables admit, what the worker is told, what comes out. Providers and Google are
# left out: a copy without resources is evaluated, where each attribute of one is a text of its own. Whether the worker takes what it is
# told is then asked of the worker, and whether the grants are enough of PostgreSQL.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use JSON::PP ();
use Test::More;
use Pawl::Postgres;
use Pawl::Process qw(built);

plan skip_all => 'terraform is not installed' unless `terraform version 2>/dev/null`;
my $module = "$FindBin::Bin/../../infra/pawl";
my $work   = tempdir('pawl-values.XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $json   = JSON::PP->new->utf8->canonical;

sub slurp {
    my ($file) = @_;
    open my $in, '<', $file or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}
mkdir "$work/$_" for my @folders = qw(pawl production development);
sub spew { my ($name, $text) = @_; open my $out, '>', "$work/$name" or die "$name: $!"; print $out $text; return close $out }

# ---- the copy --------------------------------------------------------------------------------------------------------

my %attributes = (
    'google_service_account.worker.email'                => 'pawl-worker@shop-1.iam.gserviceaccount.com',
    'google_service_account.push.email'                  => 'pawl-push@shop-1.iam.gserviceaccount.com',
    'google_service_account.publisher.email'             => 'pawl-publisher@shop-1.iam.gserviceaccount.com',
    'google_service_account.deployer.email'              => 'pawl-deployer@shop-1.iam.gserviceaccount.com',
    'google_storage_bucket.source.name'                  => 'shop-1-pawl-source',
    'google_sql_database_instance.pawl.connection_name'  => 'shop-1:europe-west1:pawl',
    'google_secret_manager_secret.database_url.id'       => 'projects/shop-1/secrets/pawl-database-url',
    'google_secret_manager_secret_version.targets.name'  => 'projects/42/secrets/pawl-targets/versions/1',
    'google_pubsub_topic.migrate.name'                   => 'pawl-migrate',
    'google_pubsub_topic.dead.id'                        => 'projects/shop-1/topics/pawl-dead',
    'google_pubsub_topic.results.id'                     => 'projects/shop-1/topics/pawl-results',
);
my $text = join "\n", map { slurp($_) } sort grep { !m{/watch\.tf$} } glob "$module/*.tf"; # watch.tf has no values of its own
my %count;
$count{"$1.$2"} = $3 while $text =~ /^resource "(\w+)" "(\w+)" \{\n\s+count\s+= (.*)$/mg;
$text =~ s/^(?:resource|data|ephemeral|terraform)\b[^\n]*\{\n.*?^\}\n//msg;
$text =~ s{(?<![\w.])(data\.|ephemeral\.)?((?:google|random)_\w+\.\w+)(\[\*\]|\[\d+\])?((?:\.\w+)+)(\[\d+\])?}{
    my ($address, $index, $attribute) = ($2, $3 // '', $4);
    my $value = '"' . ($attributes{"$address$attribute"} // "<$address$attribute>") . '"';
    $index eq '[*]' ? "[for i in range($count{$address}) : $value]" : $value
}ge;
my @values = qw(environment secrets sockets target_secrets target_instances targets has_secret);
$text .= "output \"$_\" {\n  value = local.$_\n}\n" for @values;
spew('pawl/main.tf', $text);
spew("$_/main.tf", slurp("$module/../$_/main.tf") =~ s/^(?:terraform|provider)\b[^\n]*\{\n.*?^\}\n//msgr) for qw(production development);

sub terraform {
    my ($folder, @arguments) = @_;
    my $process = Pawl::Process->start(name => 'terraform', command => ['terraform', "-chdir=$work/$folder", @arguments], quiet => 1,
        env => {TF_CLI_CONFIG_FILE => '/dev/null', TF_IN_AUTOMATION => 1});
    return ($process->wait_end(120), $process->out . $process->err, $process->out);
}
for my $folder (@folders) {
    my ($exit, $said) = terraform($folder, 'init', '-input=false', '-no-color');
    is $exit, 0, "the copy of $folder can be evaluated" or diag $said;
}

# What the module makes of these variables.
sub values_of { return values_in('pawl', @_) }

sub values_in {
    my ($folder, %variables) = @_;
    unlink "$work/$folder/terraform.tfstate";
    spew("$folder/terraform.tfvars.json", $json->encode({project => 'shop-1', region => 'europe-west1', %variables}));
    my ($exit, $said) = terraform($folder, 'apply', '-auto-approve', '-input=false', '-no-color');
    is $exit, 0, 'evaluated' or diag $said;
    my $outputs = $json->decode((terraform($folder, 'output', '-json'))[2]);
    return {map { $_ => $outputs->{$_}{value} } keys %$outputs};
}

# ---- what the variables admit ----------------------------------------------------------------------------------------

my %github = (owner_id => '7', repository_id => '8');
my @admitted = (
    {},
    {proof_repository_ids => ['4242'], proof_environments => ['production'], proof_refs => ['refs/heads/main']},
    {proof_owner_ids => ['99'], proof_environments => ['production']},
    {targets => [{name => 'shop'}, {name => 'log', database => 'secret:projects/p/secrets/s/versions/latest'}]},
    {targets => [{name => 'shop', database => 'postgresql://10.1.2.3/shop?sslmode=verify-ca&sslrootcert=/etc/x'}], cloud_sql => undef},
    {targets_secret => 'projects/p/secrets/s/versions/3'},
    {database_iam => JSON::PP::true},
    {schema => '_ledger_2', role => 'a "role" with spaces'},
    {targets => [{name => 'shop', schema => 'ledger', role => 'shop_owner'}]},
    {role => "\x{e9}" x 31},
    {callers => ['pawl-push@other-project.iam.gserviceaccount.com']},
);
my @refused = (
    [{proof_repository_ids => ['octo/shop']},                'proof_repository_ids'],
    [{proof_owner_ids => ['octo']},                          'proof_owner_ids'],
    [{proof_environments => ['production']},                 'proof_environments'],
    [{proof_owner_ids => ['1'], proof_environments => ['a,b']}, 'proof_environments'],
    [{proof_refs => ['refs/heads/main']},                    'proof_refs'],
    [{proof_owner_ids => ['1'], proof_refs => ['main']},     'proof_refs'],
    [{targets => [{name => 'Shop'}]},                        'targets'],
    [{targets => [{name => 'shop'}, {name => 'shop'}]},      'targets'],
    [{targets => [map { {name => "t$_"} } 1 .. 17]},         'targets'],
    [{targets => [{name => 'a', database => 'host=x password=y'}]},         'targets'],
    [{targets => [{name => 'a', database => 'postgresql://u:p@host/db'}]},  'targets'],
    [{targets => [{name => 'a'}], cloud_sql => undef},       'targets'],
    [{targets_secret => 'secret:projects/p/secrets/s/versions/3'},          'targets_secret'],
    [{targets_secret => 'projects/p/secrets/s/versions/3', targets => [{name => 'a'}]}, 'targets_secret'],
    (map { [{schema => $_}, 'schema'] } '', 'Ledger', '2nd', 'pg_x', 'public', 'a' x 64),
    (map { [{role => $_}, 'role'] } '', 'none', "a\nb", 'a' x 64, "\x{e9}" x 32),
    [{targets => [{name => 'a', schema => 'public'}]},       'targets'],
    [{targets => [{name => 'a', role => ''}]},               'targets'],
    [{targets => [{name => 'a', role => "\x{e9}" x 32}]},    'targets'],
    [{callers => ['group:all@example.com']},                 'callers'],
    [{github => {%github, owner_id => 'octo'}},              'github'],
    [{ack_deadline => 601},                                  'ack_deadline'],
    [{name => 'Pawl'},                                       'name'],
);
sub run_block {
    my ($name, $variables, $refused) = @_;
    my %all = (project => 'shop-1', region => 'europe-west1', %$variables);
    return "run \"$name\" {\n  command = plan\n  variables {\n"
        . join('', map { "    $_ = " . JSON::PP->new->ascii->allow_nonref->encode($all{$_}) . "\n" } sort keys %all)
        . "  }\n" . ($refused ? "  expect_failures = [var.$refused]\n" : '') . "}\n";
}
my $n = 0;
spew('pawl/cases.tftest.hcl', join '', (map { run_block('admitted_' . ++$n, $_) } @admitted), map { run_block('refused_' . ++$n, @$_) } @refused);
my ($tested, $log) = terraform('pawl', 'test', '-no-color');
is $tested, 0, 'variables admit what they should, and nothing else' or diag $log;
my @passed = $log =~ /run "((?:admitted|refused)_\d+)"\.\.\. pass/g;
is scalar(@passed), @admitted + @refused, 'in every case' or diag $log;

# ---- what the worker is told -----------------------------------------------------------------------------------------

# The worker itself reads the settings: it must come as far as listening, or stop at what is not there (Google).
sub worker_takes {
    my ($environment, $what, %more) = @_;
    my $process = Pawl::Process->start(name => $what, command => [built('pawl'), 'serve'], quiet => 1,
        env => {DATABASE_URL => undef, %$environment, PORT => 0, PAWL_ADDRESS => '127.0.0.1', PAWL_MIGRATIONS => "$FindBin::Bin/../../migrations",
            GCE_METADATA_HOST => '127.0.0.1:9', PAWL_LOG_FORMAT => 'text', %more});
    for (1 .. 100) {
        last if !$process->running || ($process->out . $process->err) =~ /listening/;
        select undef, undef, undef, 0.05;
    }
    my $log = $process->out . $process->err;
    like $log, qr/listening/, "the worker starts: $what" or diag $log;
    return $log;
}

# Commands of the README, with these names in place of its own.
my $readme = slurp("$FindBin::Bin/../../README.md") =~ s/\bPROJECT\b/shop-1/gr =~ s/\bREGION\b(?!=)/europe-west1/gr;
sub in_readme { my ($text, $what) = @_; return ok index($readme =~ s/^ +//gmr, $text =~ s/^ +//gmr) >= 0, "the README shows $what" }

sub steps { my ($next) = @_; return $next =~ /^\d+\. (.*)$/mg }

subtest 'by default' => sub {
    my $is = values_of();
    is_deeply $is->{environment}, {
        GOOGLE_CLOUD_PROJECT => 'shop-1', PAWL_AUDIENCE => 'https://pawl.shop-1.internal', PAWL_CALLERS => 'pawl-push@shop-1.iam.gserviceaccount.com',
        PAWL_DEAD_LETTER_TOPIC => 'projects/shop-1/topics/pawl-dead', PAWL_LOCK_TIMEOUT => '200ms', PAWL_LOCK_WAIT => '570s', PAWL_LOG_LEVEL => 'info',
        PAWL_READERS => 'pawl-publisher@shop-1.iam.gserviceaccount.com', PAWL_RESULT_TOPIC => 'projects/shop-1/topics/pawl-results', PAWL_TARGET => 'default', PAWL_SCHEMA => 'pawl'
    }, 'nothing is set that was not asked for';
    is_deeply $is->{secrets}, ['<google_secret_manager_secret.database_url.secret_id>'], 'the database is a secret';
    is_deeply $is->{sockets}, ['shop-1:europe-west1:pawl'],                              'behind a socket';
    is $is->{grants}, undef, 'whose user needs no grants';
    is_deeply [steps($is->{next})], [
        'Build, deploy, and migrate for the first time (from the top of the repository):',
        'From then on, to migrate again without building:', 'See what happened:'
    ], 'the steps';
    like $is->{next}, qr/^   gcloud pubsub topics publish pawl-migrate --project=shop-1 --message='\{"target": "default"\}'$/m, 'with commands';
    in_readme($is->{next} =~ /^( +gcloud builds submit.*?HEAD\)\n)/ms, 'the command that builds, as it is printed');
    worker_takes({%{$is->{environment}}, DATABASE_URL => 'host=/nowhere'}, 'by default');
};

subtest 'by IAM' => sub {
    my $is = values_of(database_iam => JSON::PP::true, callers => ['b@c.iam.gserviceaccount.com'], allow_rollback => JSON::PP::true);
    is_deeply $is->{secrets}, [], 'there is no secret';
    ok !$is->{has_secret}, 'at all';
    my $environment = $is->{environment};
    is $environment->{DATABASE_URL}, 'host=/cloudsql/shop-1:europe-west1:pawl dbname=app user=pawl-worker@shop-1.iam', 'the database';
    is $environment->{PAWL_DATABASE_IAM}, 'true', 'a token is the password';
    is $environment->{PAWL_CALLERS}, 'pawl-push@shop-1.iam.gserviceaccount.com,b@c.iam.gserviceaccount.com', 'further callers';
    is $environment->{PAWL_ROLLBACK}, 'true', 'and a permission';
    like((steps($is->{next}))[0], qr/^Let the worker's own account create things/, 'the first step is to grant');
    for my $line (split /\n/, $is->{grants}) { like $is->{next}, qr/^   \Q$line\E$/m, 'by the line that is in it' }
    in_readme($is->{grants}, 'the grants');
    worker_takes($environment, 'by IAM');

    # The grants are right if a fresh user, which owns nothing, can migrate a fresh database of somebody else.
    my $database = Pawl::Postgres->new;
    my ($user) = $environment->{DATABASE_URL} =~ /user=(\S+)/;
    my $name   = $database->name;
    $database->value("SELECT 1 FROM pg_roles WHERE rolname = '$user'") // '' or $database->execute(qq(CREATE ROLE "$user" LOGIN));
    my $migrate = sub {
        my $process = Pawl::Process->start(name => 'migrate', quiet => 1, command => [built('pawl'), 'migrate'],
            env => {DATABASE_URL => "host=$ENV{PGHOST} dbname=$name user=$user", PAWL_MIGRATIONS => "$FindBin::Bin/../../migrations"});
        return ($process->wait_end(60), $process->err);
    };
    my ($without, $why) = $migrate->();
    is $without, 1, 'without the grants it cannot' or diag $why;
    like $why, qr/DATABASE_REFUSED|permission denied/, 'and says so';
    $database->execute($is->{grants} =~ s/"app"/"$name"/r);
    my ($with, $trouble) = $migrate->();
    is $with, 0, 'with the grants it migrates' or diag $trouble;
    $database->execute(qq(DROP OWNED BY "$user"; DROP ROLE "$user"));
};

subtest 'by private IP' => sub {
    my $is = values_of(database_iam => JSON::PP::true, network => {network => 'n', subnetwork => 's'});
    is $is->{environment}{DATABASE_URL},
        'host=<google_sql_database_instance.pawl.private_ip_address> sslmode=verify-ca sslrootcert=/etc/cloudsql/server-ca.pem dbname=app user=pawl-worker@shop-1.iam',
        'the server has to show who it is before it sees a token';
    is_deeply $is->{sockets}, [], 'without a socket';
};

subtest 'with a schema and a role' => sub {
    my $is = values_of(database_iam => JSON::PP::true, schema => 'ledger_two', role => 'values "owner"');
    my $environment = $is->{environment};
    is $environment->{PAWL_SCHEMA}, 'ledger_two',     'the schema';
    is $environment->{PAWL_ROLE},   'values "owner"', 'the role';
    worker_takes($environment, 'with a schema and a role');
    my $database = Pawl::Postgres->new;
    my ($user) = $environment->{DATABASE_URL} =~ /user=(\S+)/;
    my $name   = $database->name;
    $database->execute(qq(CREATE ROLE "$user" LOGIN; CREATE ROLE "values ""owner"""));
    $database->execute($is->{grants} =~ s/"app"/"$name"/r);
    my $process = Pawl::Process->start(name => 'migrate', quiet => 1, command => [built('pawl'), 'migrate'],
        env => {(map { $_ => $environment->{$_} } qw(PAWL_SCHEMA PAWL_ROLE)), DATABASE_URL => "host=$ENV{PGHOST} dbname=$name user=$user",
            PAWL_MIGRATIONS => "$FindBin::Bin/../../migrations"});
    is $process->wait_end(60), 0, 'with the grants it migrates' or diag $process->err;
    is $database->value(q(SELECT string_agg(DISTINCT tableowner, ', ') FROM pg_tables WHERE schemaname IN ('public', 'ledger_two'))),
        'values "owner"', 'and the role owns everything';
    $database->execute(qq(DROP OWNED BY "values ""owner"""; DROP ROLE "values ""owner""", "$user"));
};

subtest 'with proofs demanded' => sub {
    my $is = values_of(github => \%github, proof_repository_ids => ['8', '9'], proof_environments => ['production'], proof_refs => ['refs/heads/main']);
    my %proof = map { $_ => $is->{environment}{$_} } grep {/PROOF/} keys %{$is->{environment}};
    is_deeply \%proof, {PAWL_PROOF_REPOSITORY_ID => '8,9', PAWL_PROOF_ENVIRONMENT => 'production', PAWL_PROOF_REF => 'refs/heads/main'}, 'the worker is told';
    is_deeply [map { substr $_, 0, 20 } steps($is->{next})], ['For GitHub Actions, ', 'Build, deploy and mi', 'See what happened:'], 'no step publishes by hand';
    unlike $is->{next}, qr/builds submit|topics publish/, 'nor tells how';
    like $is->{next}, qr/^   gh workflow run deploy\.yaml/m, 'but by a job';
    worker_takes({%{$is->{environment}}, DATABASE_URL => 'host=/nowhere'}, 'with proofs demanded');
};

subtest 'with targets' => sub {
    my $is = values_of(
        callers => ['dev@shop-dev.iam.gserviceaccount.com'],
        targets => [
            {name => 'shop', subscriptions => ['projects/shop-1/subscriptions/pawl-push'], callers => ['dev@shop-dev.iam.gserviceaccount.com'], rollback => JSON::PP::true, lock_wait => '60s'},
            {name => 'log', database => 'secret:projects/other/secrets/log-url/versions/latest'},
            {name => 'far', database => 'host=/cloudsql/example.com:far-1:us-east1:main dbname=far', database_iam => JSON::PP::true, migrations => '/far', schema => 'far', role => 'far_owner'},
        ]);
    my $environment = $is->{environment};
    is $environment->{PAWL_TARGETS}, 'secret:projects/42/secrets/pawl-targets/versions/1', 'the file is a secret, by version';
    ok !exists $environment->{DATABASE_URL} && !exists $environment->{PAWL_TARGET} && !@{$is->{secrets}}, 'in place of the one database';
    is_deeply $is->{targets}, [
        {name => 'shop', database => 'secret:projects/shop-1/secrets/pawl-database-url/versions/latest', subscriptions => ['projects/shop-1/subscriptions/pawl-push'],
            callers => ['dev@shop-dev.iam.gserviceaccount.com'], rollback => JSON::PP::true, lock_wait => '60s'},
        {name => 'log', database => 'secret:projects/other/secrets/log-url/versions/latest'},
        {name => 'far', database => 'host=/cloudsql/example.com:far-1:us-east1:main dbname=far', database_iam => JSON::PP::true, migrations => '/far',
            schema => 'far', role => 'far_owner'},
    ], 'that says what was said, and the instance of the module for what named none';
    is_deeply $is->{target_secrets}, ['projects/other/secrets/log-url'], 'the secrets that the worker must read';
    is_deeply $is->{sockets}, ['shop-1:europe-west1:pawl', 'example.com:far-1:us-east1:main'], 'the sockets that it must have';
    is_deeply $is->{target_instances}, {'example.com:far-1:us-east1:main' => {project => 'example.com:far-1', name => 'main'}}, 'and whose they are';
    like $is->{next}, qr/_TARGET=shop,/, 'Cloud Build migrates the first';
    like $is->{next}, qr/\{"target": "$_"\}/, "and a message migrates $_" for qw(shop log far);

    spew('targets.json', $json->encode({targets => $is->{targets}}) =~ s{"/far"}{"$FindBin::Bin/../../migrations"}r);
    worker_takes({%$environment, PAWL_TARGETS => "$work/targets.json"}, 'with targets');
};

subtest 'with a targets file of one\'s own' => sub {
    my $is = values_of(targets_secret => 'projects/p/secrets/s/versions/latest', cloud_sql => undef);
    is $is->{environment}{PAWL_TARGETS}, 'secret:projects/p/secrets/s/versions/latest', 'the worker reads it';
    is_deeply [@{$is->{target_secrets}}, @{$is->{secrets}}, @{$is->{sockets}}], ['projects/p/secrets/s'], 'and may; nothing else is made';
    ok !$is->{has_secret}, 'no secret for one database';
};

subtest 'production and development' => sub {
    my %proved = (github => \%github, proof => JSON::PP::true, database_iam => JSON::PP::true);
    my $production = values_in('production', %proved);
    is_deeply [@{$production->{pawl}{environment}}{qw(PAWL_PROOF_REPOSITORY_ID PAWL_PROOF_ENVIRONMENT PAWL_DATABASE_IAM)}], ['8', 'production', 'true'],
        'production may demand proofs of its environment, and log in by IAM';
    my $development = values_in('development', %proved);
    is_deeply [@{$development->{pawl}{environment}}{qw(PAWL_PROOF_REPOSITORY_ID PAWL_PROOF_ENVIRONMENT PAWL_DATABASE_IAM)}], ['8', undef, 'true'],
        'development of any job of the repository';
    is $production->{next}, $production->{pawl}{next}, 'what to type next is an output';
    for my $folder (qw(production development)) {
        ok !grep({/PROOF|IAM/} keys %{values_in($folder)->{pawl}{environment}}), "$folder does not, unless told";
        spew("$folder/terraform.tfvars.json", $json->encode({project => 'shop-1', proof => JSON::PP::true}));
        my ($exit, $said) = terraform($folder, 'plan', '-input=false', '-no-color');
        is $exit, 1, 'and cannot without a repository';
        like $said, qr/A proof is about the repository/, 'as it says';
    }
};
done_testing;
