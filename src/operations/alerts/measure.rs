//! Measures what the condition of a rule is judged by.
//!
//! Payments are judged up to the time up to which their sources have been read, never up to now: what was not read yet looks like
//! silence. A source that was read too long ago makes the rule unjudgeable, which is a topic of its own. The times up to which
//! sources have been read are themselves read first, so that the sums contain at least the payments up to then.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;
use sqlx::PgPool;

use crate::db::DbError;
use crate::db::alerts::figures;
use crate::db::alerts::states::Topic;
use crate::db::metrics::sums;
use crate::domain::alerts::condition::{Condition, PaymentCondition, SystemCondition};
use crate::domain::alerts::reading::{Level, Reading, WindowCounts};
use crate::domain::alerts::rule::{AlertReason, RuleProperties};
use crate::domain::metrics::query::{Dimension, MetricFilter, MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::status::Status;
use crate::domain::transaction::Source;

/// The reading of a topic, as of a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measurement {
    pub topic: Topic,
    pub reading: Reading,
    pub at: DateTime<Utc>,
}

/// Up to when each source has been read, in the order of [`Source::ALL`].
pub type ReadUntil = [Option<DateTime<Utc>>; 2];

/// Measures every topic of a rule.
pub async fn measure(
    pool: &PgPool,
    rule: &RuleProperties,
    read_until: ReadUntil,
    now: DateTime<Utc>,
) -> Result<Vec<Measurement>, DbError> {
    match &rule.condition {
        Condition::Payments(condition) => measure_payments(pool, rule, *condition, read_until, now).await,
        Condition::System(condition) => {
            let values = values(pool, rule, condition, read_until, now).await?;
            let measured = values.into_iter().map(|(subject, value)| Measurement {
                reading: condition.judge(&subject, value),
                topic: Topic { subject, reason: AlertReason::Condition },
                at: now,
            });
            Ok(measured.collect())
        }
    }
}

async fn measure_payments(
    pool: &PgPool,
    rule: &RuleProperties,
    condition: PaymentCondition,
    read_until: ReadUntil,
    now: DateTime<Utc>,
) -> Result<Vec<Measurement>, DbError> {
    let judgeable = rule.judgeable_at(read_until, now);
    let lag = Measurement {
        topic: Topic { subject: String::new(), reason: AlertReason::Unjudged },
        reading: lag_reading(rule, judgeable.is_some()),
        at: now,
    };
    let on_condition = |subject: String| Topic { subject, reason: AlertReason::Condition };
    let Some(at) = judgeable else {
        let unknown = rule.subjects().into_iter().map(|subject| Measurement {
            topic: on_condition(subject),
            reading: Reading { level: Level::Unknown, value: None, text: String::new() },
            at: now,
        });
        return Ok(unknown.chain([lag]).collect());
    };
    let end = condition.window_end(at);
    let windows = condition.windows(end);
    let counts = count_payments(pool, rule, TimeBuckets::windows(&windows), windows.len()).await?;
    let judged = rule.subjects().into_iter().map(|subject| {
        let none = vec![WindowCounts::default(); windows.len()];
        let reading = condition.judge(&subject, end, counts.get(&subject).unwrap_or(&none));
        Measurement { topic: on_condition(subject), reading, at }
    });
    Ok(judged.chain([lag]).collect())
}

fn lag_reading(rule: &RuleProperties, is_judgeable: bool) -> Reading {
    let sources = rule.sources().into_iter().map(Source::as_str).collect::<Vec<_>>().join(" or ");
    let minutes = rule.max_lag_minutes;
    if is_judgeable {
        return Reading {
            level: Level::Clear,
            value: None,
            text: format!("{sources}: read again, the rule is judged again"),
        };
    }
    Reading {
        level: Level::Breached,
        value: None,
        text: format!(
            "cannot be judged: {sources} was last read completely more than {minutes} minutes ago; see GET /api/v1/sync/status"
        ),
    }
}

/// The payments of each subject in each bucket, whose keys are 0 to `buckets - 1`. A subject without payments is absent.
pub(super) async fn count_payments(
    pool: &PgPool,
    rule: &RuleProperties,
    time: TimeBuckets,
    buckets: usize,
) -> Result<HashMap<String, Vec<WindowCounts>>, DbError> {
    let sources = rule.source.into_iter().collect();
    let filter = MetricFilter { sources, projects: rule.projects.clone(), ..MetricFilter::default() };
    let query = MetricQuery::new(filter, time).counts();
    let query = if rule.projects.is_empty() { query } else { query.by(Dimension::Project) };
    let mut counts = HashMap::new();
    for MetricRow { bucket, member, status, measures, .. } in sums::list_at_once(pool, &query).await? {
        let of_subject: &mut Vec<WindowCounts> =
            counts.entry(member).or_insert_with(|| vec![WindowCounts::default(); buckets]);
        if let Some(count) = usize::try_from(bucket).ok().and_then(|bucket| of_subject.get_mut(bucket)) {
            *count = *count + window_counts(status, measures.count);
        }
    }
    Ok(counts)
}

fn window_counts(status: Status, count: i64) -> WindowCounts {
    let of = |is_counted: bool| if is_counted { count } else { 0 };
    WindowCounts {
        total: count,
        succeeded: of(matches!(status, Status::Success | Status::Refunded)),
        failed: of(status == Status::Failed),
    }
}

/// The value of each subject.
async fn values(
    pool: &PgPool,
    rule: &RuleProperties,
    condition: &SystemCondition,
    read_until: ReadUntil,
    now: DateTime<Utc>,
) -> Result<Vec<(String, Option<Decimal>)>, DbError> {
    let whole = |count: i64| Ok(vec![(String::new(), Some(Decimal::from(count)))]);
    let since = |minutes: u32| now - TimeDelta::minutes(i64::from(minutes));
    match condition {
        SystemCondition::OpenDiscrepancies { .. } => {
            let unresolved = figures::sum_unresolved(pool, None).await?;
            Ok(by_subject(rule, &unresolved, |unresolved| unresolved.count.into()))
        }
        SystemCondition::ValueAtRisk { currency, .. } => {
            let unresolved = figures::sum_unresolved(pool, Some(currency)).await?;
            Ok(by_subject(rule, &unresolved, |unresolved| unresolved.at_risk))
        }
        SystemCondition::SyncLag { .. } => {
            let lags = Source::ALL.into_iter().zip(read_until).filter(|(source, _)| rule.sources().contains(source));
            let minutes = |until: DateTime<Utc>| Decimal::from((now - until).num_minutes().max(0));
            Ok(lags.map(|(source, until)| (source.as_str().to_owned(), until.map(minutes))).collect())
        }
        SystemCondition::Quarantine { .. } => whole(figures::count_quarantined(pool, rule.source).await?),
        SystemCondition::JobFailed { job_kind, window_minutes } => {
            whole(figures::count_failed_jobs(pool, job_kind.as_deref(), since(*window_minutes)).await?)
        }
        SystemCondition::LateChanges { hours, window_minutes, .. } => {
            let after = Duration::from_hours(u64::from(*hours));
            let changes = figures::count_late_changes(pool, rule.source, after, since(*window_minutes)).await?;
            Ok(by_subject(rule, &changes, |count| (*count).into()))
        }
    }
}

/// The values of the rule's projects, or the sum of all.
fn by_subject<T>(
    rule: &RuleProperties,
    by_project: &BTreeMap<String, T>,
    value: impl Fn(&T) -> Decimal,
) -> Vec<(String, Option<Decimal>)> {
    let of_project = |project: &String| by_project.get(project).map_or(Decimal::ZERO, &value);
    if rule.projects.is_empty() {
        return vec![(String::new(), Some(by_project.values().map(value).sum()))];
    }
    rule.projects.iter().map(|project| (project.clone(), Some(of_project(project)))).collect()
}
