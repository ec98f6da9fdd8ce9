//! Reads the figures of a digest.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use sqlx::PgPool;

use crate::db::DbError;
use crate::db::alerts::figures::get_as_of;
use crate::db::metrics::sums;
use crate::db::reports::figures::{count_discrepancies, get_incidents, sum_at_risk};
use crate::domain::access::ProjectScope;
use crate::domain::metrics::query::{Dimension, MetricFilter, MetricQuery};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::reports::digest::{Digest, compared_days, lines, progress};

/// The digest of `day` in `zone`, with what `scope` may see. How far the sources have been read is read first, so that the sums contain
/// at least the payments up to then.
pub async fn create_digest(
    pool: &PgPool,
    day: NaiveDate,
    zone: Tz,
    scope: &ProjectScope,
    now: DateTime<Utc>,
) -> Result<Digest, DbError> {
    let days = compared_days(day, zone);
    let sources = progress(get_as_of(pool).await?, days[0].until, now);
    let projects = scope.projects().map(<[String]>::to_vec);
    let filter = MetricFilter { projects: projects.clone().unwrap_or_default(), ..MetricFilter::default() };
    let query = MetricQuery::new(filter, TimeBuckets::windows(&days)).by(Dimension::Project).with_fees();
    let (totals, lines_of_projects) = lines(&sums::list_at_once(pool, &query).await?);
    Ok(Digest {
        date: day,
        timezone: zone,
        provisional: sources.iter().any(|source| !source.is_complete),
        created_at: now,
        sources,
        totals,
        projects: lines_of_projects,
        discrepancies: count_discrepancies(pool, days[0], scope).await?,
        value_at_risk: sum_at_risk(pool, scope).await?,
        incidents: if projects.is_none() { Some(get_incidents(pool, days[0]).await?) } else { None },
        scope: projects,
    })
}
