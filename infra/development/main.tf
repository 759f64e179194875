# Development: a small database that may be thrown away, and any job of the repository may deploy.
#
#   gcloud storage buckets create gs://PROJECT-terraform --location=REGION --uniform-bucket-level-access   # once, for the state
#   terraform init -backend-config=bucket=PROJECT-terraform -backend-config=prefix=pawl
#   terraform apply -var project=PROJECT

terraform {
  backend "gcs" {}
}

variable "project" {
  description = "Id of the project."
  type        = string
}

variable "region" {
  description = "Region of everything."
  type        = string
  default     = "europe-west1"
}

variable "github" {
  description = "The repository that may deploy, by its numeric ids; null for none."
  type        = object({ owner_id = string, repository_id = string })
  default     = null
}

variable "proof" {
  description = "Whether every message must prove that a job of that repository published it. Nobody publishes by hand then, and Cloud Build does not either."
  type        = bool
  default     = false
  validation {
    condition     = !var.proof || var.github != null
    error_message = "A proof is about the repository that `github` names."
  }
}

variable "database_iam" {
  description = "Whether the worker logs in to the database as its service account, without a password; the output `next` says what an owner must grant once."
  type        = bool
  default     = false
}

variable "operators" {
  description = "Who may publish by hand and replay."
  type        = list(string)
  default     = []
}

variable "alert_emails" {
  description = "Who gets the alerts."
  type        = list(string)
  default     = []
}

provider "google" {
  project = var.project
  region  = var.region
}

module "pawl" {
  source              = "../pawl"
  project             = var.project
  region              = var.region
  github              = var.github
  operators           = var.operators
  alert_emails        = var.alert_emails
  database_iam        = var.database_iam
  deletion_protection = false
  log_level           = "debug"
  labels              = { environment = "development" }
  cloud_sql = {
    tier          = "db-f1-micro"
    point_in_time = false
    backups       = 1
  }
  proof_repository_ids = var.proof ? [var.github.repository_id] : []
}

output "pawl" {
  description = "What pipelines need to know."
  value       = module.pawl
}

output "next" {
  description = "What to type next: terraform output -raw next"
  value       = module.pawl.next
}
