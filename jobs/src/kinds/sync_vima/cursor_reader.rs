//! Reads one of Vima's lists, page by page, by its cursor.
//!
//! A cursor may include its own record or not, and a page may be longer than requested. So reading ends at a page without an
//! id beyond the last one. Ids that are not trusted ([`TrustedIds`]) are no positions: their records are stored, but no
//! cursor moves to them, and the run reports them.

use chrono::NaiveDate;
use psp_dashboard::db::DbError;
use psp_dashboard::db::sync::streams;
use psp_dashboard::domain::outlier::TrustedIds;
use psp_dashboard::domain::record::Record;
use psp_dashboard::domain::sync::Stream;
use psp_dashboard::domain::version::SequenceId;
use psp_dashboard::operations::ingest_page::{Checkpoint, Page};
use psp_dashboard::providers::ProviderError;
use psp_dashboard::providers::vima::{Cursor, OperationsPage, OperationsQuery, VimaClient};
use sqlx::PgPool;

use crate::kinds::sync_run::PageSender;

/// The longest page that Vima allows.
const PAGE_SIZE: u32 = 100;

/// The highest id of each list that is known to be right.
#[derive(Debug, Clone, Copy, Default)]
pub struct KnownIds {
    creation: Option<SequenceId>,
    update: Option<SequenceId>,
}

impl KnownIds {
    pub(crate) async fn find(pool: &PgPool) -> Result<Self, DbError> {
        Ok(Self {
            creation: streams::find_position(pool, Stream::VimaCreations).await?.cursor,
            update: streams::find_position(pool, Stream::VimaUpdates).await?.cursor,
        })
    }

    /// Includes a position that a list has reached.
    fn with(self, stream: Stream, place: Option<SequenceId>) -> Self {
        match stream {
            Stream::VimaUpdates => Self { update: self.update.max(place), ..self },
            _ => Self { creation: self.creation.max(place), ..self },
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct CursorReader {
    pub(crate) stream: Stream,
    pub(crate) from: Option<SequenceId>,
    pub(crate) stores: Position,
    pub(crate) known: KnownIds,
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

/// How reading a list ended.
#[derive(Debug, Default)]
pub(crate) struct ListEnd {
    /// Whether the end of the list was reached.
    pub(crate) is_reached: bool,
    /// What a person should know about it.
    pub(crate) problems: Vec<String>,
}

impl CursorReader {
    /// Reads the list to its end.
    pub(crate) async fn read(&self, vima: &VimaClient, pages: &PageSender) -> Result<ListEnd, ProviderError> {
        self.read_with(vima, pages, |_| {}).await
    }

    /// Like [`Self::read`], and calls `observe` with each page, whose ids are trusted.
    pub(crate) async fn read_with(
        &self,
        vima: &VimaClient,
        pages: &PageSender,
        mut observe: impl FnMut(&OperationsPage) + Send,
    ) -> Result<ListEnd, ProviderError> {
        let mut place = self.from;
        let mut outlier = None;
        loop {
            let mut page = vima.operations(&self.query(place)).await?;
            outlier = remove_outliers(&mut page, self.known.with(self.stream, place)).or(outlier);
            observe(&page);
            let newest = self.newest_id(&page);
            let Some(reached) = newest.filter(|newest| place.is_none_or(|place| *newest > place)) else {
                let is_full = page.operations.len() >= PAGE_SIZE as usize;
                if !page.is_empty() {
                    pages.send(self.page(page, Checkpoint::None)).await;
                }
                let stuck = is_full.then(|| self.stuck_at(place));
                return Ok(ListEnd { is_reached: !is_full, problems: outlier.into_iter().chain(stuck).collect() });
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
            Stream::VimaUpdates => page.update_ids().max(),
            _ => page.create_ids().max(),
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

/// Removes the ids that are not trusted from the page, and describes one of them. A payment that loses its update id has a
/// version by its time: with a wrong id, it would be newer than all later versions.
fn remove_outliers(page: &mut OperationsPage, known: KnownIds) -> Option<String> {
    let creations = TrustedIds::new(known.creation, page.create_ids()).outliers;
    let updates = TrustedIds::new(known.update, page.update_ids()).outliers;
    let mut problem = None;
    for operation in &mut page.operations {
        if let Some(id) = operation.create_id.take_if(|id| creations.contains(id)) {
            problem = Some(describe_outlier("operation_create_id", id, &operation.record));
        }
        if let Some(id) = operation.update_id.take_if(|id| updates.contains(id)) {
            problem = Some(describe_outlier("operation_update_id", id, &operation.record));
            if let Record::Payment(payment) = &mut operation.record {
                payment.version.sequence = None;
            }
        }
    }
    problem
}

fn describe_outlier(field: &str, id: SequenceId, record: &Record) -> String {
    let operation = match record {
        Record::Payment(payment) => Some(payment.key.source_id.as_str()),
        Record::Malformed(malformed) => malformed.source_id.as_deref(),
    };
    format!(
        "vima's operation {} has the {field} {id}, far beyond all others; its record is kept, but no cursor moves there; ask \
         Vima to correct it",
        operation.unwrap_or("without an id")
    )
}

/// The newest ids that are visible now, zero for an empty list. A whole page is read, because a malformed record may have no
/// id, and because the newest id may be wrong.
pub(crate) async fn newest_ids(vima: &VimaClient) -> Result<[(Stream, SequenceId); 2], ProviderError> {
    let newest_first = |after| OperationsQuery { day: None, after, count: PAGE_SIZE, descending: true };
    let creations = vima.operations(&newest_first(None)).await?;
    let updates = vima.operations(&newest_first(Some(Cursor::Updates(SequenceId(0))))).await?;
    let newest = |ids: TrustedIds| ids.newest.unwrap_or(SequenceId(0));
    Ok([
        (Stream::VimaCreations, newest(TrustedIds::new(None, creations.create_ids()))),
        (Stream::VimaUpdates, newest(TrustedIds::new(None, updates.update_ids()))),
    ])
}
