//! Where Vima's cursors stood an overlap before they began to be followed, learnt from the days since then.
//!
//! The newest ids that are noted when following begins are no place to begin an overlap back at: below them may be ids that
//! were not visible yet, neither then nor when their day was read. Of the days, which are read newest first, the one that the
//! horizon is on tells most often. Shortly after midnight, and in a quiet account, nothing may have happened on it before the
//! horizon: then the day before is asked, and so on to the first that is owed. An attempt that goes on from another knows by
//! the marks what that one had learnt.

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

/// What is not known yet of the horizon.
#[derive(Debug, Clone)]
pub(crate) struct OverlapCursor {
    time: DateTime<Utc>,
    /// The lists whose place is sought, each with the newest id before the time that has been met.
    sought: Vec<(Stream, Option<SequenceId>)>,
}

impl OverlapCursor {
    /// What days that are read can still tell of the horizon; nothing where none is owed.
    pub(crate) async fn find(pool: &PgPool, history: Option<History>, overlap: Duration) -> Result<Self, DbError> {
        let Some(history) = history.filter(|history| history.backlog().is_some()) else {
            return Ok(Self::known());
        };
        let time = history.followed_from - overlap;
        let mut sought = vec![];
        for stream in Stream::all_of(Source::Vima) {
            if streams::find_cursor_at(pool, stream, time).await?.is_none() {
                sought.push((stream, None));
            }
        }
        Ok(Self { time, sought })
    }

    /// One of which nothing is sought.
    pub(crate) fn known() -> Self {
        Self { time: DateTime::<Utc>::MIN_UTC, sought: vec![] }
    }

    /// Whether the whole of `day` has to be read for what it tells.
    pub(crate) fn asks(&self, day: NaiveDate) -> bool {
        !self.sought.is_empty() && day <= self.time.date_naive()
    }

    /// Takes in what was created, and what last changed, before its time.
    pub(crate) fn meet(&mut self, page: &OperationsPage) {
        for operation in &page.operations {
            let Record::Payment(payment) = &operation.record else { continue };
            for (stream, newest) in &mut self.sought {
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

    /// Executor over what a day has told, which is then sought no more.
    pub(crate) async fn send(&mut self, pages: &PageSender) {
        for (stream, newest) in &self.sought {
            if let Some(id) = newest {
                pages.send(Page::checkpoint_only(*stream, Checkpoint::CursorMark(self.time, *id))).await;
            }
        }
        self.sought.retain(|(_, newest)| newest.is_none());
    }
}
