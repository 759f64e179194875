#!/usr/bin/perl
# The image that `make image` built: what is in it, that it is made the same each time, and the whole way with it:
# pushed to a registry, pulled by its digest, started as PID 1 of its own and as nobody in particular on a read-only
# root, told by a published message, and the database is migrated through a mounted socket, as on Cloud Run. Part of
# `make test` where an image can be built at all (./able); `make test-image` installs what that needs, and builds it twice
# (FRESH=0 leaves out the second time).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Cwd        qw(getcwd);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP ();
use Pawl::LocalCloud;
use Pawl::Postgres;
use Pawl::Process;
use Pawl::Wait qw(wait_until);

chdir "$FindBin::Bin/../.." or die $!;
my $image = getcwd . '/build/image/pawl';
chomp(my $why_not = `tests/image/able`);
plan skip_all => $why_not if $?;
if (!-e "$image/digest" && -s "$image/unfetched") {
    open my $in, '<', "$image/unfetched" or die $!;
    chomp(my $said = <$in>);
    plan skip_all => "the packages for an image cannot be fetched here: $said";
}
if (!-e "$image/digest") {
    fail 'there is an image';
    diag "`make test` and `make test-image` build it; or run infra/image/build";
    done_testing;
    exit;
}
my $work = tempdir('pawl-image.XXXXXX', TMPDIR => 1, CLEANUP => 1);

sub slurp {
    my ($file) = @_;
    open my $in, '<:raw', $file or die "$file: $!\n";
    local $/;
    return scalar <$in>;
}
sub blob_file { my ($oci, $digest) = @_; return "$oci/blobs/" . ($digest =~ s{:}{/}r) }
sub blob      { my ($oci, $digest) = @_; return JSON::PP->new->utf8->decode(slurp(blob_file($oci, $digest))) }

sub manifest {
    my ($oci) = @_;
    return blob($oci, JSON::PP->new->decode(slurp("$oci/index.json"))->{manifests}[0]{digest});
}
sub lines { my ($command) = @_; chomp(my @lines = `$command`); return @lines }
chomp(my $digest = slurp("$image/digest"));

# ---- what is in it ---------------------------------------------------------------------------------------------------

subtest 'nothing but what the worker needs' => sub {
    is_deeply [sort(lines("ls -A '$image/root'"))], [qw(etc licences migrations pawl pawl.spdx.json)],
        'the top of the root';
    is_deeply [lines("find '$image/root/etc' -maxdepth 2 -mindepth 1 -printf '%P\\n' | sort")],
        ['group', 'passwd', 'ssl', 'ssl/certs'], 'etc';
    unlike `readelf -lW '$image/root/pawl'`, qr/INTERP/,      'the worker needs no loader and no library';
    like `readelf -hW '$image/root/pawl'`,   qr/Type:\s+DYN/, 'and may still be loaded anywhere';
    is_deeply [lines("find '$image/root' -perm /6022 ! -type l")], [],
        'nobody but root may write, nothing changes the user';
    is_deeply [lines("find '$image/root' -mindepth 1 -newermt 1970-01-02")], [], 'no file tells when it was built';
    cmp_ok scalar(lines("ls '$image/root/etc/ssl/certs'")), '>', 100, 'certificates';
    is_deeply [sort(lines("ls '$image/root/migrations'"))], [sort(lines('ls migrations'))], 'and the migrations';
};

subtest 'the configuration' => sub {
    my $config = blob("$image/oci", manifest("$image/oci")->{config}{digest})->{config};
    is $config->{User}, '65532:65532', 'not root, by number';
    is_deeply $config->{Entrypoint}, ['/pawl'], 'the worker';
    is_deeply $config->{Cmd},        ['serve'], 'serves unless told otherwise';
    my %environment = map { split /=/, $_, 2 } @{$config->{Env}};
    is $environment{PAWL_MIGRATIONS}, '/migrations', 'knows its migrations';
    like $environment{PAWL_RELEASE}, qr/./,                                 'and its release';
    like $environment{PAWL_BUILT},   qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'and when that was built';
    is $config->{Labels}{'org.opencontainers.image.revision'}, $environment{PAWL_RELEASE}, 'the label says the same';
};

subtest 'the list of contents' => sub {
    my $list     = JSON::PP->new->utf8->decode(slurp("$image/pawl.spdx.json"));
    my %packages = map { $_->{name} => $_ } @{$list->{packages}};
    is $list->{spdxVersion}, 'SPDX-2.3', 'is SPDX';
    for my $name (
        qw(pawl curl postgresql-15 cjson openssl libevent http-parser libpg-query glibc gcc-12 ca-certificates))
    {
        my $package = delete $packages{$name} // {};
        like $package->{versionInfo},      qr/[0-9a-f]/,             "$name has a version";
        like $package->{licenseConcluded}, qr/^[A-Z][\w.-]|^curl$/i, 'and a licence';
        ok $name eq 'pawl' || -s "$image/root/licences/$name", 'whose text is in the image';
    }
    is_deeply [keys %packages], [], 'and nothing else is listed';
};

SKIP: {
    skip 'FRESH=0: the image is not built a second time', 1 if defined $ENV{FRESH} && !$ENV{FRESH};
    my %baked = map { split /=/, $_, 2 } @{blob("$image/oci", manifest("$image/oci")->{config}{digest})->{config}{Env}};
    local @ENV{qw(FRESH RELEASE BUILT)} = (1, @baked{qw(PAWL_RELEASE PAWL_BUILT)});
    my $built = Pawl::Process->start(name => 'build', command => ['infra/image/build', 'worker/Dockerfile', 'again']);
    is $built->wait_end(900), 0, 'it is built again, from nothing';
    chomp(my $again = slurp('build/image/again/digest'));
    is $again, $digest, 'and has the same digest';
}

# ---- the whole way ---------------------------------------------------------------------------------------------------

sub free_port { return IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 0)->sockport }

my ($registry, $reference);
subtest 'to a registry and back' => sub {
    my $port = free_port();
    open my $out, '>', "$work/registry.yaml" or die $!;
    print $out
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: $work/registry}}\nhttp: {addr: '127.0.0.1:$port'}\n";
    close $out or die $!;
    $registry = Pawl::Process->start(
        name    => 'docker-registry',
        quiet   => 1,
        command => ['docker-registry', 'serve', "$work/registry.yaml"]
    );
    wait_until { HTTP::Tiny->new->get("http://127.0.0.1:$port/v2/")->{status} == 200 } seconds => 20,
        what                                                                                   => 'the registry';
    $reference = "127.0.0.1:$port/pawl";
    my @copy = ('skopeo', '--insecure-policy', 'copy', '--quiet');
    is
        system(@copy, '--preserve-digests', '--dest-tls-verify=false', "oci:$image/oci:latest",
        "docker://$reference:v1"),
        0, 'pushed';
    is system(@copy, '--src-tls-verify=false', "docker://$reference\@$digest", "oci:$work/oci:latest"), 0,
        'pulled by its digest';
};
my $oci = -e "$work/oci" ? "$work/oci" : "$image/oci";
mkdir "$work/root" or die $!;
for my $layer (@{manifest($oci)->{layers}}) {
    is system('tar', '-xzf', blob_file($oci, $layer->{digest}), '-C', "$work/root"), 0, 'a layer is unpacked';
}

# container(env, command...): how to run the command as Cloud Run does: PID 1 in a PID namespace, not root, a read-only
# root, and the folder of PostgreSQL's socket mounted where Cloud SQL's would be.
my $instance = 'project:region:instance';

sub container {
    my ($env, @command) = @_;
    mkdir "$work/root/cloudsql";
    mkdir "$work/root/cloudsql/$instance";
    chmod 0755, $work;
    my $config = blob($oci, manifest($oci)->{config}{digest})->{config};
    my %baked  = map { split /=/, $_, 2 } @{$config->{Env}};
    my $script =
          'mount --bind "$1" "$1" && mount --bind "$PGHOST" "$1/cloudsql/$2" && mount -o remount,bind,ro "$1" && '
        . 'root=$1 user=$3 && shift 3 && exec chroot --userspec="$user" "$root" "$@"';
    return (
        command => [
            'unshare',    '--mount', '--pid',         '--fork', '--kill-child=KILL', 'sh', '-c', $script, 'container',
            "$work/root", $instance, $config->{User}, @{$config->{Entrypoint}}, @command
        ],
        env => {%baked, %$env},
    );
}
# The one child of unshare: the container's PID 1, seen from here.
sub first_process {
    my ($unshare) = @_;
    my ($pid)     = wait_until { slurp("/proc/$unshare/task/$unshare/children") =~ /(\d+)/ ? $1 : undef }
    what => 'the first process';
    return $pid;
}

sub database_url {
    my ($database) = @_;
    return "host=/cloudsql/$instance dbname=" . $database->name . " user=$ENV{PGUSER}";
}

subtest 'serve: a published message migrates the database' => sub {
    my $cloud    = Pawl::LocalCloud->start;
    my $database = Pawl::Postgres->new;
    my ($port, $account, $audience) =
        (free_port(), 'push@' . $cloud->project . '.iam.gserviceaccount.com', 'https://pawl.example');
    my $worker = Pawl::Process->start(
        name => 'container',
        container(
            {
                PORT          => $port,
                PAWL_ADDRESS  => '127.0.0.1',
                PAWL_AUDIENCE => $audience,
                PAWL_CALLERS  => $account,
                PAWL_JWKS_URL => $cloud->jwks_url,
                DATABASE_URL  => database_url($database),
            },
            'serve'
        )
    );
    wait_until {
        die $worker->tail if !$worker->running;
        HTTP::Tiny->new->get("http://127.0.0.1:$port/ready")->{status} == 200
    }
    seconds => 30, what => 'the worker to be ready';

    my $pid    = first_process($worker->pid);
    my $status = slurp("/proc/$pid/status");
    like $status, qr/^NSpid:\t$pid\t1$/m,                  'it is PID 1';
    like $status, qr/^Uid:\t65532\t65532\t65532\t65532$/m, 'and not root';

    $cloud->create_topic('migrate');
    $cloud->create_subscription(
        'push',
        topic              => 'migrate',
        push               => "http://127.0.0.1:$port/",
        account            => $account,
        audience           => $audience,
        ackDeadlineSeconds => 30
    );
    my $id       = $cloud->publish('migrate', {reason => 'the image'});
    my $delivery = $cloud->wait_acknowledged('push', $id);
    my $answer   = JSON::PP->new->utf8->decode($delivery->{answer});
    is $answer->{status}, 'applied', 'the message is answered';
    my @files = grep { /\.sql$/ } lines('ls migrations');
    is scalar(@{$answer->{migrations}}),                         scalar(@files), 'with every migration of the image';
    is $database->value('SELECT count(*) FROM pawl.migrations'), scalar(@files), 'and the ledger has them';

    kill TERM => $pid;
    is $worker->wait_end(20), 0, 'told to end, PID 1 ends well';
};

subtest 'migrate and status: the same image as a job' => sub {
    my $database = Pawl::Postgres->new;
    my %env      = (DATABASE_URL => database_url($database));
    my $first    = Pawl::Process->start(name => 'migrate', container({%env}, 'migrate', '--json'));
    is $first->wait_end(60), 0, 'migrates';
    is(JSON::PP->new->decode($first->out)->{status}, 'applied', 'and says so');
    my $second = Pawl::Process->start(name => 'status', container({%env}, 'status', '--json'));
    is $second->wait_end(60), 0, 'tells its state';
    unlike $second->out, qr/"pending"/, 'nothing is pending';
    my $none = Pawl::Process->start(name => 'serve', quiet => 1, container({DATABASE_URL => ''}, 'serve'));
    is $none->wait_end(20), 2, 'and does not serve without being told for whom';
};
done_testing;
