//! Previews of bulk actions on jobs.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde_json::json;

use super::detail::Job;
use super::query::JobQuery;
use crate::db::bulk_actions::snapshot::Selection;
use crate::db::jobs::listing;
use crate::domain::bulk_action::BulkAction;
use crate::domain::string_enum::string_enum;
use crate::operations::bulk_actions::preview::{BulkRequest, preview_bulk_action};
use crate::web::filters::bulk::read_filter;
use crate::web::http::auth::Caller;
use crate::web::http::body::Body;
use crate::web::http::fails::Fails;
use crate::web::http::fields::{Object as JsonObject, request_fields};
use crate::web::http::openapi::Tag;
use crate::web::http::schema::named_enum;
use crate::web::responses::bulk_preview::BulkPreview;
use crate::web::state::State;

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    enum JobAction {
        #[default]
        Retry = "retry",
        Cancel = "cancel",
    }
}

named_enum!(JobAction, "JobAction", JobAction::ALL, "What is done to each job.");

request_fields! {
    /// What is to be done to which jobs.
    #[oai(example)]
    struct JobBulkRequest {
        /// What is done to each job.
        action: JobAction,
        /// The filters by the names of the query parameters of `GET /jobs`, at least one. A value is a string, a number or a boolean;
        /// where the parameter takes several values, also an array of them.
        filter: Option<JsonObject>,
    }
}

impl Example for JobBulkRequest {
    fn example() -> Self {
        let filter = [("state", json!(["failed"])), ("kind", json!(["export", "deliver-report"]))];
        Self { action: JobAction::Retry, filter: Some(filter.map(|(name, value)| (name.to_owned(), value)).into()) }
    }
}

/// The jobs that a bulk action would change.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct JobBulkPreview {
    #[oai(flatten)]
    preview: BulkPreview,
    /// The oldest ten of them.
    samples: Vec<Job>,
}

impl Example for JobBulkPreview {
    fn example() -> Self {
        Self { preview: BulkPreview::example(), samples: vec![Job::example()] }
    }
}

pub(in crate::web) struct JobBulkActionsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::BulkActions")]
impl JobBulkActionsApi {
    /// Preview a bulk action on jobs
    ///
    /// Counts the jobs that match the filter and whose state allows the action, without a limit, and remembers them for 15 minutes:
    /// `retry` takes those that failed, were cancelled, or wait for their due time or next attempt; `cancel` those that have not
    /// ended. Nothing is changed until the token is confirmed by `POST /bulk-actions`. Requires the role operator.
    #[oai(path = "/jobs/bulk-actions/preview", method = "post", operation_id = "previewJobBulkAction")]
    async fn preview(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        body: Body<JobBulkRequest>,
    ) -> Result<Json<JobBulkPreview>, Fails> {
        let (query, filter) = read_filter::<JobQuery>(body.value.filter)?;
        let action = match body.value.action {
            JobAction::Retry => BulkAction::RetryJobs,
            JobAction::Cancel => BulkAction::CancelJobs,
        };
        let request = BulkRequest { action, selection: Selection::Jobs(query.filter(caller.0.role)?), filter };
        let preview = preview_bulk_action(&state.pool, &request, &caller.0, state.clock.now()).await?;
        let samples = listing::list_by_ids(&state.pool, &preview.snapshot.sample_ids).await?;
        let pii_access = caller.pii_access();
        let samples = samples.into_iter().map(|job| Job::new(job, pii_access)).collect();
        Ok(Json(JobBulkPreview { preview: (&preview).into(), samples }))
    }
}
