# GitHub Actions without a key: a job proves by its OIDC token which repository (and environment) it belongs to, and may
# then act as the deployer or the publisher. By numbers, because names can be given up and taken by others.

resource "google_iam_workload_identity_pool" "github" {
  count                     = var.github == null ? 0 : 1
  project                   = var.project
  workload_identity_pool_id = "${var.name}-github"
  display_name              = "${var.name}: GitHub Actions"
  depends_on                = [google_project_service.api]
}

resource "google_iam_workload_identity_pool_provider" "github" {
  count                              = var.github == null ? 0 : 1
  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.github[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  display_name                       = "GitHub Actions"
  attribute_mapping = {
    "google.subject"          = "assertion.sub"
    "attribute.repository_id" = "assertion.repository_id"
  }
  # A job without an environment has no such claim: the condition cannot be computed then, and the token is refused.
  attribute_condition = join(" && ", concat(
    ["assertion.repository_owner_id == '${var.github.owner_id}'", "assertion.repository_id == '${var.github.repository_id}'"],
    var.github.environment == null ? [] : ["assertion.environment == '${var.github.environment}'"],
  ))
  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account_iam_member" "github" {
  for_each = var.github == null ? {} : {
    deployer  = google_service_account.deployer.name
    publisher = google_service_account.publisher.name
  }
  service_account_id = each.value
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.github[0].name}/attribute.repository_id/${var.github.repository_id}"
}
