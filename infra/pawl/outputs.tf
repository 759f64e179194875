# What a pipeline needs to know, and what to type next.

output "topic" {
  description = "Publish here to migrate."
  value       = google_pubsub_topic.migrate.name
}

output "dead_letter_subscription" {
  description = "Parked messages."
  value       = google_pubsub_subscription.dead.name
}

output "result_topic" {
  description = "One event for each run."
  value       = google_pubsub_topic.results.name
}

output "service" {
  description = "Name of the Cloud Run service."
  value       = google_cloud_run_v2_service.pawl.name
}

output "url" {
  description = "Where runs and targets are asked for."
  value       = google_cloud_run_v2_service.pawl.uri
}

output "audience" {
  description = "What an ID token for the service must be made for."
  value       = local.audience
}

output "publisher" {
  description = "The account to publish and to ask for results as."
  value       = google_service_account.publisher.email
}

output "deployer" {
  description = "The account that pipelines run as."
  value       = google_service_account.deployer.email
}

output "images" {
  description = "Path of the images in Artifact Registry."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}

output "workload_identity_provider" {
  description = "For google-github-actions/auth; null without github."
  value       = var.github == null ? null : google_iam_workload_identity_pool_provider.github[0].name
}

output "database" {
  description = "Connection name of the Cloud SQL instance; null with a database of your own."
  value       = var.cloud_sql == null ? null : google_sql_database_instance.pawl[0].connection_name
}

output "dashboard" {
  description = "The dashboard."
  value       = "https://console.cloud.google.com/monitoring/dashboards/builder/${element(split("/", google_monitoring_dashboard.pawl.id), 3)}?project=${var.project}"
}

output "next" {
  description = "What to type next."
  value       = <<-EOT

    1. Build, deploy, and migrate for the first time (from the top of the repository):

       gcloud builds submit --project=${var.project} --region=${var.region} --config=cloudbuild.yaml \
         --gcs-source-staging-dir=gs://${google_storage_bucket.source.name}/source \
         --service-account=projects/${var.project}/serviceAccounts/${google_service_account.deployer.email} \
         --substitutions=_REGION=${var.region},_NAME=${var.name},_RELEASE=$(git rev-parse HEAD)

    2. From then on, to migrate again without building:

       gcloud pubsub topics publish ${google_pubsub_topic.migrate.name} --project=${var.project} --message='{}'

    3. See what happened:

       gcloud logging read 'resource.type="cloud_run_revision" resource.labels.service_name="${var.name}"' --project=${var.project} --limit=20 --freshness=1h
    %{~if var.github != null}
    4. For GitHub Actions, set these variables of the repository (infra/github/deploy.yaml uses them):

       gh variable set PROJECT --body ${var.project}
       gh variable set REGION --body ${var.region}
       gh variable set NAME --body ${var.name}
       gh variable set IDENTITY_PROVIDER --body ${google_iam_workload_identity_pool_provider.github[0].name}
    %{~endif}
  EOT
}
