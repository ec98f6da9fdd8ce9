//! Takes the jobs of dead workers over, and tells of those that are lost with them.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::publish_events::publish_events;
use crate::db::{DbError, events, leases, sync_runs};
use crate::domain::event::Event;
use crate::domain::job::JobId;
use crate::wire::Wire;

/// Makes the jobs whose lease ran out due again, ends the runs they left behind, and says how many there were.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn rescue_jobs(pool: &PgPool, wire: &Wire, now: DateTime<Utc>) -> Result<usize, DbError> {
    let mut transaction = pool.begin().await?;
    let lost = leases::take_expired(&mut transaction).await?;
    if lost.is_empty() {
        return Ok(0);
    }
    let why = "the worker that ran it died";
    let ids: Vec<_> = lost.iter().map(|lost| lost.job_id).collect();
    let ended = sync_runs::fail_left_behind(&mut transaction, &ids, why, now).await?;
    let failed = |job_id: JobId| lost.iter().any(|lost| lost.job_id == job_id && lost.failed);
    let of_runs = ended.into_iter().map(|run| Event::SyncFailed {
        source: run.source,
        error: why.to_owned(),
        will_retry: !failed(run.job_id),
    });
    let of_jobs = lost.iter().filter(|lost| lost.failed).map(|lost| Event::JobFailed {
        kind: lost.kind.clone(),
        job_id: lost.job_id.0,
        error: format!("{why}, and it has no attempt left"),
    });
    let news = of_runs.chain(of_jobs).collect();
    let recorded = events::insert(&mut transaction, news, now).await?;
    transaction.commit().await?;
    publish_events(wire, &recorded).await;
    Ok(lost.len())
}
