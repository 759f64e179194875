#!/usr/bin/perl
# infra/ is laid out as `terraform fmt` lays it out.
use strict;
use warnings;
use FindBin;
use Test::More;

plan skip_all => 'terraform is not installed' unless `terraform version 2>/dev/null`;
my $wrong = `terraform fmt -check -recursive -list=true '$FindBin::Bin/../../infra' 2>/dev/null`;
is $wrong, '', 'terraform fmt has nothing to change';
my $found = `printf 'a  =  1\\n' | terraform fmt - 2>/dev/null`;
is $found, "a = 1\n", 'and would have changed what is not so';
done_testing;
