# The way of a message: request topic, push subscription, dead letters, results.

resource "google_pubsub_topic" "migrate" {
  project                    = var.project
  name                       = "${var.name}-migrate"
  labels                     = local.labels
  message_retention_duration = "${var.retention}s"
  depends_on                 = [google_project_service.api]
}

resource "google_pubsub_topic" "dead" {
  project    = var.project
  name       = "${var.name}-dead"
  labels     = local.labels
  depends_on = [google_project_service.api]
}

resource "google_pubsub_topic" "results" {
  project    = var.project
  name       = "${var.name}-results"
  labels     = local.labels
  depends_on = [google_project_service.api]
}

resource "google_pubsub_subscription" "push" {
  project                    = var.project
  name                       = "${var.name}-push"
  labels                     = local.labels
  topic                      = google_pubsub_topic.migrate.id
  ack_deadline_seconds       = var.ack_deadline
  enable_message_ordering    = true # an ordering key, where a publisher gives one, keeps one target's messages in a row
  message_retention_duration = "${var.retention}s"
  expiration_policy {
    ttl = "" # never
  }
  push_config {
    push_endpoint = "${google_cloud_run_v2_service.pawl.uri}/"
    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = local.audience
    }
  }
  retry_policy {
    minimum_backoff = "${var.minimum_backoff}s"
    maximum_backoff = "${var.maximum_backoff}s"
  }
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead.id
    max_delivery_attempts = var.max_delivery_attempts
  }
  # Without these two grants dead-lettering silently does not happen; without the third there is no token to push with.
  depends_on = [
    google_pubsub_topic_iam_member.agent_dead,
    google_service_account_iam_member.push_token,
    google_cloud_run_v2_service_iam_member.push_invoker,
  ]
}

# Parked messages wait here for a human, for as long as Pub/Sub keeps anything.
resource "google_pubsub_subscription" "dead" {
  project                    = var.project
  name                       = "${var.name}-dead"
  labels                     = local.labels
  topic                      = google_pubsub_topic.dead.id
  ack_deadline_seconds       = 60
  message_retention_duration = "2678400s"
  expiration_policy {
    ttl = "" # never: a subscription that nobody pulled for a month must still be there when something is parked
  }
}

resource "google_pubsub_topic_iam_member" "agent_dead" {
  project = var.project
  topic   = google_pubsub_topic.dead.name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "agent_ack" {
  project      = var.project
  subscription = google_pubsub_subscription.push.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}
