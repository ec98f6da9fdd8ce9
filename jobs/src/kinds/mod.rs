//! The kinds of job, a file per kind, and the registry, a line per kind.

pub mod deliver_notification;
pub mod deliver_report;
pub mod deliver_webhook;
pub mod evaluate_alerts;
pub mod export;
pub mod housekeeping;
pub mod rebuild_rollups;
pub mod reconcile;
pub mod refresh_fx_rates;
pub mod replay_quarantine;
pub mod run_bulk_action;
pub mod run_report_schedules;
pub mod sync_payshack;
pub mod sync_payshack_metadata;
pub mod sync_run;
pub mod sync_vima;

use crate::handler::Registry;
use crate::registry;

/// The kinds of `psp-jobs`.
pub const REGISTRY: Registry = registry![
    sync_vima::SyncVima,
    sync_payshack::SyncPayshack,
    sync_payshack_metadata::SyncPayshackMetadata,
    replay_quarantine::ReplayQuarantine,
    reconcile::Reconcile,
    export::Export,
    deliver_webhook::DeliverWebhook,
    evaluate_alerts::EvaluateAlerts,
    deliver_notification::DeliverNotification,
    run_report_schedules::RunReportSchedules,
    deliver_report::DeliverReport,
    run_bulk_action::RunBulkAction,
    refresh_fx_rates::RefreshFxRates,
    rebuild_rollups::RebuildRollups,
    housekeeping::Housekeeping,
];

#[cfg(test)]
mod tests {
    use super::*;
    use psp_dashboard::domain::job::attempt::ClaimedJob;
    use psp_dashboard::domain::job::{Claim, JobId, KINDS, Trigger};
    use psp_dashboard::domain::trace::TraceId;

    #[test]
    fn every_kind_has_a_handler_and_a_span_of_its_name() {
        assert!(REGISTRY.kinds().eq(KINDS));
        for kind in KINDS {
            let job = ClaimedJob {
                claim: Claim { job_id: JobId(uuid::Uuid::nil()), epoch: 1 },
                kind: kind.name.to_owned(),
                args: serde_json::Value::Null,
                checkpoint: None,
                trigger: Trigger::Api,
                attempt: 1,
                max_attempts: kind.max_attempts,
                created_at: chrono::DateTime::UNIX_EPOCH,
                due_at: chrono::DateTime::UNIX_EPOCH,
                trace: None,
            };
            let trace_id = TraceId::of_job(job.claim.job_id, job.trace);
            let span = REGISTRY.find(kind.name).expect("a handler").span(&job, trace_id);
            let name = span.metadata().map(tracing::Metadata::name);
            assert_eq!(name, Some(&*format!("job.{}", kind.name.replace('-', "_"))));
        }
    }
}
