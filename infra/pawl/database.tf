# The database, and how the worker logs in: by the one secret that leads to it, or as itself (database_iam). With
# cloud_sql = null there is only the secret, made from database_url. Several databases: targets.tf.

resource "google_sql_database_instance" "pawl" {
  count               = var.cloud_sql == null ? 0 : 1
  project             = var.project
  region              = var.region
  name                = var.name
  database_version    = var.cloud_sql.version
  deletion_protection = var.deletion_protection
  settings {
    tier                        = var.cloud_sql.tier
    edition                     = var.cloud_sql.edition
    availability_type           = var.cloud_sql.availability
    disk_size                   = var.cloud_sql.disk_gb
    disk_autoresize             = true
    deletion_protection_enabled = var.deletion_protection
    # Without a network of its own the instance has a public address that nothing is allowed to use but Google's
    # connectors.
    connector_enforcement = var.network == null ? "REQUIRED" : "NOT_REQUIRED"
    user_labels           = local.labels
    dynamic "database_flags" {
      for_each = var.database_iam ? ["cloudsql.iam_authentication"] : []
      content {
        name  = database_flags.value
        value = "on"
      }
    }
    ip_configuration {
      ipv4_enabled    = var.network == null
      private_network = var.network == null ? null : var.network.network
      ssl_mode        = "ENCRYPTED_ONLY"
    }
    backup_configuration {
      enabled                        = true
      point_in_time_recovery_enabled = var.cloud_sql.point_in_time
      backup_retention_settings {
        retained_backups = var.cloud_sql.backups
      }
    }
    maintenance_window {
      day  = var.cloud_sql.maintenance_day
      hour = var.cloud_sql.maintenance_hour
    }
  }
  depends_on = [google_project_service.api]
}

resource "google_sql_database" "app" {
  count    = var.cloud_sql == null ? 0 : 1
  project  = var.project
  instance = google_sql_database_instance.pawl[0].name
  name     = var.cloud_sql.database
}

locals {
  has_password = var.cloud_sql != null && !var.database_iam
  # By IAM no secret is left; one's own database_url is one in any case.
  has_secret = local.has_password || (var.cloud_sql == null && !local.has_targets)
  # The service account's name as a user of PostgreSQL, which allows 63 bytes.
  iam_user = trimsuffix(google_service_account.worker.email, ".gserviceaccount.com")
  # By socket through the mounted proxy, which encrypts and knows the instance; by private IP libpq does both.
  database_host = var.cloud_sql == null ? "" : (
    var.network == null
    ? "host=/cloudsql/${google_sql_database_instance.pawl[0].connection_name}"
    : "host=${google_sql_database_instance.pawl[0].private_ip_address} sslmode=verify-ca sslrootcert=${local.server_ca.folder}/${local.server_ca.file}"
  )
  has_server_ca = var.cloud_sql != null && var.network != null
  server_ca     = { folder = "/etc/cloudsql", file = "server-ca.pem" }
  iam_login     = var.cloud_sql == null ? "" : "${local.database_host} dbname=${var.cloud_sql.database} user=${local.iam_user}"
  # DATABASE_URL, where it is no secret.
  database_login = var.database_iam && !local.has_targets ? local.iam_login : ""
}

# ---- by IAM ----------------------------------------------------------------------------------------------------------

resource "google_sql_user" "iam" {
  count           = var.cloud_sql != null && var.database_iam ? 1 : 0
  project         = var.project
  instance        = google_sql_database_instance.pawl[0].name
  name            = local.iam_user
  type            = "CLOUD_IAM_SERVICE_ACCOUNT"
  deletion_policy = "ABANDON" # who owns tables cannot be dropped
}

# ---- by password -----------------------------------------------------------------------------------------------------

# Made anew in each run of Terraform and handed over only when secret_version is raised. If a run ends between the two
# places that take it, raise secret_version and run again.
ephemeral "random_password" "database" {
  length  = 32
  special = false
}

resource "google_sql_user" "pawl" {
  count               = local.has_password ? 1 : 0
  project             = var.project
  instance            = google_sql_database_instance.pawl[0].name
  name                = var.cloud_sql.user
  password_wo         = ephemeral.random_password.database.result
  password_wo_version = var.secret_version
  deletion_policy     = "ABANDON" # who owns tables cannot be dropped
}

resource "google_secret_manager_secret" "database_url" {
  count     = local.has_secret ? 1 : 0
  project   = var.project
  secret_id = "${var.name}-database-url"
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

resource "google_secret_manager_secret_version" "database_url" {
  count                  = local.has_secret ? 1 : 0
  secret                 = google_secret_manager_secret.database_url[0].id
  secret_data_wo_version = var.secret_version
  secret_data_wo = (
    var.cloud_sql == null
    ? var.database_url
    : "${local.database_host} dbname=${var.cloud_sql.database} user=${var.cloud_sql.user} password=${ephemeral.random_password.database.result}"
  )
}

# ---- who the server is -----------------------------------------------------------------------------------------------

# By private IP no proxy says who the server is, and the worker must not show a password or a token to another one: it gets
# the certificates of the instance's own authority as a file, which Cloud Run takes from a secret. When Google changes the
# authority, there is a new one beside the old one for weeks: apply again in that time.
resource "google_secret_manager_secret" "server_ca" {
  count     = local.has_server_ca ? 1 : 0
  project   = var.project
  secret_id = "${var.name}-server-ca"
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

resource "google_secret_manager_secret_version" "server_ca" {
  count       = local.has_server_ca ? 1 : 0
  secret      = google_secret_manager_secret.server_ca[0].id
  secret_data = join("\n", google_sql_database_instance.pawl[0].server_ca_cert[*].cert)
}

resource "google_secret_manager_secret_iam_member" "worker_server_ca" {
  count     = local.has_server_ca ? 1 : 0
  project   = var.project
  secret_id = google_secret_manager_secret.server_ca[0].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.worker.member
}
