//! Having days reconciled.

use std::sync::Arc;

use chrono::NaiveDate;
use poem::Request;
use poem::web::Data;
use poem_openapi::param::Header;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use uuid::Uuid;

use crate::domain::day::day_of;
use crate::domain::job::Trigger;
use crate::domain::reconciliation::days::DaysAsked;
use crate::operations::request_reconciliation::{ReconciliationRequest, RequestedDay, request_reconciliation};
use crate::web::http::auth::Operator;
use crate::web::http::body::Body;
use crate::web::http::fields::{Fields, FromFields};
use crate::web::http::idempotency::idempotent;
use crate::web::http::openapi::{EXAMPLE_DAY, EXAMPLE_ID, Tag};
use crate::web::http::problem::Problem;
use crate::web::jobs::location_of;
use crate::web::state::State;

/// Which days are to be reconciled: `date`, or `from_date` and `to_date`. Days are those of `RECONCILIATION_TIMEZONE`.
#[derive(Debug, Clone, Default, Object)]
#[oai(example)]
struct ReconciliationOrder {
    /// The day.
    date: Option<NaiveDate>,
    /// The first day; at most 92 days may be asked for at once.
    from_date: Option<NaiveDate>,
    /// The last day, at most today.
    to_date: Option<NaiveDate>,
    /// Queue one more run of each day behind a queued or running one, rather than join it.
    force: Option<bool>,
}

impl FromFields for ReconciliationOrder {
    fn read(fields: &mut Fields) -> Option<Self> {
        fields.refuse_others(&["date", "from_date", "to_date", "force"]);
        let date = fields.optional("date");
        let from_date = fields.optional("from_date");
        let to_date = fields.optional("to_date");
        let force = fields.optional("force");
        Some(Self { date: date?, from_date: from_date?, to_date: to_date?, force: force? })
    }
}

impl ReconciliationOrder {
    fn days(&self, today: NaiveDate) -> Result<Vec<NaiveDate>, Problem> {
        let asked = DaysAsked { date: self.date, from_date: self.from_date, to_date: self.to_date };
        asked.days(today).map_err(|error| Problem::field(error.field(), error.to_string()))
    }
}

impl Example for ReconciliationOrder {
    fn example() -> Self {
        Self { date: Some(EXAMPLE_DAY), force: Some(false), ..Self::default() }
    }
}

/// What a request for runs came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
enum ReconciliationStart {
    /// Every day has a run that is queued or at work.
    Started,
}

/// The run of one day.
#[derive(Debug, Clone, Object)]
struct StartedRun {
    /// The day.
    date: NaiveDate,
    /// The run; it can be looked up at once, and counts as soon as it has completed.
    run_id: Uuid,
    /// The job that does it.
    job_id: Uuid,
}

impl From<RequestedDay> for StartedRun {
    fn from(requested: RequestedDay) -> Self {
        Self { date: requested.date, run_id: requested.job_id.0, job_id: requested.job_id.0 }
    }
}

/// What was started.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct ReconciliationStarted {
    /// The first of `runs`.
    run_id: Option<Uuid>,
    /// Its job.
    job_id: Option<Uuid>,
    /// Its day.
    date: Option<NaiveDate>,
    /// `started`.
    status: ReconciliationStart,
    /// What happened, for people.
    message: String,
    /// The runs, one a day, the first day first; one that was queued or running already where there was one.
    runs: Vec<StartedRun>,
}

impl From<Vec<RequestedDay>> for ReconciliationStarted {
    fn from(requested: Vec<RequestedDay>) -> Self {
        let joined = requested.iter().filter(|day| day.joined).count();
        let told = [(requested.len() - joined, "queued"), (joined, "joined a run that was queued or running")];
        let told = told.into_iter().filter(|(days, _)| *days > 0).map(|(days, happened)| match days {
            1 => format!("1 day: {happened}"),
            _ => format!("{days} days: {happened}"),
        });
        let message = told.collect::<Vec<_>>().join("; ");
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

/// The answer to a request that starts runs.
#[derive(ApiResponse)]
enum Accepted {
    /// The runs are queued, or joined where they were queued already.
    #[oai(status = 202)]
    Accepted(
        Json<ReconciliationStarted>,
        /// Where the first job can be followed.
        #[oai(header = "Location")]
        String,
    ),
}

/// The endpoints.
pub(in crate::web) struct RunRequestApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Reconciliation")]
impl RunRequestApi {
    /// Reconcile a day, or a range of days
    ///
    /// A job a day. A run of a day that is queued or at work already is joined, and its ids come back; `force` queues one more
    /// behind it. Takes the role operator.
    #[oai(path = "/reconciliation/run", method = "post", operation_id = "runReconciliation")]
    async fn run(
        &self,
        state: Data<&Arc<State>>,
        request: &Request,
        operator: Operator,
        /// The same key and body within 24 hours give the same answer; another body is a conflict.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
        order: Body<ReconciliationOrder>,
    ) -> Result<Accepted, Problem> {
        let State { pool, redis, clock, reconciliation, .. } = &***state;
        let (now, operator) = (clock.now(), operator.0);
        let idempotent = idempotent(&operator, request, idempotency_key.0, order.digest)?;
        let wanted = ReconciliationRequest {
            days: order.value.days(day_of(now, reconciliation.zone))?,
            force: order.value.force.unwrap_or(false),
            trigger: Trigger::Api,
            requested_by: Some(operator.name),
        };
        let requested = request_reconciliation(pool, redis, &wanted, idempotent.as_ref(), now).await?;
        let started = ReconciliationStarted::from(requested);
        let location = location_of(started.job_id);
        Ok(Accepted::Accepted(Json(started), location))
    }
}
