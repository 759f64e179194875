#!/usr/bin/perl
# infra/github/review.yaml: its scripts, run as a job would run them, in a clone with a base branch and a pull request. `docker run` is
# played by a script that runs the built worker.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp qw(tempdir);
use Test::More;
use Pawl::Postgres;
use Pawl::Process qw(built);

my $work = tempdir('pawl-review.XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $pawl = built('pawl');

sub slurp {
    my ($file) = @_;
    open my $in, '<', $file or return '';
    local $/;
    return scalar(<$in>) // '';
}

sub spew {
    my ($file, $text) = @_;
    open my $out, '>', $file or die "$file: $!";
    print $out $text;
    return close $out;
}

# The script of a step, by the step's name.
my $workflow = slurp("$FindBin::Bin/../../infra/github/review.yaml");

sub script {
    my ($step) = @_;
    my ($text) = $workflow =~ /^      - name: \Q$step\E\n(?:        .*\n|\n)*?        run: \|\n((?:          .*\n|\n)+)/m or die "no step $step";
    return $text =~ s/^ {10}//gmr;
}

# The container sees the clone at /work and the base at /base.
mkdir "$work/bin";
spew("$work/bin/docker", <<"SCRIPT");
#!/bin/bash
echo "\$*" >> '$work/docker'
while [ "\$1" != pawl:review ]; do shift; done
shift
arguments=()
for argument; do arguments+=("\${argument/#\\/base/\$RUNNER_TEMP/base}"); done
exec '$pawl' "\${arguments[\@]}"
SCRIPT
chmod 0755, "$work/bin/docker";

my %git = (map { ("GIT_${_}_NAME" => 'x', "GIT_${_}_EMAIL" => 'x@example.com') } qw(AUTHOR COMMITTER));
sub shell {
    my ($script, %env) = @_;
    my $process = Pawl::Process->start(name => 'step', quiet => 1, folder => "$work/clone", command => ['bash', '-eo', 'pipefail', '-c', $script],
        env => {%git, GIT_CONFIG_GLOBAL => '/dev/null', PATH => "$work/bin:$ENV{PATH}", RUNNER_TEMP => "$work/temp", GITHUB_STEP_SUMMARY => "$work/summary",
            BASE => 'origin/main', %env});
    return ($process->wait_end(60), $process->out, $process->err);
}

# A pull request that does this to the base.
sub pull_request {
    my ($change) = @_;
    system('rm', '-rf', map { "$work/$_" } qw(clone origin temp summary docker));
    mkdir "$work/$_" for qw(clone temp);
    my ($exit, $out, $err) = shell(<<"SCRIPT");
git init -q -b main . && mkdir migrations
echo 'CREATE TABLE orders (id int);' > migrations/0001_orders.sql
echo 'DROP TABLE IF EXISTS old;' > migrations/0002_old.sql
git add . && git commit -qm base && git clone -q --bare . '$work/origin' && git remote add origin '$work/origin' && git fetch -q
git checkout -qb change && { $change
} && git add -A && git commit -qm change --allow-empty
SCRIPT
    is $exit, 0, 'a pull request' or diag $out, $err;
    return;
}

subtest 'what can hurt is said beside the line' => sub {
    pull_request("printf 'SELECT 1;\\nCREATE INDEX i ON orders (id);\\n' > 'migrations/0003_an index.sql'");
    my ($exit, $out, $err) = shell(script('Lint what is new'));
    is $exit, 1, 'and the check fails' or diag $err;
    like $out, qr/^::warning file=migrations\/0003_an index\.sql,line=2,.*index-blocks-writes/m, 'as an annotation, by the path in the repository';
    unlike $out, qr/0002_old/, 'about what is new only';
    like slurp("$work/docker"), qr/^run --rm --network=none --volume \S+:\/work:ro --workdir \/work pawl:review lint/, 'in a container without network';
};
subtest 'nothing to say' => sub {
    pull_request("echo 'CREATE TABLE lines (id bigint);' > migrations/0003_lines.sql");
    my ($exit, $out) = shell(script('Lint what is new'));
    is $exit, 0,  'is fine';
    is $out,  '', 'and quiet';
    pull_request('git rm -q migrations/0002_old.sql');
    ($exit, $out) = shell(script('Lint what is new'));
    is $exit, 0, 'so is a pull request without migrations';
    like $out, qr/no migration is new or changed/, 'which is told';
};
subtest 'planned and applied' => sub {
    pull_request("echo 'ALTER TABLE orders ADD note text; -- ::error::x' > migrations/0003_note.sql");
    my $database = Pawl::Postgres->new;
    my ($exit, $out, $err) = shell(script('Plan and apply'), DATABASE_URL => $database->url);
    is $exit, 0, 'it fits on the base' or diag $out, $err;
    like slurp("$work/summary"), qr/\A### Planned migrations\n\n    pending 0003_note\.sql: 1 statement\n/, 'the summary shows the plan';
    is $database->value('SELECT count(*) FROM pawl.migrations'), 3, 'all files are applied';
    my ($word) = $out =~ /\A::stop-commands::([0-9a-f]{32})\n/;
    ok $word && $out =~ /^::$word\::\n\z/m, 'nothing between is a command' or diag $out;
};
subtest 'what does not fit' => sub {
    pull_request("echo 'ALTER TABLE ordres ADD note text;' > migrations/0003_note.sql");
    my $database = Pawl::Postgres->new;
    my ($exit, $out) = shell(script('Plan and apply'), DATABASE_URL => $database->url);
    is $exit, 1, 'fails';
    like $out, qr/0003_note\.sql, line 1: relation "ordres" does not exist/, 'and says where';

    pull_request("echo '-- changed' >> migrations/0001_orders.sql");
    $database = Pawl::Postgres->new;
    ($exit, $out) = shell(script('Plan and apply'), DATABASE_URL => $database->url);
    is $exit, 1, 'so does a file that is applied and changed';
    like $out, qr/MIGRATION_CHANGED/, 'and says so';
};
done_testing;
