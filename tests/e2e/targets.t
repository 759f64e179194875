#!/usr/bin/perl
# One worker for several databases: a message's target selects, a subscription is bound to its targets, and what comes from development
# never touches production.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Temp;
use JSON::PP ();
use Test::More;
use Pawl::LocalCloud;
use Pawl::Migrations;
use Pawl::Postgres;
use Pawl::Shell qw(pawl start_pawl);
use Pawl::Worker;

delete $ENV{DATABASE_URL}; # that of the private server
my $cloud   = Pawl::LocalCloud->start;
my %google  = $cloud->google;
my %base    = (development => Pawl::Postgres->new, production => Pawl::Postgres->new);
my %files   = (
    development => Pawl::Migrations->new('0001_a.sql' => 'CREATE TABLE a ();', '0002_b.sql' => 'CREATE TABLE b ();'),
    production  => Pawl::Migrations->new('0001_a.sql' => 'CREATE TABLE a ();'),
);
my %subscription = map { $_ => $cloud->subscription_name("push-$_") } qw(development production operators);
our $reader = 'ci@pawl-test.iam.gserviceaccount.com';
my $id     = 1000;

sub targets {
    my (%change) = @_;
    return JSON::PP->new->canonical->encode({targets => [map { {
        name => $_, database => $base{$_}->url, migrations => $files{$_}->folder,
        subscriptions => [@subscription{$_, 'operators'}], %{$change{$_} // {}}} } qw(development production)]});
}

my $folder = File::Temp->newdir('pawl-targets.XXXXXX', TMPDIR => 1);
my $file   = "$folder/targets.json";
sub write_file { my ($content) = @_; open my $out, '>', $file or die "$file: $!"; print {$out} $content; close $out or die; return $file }

sub push_to {
    my ($worker, $from, $data) = @_;
    return $worker->request(POST => '/', token => $cloud->token(claims => {aud => $worker->audience, email => $worker->account}),
        body => {message => {%{$cloud->message($data)}, messageId => '' . ++$id, publishTime => '2026-01-01T00:00:00Z'}, subscription => $subscription{$from}});
}

sub ask {
    my ($worker, $path) = @_;
    return $worker->request(GET => $path, token => $cloud->token(claims => {aud => $worker->audience, email => $reader}));
}

sub untouched { my ($database) = @_; return !$database->has_table('a') && !$database->has_table('pawl.runs') && $database->value("SELECT count(*) FROM pg_namespace WHERE nspname = 'pawl'") eq '0' }

subtest 'two targets, each with its database, files and subscription' => sub {
    my $worker = Pawl::Worker->start(cloud => $cloud, env => {PAWL_TARGETS => write_file(targets()), PAWL_READERS => $reader});
    my $answer = push_to($worker, 'development', {target => 'production'});
    is($answer->{status}, 500, 'development addresses production: refused');
    is($answer->{json}{error}, 'TARGET_FORBIDDEN', 'for what it is');
    ok(untouched($base{production}), 'and production is untouched, its ledger too');

    is(push_to($worker, 'development', {})->{json}{target}, 'development', 'a bound subscription may leave the target out');
    ok($base{development}->has_table('b'), 'and its database has its files');
    is(push_to($worker, 'development', {target => 'development'})->{json}{status}, 'nothing_pending', 'or name it');
    ok(untouched($base{production}), 'production is still untouched');

    is(push_to($worker, 'development', {target => 'production'})->{json}{error}, 'TARGET_FORBIDDEN', 'refused again');
    my $refused = ask($worker, "/runs/$id")->{json};
    is($refused->{error}, 'TARGET_FORBIDDEN', 'whoever follows it hears why, from the ledger of its own target');
    ok(untouched($base{production}), 'not from that of production');

    is(push_to($worker, 'operators', {})->{json}{error}, 'TARGET_UNKNOWN', 'a subscription of both has to say which');
    is(ask($worker, "/runs/$id")->{json}{error}, 'TARGET_UNKNOWN', 'and hears so');
    is(push_to($worker, 'operators', {target => 'staging'})->{json}{error}, 'TARGET_UNKNOWN', 'and one that is there');
    is(ask($worker, "/runs/$id")->{json}{target}, 'staging', 'or hears what was asked for');
    is($base{development}->value("SELECT count(*) FROM pawl.runs WHERE error = 'TARGET_UNKNOWN'"), 2, 'from the ledger of the first that it may address');
    is(push_to($worker, 'operators', {target => 'production'})->{status}, 200, 'then it is served');
    ok($base{production}->has_table('a') && !$base{production}->has_table('b'), 'with the files of that target');
    my $production_run = $id;
    local $subscription{stranger} = $cloud->subscription_name('stranger');
    is(push_to($worker, 'stranger', {target => 'production'})->{json}{error}, 'TARGET_FORBIDDEN', 'a subscription that is on no list is refused');
    is(ask($worker, "/runs/$id")->{status}, 404, 'and is in no ledger');
    is(push_to($worker, 'production', {target => 'development'})->{json}{error}, 'TARGET_FORBIDDEN', 'the other way round too');

    is(ask($worker, "/runs/$production_run")->{json}{target}, 'production', 'a run is found in whichever target it was');
    is(ask($worker, '/runs/1')->{status}, 404, 'one that is in none is not');
    is(ask($worker, "/targets/$_")->{json}{target}, $_, "GET /targets/$_") for qw(development production);
    is(scalar @{ask($worker, '/targets/development')->{json}{migrations}}, 2, 'with its own migrations');
    is(ask($worker, '/targets/default')->{status}, 404, 'and no other');
    is($worker->stop, 0, 'exit code 0');
};

subtest 'an account of development that names the subscription of production' => sub {
    my $production = 'push@production.iam.gserviceaccount.com';
    my $database = Pawl::Postgres->new;
    my $worker = Pawl::Worker->start(cloud => $cloud, env => {PAWL_READERS => $reader, PAWL_CALLERS => "dev\@development.iam.gserviceaccount.com,$production",
        PAWL_TARGETS => write_file(targets(production => {database => $database->url, callers => [$production]}, development => {callers => ['dev@development.iam.gserviceaccount.com']}))});
    my $push = sub {
        my ($account) = @_;
        return $worker->request(POST => '/', token => $cloud->token(claims => {aud => $worker->audience, email => $account}),
            body => {message => {%{$cloud->message({target => 'production'})}, messageId => '' . ++$id, publishTime => '2026-01-01T00:00:00Z'}, subscription => $subscription{production}});
    };
    is($push->('dev@development.iam.gserviceaccount.com')->{json}{error}, 'TARGET_FORBIDDEN', 'is refused');
    ok(untouched($database), 'and production is untouched');
    is($push->($production)->{status}, 200, 'the account of production is served');
    is($worker->stop, 0, 'exit code 0');
};

subtest 'an account that a target binds and nobody lets in' => sub {
    my %member = (callers => 'PAWL_CALLERS', readers => 'PAWL_READERS');
    for my $member (sort keys %member) {
        my $worker = Pawl::Worker->start(cloud => $cloud, ready => 0, env => {PAWL_READERS => $reader,
            PAWL_TARGETS => write_file(targets(production => {$member => ['typo@production.iam.gserviceaccount.com']}))});
        is($worker->wait_end, 2, "$member: it does not start");
        like(join('', map { $_->{line} } $worker->logs), qr/PAWL_TARGETS: target 'production': $member: typo\@\S+ is not in $member{$member}/, 'and says whom it means');
    }
};

subtest 'a reader of development sees nothing of production' => sub {
    my @email  = map { "ci\@$_.iam.gserviceaccount.com" } qw(development production);
    my $worker = Pawl::Worker->start(cloud => $cloud, env => {PAWL_READERS => join(',', @email),
        PAWL_TARGETS => write_file(targets(development => {readers => [$email[0]]}, production => {readers => [$email[1]]}))});
    is(push_to($worker, 'production', {})->{status}, 200, 'production has a run');
    for my $case ([$email[0], 404, 404, 200], [$email[1], 200, 200, 404]) {
        local $reader = $case->[0];
        is_deeply([map { ask($worker, $_)->{status} } "/runs/$id", '/targets/production', '/targets/development'], [@$case[1 .. 3]], $reader);
    }
    is($worker->stop, 0, 'exit code 0');
};

subtest 'two targets in one database, each with its ledger and its role' => sub {
    my $shared = Pawl::Postgres->new;
    my %role   = (development => 'targets dev "owner"', production => 'targets_prod');
    my %schema = (development => 'ledger_dev',          production => 'ledger_prod');
    my $name   = $shared->name;
    $shared->execute('CREATE ROLE targets_login LOGIN');
    for my $quoted (map { '"' . s/"/""/gr . '"' } values %role) {
        $shared->execute("CREATE ROLE $quoted; GRANT $quoted TO targets_login; GRANT CREATE ON DATABASE \"$name\" TO $quoted");
    }
    my %folder;
    for (qw(development production)) {
        $folder{$_} = Pawl::Migrations->new(
            '0001_a.sql'   => "CREATE SCHEMA $_;\nSET search_path = $_;\nCREATE TABLE a (x int);\nRESET ROLE;\nCREATE TABLE b (x int);\nSELECT pg_sleep(0.7);",
            '0002_i.sql'   => "CREATE INDEX CONCURRENTLY i ON $_.a (x);",
            'repeat_v.sql' => "CREATE OR REPLACE VIEW $_.v AS SELECT x FROM $_.a;",
        );
    }
    my $url = $shared->url =~ s{//pawl@}{//targets_login@}r;
    my %with = map { $_ => {database => $url, migrations => $folder{$_}->folder, schema => $schema{$_}, role => $role{$_}} } keys %role;
    my $worker = Pawl::Worker->start(cloud => $cloud, env => {PAWL_TARGETS => write_file(targets(%with)), PAWL_READERS => $reader, PAWL_LOCK_WAIT => '30s'});

    # Both at once: they wait for each other.
    my %message = (development => '' . ++$id, production => '' . ++$id);
    my (%socket, %answer);
    for my $target (sort keys %role) {
        my $token = $cloud->token(claims => {aud => $worker->audience, email => $worker->account});
        my $body = JSON::PP->new->encode({message => {%{$cloud->message({})}, messageId => $message{$target}, publishTime => '2026-01-01T00:00:00Z'},
            subscription => $subscription{$target}});
        $socket{$target} = $worker->connect;
        print {$socket{$target}} "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer $token\r\nContent-Type: application/json\r\n",
            'Content-Length: ', length $body, "\r\n\r\n", $body;
    }
    $answer{$_} = $worker->read_all($socket{$_}, 30) for sort keys %role;
    like(join('', map { $_->{line} } $worker->logs), qr/"waiting: pawl \d+ /, 'one waited for the other');
    for my $target (sort keys %role) {
        like($answer{$target}, qr{^HTTP/1.1 200 .*"target":"$target"}s, "$target is migrated by the message of its subscription");
        my $other = $target eq 'production' ? 'development' : 'production';
        is($shared->value("SELECT string_agg(file, ' ' ORDER BY file) FROM $schema{$target}.migrations WHERE state = 'applied' AND run = '$message{$target}'"),
            '0001_a.sql 0002_i.sql repeat_v.sql', 'its ledger has its files');
        is($shared->value("SELECT count(*) FROM $schema{$target}.runs WHERE id = '$message{$other}'"), '0', 'and knows nothing of the other');
        is($shared->value("SELECT string_agg(DISTINCT pg_get_userbyid(relowner), ', ') FROM pg_class WHERE relnamespace IN ('$target'::regnamespace, '$schema{$target}'::regnamespace)"),
            $role{$target}, 'its role owns what it made, and the ledger');
    }
    is(push_to($worker, 'production', {})->{json}{status}, 'nothing_pending', 'once more: nothing to do');
    for my $target (sort keys %role) {
        is(ask($worker, "/runs/$message{$target}")->{json}{target}, $target, 'a run is found in its ledger');
        is_deeply([map { $_->{state} } @{ask($worker, "/targets/$target")->{json}{migrations}}], ['applied', 'applied', 'applied'], "GET /targets/$target");
    }
    is($shared->value("SELECT count(*) FROM pg_namespace WHERE nspname = 'pawl'"), '0', 'there is no other ledger');
    is($worker->stop, 0, 'exit code 0');

    my %shell = (env => {PAWL_TARGETS => $file});
    my $states = sub { return join ' ', map { $_->{state} } @{$_[0]{json}{migrations}} };
    is($states->(pawl(['status', '--target', 'development', '--json'], %shell)), 'applied applied applied', 'a shell finds them, too');
    my %single = (env => {DATABASE_URL => $url, PAWL_MIGRATIONS => $folder{production}->folder});
    is($states->(pawl(['status', '--schema', 'ledger_prod', '--role', 'targets_prod', '--json'], %single)), 'applied applied applied',
        'or without the file, by two options');
    my $alien = pawl(['status', '--schema', 'ledger_prod', '--role', $role{development}], %single);
    is($alien->{exit}, 1, 'the role of the other may not read it: exit 1');
    like($alien->{err}, qr/GRANT USAGE ON SCHEMA ledger_prod TO "targets dev ""owner"""/, 'and is told what is missing');
    my $nobody = pawl(['migrate', '--role', 'pawl'], %single);
    is($nobody->{exit}, 1, 'a role that the login may not assume: exit 1');
    like($nobody->{err}, qr/DATABASE_REFUSED.*GRANT "pawl" TO "targets_login"/s, 'and is told what is missing');
};

subtest 'one database away, the other is served' => sub {
    my $worker = Pawl::Worker->start(cloud => $cloud, ready => 0, env => {PAWL_READERS => $reader,
        PAWL_TARGETS => write_file(targets(development => {database => 'postgresql://u:hunter2secret@127.0.0.1:1/x'}))});
    is($worker->request(GET => '/ready')->{status}, 503, 'not ready');
    is(push_to($worker, 'production', {})->{status}, 200, 'production is served');
    is(ask($worker, "/runs/$id")->{json}{target}, 'production', 'its run is found');
    is(ask($worker, '/runs/1')->{status}, 503, 'of an unknown one nobody can say that it is nowhere');
    is(push_to($worker, 'development', {})->{json}{error}, 'DATABASE_UNAVAILABLE', 'development has to come again');
    unlike(join('', map { $_->{line} } $worker->logs), qr/hunter2secret/, 'and no password is to be read');
    is($worker->stop, 0, 'exit code 0');
};

subtest 'the file may be a secret, and hold names of secrets' => sub {
    my $database = $cloud->set_secret('production-url', $base{production}->url);
    my $targets  = $cloud->set_secret('targets', targets(production => {database => $database}));
    my $worker   = Pawl::Worker->start(cloud => $cloud, env => {%google, PAWL_TARGETS => $targets});
    is(push_to($worker, 'production', {})->{json}{target}, 'production', 'served');
    is($worker->stop, 0, 'exit code 0');
};

subtest 'a shell names its target' => sub {
    my %env = (env => {PAWL_TARGETS => write_file(targets())});
    my $none = pawl(['status'], %env);
    is($none->{exit}, 1, 'without: exit 1');
    like($none->{err}, qr/--target.*development, production/, 'and those that there are');
    is(pawl(['status', '--target', 'staging'], %env)->{exit}, 1, 'one that is not there: exit 1');
    is(pawl(['status', '--target', 'production', '--json'], %env)->{json}{target}, 'production', 'status');
    $files{production}->write('0002_c.sql', 'CREATE TABLE c ();');
    is(pawl(['plan', '--target', 'production', '--json'], %env)->{json}{target}, 'production', 'plan');
    is(pawl(['migrate', '--target', 'production'], %env)->{exit}, 0, 'migrate');
    ok($base{production}->has_table('c') && !$base{development}->has_table('c'), 'there and nowhere else');
};

subtest 'what is wrong with the file stops the start' => sub {
    my %cases = (
        'no JSON' => ['{', qr/PAWL_TARGETS: \Q$file\E: JSON/],
        'an unknown member' => [targets(production => {rollbak => JSON::PP::true()}), qr/'rollbak'/],
        'a short subscription' => [targets(production => {subscriptions => ['push']}), qr/target 'production': subscriptions: .*'push'/],
        'a secret without a version' => [targets(production => {database => 'secret:projects/p/secrets/s'}), qr/target 'production': database: .*versions/],
        'a schema of PostgreSQL' => [targets(production => {schema => 'pg_ledger'}), qr/target 'production': schema: must not begin with pg_/],
        'a schema that needs quoting' => [targets(production => {schema => 'a"; DROP TABLE x'}), qr/target 'production': schema: must be 1 to 63 of a-z/],
        'a role that no role is called' => [targets(production => {role => 'none'}), qr/target 'production': role: must not be none/],
        'no folder' => [targets(development => {migrations => '/no/such/folder'}), qr{PAWL_TARGETS.*/no/such/folder}],
    );
    my %serve = (env => {PORT => 0, PAWL_AUDIENCE => 'a', PAWL_CALLERS => 'b@c', PAWL_JWKS_URL => $cloud->jwks_url, PAWL_TARGETS => $file});
    for my $case (sort keys %cases) {
        write_file($cases{$case}[0]);
        my $process = start_pawl(['serve'], %serve);
        is($process->wait_end, 2, "$case: exit 2");
        like($process->err, $cases{$case}[1], 'and what it is');
    }
    write_file(targets());
    my $both = start_pawl(['serve'], env => {%{$serve{env}}, DATABASE_URL => 'postgresql:///x'});
    is($both->wait_end, 2, 'PAWL_TARGETS and DATABASE_URL: exit 2');
    like($both->err, qr/PAWL_TARGETS and DATABASE_URL/, 'both are named');
    for my $wrong ([PAWL_SCHEMA => 'Ledger', qr/PAWL_SCHEMA: must be 1 to 63 of a-z/], [PAWL_ROLE => "a\tb", qr/PAWL_ROLE: must be the name of a role/]) {
        my $process = start_pawl(['serve'], env => {%{$serve{env}}, $wrong->[0] => $wrong->[1]});
        is($process->wait_end, 2, "$wrong->[0]: exit 2");
        like($process->err, $wrong->[2], 'which is named');
    }
    my $missing = start_pawl(['serve'], env => {%{$serve{env}}, PAWL_TARGETS => '/no/such/file'});
    is($missing->wait_end, 2, 'no file: exit 2');
    like($missing->err, qr{PAWL_TARGETS: .*/no/such/file}, 'which is named');
};

done_testing();
