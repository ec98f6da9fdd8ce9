//! Finds where Vima's cursors were one overlap before the first run, from the days that are read later.
//!
//! The first run notes the newest ids, but the second must start one overlap earlier: ids below those noted may not have
//! been visible yet, neither then nor when their day was read. Days are read newest first, and the position is usually found
//! on the day of that time. Shortly after midnight, or in a quiet account, nothing may have happened on that day before the
//! time; then the day before is searched, and so on to the first day that is owed. What is found is stored as a mark, from
//! which later attempts know it.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use psp_dashboard::db::DbError;
use psp_dashboard::db::sync::streams;
use psp_dashboard::domain::record::Record;
use psp_dashboard::domain::sync::{History, Stream};
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::domain::version::SequenceId;
use psp_dashboard::operations::ingest_page::{Checkpoint, Page};
use psp_dashboard::providers::vima::OperationsPage;
use sqlx::PgPool;

use crate::kinds::sync_run::PageSender;

#[derive(Debug, Clone)]
pub struct OverlapCursor {
    /// One overlap before the first run began.
    time: DateTime<Utc>,
    /// The lists whose position at `time` is not known yet, each with the newest id before `time` so far.
    unknown: Vec<(Stream, Option<SequenceId>)>,
}

impl OverlapCursor {
    /// The positions that are not known yet. All count as known when no days are owed any more.
    pub(crate) async fn find(pool: &PgPool, history: Option<History>, overlap: Duration) -> Result<Self, DbError> {
        let Some(history) = history.filter(|history| history.backlog().is_some()) else {
            return Ok(Self::known());
        };
        let time = history.followed_from - overlap;
        let mut unknown = vec![];
        for stream in Stream::all_of(Source::Vima) {
            if streams::find_cursor_at(pool, stream, time).await?.is_none() {
                unknown.push((stream, None));
            }
        }
        Ok(Self { time, unknown })
    }

    /// All positions are known: nothing is searched for.
    #[must_use]
    pub fn known() -> Self {
        Self { time: DateTime::<Utc>::MIN_UTC, unknown: vec![] }
    }

    /// Whether `day` must be read from its start to find an unknown position.
    pub(crate) fn needs(&self, day: NaiveDate) -> bool {
        !self.unknown.is_empty() && day <= self.time.date_naive()
    }

    /// Notes the newest ids of what was created, and last updated, before `time`.
    pub(crate) fn observe(&mut self, page: &OperationsPage) {
        for operation in &page.operations {
            let Record::Payment(payment) = &operation.record else { continue };
            for (stream, newest) in &mut self.unknown {
                let (happened, id) = match stream {
                    Stream::VimaUpdates => (payment.updated_at, operation.update_id),
                    _ => (Some(payment.created_at), operation.create_id),
                };
                if happened.is_some_and(|happened| happened < self.time) {
                    *newest = (*newest).max(id);
                }
            }
        }
    }

    /// Sends the positions found on a day to be stored; they are known from then on.
    pub(crate) async fn send(&mut self, pages: &PageSender) {
        for (stream, newest) in &self.unknown {
            if let Some(id) = newest {
                pages.send(Page::checkpoint_only(*stream, Checkpoint::CursorMark(self.time, *id))).await;
            }
        }
        self.unknown.retain(|(_, newest)| newest.is_none());
    }
}
