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

variable "schema" {
  description = "The schema of the ledger. Another one is another ledger, and an empty one at first."
  type        = string
  default     = "pawl"
  validation {
    condition     = can(regex("^[a-z_][a-z0-9_]{0,62}$", var.schema)) && !can(regex("^(pg_.*|public|information_schema)$", var.schema))
    error_message = "A schema is 1 to 63 of a-z, 0-9 and _, does not begin with a digit or pg_, and is for the ledger alone."
  }
}

variable "role" {
  description = "The role of the database that everything is done as, and that owns what is created; the worker's login must be a member of it. null: the login itself."
  type        = string
  default     = null
  validation {
    # PostgreSQL counts bytes: 63 of them are 84 in base64.
    condition     = var.role == null ? true : can(regex("^[^[:cntrl:]]+$", var.role)) && length(base64encode(var.role)) <= 84 && var.role != "none"
    error_message = "A role is named by 1 to 63 bytes without control characters, and not none."
  }
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

variable "allow_out_of_order" {
  description = "Whether messages may ask for migrations below the newest applied one."
  type        = bool
  default     = false
}

variable "allow_rollback" {
  description = "Whether messages may ask for a rollback."
  type        = bool
  default     = false
}

variable "callers" {
  description = "E-mail addresses of further service accounts that may push: of subscriptions in other projects, whose accounts must be there too. With targets, bind each to its own by `callers`."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for caller in var.callers : can(regex("^[a-z0-9-]+@[a-z0-9.:-]+\\.gserviceaccount\\.com$", caller))])
    error_message = "A caller is a service account's e-mail address."
  }
}

variable "readers" {
  description = "E-mail addresses of further service accounts that may ask for runs and targets; the publisher may, too. With targets, bind each to its own by `readers`."
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

# ---- who may publish -------------------------------------------------------------------------------------------------

# Without the first two whoever has roles/pubsub.publisher on the topic may ask for migrations. With either, every message
# must prove that a job of GitHub Actions published it: one by hand, or by Cloud Build, is refused then.

variable "proof_repository_ids" {
  description = "Ids of the GitHub repositories whose jobs may publish (`gh api repos/OWNER/NAME --jq .id`); set, every message must prove that it comes from one."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for id in var.proof_repository_ids : can(regex("^[0-9]+$", id))])
    error_message = "A repository is known by its numeric id; names can be taken over by others."
  }
}

variable "proof_owner_ids" {
  description = "Ids of the repositories' owners (`gh api repos/OWNER/NAME --jq .owner.id`) whose jobs may publish; demands a proof too."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for id in var.proof_owner_ids : can(regex("^[0-9]+$", id))])
    error_message = "An owner is known by a numeric id; names can be taken over by others."
  }
}

variable "proof_environments" {
  description = "GitHub environments that a job must run in to publish; none: any job of the repository may."
  type        = list(string)
  default     = []
  validation {
    condition     = length(var.proof_environments) == 0 || length(concat(var.proof_repository_ids, var.proof_owner_ids)) > 0
    error_message = "Everybody has an environment of some name: give proof_repository_ids or proof_owner_ids, too."
  }
  validation {
    condition     = alltrue([for environment in var.proof_environments : can(regex("^[^,]+$", environment))])
    error_message = "An environment is a name without commas."
  }
}

variable "proof_refs" {
  description = "Refs that a job must run on to publish, such as refs/heads/main; none: any."
  type        = list(string)
  default     = []
  validation {
    condition     = length(var.proof_refs) == 0 || length(concat(var.proof_repository_ids, var.proof_owner_ids)) > 0
    error_message = "Everybody has a branch of some name: give proof_repository_ids or proof_owner_ids, too."
  }
  validation {
    condition     = alltrue([for ref in var.proof_refs : can(regex("^refs/[^,]+$", ref))])
    error_message = "A ref is written in full, such as refs/heads/main."
  }
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

variable "database_iam" {
  description = "Whether the worker logs in by IAM, without any password: it is a user of the instance as the service account that it runs as. Output `grants` is the SQL that an owner must run once."
  type        = bool
  default     = false
}

variable "database_url" {
  description = "Your own database as a libpq URI or keyword string, when cloud_sql is null and there are no targets. Goes into Secret Manager and never into the state; give it by TF_VAR_database_url."
  type        = string
  default     = null
  ephemeral   = true
  sensitive   = true
}

variable "targets" {
  description = "Several databases in place of one (README, \"Targets\"). A target without `database` is the instance of cloud_sql. A connection string with a password belongs into a secret: secret:projects/PROJECT/secrets/NAME/versions/latest, which the worker is allowed to read."
  type = list(object({
    name          = string
    database      = optional(string)
    database_iam  = optional(bool)
    migrations    = optional(string)
    schema        = optional(string)
    role          = optional(string)
    subscriptions = optional(list(string))
    callers       = optional(list(string))
    readers       = optional(list(string))
    out_of_order  = optional(bool)
    rollback      = optional(bool)
    lock_wait     = optional(string)
    lock_timeout  = optional(string)
  }))
  default = []
  validation {
    condition     = alltrue([for target in var.targets : can(regex("^[a-z0-9_-]{1,63}$", target.name))])
    error_message = "A target's name is 1 to 63 of a-z, 0-9, _ and -."
  }
  validation {
    condition = alltrue([for target in var.targets : target.schema == null ? true :
    can(regex("^[a-z_][a-z0-9_]{0,62}$", target.schema)) && !can(regex("^(pg_.*|public|information_schema)$", target.schema))])
    error_message = "A target's schema is 1 to 63 of a-z, 0-9 and _, does not begin with a digit or pg_, and is for the ledger alone."
  }
  validation {
    condition = alltrue([for target in var.targets : target.role == null ? true :
    can(regex("^[^[:cntrl:]]+$", target.role)) && length(base64encode(target.role)) <= 84 && target.role != "none"])
    error_message = "A target's role is named by 1 to 63 bytes without control characters, and not none."
  }
  validation {
    condition     = length(distinct(var.targets[*].name)) == length(var.targets) && length(var.targets) <= 16
    error_message = "There are 16 targets at most, each with a name of its own."
  }
  validation {
    condition     = alltrue([for target in var.targets : target.database == null ? true : !can(regex("password|://[^/@]*:[^/@]*@", target.database))])
    error_message = "A password must not be written here: put the connection string into a secret, and its name here."
  }
  validation {
    condition     = var.cloud_sql != null || alltrue([for target in var.targets : target.database != null])
    error_message = "Without cloud_sql every target needs its database."
  }
}

variable "targets_secret" {
  description = "A targets file of your own in Secret Manager, by the name of a version: projects/PROJECT/secrets/NAME/versions/latest. Who may read the secrets that it names, and the sockets that it needs, are your own business then."
  type        = string
  default     = null
  validation {
    condition     = var.targets_secret == null ? true : can(regex("^projects/[^/]+/secrets/[^/]+/versions/[^/]+$", var.targets_secret))
    error_message = "The name of a secret's version is like projects/PROJECT/secrets/NAME/versions/latest."
  }
  validation {
    condition     = var.targets_secret == null || length(var.targets) == 0
    error_message = "targets and targets_secret are both set: which is meant?"
  }
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
