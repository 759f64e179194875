# Who is who. Four service accounts, none of them with a key, each with what its duty needs and nothing on the whole
# project unless the platform knows no smaller place.
#
#   worker     runs the service: reads its secret, connects to its database, publishes dead letters and results
#   push       is the name in the push token: may call the service, and does nothing else
#   publisher  asks for migrations: publishes to the topic, and reads how the run went
#   deployer   the pipeline: pushes images, deploys the service, and may act as the publisher

resource "google_service_account" "worker" {
  project      = var.project
  account_id   = "${var.name}-worker"
  display_name = "${var.name}: the migration worker"
  depends_on   = [google_project_service.api]
}

resource "google_service_account" "push" {
  project      = var.project
  account_id   = "${var.name}-push"
  display_name = "${var.name}: Pub/Sub, pushing to the worker"
  depends_on   = [google_project_service.api]
}

resource "google_service_account" "publisher" {
  project      = var.project
  account_id   = "${var.name}-publisher"
  display_name = "${var.name}: may ask for migrations"
  depends_on   = [google_project_service.api]
}

resource "google_service_account" "deployer" {
  project      = var.project
  account_id   = "${var.name}-deployer"
  display_name = "${var.name}: the pipeline that builds and deploys"
  depends_on   = [google_project_service.api]
}

# ---- push ------------------------------------------------------------------------------------------------------------

resource "google_service_account_iam_member" "push_token" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.pubsub_agent
}

resource "google_cloud_run_v2_service_iam_member" "push_invoker" {
  project  = var.project
  location = google_cloud_run_v2_service.pawl.location
  name     = google_cloud_run_v2_service.pawl.name
  role     = "roles/run.invoker"
  member   = google_service_account.push.member
}

# Those of subscriptions in other projects.
resource "google_cloud_run_v2_service_iam_member" "caller_invoker" {
  for_each = toset(var.callers)
  project  = var.project
  location = google_cloud_run_v2_service.pawl.location
  name     = google_cloud_run_v2_service.pawl.name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${each.value}"
}

# ---- worker ----------------------------------------------------------------------------------------------------------

resource "google_secret_manager_secret_iam_member" "worker_database_url" {
  count     = local.has_secret ? 1 : 0
  project   = var.project
  secret_id = google_secret_manager_secret.database_url[0].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.worker.member
}

resource "google_pubsub_topic_iam_member" "worker_dead" {
  project = var.project
  topic   = google_pubsub_topic.dead.name
  role    = "roles/pubsub.publisher"
  member  = google_service_account.worker.member
}

resource "google_pubsub_topic_iam_member" "worker_results" {
  project = var.project
  topic   = google_pubsub_topic.results.name
  role    = "roles/pubsub.publisher"
  member  = google_service_account.worker.member
}

locals {
  only_instance = {
    title       = "only ${var.name}"
    description = "Cloud SQL grants on the project; this leaves the one instance."
    expression  = "resource.type == \"sqladmin.googleapis.com/Instance\" && resource.name == \"projects/${var.project}/instances/${var.name}\""
  }
}

resource "google_project_iam_member" "worker_cloud_sql" {
  count   = var.cloud_sql == null ? 0 : 1
  project = var.project
  role    = "roles/cloudsql.client"
  member  = google_service_account.worker.member
  condition {
    title       = local.only_instance.title
    description = local.only_instance.description
    expression  = local.only_instance.expression
  }
}

# To log in without a password, as itself.
resource "google_project_iam_member" "worker_login" {
  count   = var.cloud_sql != null && var.database_iam ? 1 : 0
  project = var.project
  role    = "roles/cloudsql.instanceUser"
  member  = google_service_account.worker.member
  condition {
    title       = local.only_instance.title
    description = local.only_instance.description
    expression  = local.only_instance.expression
  }
}

# ---- publisher -------------------------------------------------------------------------------------------------------

resource "google_pubsub_topic_iam_member" "publisher" {
  project = var.project
  topic   = google_pubsub_topic.migrate.name
  role    = "roles/pubsub.publisher"
  member  = google_service_account.publisher.member
}

# To ask for results. It cannot push in Pub/Sub's place: the worker takes pushes from the push account only.
resource "google_cloud_run_v2_service_iam_member" "publisher_invoker" {
  project  = var.project
  location = google_cloud_run_v2_service.pawl.location
  name     = google_cloud_run_v2_service.pawl.name
  role     = "roles/run.invoker"
  member   = google_service_account.publisher.member
}

# ---- deployer --------------------------------------------------------------------------------------------------------

resource "google_artifact_registry_repository_iam_member" "deployer_images" {
  project    = var.project
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.deployer.member
}

resource "google_cloud_run_v2_service_iam_member" "deployer_service" {
  project  = var.project
  location = google_cloud_run_v2_service.pawl.location
  name     = google_cloud_run_v2_service.pawl.name
  role     = "roles/run.developer"
  member   = google_service_account.deployer.member
}

resource "google_service_account_iam_member" "deployer_as_worker" {
  service_account_id = google_service_account.worker.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.deployer.member
}

resource "google_service_account_iam_member" "deployer_as_publisher" {
  service_account_id = google_service_account.publisher.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = google_service_account.deployer.member
}

# What Cloud Build asks of an account that it runs a build as: write the log, read the uploaded source.
resource "google_project_iam_member" "deployer_log" {
  project = var.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.deployer.member
}

resource "google_storage_bucket_iam_member" "deployer_source" {
  bucket = google_storage_bucket.source.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.deployer.member
}

# ---- operators -------------------------------------------------------------------------------------------------------

resource "google_pubsub_topic_iam_member" "operator" {
  for_each = toset(var.operators)
  project  = var.project
  topic    = google_pubsub_topic.migrate.name
  role     = "roles/pubsub.publisher"
  member   = each.value
}

resource "google_pubsub_subscription_iam_member" "operator" {
  for_each     = toset(var.operators)
  project      = var.project
  subscription = google_pubsub_subscription.dead.name
  role         = "roles/pubsub.subscriber"
  member       = each.value
}

# To wait for what they published: only service accounts get ID tokens for the service.
resource "google_service_account_iam_member" "operator_as_publisher" {
  for_each           = toset(var.operators)
  service_account_id = google_service_account.publisher.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = each.value
}
