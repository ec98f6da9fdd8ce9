//! `export`: makes a file that somebody asked for, to be downloaded.

use std::sync::Arc;

use async_trait::async_trait;
use psp_dashboard::db::exports::FinishedExport;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::operations::export::request::ExportArgs;
use psp_dashboard::operations::export::run::ExportRunner;
use serde_json::{Value, json};

use crate::handler::{Handler, JobError};
use crate::job_context::JobContext;

/// Makes files.
pub struct Export {
    context: Arc<JobContext>,
}

impl Export {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(context: &Arc<JobContext>) -> Self {
        Self { context: Arc::clone(context) }
    }
}

#[async_trait]
impl Handler for Export {
    async fn run(&self, job: &ClaimedJob) -> Result<Value, JobError> {
        let JobContext { pool, redis, clock, exporter, files, .. } = &*self.context;
        let ExportArgs { export_id } = serde_json::from_value(job.args.clone())?;
        let runner = ExportRunner { pool, redis, clock: &**clock, exporter, store: files };
        let FinishedExport { rows, bytes, .. } = runner.run(&job.claim, export_id).await?;
        tracing::info!(%export_id, rows, bytes, "a file of {rows} rows is ready");
        Ok(json!({"export_id": export_id, "rows": rows, "bytes": bytes}))
    }
}
