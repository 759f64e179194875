# What the module needs. 1.11 is the first Terraform (and OpenTofu) with write-only arguments: the database's password
# goes to PostgreSQL and to Secret Manager without ever being written into the state.
terraform {
  required_version = ">= 1.11"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
  }
}
