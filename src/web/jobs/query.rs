//! Which jobs a listing asks for.

use poem_openapi::Object;

use crate::db::jobs::listing::JobFilter;
use crate::domain::job::JobState;
use crate::web::http::fields::{Fields, FromFields};
use crate::web::http::schema::{KindName, QueueName};

/// Which jobs are listed.
#[derive(Debug, Clone, Default, Object)]
pub(in crate::web) struct JobQuery {
    /// Of these queues.
    queue: Vec<QueueName>,
    /// Of these kinds.
    kind: Vec<KindName>,
    /// In these states.
    state: Vec<JobState>,
}

impl FromFields for JobQuery {
    fn read(fields: &mut Fields) -> Option<Self> {
        let queue = fields.list("queue");
        let kind = fields.list("kind");
        let state = fields.list("state");
        Some(Self { queue: queue?, kind: kind?, state: state? })
    }
}

impl JobQuery {
    /// The filter.
    pub(in crate::web) fn filter(self) -> JobFilter {
        JobFilter {
            queues: self.queue.into_iter().map(QueueName::as_str).collect(),
            kinds: self.kind.into_iter().map(KindName::as_str).collect(),
            states: self.state,
        }
    }
}
