//! Tries a rule about payments on the past, before it is saved.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::measure::count_payments;
use crate::db::DbError;
use crate::domain::alerts::backtest::{Episode, QuarterCounts, backtest, counted};
use crate::domain::alerts::condition::PaymentCondition;
use crate::domain::alerts::rule::RuleProperties;
use crate::domain::metrics::cell::Width;
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::time_range::TimeRange;

/// Each has up to four rows per quarter of an hour, of which three months have 8,000: more projects would take much memory.
const PROJECTS_AT_ONCE: usize = 10;

/// An alert that the rule would have raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    pub subject: String,
    pub episode: Episode,
}

/// The alerts that the rule would have raised in `period`, newest first.
pub async fn try_rule(
    pool: &PgPool,
    rule: &RuleProperties,
    condition: PaymentCondition,
    period: TimeRange,
) -> Result<Vec<Tried>, DbError> {
    let mut found = vec![];
    for part in parts(rule) {
        found.extend(try_part(pool, &part, condition, period).await?);
    }
    found.sort_by_key(|tried| Reverse(tried.episode.fired_at));
    Ok(found)
}

fn parts(rule: &RuleProperties) -> Vec<RuleProperties> {
    let part = |projects: &[String]| RuleProperties { projects: projects.to_vec(), ..rule.clone() };
    if rule.projects.is_empty() { vec![part(&[])] } else { rule.projects.chunks(PROJECTS_AT_ONCE).map(part).collect() }
}

/// One query, of quarters of an hour, however long the period is and however many payments it has.
async fn try_part(
    pool: &PgPool,
    rule: &RuleProperties,
    condition: PaymentCondition,
    period: TimeRange,
) -> Result<Vec<Tried>, DbError> {
    let range = counted(condition, period);
    let boundaries = boundaries(range);
    let quarters = boundaries.len().saturating_sub(1);
    let mut counts = count_payments(pool, rule, TimeBuckets::between(boundaries), quarters).await?;
    let mut found = vec![];
    for subject in rule.subjects() {
        let series = QuarterCounts::new(range.from, &counts.remove(&subject).unwrap_or_default());
        let episodes = backtest(condition, rule.hold, &subject, &series, period);
        found.extend(episodes.into_iter().map(|episode| Tried { subject: subject.clone(), episode }));
    }
    Ok(found)
}

fn boundaries(range: TimeRange) -> Vec<DateTime<Utc>> {
    let following = |time: &DateTime<Utc>| Some(*time + Width::Quarter.length());
    std::iter::successors(Some(range.from), following).take_while(|time| *time <= range.until).collect()
}
