//! `export`: creates the file of an export.

use psp_dashboard::db::exports::ExportSize;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::job::{EXPORT, JobKind};
use psp_dashboard::operations::export::request::ExportArgs;
use psp_dashboard::operations::export::run::ExportRunner;
use serde_json::json;

use crate::handler::{JobHandler, JobResult};
use crate::job_context::JobContext;

pub struct Export;

impl JobHandler for Export {
    const KIND: &'static JobKind = &EXPORT;
    type Args = ExportArgs;

    async fn run(context: &JobContext, job: &ClaimedJob, ExportArgs { export_id }: ExportArgs) -> JobResult {
        let JobContext { pool, redis, clock, exporter, export_store, .. } = context;
        let runner = ExportRunner { pool, redis, clock: &**clock, exporter, store: export_store };
        let ExportSize { rows, bytes } = runner.run(&job.claim, export_id).await?;
        tracing::info!(%export_id, rows, bytes, "export finished");
        Ok(json!({"export_id": export_id, "rows": rows, "bytes": bytes}))
    }
}
