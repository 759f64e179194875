#!/usr/bin/perl
# `pawl lint`: hazards by name, with the safe way, for people, programs and GitHub; without a database.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Pawl::Migrations;
use Pawl::Shell qw(pawl);

my $files = Pawl::Migrations->new(
    '0001_new.sql'  => "CREATE TABLE fresh (id bigint);\nCREATE INDEX fresh_id ON fresh (id);\n",
    '0002_old.sql'  => "-- a comment\nCREATE INDEX orders_note ON orders (note);\n",
    '0003_meant.sql' => "-- pawl: allow drop-table nobody has used it since spring\nDROP TABLE old_orders;\n",
    '0004_worse.sql' => "ALTER TABLE orders ADD COLUMN must text NOT NULL;\n",
);
my %none = (env => {DATABASE_URL => undef});
my $folder = $files->folder;

my $result = pawl(['lint', '--color', 'never'], migrations => $files, %none);
is($result->{exit}, 1, 'hazards: exit 1');
like($result->{out}, qr{^\Q$folder\E/0002_old\.sql:2: warning: index-blocks-writes: orders$}m, 'file, line, level, name, subject');
like($result->{out}, qr/instead: CREATE INDEX CONCURRENTLY/, 'and the safe way');
unlike($result->{out}, qr/0001_new/, 'what the file itself creates is not in use');
unlike($result->{out}, qr/0003_meant/, 'what is allowed with a reason is not shown');
like($result->{out}, qr/^4 files, 2 findings$/m, 'the sum');

is(pawl(['lint', $files->path('0001_new.sql')], %none)->{exit}, 0, 'a file without hazards: exit 0');
is(pawl(['lint', '--level', 'danger', $files->path('0002_old.sql')], %none)->{exit}, 0, 'a warning is no danger: exit 0');
is(pawl(['lint', '--level', 'danger', map { $files->path($_) } '0002_old.sql', '0004_worse.sql'], %none)->{exit}, 1, 'a danger is: exit 1');

my $json = pawl(['lint', '--json'], migrations => $files, %none)->{json};
is_deeply([map { "$_->{hazard} " . ($_->{allowed} ? 'allowed' : 'found') } @{$json->{findings}}], ['index-blocks-writes found', 'drop-table allowed', 'required-column found'], '--json has all of them');
is($json->{findings}[1]{reason}, 'nobody has used it since spring', 'with the reason');

my $github = pawl(['lint', '--github', $files->path('0002_old.sql')], %none);
like($github->{out}, qr{^::warning file=[^,]*0002_old\.sql,line=2,title=index-blocks-writes::[^\n]+%0AInstead: CREATE INDEX CONCURRENTLY ...;\n\z}, '--github prints annotations only');

$files->write('0005_broken.sql', "SELECT 'oops;\n");
$result = pawl(['lint'], migrations => $files, %none);
is($result->{exit}, 1, 'a file that cannot be read: exit 1');
like($result->{err}, qr/0005_broken\.sql.*SOURCE_INVALID/s, 'by name');
$files->write('0005_broken.sql', "SELECT 1;\nSELECT 'oops 100%;\n::error::forged;\n");
$github = pawl(['lint', '--github', $files->path('0005_broken.sql')], %none);
like($github->{out}, qr{\A::error file=[^,]*0005_broken\.sql,line=2,title=SOURCE_INVALID::[^\n]*the string that begins here is never closed\n\z}, 'with --github beside its line');
is($github->{exit}, 1, 'which fails all the same');
$files->write('0005_broken.sql', "-- pawl: allow no-such-hazard because\nSELECT 1;\n");
like(pawl(['lint'], migrations => $files, %none)->{err}, qr/no-such-hazard/, 'a hazard that does not exist is named');
is(pawl(['lint', '--level', 'high'], %none)->{exit}, 2, 'a wrong level: exit 2');
like(pawl(['help', 'hazards'])->{out}, qr/\| `index-blocks-writes` \|/, 'help hazards lists them');
like(pawl(['help', 'index-blocks-writes'])->{out}, qr/^index-blocks-writes \(warning\): .*\n  instead:  CREATE INDEX CONCURRENTLY/, 'help HAZARD tells one');
done_testing();
