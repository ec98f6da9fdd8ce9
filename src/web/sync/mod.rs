//! Syncs: their status, their runs, and triggering one.

mod blocked;
pub(crate) mod quarantine;
pub(crate) mod status;
mod target;

use std::sync::Arc;

use chrono::NaiveDate;
use poem::Request;
use poem::web::Data;
use poem_openapi::param::Header;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use self::status::{SyncStatus, sync_status};
use self::target::SyncTarget;
use super::http::accepted::Accepted;
use super::http::auth::Caller;
use super::http::body::Body;
use super::http::fails::Fails;
use super::http::fields::request_fields;
use super::http::idempotency::idempotent;
use super::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME, Tag};
use super::http::pagination::{Page, PageQuery, Window};
use super::http::path::Path;
use super::http::problem::Problem;
use super::http::query::Query;
use super::http::schema::{Time, named_enum};
use super::state::State;
use crate::db::access::idempotent_requests::IdempotentRequest;
use crate::db::count::Count;
use crate::db::page::TimeCursor;
use crate::db::sync::runs::{self, SyncRunFilter};
use crate::domain::day::DayRange;
use crate::domain::job::Trigger;
use crate::domain::masking::PiiAccess;
use crate::domain::sync::{RunStatus, SyncArgs, SyncMode};
use crate::domain::transaction::Source;
use crate::operations::audit::AuditContext;
use crate::operations::idempotency::IdempotencyError;
use crate::operations::trigger_sync::{self, TriggeredSync, trigger_sync};

request_fields! {
    /// The sync to trigger. Without fields, an incremental sync of every source.
    #[oai(example)]
    struct SyncRequest {
        /// The source; default: every source.
        source: Option<Source>,
        /// What is read; default: `range` if days are given, otherwise `incremental`.
        mode: Option<SyncMode>,
        /// The first day to read again (UTC); required with the mode `range`.
        from_date: Option<NaiveDate>,
        /// The last day to read again (UTC); required with the mode `range`.
        to_date: Option<NaiveDate>,
        /// Queue another sync behind a queued or running one instead of joining it; default: `false`.
        force: Option<bool>,
    }
}

impl SyncRequest {
    fn args(&self) -> Result<SyncArgs, Problem> {
        let (from, to) = (self.from_date, self.to_date);
        let default = if from.or(to).is_some() { SyncMode::Range } else { SyncMode::Incremental };
        match (self.mode.unwrap_or(default), from, to) {
            (SyncMode::Incremental, None, None) => Ok(SyncArgs::Incremental),
            (SyncMode::Full, None, None) => Ok(SyncArgs::Full),
            (SyncMode::Range, Some(from_date), Some(to_date)) => {
                match DayRange::new(from_date, to_date, chrono_tz::UTC) {
                    Ok(_) => Ok(SyncArgs::Range { from_date, to_date }),
                    Err(error) => Err(Problem::field("from_date", error.to_string())),
                }
            }
            (SyncMode::Range, None, _) => Err(Problem::field("from_date", "is required with mode range")),
            (SyncMode::Range, _, None) => Err(Problem::field("to_date", "is required with mode range")),
            (SyncMode::Incremental | SyncMode::Full, ..) => {
                Err(Problem::field("mode", "must be range if from_date or to_date is given"))
            }
        }
    }
}

impl Example for SyncRequest {
    fn example() -> Self {
        Self { source: Some(Source::Vima), mode: Some(SyncMode::Incremental), force: Some(false), ..Self::default() }
    }
}

/// The job that syncs a source.
#[derive(Debug, Clone, Object)]
struct SyncJob {
    source: Source,
    /// The id of the job, see `GET /jobs/{id}`.
    job_id: Uuid,
}

/// The queued or joined sync jobs, one per source.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct SyncTriggered {
    /// A summary for people.
    message: String,
    /// The sources that will be synced.
    sources: Vec<Source>,
    /// The id of the first of `jobs`.
    job_id: Option<Uuid>,
    /// One job per source. A queued or running job that does the same is joined and listed here.
    jobs: Vec<SyncJob>,
}

impl From<Vec<TriggeredSync>> for SyncTriggered {
    fn from(triggered: Vec<TriggeredSync>) -> Self {
        let outcomes = triggered.iter().map(|sync| {
            let happened = if sync.joined { "joined a sync that was queued or running" } else { "queued" };
            format!("{}: {happened}", sync.source)
        });
        Self {
            message: outcomes.collect::<Vec<_>>().join("; "),
            sources: triggered.iter().map(|sync| sync.source).collect(),
            job_id: triggered.first().map(|sync| sync.job_id.0),
            jobs: triggered.iter().map(|sync| SyncJob { source: sync.source, job_id: sync.job_id.0 }).collect(),
        }
    }
}

impl Example for SyncTriggered {
    fn example() -> Self {
        let jobs = vec![SyncJob { source: Source::Vima, job_id: EXAMPLE_ID }];
        Self { message: "vima: queued".to_owned(), sources: vec![Source::Vima], job_id: Some(EXAMPLE_ID), jobs }
    }
}

request_fields! {
    /// Which runs are listed.
    struct SyncRunQuery {
        /// Filter by source.
        source: Option<Source>,
        /// Filter by status.
        status: Vec<RunStatus>,
        /// Filter by what was read.
        mode: Vec<SyncMode>,
    }
}

/// A run of a sync.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct SyncRun {
    /// The id of the run.
    id: Uuid,
    /// The source that was read.
    source: Source,
    /// What was read of the source.
    mode: SyncMode,
    /// What created the job.
    trigger: Trigger,
    /// The id of the job, see `GET /jobs/{id}`.
    job_id: Uuid,
    /// The first requested day (UTC); only with the mode `range`.
    from_date: Option<NaiveDate>,
    /// The last requested day (UTC); only with the mode `range`.
    to_date: Option<NaiveDate>,
    /// When it started.
    started_at: Time,
    /// When it finished; null while it runs.
    finished_at: Option<Time>,
    /// The status of the run.
    status: RunStatus,
    /// The number of pages read from the provider.
    pages: u64,
    /// The number of records read: `inserted` + `updated` + `unchanged` + `quarantined`.
    records_seen: u64,
    /// Records stored for the first time.
    inserted: u64,
    /// Records that replaced an older version.
    updated: u64,
    /// Of the updated records: those whose version was stored before, and that changed because a newer release or setting
    /// reads them differently.
    replaced: u64,
    /// Records that changed nothing: the same content, an older version, or a repetition.
    unchanged: u64,
    /// Records that could not be parsed; they are in the quarantine.
    quarantined: u64,
    /// Old payments that are still open, were requested again, and that the provider no longer knew.
    not_found: u64,
    /// Why the run failed or is incomplete.
    error: Option<String>,
}

impl SyncRun {
    fn new(run: runs::SyncRun, pii_access: PiiAccess) -> Self {
        Self {
            id: run.id,
            source: run.source,
            mode: run.mode,
            trigger: run.trigger,
            job_id: run.job_id.0,
            from_date: run.from_date,
            to_date: run.to_date,
            started_at: Time(run.started_at),
            finished_at: run.finished_at.map(Time),
            status: run.status,
            pages: run.pages,
            records_seen: run.counts.seen(),
            inserted: run.counts.inserted,
            updated: run.counts.updated,
            replaced: run.counts.replaced,
            unchanged: run.counts.unchanged,
            quarantined: run.counts.quarantined,
            not_found: run.not_found,
            error: run.error.map(|error| pii_access.text(error)),
        }
    }
}

impl Example for SyncRun {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID,
            source: Source::Vima,
            mode: SyncMode::Incremental,
            trigger: Trigger::Schedule,
            job_id: EXAMPLE_ID,
            from_date: None,
            to_date: None,
            started_at: Time(EXAMPLE_TIME),
            finished_at: Some(Time(EXAMPLE_TIME)),
            status: RunStatus::Succeeded,
            pages: 2,
            records_seen: 180,
            inserted: 120,
            updated: 40,
            replaced: 0,
            unchanged: 19,
            quarantined: 1,
            not_found: 0,
            error: None,
        }
    }
}

pub(in crate::web) struct SyncApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Sync")]
impl SyncApi {
    /// Get sync status
    ///
    /// Returns for each source whether a sync is running, when the last one was and the next one will be, how old the data is,
    /// and what is in the way of the next sync.
    #[oai(path = "/sync/status", method = "get", operation_id = "getSyncStatus")]
    async fn status(&self, state: Data<&Arc<State>>, caller: Caller) -> Result<Json<SyncStatus>, Fails> {
        Ok(Json(sync_status(&state, caller.pii_access()).await?))
    }

    /// Trigger a sync
    ///
    /// Starts a job for one source or for each. If a sync of the same mode and range is already queued or running, the
    /// request joins it and returns its job id; `force` queues another one behind it.
    #[oai(path = "/sync/trigger", method = "post", operation_id = "triggerSync")]
    async fn trigger(
        &self,
        state: Data<&Arc<State>>,
        request: &Request,
        audit: AuditContext,
        /// The same key with the same body within 24 hours returns the same response; with another body it is a 409.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
        body: Body<SyncRequest>,
    ) -> Result<Accepted<SyncTriggered>, Fails<IdempotencyError>> {
        let idempotent = idempotent(&audit.principal, request, idempotency_key.0, body.digest)?;
        start(&state, &audit, &body.value, idempotent).await
    }

    /// Trigger a sync of one source
    ///
    /// The same as `POST /sync/trigger` with this source, or every source with `all`, and the mode `incremental`: reads what
    /// is new or changed since the last run.
    #[oai(path = "/sync/trigger/:source", method = "post", operation_id = "triggerSyncOfSource")]
    async fn trigger_source(
        &self,
        state: Data<&Arc<State>>,
        request: &Request,
        audit: AuditContext,
        /// The source to sync, or `all`.
        source: Path<SyncTarget>,
        /// The same key within 24 hours returns the same response.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
    ) -> Result<Accepted<SyncTriggered>, Fails<IdempotencyError>> {
        let sync = SyncRequest { source: source.0.source(), ..SyncRequest::default() };
        let idempotent = idempotent(&audit.principal, request, idempotency_key.0, Sha256::digest([]).into())?;
        start(&state, &audit, &sync, idempotent).await
    }

    /// List sync runs
    ///
    /// Newest first. List filters take one value or several, comma-separated.
    #[oai(path = "/sync/runs", method = "get", operation_id = "listSyncRuns")]
    async fn runs(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<SyncRunQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<SyncRun>>, Fails> {
        let SyncRunQuery { source, status, mode } = query.0;
        let filter = SyncRunFilter { source, statuses: status, modes: mode };
        let window: Window<TimeCursor> = state.cursors.window("sync runs", &page.0)?;
        let db_window = window.to_db();
        let (runs, total) =
            tokio::try_join!(runs::list(&state.pool, &filter, &db_window), runs::count(&state.pool, &filter))?;
        let count = Count { total, exact: true };
        let page = state.cursors.page("sync runs", &window, count, runs, |run| (run.started_at, run.id));
        let pii_access = caller.pii_access();
        Ok(Json(page.map(|run| SyncRun::new(run, pii_access))))
    }
}

async fn start(
    state: &State,
    audit: &AuditContext,
    sync: &SyncRequest,
    idempotent: Option<IdempotentRequest>,
) -> Result<Accepted<SyncTriggered>, Fails<IdempotencyError>> {
    let request = trigger_sync::SyncRequest {
        sources: sync.source.map_or_else(|| Source::ALL.to_vec(), |source| vec![source]),
        args: sync.args()?,
        force: sync.force.unwrap_or(false),
    };
    let now = state.clock.now();
    let triggered = trigger_sync(&state.pool, &state.redis, &request, audit, idempotent.as_ref(), now).await?;
    let triggered = SyncTriggered::from(triggered);
    Ok(Accepted::job(triggered.job_id, triggered))
}

named_enum!(SyncMode, "SyncMode", SyncMode::ALL, "What a sync reads.");
named_enum!(RunStatus, "RunStatus", RunStatus::ALL, "The status of a sync run.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_sync_request_names_the_field() {
        let day = |text: &str| text.parse::<NaiveDate>().ok();
        let range = SyncArgs::Range {
            from_date: day("2026-01-01").expect("a day"),
            to_date: day("2026-01-02").expect("a day"),
        };
        for (mode, from, to, expected) in [
            (None, None, None, Ok(SyncArgs::Incremental)),
            (Some(SyncMode::Full), None, None, Ok(SyncArgs::Full)),
            (None, day("2026-01-01"), day("2026-01-02"), Ok(range)),
            (Some(SyncMode::Range), day("2026-01-01"), day("2026-01-02"), Ok(range)),
            (Some(SyncMode::Range), None, None, Err("from_date: ")),
            (None, day("2026-01-01"), None, Err("to_date: ")),
            (None, day("2026-01-03"), day("2026-01-02"), Err("from_date: ")),
            (None, day("2020-01-03"), day("2026-01-02"), Err("from_date: ")),
            (Some(SyncMode::Full), day("2026-01-01"), None, Err("mode: ")),
        ] {
            let request = SyncRequest { mode, from_date: from, to_date: to, ..SyncRequest::default() };
            match (request.args(), expected) {
                (Ok(args), Ok(expected)) => assert_eq!(args, expected),
                (Err(problem), Err(field)) => assert!(problem.to_string().starts_with(field), "{problem}"),
                (args, expected) => panic!("{request:?}: {args:?}, expected {expected:?}"),
            }
        }
    }
}
