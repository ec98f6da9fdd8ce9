//! Jobs as they are listed and shown.
//!
//! A row of a kind that this release does not know is shown like any other: it was written by the release before or after.
//! The listing's statement is put together at run time, for its filters are optional, and it is planned anew each time: a
//! plan for any state would read a million finished jobs to find the few that failed.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::count::{Count, MAX_VISITED};
use crate::db::page::{PageWindow, TimeCursor};
use crate::db::types::names;
use crate::domain::job::attempt::AttemptOutcome;
use crate::domain::job::{JobId, JobState, Trigger};

/// Which jobs are looked for. An empty list stands for every value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Where they wait.
    pub queues: Vec<&'static str>,
    /// The names of their kinds.
    pub kinds: Vec<&'static str>,
    /// Where they stand.
    pub states: Vec<JobState>,
}

/// A job as it is listed.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct ListedJob {
    /// Its id.
    pub id: Uuid,
    /// The name of its kind.
    pub kind: String,
    /// What it is told.
    pub args: Value,
    /// Where it waits.
    pub queue: String,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub state: JobState,
    /// Which of two due jobs comes first: the smaller number.
    pub priority: i16,
    /// What made it.
    #[sqlx(try_from = "String")]
    pub trigger: Trigger,
    /// The tick it stands for.
    pub scheduled_for: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its first attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it came to its end.
    pub finished_at: Option<DateTime<Utc>>,
    /// Its attempts so far.
    #[sqlx(try_from = "i32")]
    pub attempt: u32,
    /// How many it gets.
    #[sqlx(try_from = "i32")]
    pub max_attempts: u32,
    /// Why its last attempt failed, or who cancelled it.
    pub error: Option<String>,
    /// How far it has come, as its handler wrote it.
    pub progress: Option<Value>,
}

impl ListedJob {
    /// Its place in the listing.
    #[must_use]
    pub fn cursor(&self) -> TimeCursor {
        (self.created_at, self.id)
    }
}

/// The columns of [`ListedJob`].
const COLUMNS: &str = "id, kind, args, queue, state, priority, trigger, scheduled_for, created_at, started_at, finished_at, \
                       attempt, max_attempts, error, progress";

/// The jobs of one part of a listing, the newest first.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn list(
    pool: &PgPool,
    filter: &JobFilter,
    window: &PageWindow<TimeCursor>,
) -> Result<Vec<ListedJob>, DbError> {
    let mut query = QueryBuilder::new(format!("SELECT {COLUMNS} FROM jobs WHERE true"));
    for (column, values) in filter.conditions() {
        push_condition(&mut query, column, values);
    }
    if let Some((created_at, id)) = window.after {
        query.push(" AND (created_at, id) < (").push_bind(created_at).push(", ").push_bind(id).push(")");
    }
    query.push(" ORDER BY created_at DESC, id DESC");
    window.push_limits(&mut query);
    Ok(query.build_query_as().persistent(false).fetch_all(pool).await?)
}

/// Counts what `filter` finds, one by one, among those that the most telling of its conditions leads to.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn count(pool: &PgPool, filter: &JobFilter) -> Result<Count, DbError> {
    let mut conditions = filter.conditions().into_iter();
    let leading = conditions.next();
    let mut query = QueryBuilder::new("SELECT count(*) FILTER (WHERE found), count(*) FROM (SELECT (true");
    for (column, values) in conditions {
        push_condition(&mut query, column, values);
    }
    query.push(") AS found FROM jobs WHERE true");
    if let Some((column, values)) = leading {
        push_condition(&mut query, column, values);
    }
    query.push(" LIMIT ").push_bind(MAX_VISITED + 1).push(") AS visited");
    let (found, visited): (i64, i64) = query.build_query_as().persistent(false).fetch_one(pool).await?;
    Ok(Count::from_visited(found, visited))
}

impl JobFilter {
    /// Columns and the values that they may have, the one that leaves the fewest rows first: most jobs have succeeded, so
    /// that any other state is rarer than a kind, and a queue holds several kinds.
    fn conditions(&self) -> Vec<(&'static str, Vec<&'static str>)> {
        let states = ("state", names(&self.states, JobState::as_str));
        let rest = [("kind", self.kinds.clone()), ("queue", self.queues.clone())];
        let mut conditions: Vec<_> = std::iter::once(states).chain(rest).collect();
        if self.states.contains(&JobState::Succeeded) {
            conditions.rotate_left(1);
        }
        conditions.retain(|(_, values)| !values.is_empty());
        conditions
    }
}

/// One value is compared, not looked up in a list: only then does an index that begins with the column give the order too.
/// What runs is found by its lease, for no index leads to it among a million jobs that have ended.
fn push_condition(query: &mut QueryBuilder<Postgres>, column: &str, values: Vec<&'static str>) {
    query.push(format!(" AND {column} = "));
    match (column, &values[..]) {
        ("state", ["running"]) => query.push("'running' AND id IN (SELECT job_id FROM job_leases)"),
        (_, [value]) => query.push_bind(*value),
        _ => query.push("ANY(").push_bind(values).push(")"),
    };
}

/// A job with everything that is known of it, but for its attempts.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct ShownJob {
    /// What is listed of it.
    #[sqlx(flatten)]
    pub listed: ListedJob,
    /// What came of it.
    pub result: Option<Value>,
    /// Who asked for it.
    pub requested_by: Option<String>,
    /// When somebody told it to stop.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// Its worker died while it was at work: it runs alone until it has ended once.
    pub suspect: bool,
}

/// The job of this id, if there is one.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn find(pool: &PgPool, job_id: JobId) -> Result<Option<ShownJob>, DbError> {
    let mut query = QueryBuilder::new(format!(
        "SELECT {COLUMNS}, result, requested_by, cancel_requested_at, suspect FROM jobs WHERE id = "
    ));
    Ok(query.push_bind(job_id.0).build_query_as().fetch_optional(pool).await?)
}

/// One try of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobAttempt {
    /// Which one it was, from 1; one that did not count is followed by one of the same number.
    pub attempt: u32,
    /// The process that ran it.
    pub worker: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub outcome: Option<AttemptOutcome>,
    /// Why it did not succeed.
    pub error: Option<String>,
}

/// The tries of a job, the first one first.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn list_attempts(pool: &PgPool, job_id: JobId) -> Result<Vec<JobAttempt>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT attempt, worker, started_at, finished_at, outcome, error
             FROM job_attempts WHERE job_id = $1 ORDER BY epoch"#,
        job_id.0
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(JobAttempt {
                attempt: row.attempt.unsigned_abs(),
                worker: row.worker,
                started_at: row.started_at,
                finished_at: row.finished_at,
                outcome: row.outcome.map(AttemptOutcome::try_from).transpose()?,
                error: row.error,
            })
        })
        .collect()
}
