//! `export`: makes a file that somebody asked for, to be downloaded.

use std::sync::Arc;

use async_trait::async_trait;
use psp_dashboard::db::exports::Finished;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::operations::export::request::ExportArgs;
use psp_dashboard::operations::export::run::Workshop;
use serde_json::{Value, json};

use crate::handler::{Handler, JobError};
use crate::job_context::Environment;

/// Makes files.
pub struct Export {
    environment: Arc<Environment>,
}

impl Export {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(environment: &Arc<Environment>) -> Self {
        Self { environment: Arc::clone(environment) }
    }
}

#[async_trait]
impl Handler for Export {
    async fn run(&self, job: &ClaimedJob) -> Result<Value, JobError> {
        let Environment { pool, wire, clock, exports, files, .. } = &*self.environment;
        let ExportArgs { export_id } = serde_json::from_value(job.args.clone())?;
        let workshop = Workshop { pool, wire, clock: &**clock, exports, files };
        let Finished { rows, bytes, .. } = workshop.make_export(&job.claim, export_id).await?;
        tracing::info!(%export_id, rows, bytes, "a file of {rows} rows is ready");
        Ok(json!({"export_id": export_id, "rows": rows, "bytes": bytes}))
    }
}
