# localcloud for a test: started on a port of its own, ended with the test; everything that Pawl::PubSub can, and the
# test controls.
package Pawl::LocalCloud;
use strict;
use warnings;
use parent -norequire, 'Pawl::PubSub';
use Carp qw(croak);
use Pawl::Process qw(built);
use Pawl::PubSub;
use Pawl::Wait qw(wait_until);

# Pawl::LocalCloud->start(project => 'p1', relay => URL)
sub start {
    my ($class, %options) = @_;
    my $project = $options{project} // 'pawl-test';
    my $self    = bless {project => $project}, $class;
    $self->{process} = Pawl::Process->start(
        name => 'localcloud',
        command => [
            built('localcloud'), '--port', $options{port} // 0,
            '--project', $project, '--log', 'text', $options{relay} ? ('--relay', $options{relay}) : ()
        ],
    );
    wait_until {
        croak 'localcloud did not start: ' . $self->{process}->tail if !$self->{process}->running;
        $self->{process}->out =~ m{is ready: (http://127\.0\.0\.1:\d+)}
    }
    seconds => 20, what => 'localcloud to be ready';
    ($self->{url}) = $self->{process}->out =~ m{is ready: (http://127\.0\.0\.1:\d+)};
    return $self;
}

sub process { return $_[0]{process} }
sub stop { return $_[0]{process}->stop }
sub jwks_url { return $_[0]{url} . '/oauth2/v3/certs' }
sub host { return $_[0]{url} =~ s{^http://}{}r }
# Who its metadata server says that one is: put it on PAWL_READERS, and `pawl publish --wait` may ask.
sub asker { return 'pawl@' . $_[0]->project . '.iam.gserviceaccount.com' }

# ---- keys and tokens -----------------------------------------------------------------------------------------

sub keys { return $_[0]->request(GET => '/localcloud/keys') }
sub key_fetches { return $_[0]->keys->{fetches} }
sub rotate_keys { return $_[0]->request(POST => '/localcloud/keys:rotate') }

sub cache_keys {
    my ($self, $max_age, $age) = @_;
    return $self->request(POST => '/localcloud/keys:cache', {max_age => $max_age, age => $age // 0});
}

# token(claims => {aud => ..., email => undef}, header => {...}, key => 'rogue'), or byte for byte token(signing_input
# => ..., signature => ...). A claim that is undef is left out.
sub token {
    my ($self, %wish) = @_;
    return $self->request(POST => '/localcloud/token', \%wish)->{token};
}

# ---- secrets -------------------------------------------------------------------------------------------------

# A new version of projects/PROJECT/secrets/NAME; returns the reference to its latest one.
sub set_secret {
    my ($self, $name, $value) = @_;
    my $secret = 'projects/' . $self->project . "/secrets/$name";
    $self->request(POST => '/localcloud/secrets', {secret => $secret, value => $value});
    return "secret:$secret/versions/latest";
}
sub secret_accesses { return $_[0]->request(GET => '/localcloud/secrets')->{accesses} }

# What a worker is told, so that metadata server and Secret Manager are this one.
sub google { my ($self) = @_; return (GCE_METADATA_HOST => $self->host, CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER => $self->{url}) }

# ---- faults and deliveries -----------------------------------------------------------------------------------

# fault('/oauth2/v3/certs', status => 500, times => 2, delay_ms => 100)
sub fault {
    my ($self, $path, %fault) = @_;
    return $self->request(POST => '/localcloud/faults', {path => $path, %fault});
}
sub clear_faults { return $_[0]->request(DELETE => '/localcloud/faults') }

# {unacknowledged, inFlight => [...], deliveries => [{messageId, attempt, outcome, status, latencyMs, time, answer}]}
sub deliveries {
    my ($self, $subscription, $message) = @_;
    return $self->request(GET => '/localcloud/deliveries?subscription='
            . $self->subscription_name($subscription)
            . (defined $message ? "&message=$message" : ''));
}

# Waits until the message was acknowledged and returns that delivery.
sub wait_acknowledged {
    my ($self, $subscription, $message, $seconds) = @_;
    return wait_until {
        (grep { $_->{outcome} eq 'acknowledged' } @{$self->deliveries($subscription, $message)->{deliveries}})[0]
    }
    seconds => $seconds // 20, what => "message $message of $subscription to be acknowledged";
}

# Waits until the message was answered at least so many times and returns the deliveries.
sub wait_attempts {
    my ($self, $subscription, $message, $attempts, $seconds) = @_;
    my $deliveries = wait_until {
        my $so_far = $self->deliveries($subscription, $message)->{deliveries};
        @$so_far >= $attempts ? $so_far : undef
    }
    seconds => $seconds // 20, what => "attempt $attempts of message $message of $subscription";
    return @$deliveries;
}

# Waits for as many messages on a pull subscription, acknowledges and returns them.
sub wait_pulled {
    my ($self, $subscription, $count, $seconds) = @_;
    my @received;
    wait_until {
        my @more = $self->pull($subscription);
        $self->acknowledge($subscription, @more) if @more;
        push @received, @more;
        @received >= $count
    }
    seconds => $seconds // 20, what => "$count messages on $subscription";
    return @received;
}

1;
