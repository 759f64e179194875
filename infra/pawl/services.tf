# The APIs that the rest needs, and what is known about the project. Left on when the module is destroyed: others may
# use them.

data "google_project" "this" {
  project_id = var.project
}

resource "google_project_service" "api" {
  for_each = toset([
    "artifactregistry.googleapis.com",
    "cloudbuild.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "sqladmin.googleapis.com",
    "storage.googleapis.com",
    "sts.googleapis.com",
  ])
  project            = var.project
  service            = each.value
  disable_on_destroy = false
}

locals {
  labels = merge({ app = var.name }, var.labels)
  # Pub/Sub's own account in this project: it makes the push tokens, and forwards to the dead-letter topic.
  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  # One name for the service that stays when its URL changes: in the push token, in the ID tokens of readers, in the
  # worker's settings.
  audience = "https://${var.name}.${var.project}.internal"
}
