# The database, and the one secret that leads to it. With cloud_sql = null only the secret is made, from database_url.

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

# Made anew in each run of Terraform and handed over only when secret_version is raised. If a run ends between the two
# places that take it, raise secret_version and run again.
ephemeral "random_password" "database" {
  length  = 32
  special = false
}

resource "google_sql_user" "pawl" {
  count               = var.cloud_sql == null ? 0 : 1
  project             = var.project
  instance            = google_sql_database_instance.pawl[0].name
  name                = var.cloud_sql.user
  password_wo         = ephemeral.random_password.database.result
  password_wo_version = var.secret_version
}

locals {
  # By socket through the mounted proxy, which encrypts; by private IP encrypted by libpq.
  database_host = var.cloud_sql == null ? "" : (
    var.network == null
    ? "host=/cloudsql/${google_sql_database_instance.pawl[0].connection_name}"
    : "host=${google_sql_database_instance.pawl[0].private_ip_address} sslmode=require"
  )
}

resource "google_secret_manager_secret" "database_url" {
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
  secret                 = google_secret_manager_secret.database_url.id
  secret_data_wo_version = var.secret_version
  secret_data_wo = (
    var.cloud_sql == null
    ? var.database_url
    : "${local.database_host} dbname=${var.cloud_sql.database} user=${var.cloud_sql.user} password=${ephemeral.random_password.database.result}"
  )
}
