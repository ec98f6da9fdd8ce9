//! Compares the metric rollups with the payments.

use sqlx::PgPool;

use super::finding::Finding;
use crate::db::DbError;
use crate::db::metrics::cells;
use crate::domain::transaction::Source;
use crate::operations::pack_days;
use crate::progress::Progress;

const STEP: &str = "comparing days";

/// Syncs may run at the same time: each day of a source is counted and compared in one snapshot.
pub(super) async fn check_rollups(pool: &PgPool) -> Result<Finding, DbError> {
    let days = cells::list_days(&mut *pool.acquire().await?).await?;
    let Some((first, last)) = days.first().zip(days.last()) else {
        return Ok(Finding::Ok("metrics: there are no transactions".to_owned()));
    };
    let mut mismatches = vec![];
    let (mut progress, total) = (Progress::start("rollups"), days.len() as u64);
    for (done, day) in (0..).zip(&days) {
        progress.set(done, Some(total), STEP);
        for source in Source::ALL {
            let cells = cells::count_mismatches(&mut *pool.acquire().await?, source, *day).await?;
            if cells > 0 {
                mismatches.push(format!("{cells} cells of {source} on {day}"));
            }
            let packed = pack_days::count_mismatches(pool, source, *day).await?;
            if packed > 0 {
                mismatches.push(format!("{packed} packed rows of {source} on {day}"));
            }
        }
    }
    progress.set(total, Some(total), "days compared");
    drop(progress);
    Ok(if mismatches.is_empty() {
        Finding::Ok(format!("metrics: the rollups from {first} to {last} match the transactions"))
    } else {
        let message = mismatches.join(", ");
        Finding::Failed(format!(
            "metrics: {message} do not match the transactions; run psp-jobs enqueue rebuild-rollups"
        ))
    })
}
