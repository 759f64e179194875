# Only project and region must be given. A variable that has the name of an option of the worker (worker/options.def)
# has its default too; tests/infra/options.t compares the two.

variable "project" {
  description = "Id of the Google Cloud project. Development and production belong into two projects: what can be granted in one reaches nothing in the other."
  type        = string
}

variable "region" {
  description = "Where the service, the database, the images and the secrets are."
  type        = string
}

variable "name" {
  description = "Name of the service, and the start of the name of all that belongs to it. Two in one project need two names."
  type        = string
  default     = "pawl"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,16}[a-z0-9]$", var.name))
    error_message = "A name is 4 to 18 lower-case letters, digits and hyphens, and starts with a letter (account ids end at 30 characters)."
  }
}

variable "labels" {
  description = "Labels on everything that can carry them."
  type        = map(string)
  default     = {}
}

variable "deletion_protection" {
  description = "Whether the service and the database refuse to be destroyed."
  type        = bool
  default     = true
}

# ---- the service -----------------------------------------------------------------------------------------------------

variable "image" {
  description = "The image of the very first revision. The pipeline deploys the later ones, and Terraform leaves those alone."
  type        = string
  default     = "us-docker.pkg.dev/cloudrun/container/hello"
}

variable "max_instances" {
  description = "Instances at a time. One does the work while the others wait for its lock; a second one lets a new revision answer beside an old one that is still busy."
  type        = number
  default     = 2
}

variable "concurrency" {
  description = "Requests at a time in one instance: one run, deliveries that wait for it, pipelines that ask for results."
  type        = number
  default     = 8
}

variable "memory" {
  description = "Memory of an instance; the second generation of Cloud Run gives no less than 512Mi."
  type        = string
  default     = "512Mi"
}

variable "ingress" {
  description = "Who may reach the service at all: INGRESS_TRAFFIC_ALL, or INGRESS_TRAFFIC_INTERNAL_ONLY when no pipeline outside of the project's network asks for results. IAM and the token are demanded in either case."
  type        = string
  default     = "INGRESS_TRAFFIC_ALL"
}

variable "target" {
  description = "The name that messages may call the database by."
  type        = string
  default     = "default"
}

variable "lock_timeout" {
  description = "How long a statement may wait for a table before its migration is rolled back and tried again."
  type        = string
  default     = "200ms"
}

variable "log_level" {
  description = "The least severity that is logged: debug, info, notice, warning or error."
  type        = string
  default     = "info"
}

variable "readers" {
  description = "E-mail addresses of further service accounts that may ask for runs and targets; the publisher always may."
  type        = list(string)
  default     = []
}

# ---- delivery --------------------------------------------------------------------------------------------------------

variable "ack_deadline" {
  description = "Seconds that one delivery may take; 600 is the most that Pub/Sub allows. A longer migration goes on, and the next delivery finds it."
  type        = number
  default     = 600
  validation {
    condition     = var.ack_deadline >= 60 && var.ack_deadline <= 600
    error_message = "The ack deadline is 60 to 600 seconds."
  }
}

variable "max_delivery_attempts" {
  description = "Deliveries before a message is parked, 5 to 100. While a long migration runs, each ack deadline uses up one: 100 attempts of 600 s are more than 16 hours."
  type        = number
  default     = 100
}

variable "minimum_backoff" {
  description = "Seconds before the second delivery; the pause grows from there."
  type        = number
  default     = 10
}

variable "maximum_backoff" {
  description = "Seconds between two deliveries at most. The longest that a message waits after the reason for a 503 is gone."
  type        = number
  default     = 60
}

variable "retention" {
  description = "Seconds that messages are kept, delivered or not, to be replayed by seek (10 minutes to 31 days)."
  type        = number
  default     = 604800
}

# ---- the database ----------------------------------------------------------------------------------------------------

variable "cloud_sql" {
  description = "The Cloud SQL instance to create, or null to bring your own database with database_url."
  type = object({
    version          = optional(string, "POSTGRES_16")
    tier             = optional(string, "db-custom-1-3840")
    edition          = optional(string, "ENTERPRISE")
    availability     = optional(string, "ZONAL")
    disk_gb          = optional(number, 10)
    database         = optional(string, "app")
    user             = optional(string, "pawl")
    point_in_time    = optional(bool, true)
    backups          = optional(number, 7)
    maintenance_day  = optional(number, 7)
    maintenance_hour = optional(number, 3)
  })
  default = {}
}

variable "database_url" {
  description = "Your own database as a libpq URI or keyword string, when cloud_sql is null. Goes into Secret Manager and never into the state; give it by TF_VAR_database_url."
  type        = string
  default     = null
  ephemeral   = true
  sensitive   = true
}

variable "secret_version" {
  description = "Raise it to make a new password (or to store a changed database_url)."
  type        = number
  default     = 1
}

variable "network" {
  description = "Reach the database by private IP through this network instead of the /cloudsql socket. Private services access must be set up in it."
  type = object({
    network    = string
    subnetwork = string
  })
  default = null
}

# ---- who deploys -----------------------------------------------------------------------------------------------------

variable "github" {
  description = "The GitHub repository that may deploy and publish, by its immutable ids (`gh api repos/OWNER/NAME --jq .id,.owner.id`); null for none. With an environment, only jobs of that GitHub environment may."
  type = object({
    owner_id      = string
    repository_id = string
    environment   = optional(string)
  })
  default = null
  validation {
    condition     = var.github == null ? true : can(regex("^[0-9]+/[0-9]+$", "${var.github.owner_id}/${var.github.repository_id}"))
    error_message = "GitHub is known by its numeric ids; names can be taken over by others."
  }
}

variable "images_kept" {
  description = "Images that the registry keeps, the newest first."
  type        = number
  default     = 20
}

variable "operators" {
  description = "Who may publish by hand, wait for the result, and send parked messages back (`pawl replay`), such as group:platform@example.com."
  type        = list(string)
  default     = []
}

# ---- who is told -----------------------------------------------------------------------------------------------------

variable "alert_emails" {
  description = "Who gets the alerts by e-mail."
  type        = list(string)
  default     = []
}

variable "notification_channels" {
  description = "Ids of further notification channels (pager, chat) that exist already."
  type        = list(string)
  default     = []
}
