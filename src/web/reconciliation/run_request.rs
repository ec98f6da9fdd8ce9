//! Starts reconciliation runs.

use std::sync::Arc;

use chrono::NaiveDate;
use poem::Request;
use poem::web::Data;
use poem_openapi::param::Header;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use crate::domain::day::day_of;
use crate::domain::job::Trigger;
use crate::domain::reconciliation::days::RequestedDays;
use crate::operations::audit::AuditContext;
use crate::operations::idempotency::IdempotencyError;
use crate::operations::request_reconciliation::{self, RequestedDay, request_reconciliation};
use crate::web::http::accepted::Accepted;
use crate::web::http::body::Body;
use crate::web::http::fails::Fails;
use crate::web::http::fields::request_fields;
use crate::web::http::idempotency::idempotent;
use crate::web::http::openapi::{EXAMPLE_DAY, EXAMPLE_ID, Tag};
use crate::web::http::problem::Problem;
use crate::web::state::State;

request_fields! {
    /// The days to reconcile: either `date`, or `from_date` and `to_date`. Days are in `RECONCILIATION_TIMEZONE`.
    #[oai(example)]
    struct ReconciliationRequest {
        /// The only day.
        date: Option<NaiveDate>,
        /// The first day. The range has at most 92 days.
        from_date: Option<NaiveDate>,
        /// The last day, today at the latest.
        to_date: Option<NaiveDate>,
        /// Queue another run behind a queued or running one instead of joining it; default: `false`.
        force: Option<bool>,
    }
}

impl ReconciliationRequest {
    fn days(&self, today: NaiveDate) -> Result<Vec<NaiveDate>, Problem> {
        let requested = RequestedDays { date: self.date, from_date: self.from_date, to_date: self.to_date };
        requested.days(today).map_err(|error| Problem::field(error.field(), error.to_string()))
    }
}

impl Example for ReconciliationRequest {
    fn example() -> Self {
        Self { date: Some(EXAMPLE_DAY), force: Some(false), ..Self::default() }
    }
}

/// The outcome of a request for runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum ReconciliationStart {
    /// Every day has a queued or running run.
    Started,
}

/// The run of one day.
#[derive(Debug, Clone, Object)]
struct StartedRun {
    /// The day that is reconciled.
    date: NaiveDate,
    /// The id of the run, see `GET /reconciliation/runs/{id}`. It is available at once; it has results when it is
    /// completed.
    run_id: Uuid,
    /// The id of the job that performs the run, see `GET /jobs/{id}`.
    job_id: Uuid,
}

impl From<RequestedDay> for StartedRun {
    fn from(requested: RequestedDay) -> Self {
        Self { date: requested.date, run_id: requested.job_id.0, job_id: requested.job_id.0 }
    }
}

/// The queued or joined runs, one per day.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct ReconciliationStarted {
    /// The id of the first of `runs`.
    run_id: Option<Uuid>,
    /// The id of its job.
    job_id: Option<Uuid>,
    /// The day of the first of `runs`.
    date: Option<NaiveDate>,
    /// Always `started`.
    status: ReconciliationStart,
    /// A summary for people.
    message: String,
    /// One run per day, the first day first. A run that was already queued or running is joined and listed here.
    runs: Vec<StartedRun>,
}

impl From<Vec<RequestedDay>> for ReconciliationStarted {
    fn from(requested: Vec<RequestedDay>) -> Self {
        let joined = requested.iter().filter(|day| day.joined).count();
        let outcomes = [(requested.len() - joined, "queued"), (joined, "joined a run that was queued or running")];
        let outcomes = outcomes.into_iter().filter(|(days, _)| *days > 0).map(|(days, happened)| match days {
            1 => format!("1 day: {happened}"),
            _ => format!("{days} days: {happened}"),
        });
        let message = outcomes.collect::<Vec<_>>().join("; ");
        let runs: Vec<StartedRun> = requested.into_iter().map(StartedRun::from).collect();
        let first = runs.first();
        Self {
            run_id: first.map(|run| run.run_id),
            job_id: first.map(|run| run.job_id),
            date: first.map(|run| run.date),
            status: ReconciliationStart::Started,
            message,
            runs,
        }
    }
}

impl Example for ReconciliationStarted {
    fn example() -> Self {
        let run = StartedRun { date: EXAMPLE_DAY, run_id: EXAMPLE_ID, job_id: EXAMPLE_ID };
        Self {
            run_id: Some(EXAMPLE_ID),
            job_id: Some(EXAMPLE_ID),
            date: Some(EXAMPLE_DAY),
            status: ReconciliationStart::Started,
            message: "1 day: queued".to_owned(),
            runs: vec![run],
        }
    }
}

/// The endpoints.
pub(in crate::web) struct RunRequestApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Reconciliation")]
impl RunRequestApi {
    /// Run a reconciliation
    ///
    /// Starts one job for each day. If a run of a day is already queued or running, the request joins it and returns
    /// its ids; `force` queues another run behind it.
    #[oai(path = "/reconciliation/run", method = "post", operation_id = "runReconciliation")]
    async fn run(
        &self,
        state: Data<&Arc<State>>,
        request: &Request,
        audit: AuditContext,
        /// The same key with the same body within 24 hours returns the same response; with another body it is a 409.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
        body: Body<ReconciliationRequest>,
    ) -> Result<Accepted<ReconciliationStarted>, Fails<IdempotencyError>> {
        let State { pool, redis, clock, reconciliation, .. } = &***state;
        let now = clock.now();
        let idempotent = idempotent(&audit.principal, request, idempotency_key.0, body.digest)?;
        let request = request_reconciliation::ReconciliationRequest {
            days: body.value.days(day_of(now, reconciliation.zone))?,
            force: body.value.force.unwrap_or(false),
            trigger: Trigger::Api,
            requested_by: Some(audit.principal.name.clone()),
        };
        let requested = request_reconciliation(pool, redis, &request, &audit, idempotent.as_ref(), now).await?;
        let started = ReconciliationStarted::from(requested);
        Ok(Accepted::job(started.job_id, started))
    }
}
