//! Which jobs a list, or an action on many jobs, is about.
//!
//! The conditions are built at run time, because all are optional, and each has an index that makes it cheap where few jobs match.
//! Rejected: an index of all arguments. Every claim and every end of a job writes a new version of its row, which each index would
//! hold again, and most jobs are those of the schedule, whose arguments say nothing.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{Postgres, QueryBuilder};

use crate::db::types::{escape_like, names};
use crate::domain::job::JobState;
use crate::domain::job::attempt::AttemptOutcome;

/// The arguments of most jobs, which the index of arguments leaves out.
const COMMON_ARGS: [&str; 2] = ["{}", r#"{"mode": "incremental"}"#];

/// A span of time that may be open at both ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeBounds {
    /// Included.
    pub from: Option<DateTime<Utc>>,
    /// Excluded.
    pub until: Option<DateTime<Utc>>,
}

/// Conditions that all have to be met. An empty list matches every value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobFilter {
    pub queues: Vec<&'static str>,
    pub kinds: Vec<&'static str>,
    pub states: Vec<JobState>,
    pub created: TimeBounds,
    /// A job that has not finished matches only if both ends are open.
    pub finished: TimeBounds,
    /// Part of the job's error, in upper or lower case.
    pub error: Option<String>,
    /// What the arguments contain: an object.
    pub args: Option<Value>,
    /// How at least one attempt ended.
    pub attempt_outcomes: Vec<AttemptOutcome>,
}

/// A condition on a row of `jobs`.
#[derive(Debug, Clone, PartialEq)]
enum Condition<'a> {
    Names(&'static str, Vec<&'static str>),
    Time(&'static str, TimeBounds),
    Error(&'a str),
    Args(&'a Value),
    Outcomes(&'a [AttemptOutcome]),
}

impl JobFilter {
    /// Appends ` AND …` for each condition to a statement on `jobs`.
    pub fn push(&self, query: &mut QueryBuilder<Postgres>) {
        for condition in self.conditions() {
            condition.push(query);
        }
    }

    /// As [`Self::push`], for counting: only the most selective condition, and the time of creation, by which the rows of most
    /// indexes are sorted.
    pub(super) fn push_leading(&self, query: &mut QueryBuilder<Postgres>) {
        for (_, condition) in self.conditions().iter().enumerate().filter(is_leading) {
            condition.push(query);
        }
    }

    /// As [`Self::push`], only what [`Self::push_leading`] leaves out.
    pub(super) fn push_others(&self, query: &mut QueryBuilder<Postgres>) {
        for (_, condition) in self.conditions().iter().enumerate().filter(|condition| !is_leading(condition)) {
            condition.push(query);
        }
    }

    /// The most selective first: what only few jobs have, then a state (most jobs have succeeded, so that any other state is rarer
    /// than a kind), then a kind (a queue holds several), then what many jobs have.
    fn conditions(&self) -> Vec<Condition<'_>> {
        let names_in =
            |column, values: Vec<&'static str>| (!values.is_empty()).then_some(Condition::Names(column, values));
        let times_in = |column, bounds| (bounds != TimeBounds::default()).then_some(Condition::Time(column, bounds));
        let args = self.args.as_ref().map(Condition::Args);
        let outcomes = (!self.attempt_outcomes.is_empty()).then_some(Condition::Outcomes(&self.attempt_outcomes));
        let states = names_in("state", names(&self.states, JobState::as_str));
        let (rare_args, common_args) = split(args, self.args.as_ref().is_some_and(is_common));
        let (rare_outcomes, common_outcomes) =
            split(outcomes, self.attempt_outcomes.contains(&AttemptOutcome::Succeeded));
        let (rare_states, common_states) = split(states, self.states.contains(&JobState::Succeeded));
        let ranked = [
            rare_args,
            rare_outcomes,
            self.error.as_deref().map(Condition::Error),
            rare_states,
            names_in("kind", self.kinds.clone()),
            times_in("finished_at", self.finished),
            times_in("created_at", self.created),
            names_in("queue", self.queues.clone()),
            common_states,
            common_outcomes,
            common_args,
        ];
        ranked.into_iter().flatten().collect()
    }
}

fn is_leading((index, condition): &(usize, &Condition<'_>)) -> bool {
    *index == 0 || matches!(condition, Condition::Time("created_at", _))
}

/// The condition as the second of two if it is common, as the first one if it is not.
fn split<T>(condition: Option<T>, is_common: bool) -> (Option<T>, Option<T>) {
    if is_common { (None, condition) } else { (condition, None) }
}

/// Whether jobs with [`COMMON_ARGS`] may contain these arguments.
fn is_common(args: &Value) -> bool {
    let is_empty = args.as_object().is_some_and(serde_json::Map::is_empty);
    is_empty || *args == serde_json::json!({"mode": "incremental"})
}

impl Condition<'_> {
    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        match self {
            Self::Names(column, values) => push_names(query, column, values),
            Self::Time(column, TimeBounds { from, until }) => {
                if let Some(from) = from {
                    query.push(format!(" AND {column} >= ")).push_bind(*from);
                }
                if let Some(until) = until {
                    query.push(format!(" AND {column} < ")).push_bind(*until);
                    // A job is created before it ends. This lets a list that is sorted by creation begin there.
                    if *column != "created_at" {
                        query.push(" AND created_at < ").push_bind(*until);
                    }
                }
            }
            // Repeats the predicate of the index.
            Self::Error(text) => {
                let pattern = format!("%{}%", escape_like(text));
                query.push(" AND error IS NOT NULL AND error ILIKE ").push_bind(pattern);
            }
            Self::Args(args) => {
                if !is_common(args) {
                    for common in COMMON_ARGS {
                        query.push(format!(" AND args <> '{common}'"));
                    }
                }
                query.push(" AND args @> ").push_bind((*args).clone());
            }
            Self::Outcomes(outcomes) => push_outcomes(query, outcomes),
        }
    }
}

/// A single value is compared with `=`: only then can an index that starts with the column also provide the order. Running jobs
/// are found by their leases: no index finds them among a million finished jobs.
fn push_names(query: &mut QueryBuilder<Postgres>, column: &str, values: &[&'static str]) {
    query.push(format!(" AND {column} = "));
    match (column, values) {
        ("state", ["running"]) => query.push("'running' AND id IN (SELECT job_id FROM job_leases)"),
        (_, [value]) => query.push_bind(*value),
        _ => query.push("ANY(").push_bind(values.to_vec()).push(")"),
    };
}

/// An attempt that succeeds ends its job, so that the state of the job says the same. The index has only the other attempts.
fn push_outcomes(query: &mut QueryBuilder<Postgres>, outcomes: &[AttemptOutcome]) {
    let succeeded = outcomes.contains(&AttemptOutcome::Succeeded);
    query.push(if succeeded { " AND (state = 'succeeded' OR " } else { " AND (" });
    query.push("id IN (SELECT job_id FROM job_attempts WHERE outcome <> 'succeeded' AND outcome = ANY(");
    query.push_bind(names(outcomes, AttemptOutcome::as_str)).push(")))");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sql(push: impl Fn(&mut QueryBuilder<Postgres>)) -> String {
        let mut query = QueryBuilder::new("");
        push(&mut query);
        query.into_string()
    }

    #[test]
    fn count_visits_the_rows_of_the_most_selective_condition() {
        let created = TimeBounds { from: Some(DateTime::UNIX_EPOCH), until: None };
        let (kinds, states) = (vec!["sync-vima"], vec![JobState::Failed]);
        let outcomes = vec![AttemptOutcome::Lost];
        let all = JobFilter::default();
        for (filter, leading, others) in [
            (all.clone(), "", ""),
            (JobFilter { kinds: kinds.clone(), states, ..all.clone() }, " AND state = $1", " AND kind = $1"),
            (
                JobFilter { kinds: kinds.clone(), states: vec![JobState::Succeeded], ..all.clone() },
                " AND kind = $1",
                " AND state = $1",
            ),
            (JobFilter { created, kinds: kinds.clone(), ..all.clone() }, " AND kind = $1 AND created_at >= $2", ""),
            (
                JobFilter { args: Some(json!({"mode": "incremental"})), kinds: kinds.clone(), ..all.clone() },
                " AND kind = $1",
                " AND args @> $1",
            ),
            (
                JobFilter { args: Some(json!({"date": "2026-01-15"})), kinds, ..all.clone() },
                " AND args <> '{}' AND args <> '{\"mode\": \"incremental\"}' AND args @> $1",
                " AND kind = $1",
            ),
            (
                JobFilter { attempt_outcomes: outcomes, error: Some("no".to_owned()), ..all },
                " AND (id IN (SELECT job_id FROM job_attempts WHERE outcome <> 'succeeded' AND outcome = ANY($1)))",
                " AND error IS NOT NULL AND error ILIKE $1",
            ),
        ] {
            assert_eq!(sql(|query| filter.push_leading(query)), leading, "{filter:?}");
            assert_eq!(sql(|query| filter.push_others(query)), others, "{filter:?}");
        }
    }

    /// The index leaves out what a filter may only leave out if no such job matches.
    #[test]
    fn only_contained_arguments_are_common() {
        for (args, common) in [
            (json!({}), true),
            (json!({"mode": "incremental"}), true),
            (json!({"mode": "full"}), false),
            (json!({"mode": "incremental", "force": true}), false),
            (json!({"date": "2026-01-15"}), false),
        ] {
            assert_eq!(is_common(&args), common, "{args}");
        }
    }
}
