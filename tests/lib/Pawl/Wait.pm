# Waiting for something to become true, with a deadline and never for a fixed time.
package Pawl::Wait;
use strict;
use warnings;
use Carp qw(croak);
use Exporter qw(import);
use Time::HiRes qw(sleep time);
our @EXPORT_OK = qw(wait_until patience);

# The sanitizers are slow; so may be a busy machine. Deadlines are for what never comes, so they can be generous.
sub patience {
    my ($seconds) = @_;
    return $seconds * (($ENV{BUILD} // '') =~ m{/(?:asan|tsan|coverage)$} ? 4 : 1);
}

# wait_until { condition } seconds => 10, what => 'the push to arrive';  returns what the condition returned. Dies at
# the deadline.
sub wait_until(&@) {
    my ($condition, %options) = @_;
    my $seconds  = patience($options{seconds} // 10);
    my $deadline = time + $seconds;
    my $pause    = 0.005;
    while (1) {
        my $value = $condition->();
        return $value if $value;
        croak "waited ${seconds} s in vain for " . ($options{what} // 'a condition') if time > $deadline;
        sleep $pause;
        $pause = $pause < 0.1 ? $pause * 1.5 : 0.1;
    }
}

1;
