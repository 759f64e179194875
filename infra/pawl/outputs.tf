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

output "grants" {
  description = "With database_iam: the SQL that an owner of the database must run once, for the worker to create what migrations create; otherwise null."
  value       = local.grants
}

output "next" {
  description = "What to type next."
  value       = "\n${join("\n", [for i, step in local.steps : "${i + 1}. ${step}"])}"
}

locals {
  creator = replace(var.role == null ? local.iam_user : var.role, "\"", "\"\"")
  grants = var.cloud_sql == null || !var.database_iam ? null : join("\n", concat(
    var.role == null ? [] : ["GRANT \"${local.creator}\" TO \"${local.iam_user}\";"],
    [
      "GRANT CREATE ON DATABASE \"${var.cloud_sql.database}\" TO \"${local.creator}\";",
      "GRANT CREATE ON SCHEMA public TO \"${local.creator}\";",
    ],
  ))
  # Without targets the one target; with a file of one's own their names are not known here.
  target_names  = var.targets_secret != null ? ["TARGET"] : length(var.targets) > 0 ? var.targets[*].name : [var.target]
  demands_proof = length(concat(var.proof_repository_ids, var.proof_owner_ids)) > 0

  steps = compact([
    local.grants == null ? "" : <<-EOT
      Let the worker's own account create things in the database. Once, as an owner: paste the last lines into Cloud SQL
         Studio in the console, as the user postgres, or:

         gcloud sql users set-password postgres --project=${var.project} --instance=${var.name} --prompt-for-password
         gcloud beta sql connect ${var.name} --project=${var.project} --user=postgres --database=${try(var.cloud_sql.database, "")}

         ${replace(coalesce(local.grants, "-"), "\n", "\n   ")}
    EOT
    ,
    local.demands_proof ? "" : <<-EOT
      Build, deploy, and migrate for the first time (from the top of the repository):

         gcloud builds submit --project=${var.project} --region=${var.region} --config=cloudbuild.yaml \
           --gcs-source-staging-dir=gs://${google_storage_bucket.source.name}/source \
           --service-account=projects/${var.project}/serviceAccounts/${google_service_account.deployer.email} \
           --substitutions=_REGION=${var.region},_NAME=${var.name},_TARGET=${local.target_names[0]},_RELEASE=$(git rev-parse HEAD)
    EOT
    ,
    var.github == null ? "" : <<-EOT
      For GitHub Actions, set these variables of the repository (infra/github/deploy.yaml uses them):

         gh variable set PROJECT --body ${var.project}
         gh variable set REGION --body ${var.region}
         gh variable set NAME --body ${var.name}
         gh variable set IDENTITY_PROVIDER --body ${try(google_iam_workload_identity_pool_provider.github[0].name, "")}
    EOT
    ,
    local.demands_proof ? <<-EOT
      Build, deploy and migrate, now and later: only a job of GitHub Actions can publish, for every message must prove that
         one did. With infra/github/deploy.yaml as .github/workflows/deploy.yaml:

         gh workflow run deploy.yaml && gh run watch
    EOT
    : <<-EOT
      From then on, to migrate again without building:

         ${join("\n   ", [for name in local.target_names : "gcloud pubsub topics publish ${google_pubsub_topic.migrate.name} --project=${var.project} --message='{\"target\": \"${name}\"}'"])}
    EOT
    ,
    <<-EOT
      See what happened:

         gcloud logging read 'resource.type="cloud_run_revision" resource.labels.service_name="${var.name}"' --project=${var.project} --limit=20 --freshness=1h
    EOT
  ])
}
