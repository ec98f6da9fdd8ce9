//! `housekeeping`: deletes what is no longer needed, so that no table grows without limit, and packs the metrics of finished days.

use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::job::{HOUSEKEEPING, JobKind};
use psp_dashboard::domain::retention::{RETENTION, Retention, RetentionSettings};
use psp_dashboard::operations::delete_expired::delete_expired;
use psp_dashboard::operations::pack_days::pack_days;
use serde_json::{Map, Value, json};

use crate::handler::{JobHandler, JobResult, NoArgs};
use crate::job_context::JobContext;

pub struct Housekeeping;

impl JobHandler for Housekeeping {
    const KIND: &'static JobKind = &HOUSEKEEPING;
    type Args = NoArgs;

    async fn run(context: &JobContext, _job: &ClaimedJob, _args: NoArgs) -> JobResult {
        let JobContext { pool, clock, sync, retention, export_store, .. } = context;
        let settings = RetentionSettings {
            jobs: retention.jobs,
            failed_jobs: retention.failed_jobs,
            vima_overlap: sync.vima_overlap,
        };
        let now = clock.now();
        let mut result = Map::new();
        for rule in RETENTION {
            let Retention::Expires(expiring) = rule.retention else { continue };
            for &rows in expiring {
                let deleted = delete_expired(pool, export_store, rows, rows.max_age(&settings), now).await?;
                result.insert(rows.as_str().to_owned(), json!(deleted));
            }
        }
        result.insert("packed_days".to_owned(), json!(pack_days(pool, now).await?));
        Ok(Value::Object(result))
    }
}
