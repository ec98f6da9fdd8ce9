//! The filters and the order of the job list.

use chrono::{DateTime, Utc};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::Value;

use crate::db::jobs::filter::{JobFilter, TimeBounds};
use crate::db::jobs::listing::JobSort;
use crate::db::page::SortOrder;
use crate::domain::access::Role;
use crate::domain::job::attempt::AttemptOutcome;
use crate::domain::job::{JobKind, JobState, KINDS};
use crate::web::http::fields::{Fields, request_fields};
use crate::web::http::parse_field::ParseField;
use crate::web::http::problem::{Problem, ProblemCode};
use crate::web::http::schema::{Time, named_enum, plain_type};

/// A shorter text is found nearly everywhere.
const MIN_ERROR_LENGTH: usize = 3;
/// In bytes. No kind of job has larger arguments.
const MAX_ARGS_LENGTH: usize = 4_096;

request_fields! {
    /// Which jobs are listed, and in which order.
    pub(in crate::web) struct JobQuery {
        /// Filter by queue.
        queue: Vec<QueueName>,
        /// Filter by kind of job.
        kind: Vec<KindName>,
        /// Filter by state.
        state: Vec<JobState>,
        /// The earliest creation, for example `2026-01-15T10:00:00Z`.
        created_from: Option<Time>,
        /// The time before which jobs were created.
        created_until: Option<Time>,
        /// The earliest end. Only jobs that have succeeded, failed or been cancelled have one.
        finished_from: Option<Time>,
        /// The time before which jobs ended.
        finished_until: Option<Time>,
        /// Part of `error`, in upper or lower case; at least 3 characters. Requires the role operator.
        #[oai(validator(min_length = 3))]
        error: Option<String>,
        /// What `args` contains: a JSON object, such as `{"date": "2026-01-15"}`. Requires the role operator.
        args: Option<ContainedArgs>,
        /// Filter by the outcome of an attempt: jobs of which at least one attempt ended so.
        attempt_outcome: Vec<AttemptOutcome>,
        /// The field that the list is sorted by; default: `created_at`. With `started_at` only jobs that have started are
        /// listed, with `finished_at` only those that have finished.
        pub(in crate::web) sort_by: Option<JobSort>,
        /// Ascending or descending; default: `desc`.
        pub(in crate::web) order: Option<SortOrder>,
    }
    check: JobQuery::check
}

impl JobQuery {
    fn check(&self, fields: &mut Fields) {
        for (from, until, name) in [
            (self.created_from, self.created_until, "created_from"),
            (self.finished_from, self.finished_until, "finished_from"),
        ] {
            if let (Some(Time(from)), Some(Time(until))) = (from, until)
                && from > until
            {
                fields.error(name, format!("is after {}: swap them", name.replace("from", "until")));
            }
        }
        if self.error.as_ref().is_some_and(|text| text.chars().count() < MIN_ERROR_LENGTH) {
            fields.error("error", format!("needs at least {MIN_ERROR_LENGTH} characters"));
        }
    }

    /// A viewer sees errors and arguments without personal data, and could find that by guessing.
    pub(in crate::web) fn filter(self, role: Role) -> Result<JobFilter, Problem> {
        if role < Role::Operator && (self.error.is_some() || self.args.is_some()) {
            let detail =
                "filtering by error or args requires the role operator, because both may contain personal data";
            return Err(Problem::new(ProblemCode::Forbidden, detail));
        }
        Ok(JobFilter {
            queues: self.queue.into_iter().map(QueueName::as_str).collect(),
            kinds: self.kind.into_iter().map(KindName::as_str).collect(),
            states: self.state,
            created: bounds(self.created_from, self.created_until),
            finished: bounds(self.finished_from, self.finished_until),
            error: self.error,
            args: self.args.map(|ContainedArgs(args)| args),
            attempt_outcomes: self.attempt_outcome,
        })
    }
}

fn bounds(from: Option<Time>, until: Option<Time>) -> TimeBounds {
    let time = |time: Option<Time>| -> Option<DateTime<Utc>> { time.map(|Time(time)| time) };
    TimeBounds { from: time(from), until: time(until) }
}

/// Arguments that a job's arguments contain: an object, written as JSON.
#[derive(Debug, Clone, PartialEq)]
struct ContainedArgs(Value);

impl Type for ContainedArgs {
    plain_type!(
        "string_json-object",
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            example: Some(r#"{"mode": "full"}"#.into()),
            ..MetaSchema::new_with_format("string", "json-object")
        }))
    );
}

impl ToJSON for ContainedArgs {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.to_string().into())
    }
}

impl ParseFromJSON for ContainedArgs {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::String(text)) => Self::parse_field(&text).map_err(ParseError::custom),
            _ => Err(ParseError::expected_input()),
        }
    }
}

impl ParseField for ContainedArgs {
    fn parse_field(text: &str) -> Result<Self, String> {
        if text.len() > MAX_ARGS_LENGTH {
            return Err(format!("must have at most {MAX_ARGS_LENGTH} bytes"));
        }
        // PostgreSQL cannot store a NUL in a text.
        if text.contains(r"\u0000") {
            return Err("must not contain a NUL character".to_owned());
        }
        let args = serde_json::from_str(text).ok().filter(Value::is_object);
        args.map(Self).ok_or_else(|| r#"must be a JSON object, for example {"mode": "full"}"#.to_owned())
    }
}

named_enum!(KindName, "JobKind", KindName::all(), "A kind of job of this release.");
named_enum!(QueueName, "QueueName", QueueName::all(), "A queue of this release.");
named_enum!(JobSort, "JobSort", JobSort::ALL, "The field that jobs are sorted by.");

/// The name of a kind of job that this release knows. The jobs table may have others, of older and newer releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KindName(&'static str);

impl KindName {
    fn all() -> Vec<Self> {
        KINDS.into_iter().map(|kind| Self(kind.name)).collect()
    }

    fn as_str(self) -> &'static str {
        self.0
    }
}

/// The name of a queue that this release knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) struct QueueName(&'static str);

impl QueueName {
    fn all() -> Vec<Self> {
        JobKind::queues().into_iter().map(Self).collect()
    }

    pub(in crate::web) fn as_str(self) -> &'static str {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::http::query::Query;

    #[test]
    fn invalid_filters_name_the_field() {
        for (query, expected) in [
            ("error=503", None),
            ("error=50", Some("error: needs at least 3 characters")),
            ("args=%7B%22mode%22:%22full%22%7D", None),
            ("args=full", Some(r#"args: must be a JSON object, for example {"mode": "full"}"#)),
            ("args=%5B1%5D", Some(r#"args: must be a JSON object, for example {"mode": "full"}"#)),
            ("args=%7B%22mode%22:%22%5Cu0000%22%7D", Some("args: must not contain a NUL character")),
            (
                "created_from=2026-01-16T00:00:00Z&created_until=2026-01-15T00:00:00Z",
                Some("created_from: is after created_until: swap them"),
            ),
            (
                "finished_from=2026-01-16T00:00:00Z&finished_until=2026-01-15T00:00:00Z",
                Some("finished_from: is after finished_until: swap them"),
            ),
            ("sort_by=duration", Some("sort_by: must be one of created_at, started_at, finished_at")),
        ] {
            let read = Query::<JobQuery>::from_text(query);
            assert_eq!(read.err().map(|problem| problem.to_string()).as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn viewers_cannot_guess_what_is_masked() {
        for (query, allowed) in [("error=99887", false), ("args=%7B%22a%22:1%7D", false), ("state=failed", true)] {
            let filter = |role| Query::<JobQuery>::from_text(query).expect("a valid query").0.filter(role);
            assert_eq!(filter(Role::Viewer).is_ok(), allowed, "{query}");
            assert!(filter(Role::Operator).is_ok(), "{query}");
        }
    }
}
