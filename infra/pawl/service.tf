# The Cloud Run service. Two locks on one door: IAM lets only the push account (and readers) in, and the worker verifies
# the token itself.

locals {
  # By names of worker/options.def. The release and its build time are not here: they are baked into the image.
  settings = {
    PAWL_AUDIENCE          = local.audience
    PAWL_CALLERS           = join(",", concat([google_service_account.push.email], var.callers))
    PAWL_READERS           = join(",", concat([google_service_account.publisher.email], var.readers))
    PAWL_LOCK_WAIT         = "${var.ack_deadline - 30}s" # answer before Pub/Sub hangs up
    PAWL_LOCK_TIMEOUT      = var.lock_timeout
    PAWL_LOG_LEVEL         = var.log_level
    PAWL_DEAD_LETTER_TOPIC = google_pubsub_topic.dead.id
    PAWL_RESULT_TOPIC      = google_pubsub_topic.results.id
    GOOGLE_CLOUD_PROJECT   = var.project
  }
  # What is empty is not set.
  choices = {
    PAWL_TARGET              = local.has_targets ? "" : var.target
    PAWL_TARGETS             = local.targets_file
    PAWL_DATABASE_IAM        = var.database_iam ? "true" : ""
    PAWL_SCHEMA              = var.schema
    PAWL_ROLE                = var.role == null ? "" : var.role
    PAWL_OUT_OF_ORDER        = var.allow_out_of_order ? "true" : ""
    PAWL_ROLLBACK            = var.allow_rollback ? "true" : ""
    PAWL_PROOF_REPOSITORY_ID = join(",", var.proof_repository_ids)
    PAWL_PROOF_OWNER_ID      = join(",", var.proof_owner_ids)
    PAWL_PROOF_ENVIRONMENT   = join(",", var.proof_environments)
    PAWL_PROOF_REF           = join(",", var.proof_refs)
    DATABASE_URL             = local.database_login # by IAM there is nothing secret in it
  }
  environment = merge(local.settings, { for name, value in local.choices : name => value if value != "" })
  secrets     = local.has_targets ? [] : google_secret_manager_secret.database_url[*].secret_id
}

resource "google_cloud_run_v2_service" "pawl" {
  project              = var.project
  location             = var.region
  name                 = var.name
  description          = "Migrates PostgreSQL when Pub/Sub says so"
  labels               = local.labels
  ingress              = var.ingress
  invoker_iam_disabled = false
  custom_audiences     = [local.audience]
  deletion_protection  = var.deletion_protection
  template {
    service_account                  = google_service_account.worker.email
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"
    max_instance_request_concurrency = var.concurrency
    timeout                          = "3600s" # not what ends a run: Pub/Sub hangs up at the ack deadline, and the run goes on
    labels                           = local.labels
    scaling {
      min_instance_count = 0
      max_instance_count = var.max_instances
    }
    dynamic "volumes" {
      for_each = local.has_sockets ? [local.sockets] : []
      content {
        name = "cloudsql"
        cloud_sql_instance {
          instances = volumes.value
        }
      }
    }
    dynamic "volumes" {
      for_each = google_secret_manager_secret_version.server_ca[*].version
      content {
        name = "server-ca"
        secret {
          secret = google_secret_manager_secret.server_ca[0].secret_id
          items {
            path    = local.server_ca.file
            version = volumes.value
          }
        }
      }
    }
    dynamic "vpc_access" {
      for_each = var.network == null ? [] : [var.network]
      content {
        egress = "PRIVATE_RANGES_ONLY"
        network_interfaces {
          network    = vpc_access.value.network
          subnetwork = vpc_access.value.subnetwork
        }
      }
    }
    containers {
      image = var.image
      ports {
        container_port = 8080
      }
      dynamic "env" {
        for_each = local.environment
        content {
          name  = env.key
          value = env.value
        }
      }
      dynamic "env" {
        for_each = local.secrets
        content {
          name = "DATABASE_URL"
          value_source {
            secret_key_ref {
              secret  = env.value
              version = "latest"
            }
          }
        }
      }
      resources {
        cpu_idle          = false # a run outlives the hang-up of its client, and needs the processor then
        startup_cpu_boost = true
        limits = {
          cpu    = "1"
          memory = var.memory
        }
      }
      startup_probe {
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = 30
        http_get {
          path = "/health"
        }
      }
      liveness_probe {
        period_seconds    = 30
        timeout_seconds   = 5
        failure_threshold = 3
        http_get {
          path = "/health"
        }
      }
      dynamic "volume_mounts" {
        for_each = local.has_sockets ? ["/cloudsql"] : []
        content {
          name       = "cloudsql"
          mount_path = volume_mounts.value
        }
      }
      dynamic "volume_mounts" {
        for_each = local.has_server_ca ? [local.server_ca.folder] : []
        content {
          name       = "server-ca"
          mount_path = volume_mounts.value
        }
      }
    }
  }
  lifecycle {
    ignore_changes = [template[0].containers[0].image, client, client_version] # the pipeline's
  }
  # The revision does not start before it may read its secret.
  depends_on = [
    google_project_service.api,
    google_secret_manager_secret_version.database_url,
    google_secret_manager_secret_iam_member.worker_database_url,
    google_secret_manager_secret_iam_member.worker_server_ca,
    google_secret_manager_secret_iam_member.worker_targets,
    google_secret_manager_secret_iam_member.worker_target,
    google_project_iam_member.worker_cloud_sql,
    google_project_iam_member.worker_login,
    google_project_iam_member.worker_target_cloud_sql,
    google_project_iam_member.worker_target_login,
  ]
}
