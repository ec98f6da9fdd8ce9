//! Reading one day of one of `PayShack`'s lists, whose pages move while they are read.
//!
//! Page numbers over a list that moves skip and repeat records. So a day is read until it stands still: until a whole
//! round of its pages brings as many records as the list says it has, none of them on two pages, while the list neither
//! grows nor shrinks. Where the newest come first, and the list has only grown, what is new stands at its head, and the head
//! is enough; in any other order a page anywhere may have skipped a record, and the whole is read again.
//!
//! A list that is always odd in the same way, because the provider counts otherwise or lists a record twice, is believed
//! when a further whole round brings nothing new.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use chrono::{DateTime, NaiveDate, Utc};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use psp_dashboard::domain::record::Record;
use psp_dashboard::domain::sync::Stream;
use psp_dashboard::operations::ingest_page::{Checkpoint, Page};
use psp_dashboard::providers::ProviderError;
use psp_dashboard::providers::payshack::{PageQuery, PayshackClient, TransactionsPage};

use crate::kinds::sync_run::PageSender;

/// The longest page that can be asked for.
const LIMIT: u32 = 100;
/// How often a day that moves is read again before it is left to the next run.
pub const ROUNDS: usize = 5;

/// A day of a list.
#[derive(Debug, Clone, Copy)]
pub struct DayReader {
    /// The list.
    pub stream: Stream,
    /// The day.
    pub day: NaiveDate,
    /// Whether what comes after it is read as well: the provider's day may have begun before ours.
    pub open: bool,
    /// How many pages are asked for at a time, as the pace allows.
    pub in_flight: usize,
}

/// How much of a day is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// All its pages.
    Whole,
    /// Its first pages, up to one that brings nothing new.
    Head,
}

impl DayReader {
    /// Reads the day until it stands still, and hands its pages over; false where it never does.
    ///
    /// # Errors
    /// [`ProviderError`] where a page cannot be had.
    pub async fn read(&self, client: &PayshackClient, pages: &PageSender) -> Result<bool, ProviderError> {
        let mut seen = Seen::default();
        let mut round = Round::Whole;
        for number in 0..=ROUNDS {
            let stats = self.read_round(client, round, &mut seen, pages).await?;
            match stats.next(round, number > 0) {
                None => return Ok(true),
                Some(next) => round = next,
            }
        }
        Ok(false)
    }

    /// Reads the pages of the day once, up to one beyond the last that brings nothing new.
    async fn read_round(
        &self,
        client: &PayshackClient,
        round: Round,
        seen: &mut Seen,
        pages: &PageSender,
    ) -> Result<PassStats, ProviderError> {
        let mut stats = PassStats::default();
        let mut asked = FuturesOrdered::new();
        let (mut next, mut known) = (1, 1);
        for number in 1.. {
            while asked.is_empty() || (asked.len() < self.in_flight && next <= known) {
                asked.push_back(self.fetch(client, next));
                next += 1;
            }
            let Some(page) = asked.next().await.transpose()? else { break };
            let new = stats.look_at(&page, seen);
            known = if round == Round::Head { 0 } else { page.total_pages.map_or(0, saturated) };
            pages.send(Page::new(self.stream, page.records, Checkpoint::None)).await;
            if new == 0 && number >= known {
                break;
            }
        }
        Ok(stats)
    }

    async fn fetch(&self, client: &PayshackClient, page: u32) -> Result<TransactionsPage, ProviderError> {
        let query =
            PageQuery { page, limit: LIMIT, date_from: Some(self.day), date_to: (!self.open).then_some(self.day) };
        page_of(client, self.stream, &query).await
    }
}

fn saturated(pages: u64) -> u32 {
    u32::try_from(pages).unwrap_or(u32::MAX)
}

/// A page of a list.
///
/// # Errors
/// [`ProviderError`] where it cannot be had.
pub async fn page_of(
    client: &PayshackClient,
    stream: Stream,
    query: &PageQuery,
) -> Result<TransactionsPage, ProviderError> {
    match stream {
        Stream::PayshackPayouts => client.payouts(query).await,
        _ => client.payins(query).await,
    }
}

/// The records of a day that were met in any round, as digests: a day may have half a million.
#[derive(Debug, Default)]
struct Seen {
    digests: HashSet<u64>,
    hasher: RandomState,
}

impl Seen {
    /// What tells a record from others: its id, or all of it where it has none.
    fn digest(&self, record: &Record) -> u64 {
        self.hasher.hash_one(match record {
            Record::Payment(payment) => &payment.key.source_id,
            Record::Malformed(malformed) => malformed.source_id.as_deref().unwrap_or(&malformed.raw),
        })
    }
}

/// Watches a list move under one's hands, page by page.
#[derive(Debug, Default)]
struct PassStats {
    /// How many records the list said it has when the round began.
    began_with: Option<u64>,
    /// The same, last.
    total: Option<u64>,
    in_this_round: HashSet<u64>,
    /// Records that no round has met before.
    new: usize,
    repeated: bool,
    grew: bool,
    shrank: bool,
    by_creation: Order,
    by_change: Order,
}

impl PassStats {
    /// Takes a page in, and says how many of its records were not `seen` in any round.
    fn look_at(&mut self, page: &TransactionsPage, seen: &mut Seen) -> usize {
        if let (Some(before), Some(now)) = (self.total, page.total_records) {
            self.grew |= now > before;
            self.shrank |= now < before;
        }
        self.began_with = self.began_with.or(page.total_records);
        self.total = page.total_records.or(self.total);
        let digests: HashSet<u64> = page.records.iter().map(|record| seen.digest(record)).collect();
        // Twice on one page is a slip of the provider; on two pages, the list has moved between them.
        self.repeated |= digests.iter().any(|digest| self.in_this_round.contains(digest));
        self.in_this_round.extend(&digests);
        let new = digests.into_iter().filter(|digest| seen.digests.insert(*digest)).count();
        self.new += new;
        for record in &page.records {
            if let Record::Payment(payment) = record {
                self.by_creation.meet(payment.created_at);
                self.by_change.meet(payment.updated_at.unwrap_or(payment.created_at));
            }
        }
        new
    }

    /// What is to be read after this round; none where the list stands still. `again` says that the whole of it has been
    /// read before.
    fn next(&self, round: Round, again: bool) -> Option<Round> {
        let missing = self.began_with.is_some_and(|count| (self.in_this_round.len() as u64) < count);
        let newest_first = self.by_creation.newest_first() || self.by_change.newest_first();
        match round {
            _ if self.shrank => Some(Round::Whole),
            Round::Head => (self.new > 0).then_some(Round::Head),
            Round::Whole if !self.grew && !self.repeated && !missing => None,
            Round::Whole if again && self.new == 0 && !self.grew => None,
            Round::Whole if newest_first && !missing => Some(Round::Head),
            Round::Whole => Some(Round::Whole),
        }
    }
}

/// Whether times have only ever gone back.
#[derive(Debug, Default)]
struct Order {
    last: Option<DateTime<Utc>>,
    went_back: bool,
    went_forth: bool,
}

impl Order {
    fn meet(&mut self, time: DateTime<Utc>) {
        self.went_back |= self.last.is_some_and(|last| time < last);
        self.went_forth |= self.last.is_some_and(|last| time > last);
        self.last = Some(time);
    }

    fn newest_first(&self) -> bool {
        self.went_back && !self.went_forth
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use psp_dashboard::providers::payshack::{Projects, read_payin};

    /// A page of pay-ins, each an id of one letter that was created at the hour of its place in the alphabet.
    fn page(ids: &str, total: u64) -> TransactionsPage {
        let records = ids.chars().map(|id| {
            let hour = u32::from(id) - u32::from('a');
            let raw = format!(r#"{{"txnId":"{id}","amount":1,"createdAt":"2026-01-15T{hour:02}:00:00Z"}}"#);
            read_payin(&raw, &Projects::default())
        });
        TransactionsPage { records: records.collect(), total_records: Some(total), total_pages: None, page: None }
    }

    fn after(round: Round, again: bool, seen_before: &str, pages: &[(&str, u64)]) -> Option<Round> {
        let mut seen = Seen::default();
        PassStats::default().look_at(&page(seen_before, 0), &mut seen);
        let mut stats = PassStats::default();
        for (ids, total) in pages {
            stats.look_at(&page(ids, *total), &mut seen);
        }
        stats.next(round, again)
    }

    #[test]
    fn a_day_is_read_until_it_stands_still() {
        use Round::{Head, Whole};
        for (round, again, seen, pages, expected) in [
            (Whole, false, "", &[("dc", 4), ("ba", 4), ("", 4)][..], None),
            (Whole, false, "", &[], None),
            // Newest first, one came: what was the last of page 1 is the first of page 2, and the new one at the head.
            (Whole, false, "", &[("dc", 4), ("cb", 5), ("a", 5)], Some(Head)),
            // Oldest first, one came at the end.
            (Whole, false, "", &[("ab", 3), ("cd", 4), ("", 4)], Some(Whole)),
            // Oldest first by the time of change: a moved to the end, and c was skipped.
            (Whole, false, "", &[("ab", 4), ("da", 4), ("", 4)], Some(Whole)),
            // One went.
            (Whole, false, "", &[("dc", 4), ("a", 3), ("", 3)], Some(Whole)),
            (Head, true, "dcba", &[("dc", 4), ("ba", 3)], Some(Whole)),
            // Fewer than the list says, although nothing else is odd.
            (Whole, false, "", &[("dc", 4), ("b", 4), ("", 4)], Some(Whole)),
            // A whole round later still fewer, but nothing new: the provider counts otherwise.
            (Whole, true, "dcb", &[("dc", 4), ("b", 4), ("", 4)], None),
            // Twice on one page is a slip, on two pages a movement, unless it always is so.
            (Whole, false, "", &[("ddc", 4), ("ba", 4), ("", 4)], None),
            (Whole, true, "abc", &[("ab", 3), ("bc", 3), ("", 3)], None),
            (Head, true, "dcba", &[("e", 5)], Some(Head)),
            (Head, true, "dcba", &[("d", 4)], None),
        ] {
            assert_eq!(after(round, again, seen, pages), expected, "{round:?} {again} {seen} {pages:?}");
        }
    }
}
