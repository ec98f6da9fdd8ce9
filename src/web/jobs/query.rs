//! The filters of the job list.

use crate::db::jobs::listing::JobFilter;
use crate::domain::job::{JobKind, JobState, KINDS};
use crate::web::http::fields::request_fields;
use crate::web::http::schema::named_enum;

request_fields! {
    /// Which jobs are listed.
    pub(in crate::web) struct JobQuery {
        /// Filter by queue.
        queue: Vec<QueueName>,
        /// Filter by kind of job.
        kind: Vec<KindName>,
        /// Filter by state.
        state: Vec<JobState>,
    }
}

impl JobQuery {
    pub(in crate::web) fn filter(self) -> JobFilter {
        JobFilter {
            queues: self.queue.into_iter().map(QueueName::as_str).collect(),
            kinds: self.kind.into_iter().map(KindName::as_str).collect(),
            states: self.state,
        }
    }
}

named_enum!(KindName, "JobKind", KindName::all(), "A kind of job of this release.");
named_enum!(QueueName, "QueueName", QueueName::all(), "A queue of this release.");

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
struct QueueName(&'static str);

impl QueueName {
    fn all() -> Vec<Self> {
        JobKind::queues().into_iter().map(Self).collect()
    }

    fn as_str(self) -> &'static str {
        self.0
    }
}
