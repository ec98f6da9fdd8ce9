//! Records the history of the queues.
//!
//! Workers and schedulers call it every few seconds: the history has no gap while one of them runs, and shows a queue that grows
//! because no worker is left.

use sqlx::PgPool;

use crate::db::DbError;
use crate::db::jobs::queue_minutes;
use crate::domain::job::JobKind;
use crate::domain::retention::QUEUE_HISTORY_AGE;

pub async fn record_queue_minute(pool: &PgPool) -> Result<(), DbError> {
    let known: Vec<&str> = JobKind::queues().into_iter().collect();
    queue_minutes::record(pool, &known, QUEUE_HISTORY_AGE).await
}
