# Several databases: the targets file, as a secret because that is where the worker reads one from, and what the worker
# needs to reach what it names. Nothing in it is secret: a database with a password is the name of another secret.

locals {
  has_targets = length(var.targets) > 0 || var.targets_secret != null
  # The instance of cloud_sql, for the target that names no database.
  own_database = var.database_iam ? local.iam_login : join("", [for id in google_secret_manager_secret.database_url[*].id : "secret:${id}/versions/latest"])
  # Only what is said: the worker's own settings are the defaults.
  targets = [for target in var.targets : merge(
    { for member, value in target : member => value if value != null },
    target.database == null ? { database = local.own_database } : {},
  )]
  # By version, so that a change makes a new revision, which reads it.
  targets_file = var.targets_secret != null ? "secret:${var.targets_secret}" : join("", [for name in google_secret_manager_secret_version.targets[*].name : "secret:${name}"])

  # What the targets name: "projects/P/secrets/S", and the connection names of Cloud SQL's sockets.
  target_databases = compact(var.targets[*].database)
  target_secrets = toset(concat(
    flatten([for database in local.target_databases : regexall("^secret:(projects/[^/]+/secrets/[^/]+)/", database)]),
    var.targets_secret == null ? [] : regex("^(projects/[^/]+/secrets/[^/]+)/", var.targets_secret),
  ))
  target_sockets = toset(flatten([for database in local.target_databases : regexall("/cloudsql/([a-z0-9.-]+(?::[a-z0-9.-]+)+)", database)]))
  # connection name => the instance's project and name
  target_instances = { for socket in local.target_sockets : socket => regex("^(?P<project>.+):[^:]+:(?P<name>[^:]+)$", socket) }

  # The sockets that the service has.
  own_socket  = var.cloud_sql != null && var.network == null
  has_sockets = local.own_socket || length(local.target_sockets) > 0
  sockets     = concat(local.own_socket ? google_sql_database_instance.pawl[*].connection_name : [], tolist(local.target_sockets))
}

resource "google_secret_manager_secret" "targets" {
  count     = length(var.targets) > 0 ? 1 : 0
  project   = var.project
  secret_id = "${var.name}-targets"
  labels    = local.labels
  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }
  depends_on = [google_project_service.api]
}

resource "google_secret_manager_secret_version" "targets" {
  count       = length(var.targets) > 0 ? 1 : 0
  secret      = google_secret_manager_secret.targets[0].id
  secret_data = jsonencode({ targets = local.targets })
}

resource "google_secret_manager_secret_iam_member" "worker_targets" {
  count     = length(var.targets) > 0 ? 1 : 0
  project   = var.project
  secret_id = google_secret_manager_secret.targets[0].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.worker.member
}

resource "google_secret_manager_secret_iam_member" "worker_target" {
  for_each  = local.target_secrets
  project   = split("/", each.value)[1]
  secret_id = split("/", each.value)[3]
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.worker.member
}

resource "google_project_iam_member" "worker_target_cloud_sql" {
  for_each = local.target_instances
  project  = each.value.project
  role     = "roles/cloudsql.client"
  member   = google_service_account.worker.member
  condition {
    title      = "only ${each.value.name}"
    expression = "resource.type == \"sqladmin.googleapis.com/Instance\" && resource.name == \"projects/${each.value.project}/instances/${each.value.name}\""
  }
}

# To log in by IAM, should a target do so.
resource "google_project_iam_member" "worker_target_login" {
  for_each = var.database_iam || anytrue([for target in var.targets : target.database_iam == true]) ? local.target_instances : {}
  project  = each.value.project
  role     = "roles/cloudsql.instanceUser"
  member   = google_service_account.worker.member
  condition {
    title      = "only ${each.value.name}"
    expression = "resource.type == \"sqladmin.googleapis.com/Instance\" && resource.name == \"projects/${each.value.project}/instances/${each.value.name}\""
  }
}
