# What is counted, who is told, what it looks like. The names of fields are the worker's own (worker/base/log.c,
# worker/command/serve.c).

locals {
  log_of_worker = "resource.type=\"cloud_run_revision\" resource.labels.service_name=\"${var.name}\""
  metric        = "logging.googleapis.com/user/${var.name}"
  channels      = concat([for channel in google_monitoring_notification_channel.email : channel.id], var.notification_channels)
}

# ---- log-based metrics -----------------------------------------------------------------------------------------------

resource "google_logging_metric" "runs" {
  project     = var.project
  name        = "${var.name}/runs"
  description = "Runs that ended well, by what they came to: applied, nothing_pending, superseded, planned, rolled_back"
  filter      = "${local.log_of_worker} jsonPayload.run:* jsonPayload.status:*"
  label_extractors = {
    status = "EXTRACT(jsonPayload.status)"
    target = "EXTRACT(jsonPayload.target)"
  }
  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    labels {
      key = "status"
    }
    labels {
      key = "target"
    }
  }
  depends_on = [google_project_service.api]
}

resource "google_logging_metric" "failures" {
  project     = var.project
  name        = "${var.name}/failures"
  description = "Deliveries that were not answered with 200, by error code and class"
  filter      = "${local.log_of_worker} jsonPayload.code:* jsonPayload.class:*"
  label_extractors = {
    code  = "EXTRACT(jsonPayload.code)"
    class = "EXTRACT(jsonPayload.class)"
  }
  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    labels {
      key = "code"
    }
    labels {
      key = "class"
    }
  }
  depends_on = [google_project_service.api]
}

resource "google_logging_metric" "duration" {
  project         = var.project
  name            = "${var.name}/duration"
  description     = "How long runs took"
  filter          = "${local.log_of_worker} jsonPayload.run:* jsonPayload.status=\"applied\""
  value_extractor = "EXTRACT(jsonPayload.ms)"
  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "ms"
  }
  bucket_options {
    exponential_buckets {
      num_finite_buckets = 24
      growth_factor      = 2
      scale              = 1
    }
  }
  depends_on = [google_project_service.api]
}

# ---- alerts ----------------------------------------------------------------------------------------------------------

resource "google_monitoring_notification_channel" "email" {
  for_each     = toset(var.alert_emails)
  project      = var.project
  display_name = "${var.name}: ${each.value}"
  type         = "email"
  labels       = { email_address = each.value }
  depends_on   = [google_project_service.api]
}

# Straight from the log, because a metric shows a failure a minute later and does not say which file it was.
resource "google_monitoring_alert_policy" "failed" {
  project               = var.project
  display_name          = "${var.name}: a run failed"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.channels
  user_labels           = local.labels
  conditions {
    display_name = "a run failed for good"
    condition_matched_log {
      filter = "${local.log_of_worker} jsonPayload.class=\"permanent\""
      label_extractors = {
        code    = "EXTRACT(jsonPayload.code)"
        file    = "EXTRACT(jsonPayload.file)"
        target  = "EXTRACT(jsonPayload.target)"
        message = "EXTRACT(jsonPayload.message)"
      }
    }
  }
  alert_strategy {
    auto_close = "86400s"
    notification_rate_limit {
      period = "300s"
    }
  }
  documentation {
    subject = "${var.name}: migration failed"
    content = <<-EOT
      $${log.extracted_label.code} in $${log.extracted_label.file}: $${log.extracted_label.message}

      Nothing is half done: the migration was rolled back, and later files were not touched. The log line says what to do
      (field `remedy`). Correct the file and deploy again; the message itself is parked in `${google_pubsub_subscription.dead.name}`.
    EOT
  }
  depends_on = [google_project_service.api]
}

resource "google_monitoring_alert_policy" "parked" {
  project               = var.project
  display_name          = "${var.name}: a message is parked"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.channels
  user_labels           = local.labels
  conditions {
    display_name = "the dead-letter subscription is not empty"
    condition_threshold {
      filter          = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.dead.name}\" AND metric.type = \"pubsub.googleapis.com/subscription/num_undelivered_messages\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"
      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }
  documentation {
    subject = "${var.name}: a message waits in the dead-letter subscription"
    content = <<-EOT
      See what is parked, and why:

          pawl replay --project=${var.project} --subscription=${google_pubsub_subscription.dead.name} --list

      When the reason is gone, send it back (`--all`, or some by `--id`):

          pawl replay --project=${var.project} --subscription=${google_pubsub_subscription.dead.name} --topic=${google_pubsub_topic.migrate.name} --all

      The ledger makes sure that what is applied is not applied twice.
    EOT
  }
  depends_on = [google_project_service.api]
}

# What is tried again (the database is away, a token is refused, a release does not roll out) reaches the dead letters only
# after hours; so does a migration that simply takes long, which the log tells apart.
resource "google_monitoring_alert_policy" "waiting" {
  project               = var.project
  display_name          = "${var.name}: a message waits long"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.channels
  user_labels           = local.labels
  conditions {
    display_name = "the oldest message is not done after half an hour"
    condition_threshold {
      filter          = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.push.name}\" AND metric.type = \"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      comparison      = "COMPARISON_GT"
      threshold_value = 1800
      duration        = "0s"
      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }
  documentation {
    subject = "${var.name}: a message is not done after half an hour"
    content = <<-EOT
      See why it is sent back each time (or that a long migration is at work):

          gcloud logging read '${local.log_of_worker} severity>=WARNING' --project=${var.project} --limit=20 --freshness=1h

      The field `remedy` says what to do. Nothing is lost: it is delivered again until it is done, or parked after ${var.max_delivery_attempts} attempts.
    EOT
  }
  depends_on = [google_project_service.api]
}

# The worker gives up on the lock only after waiting for nearly a whole ack deadline.
resource "google_monitoring_alert_policy" "lock" {
  project               = var.project
  display_name          = "${var.name}: the lock is held long"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.channels
  user_labels           = local.labels
  conditions {
    display_name = "a delivery waited for the lock in vain"
    condition_matched_log {
      filter = "${local.log_of_worker} jsonPayload.code=\"LOCK_HELD\""
      label_extractors = {
        target  = "EXTRACT(jsonPayload.target)"
        message = "EXTRACT(jsonPayload.message)"
      }
    }
  }
  alert_strategy {
    auto_close = "3600s"
    notification_rate_limit {
      period = "1800s"
    }
  }
  documentation {
    subject = "${var.name}: one run has held the lock for ${var.ack_deadline} s"
    content = <<-EOT
      $${log.extracted_label.message}

      A long index build is no reason to act: deliveries go on until it is done. If the holder should not be there, end its backend
      (`select pg_terminate_backend(PID)`); the next delivery takes over where it stopped.
    EOT
  }
  depends_on = [google_project_service.api]
}

# ---- dashboard -------------------------------------------------------------------------------------------------------

locals {
  of_service = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}\""
  of_push    = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${google_pubsub_subscription.push.name}\""
  of_dead    = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${google_pubsub_subscription.dead.name}\""
  charts = [
    { title = "Runs, by outcome", filter = "${local.of_service} AND metric.type=\"${local.metric}/runs\"", align = "ALIGN_DELTA", reduce = "REDUCE_SUM", by = ["metric.label.status"] },
    { title = "Failures, by code", filter = "${local.of_service} AND metric.type=\"${local.metric}/failures\"", align = "ALIGN_DELTA", reduce = "REDUCE_SUM", by = ["metric.label.code"] },
    { title = "Duration of runs, 95th percentile (ms)", filter = "${local.of_service} AND metric.type=\"${local.metric}/duration\"", align = "ALIGN_PERCENTILE_95", reduce = "REDUCE_MAX", by = [] },
    { title = "Parked messages", filter = "${local.of_dead} AND metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\"", align = "ALIGN_MAX", reduce = "REDUCE_SUM", by = [] },
    { title = "Oldest message not yet done (s)", filter = "${local.of_push} AND metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\"", align = "ALIGN_MAX", reduce = "REDUCE_MAX", by = [] },
    { title = "Pushes, by answer", filter = "${local.of_push} AND metric.type=\"pubsub.googleapis.com/subscription/push_request_count\"", align = "ALIGN_DELTA", reduce = "REDUCE_SUM", by = ["metric.label.response_code"] },
    { title = "Instances", filter = "${local.of_service} AND metric.type=\"run.googleapis.com/container/instance_count\"", align = "ALIGN_MAX", reduce = "REDUCE_SUM", by = ["metric.label.state"] },
    { title = "Start-up latency, 95th percentile (ms)", filter = "${local.of_service} AND metric.type=\"run.googleapis.com/container/startup_latencies\"", align = "ALIGN_PERCENTILE_95", reduce = "REDUCE_MAX", by = [] },
  ]
}

resource "google_monitoring_dashboard" "pawl" {
  project = var.project
  dashboard_json = jsonencode({
    displayName = var.name
    mosaicLayout = {
      columns = 12
      tiles = concat(
        [for i, chart in local.charts : {
          xPos   = (i % 2) * 6
          yPos   = floor(i / 2) * 4
          width  = 6
          height = 4
          widget = {
            title = chart.title
            xyChart = {
              dataSets = [{
                plotType = "STACKED_BAR"
                timeSeriesQuery = {
                  timeSeriesFilter = {
                    filter = chart.filter
                    aggregation = {
                      alignmentPeriod    = "60s"
                      perSeriesAligner   = chart.align
                      crossSeriesReducer = chart.reduce
                      groupByFields      = chart.by
                    }
                  }
                }
              }]
            }
          }
        }],
        [{
          xPos   = 0
          yPos   = ceil(length(local.charts) / 2) * 4
          width  = 12
          height = 6
          widget = {
            title     = "What the worker said"
            logsPanel = { filter = local.log_of_worker, resourceNames = ["projects/${var.project}"] }
          }
        }],
      )
    }
  })
  depends_on = [google_logging_metric.runs, google_logging_metric.failures, google_logging_metric.duration]
}
