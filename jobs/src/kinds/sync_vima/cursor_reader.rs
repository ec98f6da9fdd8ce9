//! Reads one of Vima's lists, page by page, by its cursor.
//!
//! A cursor may include its own record or not, and a page may be longer than requested. So reading ends at a page without an
//! id beyond the last one.

use chrono::NaiveDate;
use psp_dashboard::domain::sync::Stream;
use psp_dashboard::domain::version::SequenceId;
use psp_dashboard::operations::ingest_page::{Checkpoint, Page};
use psp_dashboard::providers::ProviderError;
use psp_dashboard::providers::vima::{Cursor, OperationsPage, OperationsQuery, VimaClient};

use crate::kinds::sync_run::PageSender;

/// The longest page that Vima allows.
const PAGE_SIZE: u32 = 100;

#[derive(Debug, Clone, Copy)]
pub(crate) struct CursorReader {
    pub(crate) stream: Stream,
    pub(crate) from: Option<SequenceId>,
    pub(crate) stores: Position,
}

/// What is stored with each page about how far the list has been read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Position {
    /// The cursor of the list, for the next run.
    Cursor,
    /// The position within a day, for the next attempt. Only the creations of that day are read.
    Day(NaiveDate),
    /// Nothing: the list is short, and can be read again.
    None,
}

impl CursorReader {
    /// Reads the list to its end. Returns why the end could not be reached, if so.
    pub(crate) async fn read(&self, vima: &VimaClient, pages: &PageSender) -> Result<Option<String>, ProviderError> {
        self.read_with(vima, pages, |_| {}).await
    }

    /// Like [`Self::read`], and calls `observe` with each page.
    pub(crate) async fn read_with(
        &self,
        vima: &VimaClient,
        pages: &PageSender,
        mut observe: impl FnMut(&OperationsPage) + Send,
    ) -> Result<Option<String>, ProviderError> {
        let mut place = self.from;
        loop {
            let page = vima.operations(&self.query(place)).await?;
            observe(&page);
            let newest = self.newest_id(&page);
            let Some(reached) = newest.filter(|newest| place.is_none_or(|place| *newest > place)) else {
                let is_full = page.operations.len() >= PAGE_SIZE as usize;
                if !page.is_empty() {
                    pages.send(self.page(page, Checkpoint::None)).await;
                }
                return Ok(is_full.then(|| self.stuck_at(place)));
            };
            pages.send(self.page(page, self.checkpoint(reached))).await;
            place = Some(reached);
        }
    }

    fn query(&self, after: Option<SequenceId>) -> OperationsQuery {
        let cursor = if self.stream == Stream::VimaUpdates { Cursor::Updates } else { Cursor::Creations };
        let day = if let Position::Day(day) = self.stores { Some(day) } else { None };
        OperationsQuery { day, after: after.map(cursor), count: PAGE_SIZE, descending: false }
    }

    fn newest_id(&self, page: &OperationsPage) -> Option<SequenceId> {
        match self.stream {
            Stream::VimaUpdates => page.newest_update_id(),
            _ => page.newest_create_id(),
        }
    }

    fn checkpoint(&self, reached: SequenceId) -> Checkpoint {
        match self.stores {
            Position::Cursor => Checkpoint::Cursor(reached),
            Position::Day(day) => Checkpoint::DayCheckpoint(day, Some(reached)),
            Position::None => Checkpoint::None,
        }
    }

    fn page(&self, page: OperationsPage, checkpoint: Checkpoint) -> Page {
        let records = page.operations.into_iter().map(|operation| operation.record).collect();
        Page::new(self.stream, records, checkpoint)
    }

    fn stuck_at(&self, place: Option<SequenceId>) -> String {
        let place = place.map_or_else(|| "their start".to_owned(), |place| place.to_string());
        let of_day = if let Position::Day(day) = self.stores { format!(" of {day}") } else { String::new() };
        let list = self.stream.as_str();
        format!("vima's {list}{of_day} do not advance beyond {place}, although the page there is full")
    }
}

/// The newest ids that are visible now, zero for an empty list. A whole page is read, because a malformed record may have no
/// id.
pub(crate) async fn newest_ids(vima: &VimaClient) -> Result<[(Stream, SequenceId); 2], ProviderError> {
    let newest_first = |after| OperationsQuery { day: None, after, count: PAGE_SIZE, descending: true };
    let creations = vima.operations(&newest_first(None)).await?.newest_create_id();
    let updates = vima.operations(&newest_first(Some(Cursor::Updates(SequenceId(0))))).await?.newest_update_id();
    Ok([
        (Stream::VimaCreations, creations.unwrap_or(SequenceId(0))),
        (Stream::VimaUpdates, updates.unwrap_or(SequenceId(0))),
    ])
}
