//! `sync-payshack`: reads `PayShack`'s pay-ins and pay-outs, each a list of its own, by pages that move while they are read.
//!
//! A run reads a window of days that begins before the watermark, oldest day first, so that a record that wanders to a
//! later day is met there. Page numbers over a moving list skip and repeat: where a day moved, its head is read again
//! until nothing new comes, and the whole of it where it shrank. The watermark moves only when every day stood still at
//! last. Which date the filter means is unknown, so the last day is left open at its end: the provider's day may have
//! begun before ours.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{Days, NaiveDate, NaiveTime};
use psp_dashboard::db::sync_streams;
use psp_dashboard::domain::attempt::ClaimedJob;
use psp_dashboard::domain::record::Record;
use psp_dashboard::domain::sync::{Stream, SyncArgs};
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::operations::finish_sync::Completed;
use psp_dashboard::operations::ingest_page::{Advance, Page};
use psp_dashboard::providers::ProviderError;
use psp_dashboard::providers::payshack::{PageQuery, TransactionsPage};
use serde_json::Value;

use crate::ask_again;
use crate::environment::Environment;
use crate::handler::{Handler, JobError};
use crate::sync_run::{SyncRun, days, first_of_last};

const STREAMS: [Stream; 2] = [Stream::PayshackPayins, Stream::PayshackPayouts];
/// The longest page that can be asked for.
const LIMIT: u32 = 100;
/// How often a day that moves is read again before the run is called incomplete.
const ROUNDS: usize = 5;

/// Reads `PayShack`.
pub struct SyncPayshack {
    environment: Arc<Environment>,
}

/// Days of one list that are to be read.
#[derive(Debug, Clone, Copy)]
struct Window {
    stream: Stream,
    from: NaiveDate,
    to: NaiveDate,
    /// Whether the last day is open at its end.
    open: bool,
    /// Whether the day reached is kept for the next run.
    keeps_place: bool,
}

impl Window {
    fn query(&self, day: NaiveDate, page: u32) -> PageQuery {
        let closed = day < self.to || !self.open;
        PageQuery { page, limit: LIMIT, date_from: Some(day), date_to: closed.then_some(day) }
    }
}

/// How much of a day is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// All its pages.
    Whole,
    /// Its first pages, up to one that brings nothing new.
    Head,
}

/// What a day did while it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Movement {
    Still,
    Grew,
    Shrank,
}

impl SyncPayshack {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(environment: &Arc<Environment>) -> Self {
        Self { environment: Arc::clone(environment) }
    }

    async fn fetch(&self, stream: Stream, query: &PageQuery) -> Result<TransactionsPage, ProviderError> {
        match stream {
            Stream::PayshackPayouts => self.environment.payshack.payouts(query).await,
            _ => self.environment.payshack.payins(query).await,
        }
    }

    /// The days that a run reads of a list.
    async fn window(&self, stream: Stream, args: SyncArgs, run: &SyncRun) -> Result<Window, JobError> {
        let Environment { pool, sync, .. } = &*self.environment;
        let today = run.today();
        let first_day = first_of_last(sync.initial_days, today);
        let window = Window { stream, from: first_day, to: today, open: true, keeps_place: false };
        Ok(match args {
            SyncArgs::Full => window,
            SyncArgs::Range { from_date, to_date } => Window { from: from_date, to: to_date, open: false, ..window },
            SyncArgs::Incremental => {
                let place = sync_streams::find_place(pool, stream).await?;
                let overlap = Days::new(u64::from(sync.payshack_overlap_days));
                let before = |day: NaiveDate| day.checked_sub_days(overlap).unwrap_or(first_day);
                if let Some(watermark) = place.watermark {
                    Window { from: before(watermark.date_naive()), ..window }
                } else {
                    // The first read, or what an interruption left of it: the last days are always read again.
                    let reached = place.day.map_or(first_day, |day| day.min(before(today)).max(first_day));
                    Window { from: reached, keeps_place: true, ..window }
                }
            }
        })
    }

    /// How many records the provider says a window has.
    async fn count(&self, window: &Window) -> Result<Option<u64>, ProviderError> {
        let query =
            PageQuery { page: 1, limit: 1, date_from: Some(window.from), date_to: (!window.open).then_some(window.to) };
        Ok(self.fetch(window.stream, &query).await?.total_records)
    }

    /// Reads every day of a window. Says which of them never stood still.
    async fn read_window(&self, run: &mut SyncRun, window: &Window) -> Result<Option<String>, JobError> {
        let mut moving = vec![];
        for day in days(window.from, window.to) {
            if !self.read_day(run, window, day).await? {
                moving.push(day.to_string());
            }
            if window.keeps_place && moving.is_empty() {
                let advance = Advance::Day(day.succ_opt().unwrap_or(day), None);
                run.store(Page { stream: window.stream, records: vec![], advance }).await?;
            }
        }
        Ok((!moving.is_empty()).then(|| {
            let (list, days) = (window.stream.as_str(), moving.join(", "));
            format!("payshack's {list} of {days} kept moving while they were read {ROUNDS} times")
        }))
    }

    /// Reads a day until it stands still; false where it never does.
    async fn read_day(&self, run: &mut SyncRun, window: &Window, day: NaiveDate) -> Result<bool, JobError> {
        let mut seen = HashSet::new();
        let mut round = Round::Whole;
        for _ in 0..=ROUNDS {
            match self.read_round(run, window, day, round, &mut seen).await? {
                Movement::Still => return Ok(true),
                Movement::Grew => round = Round::Head,
                Movement::Shrank => round = Round::Whole,
            }
        }
        Ok(false)
    }

    /// Reads the pages of a day once, asking for a page while the last one is being stored.
    async fn read_round(
        &self,
        run: &mut SyncRun,
        window: &Window,
        day: NaiveDate,
        round: Round,
        seen: &mut HashSet<String>,
    ) -> Result<Movement, JobError> {
        let mut watch = Watch::default();
        let mut number = 1;
        let mut page = self.fetch(window.stream, &window.query(day, number)).await?;
        loop {
            let new = watch.look_at(&page, seen);
            let beyond = u64::from(number) > page.total_pages.unwrap_or(0);
            let last = new == 0 && (beyond || round == Round::Head);
            let records = page.records;
            let stored = Page { stream: window.stream, records, advance: Advance::Stay };
            if last {
                run.store(stored).await?;
                return Ok(watch.movement(round));
            }
            number += 1;
            let query = window.query(day, number);
            let (stored, fetched) = tokio::join!(run.store(stored), self.fetch(window.stream, &query));
            stored?;
            page = fetched?;
        }
    }

    /// Asks again for what is still open here and older than the windows.
    async fn ask_again(&self, run: &mut SyncRun, window: &Window) -> Result<(), JobError> {
        let Environment { pool, sync, payshack, .. } = &*self.environment;
        let again = ask_again::choose(pool, window.from, run.started_at, sync.payshack_interval).await?;
        let mut records = vec![];
        for id in &again.payins {
            match payshack.payin_by_transaction_id(id).await {
                Ok(page) => records.extend(page.records),
                Err(ProviderError::Refused { status: 404, .. }) => {
                    tracing::warn!(id, "payshack knows the payment no more");
                }
                Err(error) => return Err(error.into()),
            }
        }
        run.store(Page { stream: Stream::PayshackPayins, records, advance: Advance::Stay }).await?;
        for day in again.payout_days {
            let closed =
                Window { stream: Stream::PayshackPayouts, from: day, to: day, open: false, keeps_place: false };
            self.read_day(run, &closed, day).await?;
        }
        Ok(())
    }
}

/// Watches a list move under one's hands, page by page.
#[derive(Debug, Default)]
struct Watch {
    total: Option<u64>,
    in_this_round: HashSet<String>,
    new: usize,
    repeated: bool,
    grew: bool,
    shrank: bool,
}

impl Watch {
    /// Takes a page in, and says how many of its records were not `seen` in any round.
    fn look_at(&mut self, page: &TransactionsPage, seen: &mut HashSet<String>) -> usize {
        if let (Some(before), Some(now)) = (self.total, page.total_records) {
            self.grew |= now > before;
            self.shrank |= now < before;
        }
        self.total = page.total_records.or(self.total);
        let mut new = 0;
        for record in &page.records {
            let identity = identity(record);
            self.repeated |= !self.in_this_round.insert(identity.to_owned());
            new += usize::from(seen.insert(identity.to_owned()));
        }
        self.new += new;
        new
    }

    fn movement(&self, round: Round) -> Movement {
        match round {
            _ if self.shrank => Movement::Shrank,
            Round::Whole if self.grew || self.repeated => Movement::Grew,
            Round::Head if self.new > 0 => Movement::Grew,
            _ => Movement::Still,
        }
    }
}

/// What tells a record from others: its id, or all of it where it has none.
fn identity(record: &Record) -> &str {
    match record {
        Record::Payment(payment) => &payment.key.source_id,
        Record::Malformed(malformed) => malformed.source_id.as_deref().unwrap_or(&malformed.raw),
    }
}

#[async_trait]
impl Handler for SyncPayshack {
    async fn run(&self, job: &ClaimedJob) -> Result<Value, JobError> {
        let args: SyncArgs = serde_json::from_value(job.args.clone())?;
        let mut run = SyncRun::begin(&self.environment, job, Source::Payshack, args).await?;
        let mut windows = vec![];
        for stream in STREAMS {
            let window = self.window(stream, args, &run).await?;
            run.total = self.count(&window).await?.map(|count| run.total.unwrap_or(0) + count);
            windows.push(window);
        }
        let oldest = windows.iter().min_by_key(|window| window.from).copied();
        let mut completed = vec![];
        let mut moving = vec![];
        for window in windows {
            match self.read_window(&mut run, &window).await? {
                Some(why) => moving.push(why),
                None if args == SyncArgs::Incremental => completed.push(Completed {
                    stream: window.stream,
                    watermark: run.started_at,
                    covered_from: Some(window.from.and_time(NaiveTime::MIN).and_utc()),
                }),
                None => {}
            }
        }
        if let Some(window) = oldest.filter(|_| args == SyncArgs::Incremental) {
            self.ask_again(&mut run, &window).await?;
        }
        run.finish(completed, (!moving.is_empty()).then(|| moving.join("; "))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use psp_dashboard::domain::record::Malformed;
    use psp_dashboard::domain::transaction::Kind;

    fn page(ids: &[&str], total: u64) -> TransactionsPage {
        let record = |id: &&str| {
            Record::Malformed(Malformed {
                source: Source::Payshack,
                kind: Kind::Payin,
                source_id: Some((*id).to_owned()),
                reason: String::new(),
                raw: String::new(),
            })
        };
        TransactionsPage {
            records: ids.iter().map(record).collect(),
            total_records: Some(total),
            total_pages: None,
            page: None,
        }
    }

    #[test]
    fn movement_is_noticed() {
        for (pages, round, expected) in [
            (vec![page(&["a", "b"], 3), page(&["c"], 3)], Round::Whole, Movement::Still),
            (vec![page(&["a", "b"], 3), page(&["b", "c"], 4)], Round::Whole, Movement::Grew),
            (vec![page(&["a", "b"], 3), page(&["b", "c"], 3)], Round::Whole, Movement::Grew),
            (vec![page(&["a", "b"], 3), page(&["c"], 2)], Round::Whole, Movement::Shrank),
            (vec![page(&["z"], 1)], Round::Head, Movement::Still),
            (vec![page(&["a"], 1)], Round::Head, Movement::Grew),
        ] {
            let mut watch = Watch::default();
            let mut seen = HashSet::from(["z".to_owned()]);
            for page in &pages {
                watch.look_at(page, &mut seen);
            }
            assert_eq!(watch.movement(round), expected, "{pages:?}");
        }
    }
}
