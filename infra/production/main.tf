# Production: a database that survives the loss of a zone and cannot be destroyed by a slip; only jobs of the GitHub
# environment "production", which has its own rules for who may start and approve them, can deploy.
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
  description = "Whether every message must prove that a job of that repository, and of its environment `production` published it. Nobody publishes by hand then, and Cloud Build does not either."
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
  source       = "../pawl"
  project      = var.project
  region       = var.region
  github       = var.github == null ? null : { owner_id = var.github.owner_id, repository_id = var.github.repository_id, environment = "production" }
  operators    = var.operators
  alert_emails = var.alert_emails
  database_iam = var.database_iam
  labels       = { environment = "production" }
  cloud_sql = {
    tier         = "db-custom-2-7680"
    availability = "REGIONAL"
    disk_gb      = 20
    backups      = 30
  }
  proof_repository_ids = var.proof ? [var.github.repository_id] : []
  proof_environments   = var.proof ? ["production"] : []
}

output "pawl" {
  description = "What pipelines need to know."
  value       = module.pawl
}

output "next" {
  description = "What to type next: terraform output -raw next"
  value       = module.pawl.next
}
