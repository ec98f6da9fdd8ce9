//! Reads one day of one of PayShack's lists, which may change while they are read.
//!
//! Page numbers over a list that changes skip and repeat records. So a day is read until the list is stable: until one pass
//! over its pages contains as many records as the list reports, none of them on two pages, while the list neither grows nor
//! shrinks. If the newest records come first and the list has only grown, new records are on the first pages, and reading
//! those again is enough. In any other order a record may have been skipped on any page, and all of them are read again.
//!
//! A list that looks unstable in every pass, because PayShack counts differently or lists a record twice, is accepted when
//! another full pass contains nothing new.

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

/// The longest page that PayShack allows.
const PAGE_SIZE: u32 = 100;
/// How often a day that keeps changing is read again before it is left to the next run.
pub const MAX_REREADS: usize = 5;

#[derive(Debug, Clone, Copy)]
pub struct DayReader {
    pub stream: Stream,
    pub day: NaiveDate,
    /// Whether later days are included: PayShack's day may begin before ours.
    pub open_end: bool,
    /// How many pages are requested concurrently, as far as the rate limit allows.
    pub in_flight: usize,
}

/// How much of a day a pass reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// All pages.
    Full,
    /// The first pages, up to one that contains nothing new.
    Head,
}

impl DayReader {
    /// Reads the day until the list is stable, and sends its pages. Returns whether it became stable.
    pub async fn read(&self, client: &PayshackClient, pages: &PageSender) -> Result<bool, ProviderError> {
        let mut seen = SeenRecords::default();
        let mut pass = Pass::Full;
        for number in 0..=MAX_REREADS {
            let stats = self.read_pass(client, pass, &mut seen, pages).await?;
            match stats.next_pass(pass, number > 0) {
                None => return Ok(true),
                Some(next) => pass = next,
            }
        }
        Ok(false)
    }

    /// Reads the pages once, up to one beyond the last that contains nothing new.
    async fn read_pass(
        &self,
        client: &PayshackClient,
        pass: Pass,
        seen: &mut SeenRecords,
        pages: &PageSender,
    ) -> Result<PassStats, ProviderError> {
        let mut stats = PassStats::default();
        let mut requests = FuturesOrdered::new();
        let (mut next, mut last_known, mut announced) = (1, 1, 1);
        for number in 1.. {
            while requests.is_empty() || (requests.len() < self.in_flight && next <= last_known) {
                requests.push_back(self.fetch(client, next, next > announced));
                next += 1;
            }
            let Some(page) = requests.next().await.transpose()? else { break };
            let new = stats.observe(&page, seen);
            announced = announced_pages(&page).unwrap_or(announced);
            last_known = match pass {
                Pass::Full => page.total_pages.map_or(0, |pages| u32::try_from(pages).unwrap_or(u32::MAX)),
                Pass::Head => 0,
            };
            pages.send(Page::new(self.stream, page.records, Checkpoint::None)).await;
            if new == 0 && number >= last_known {
                break;
            }
        }
        Ok(stats)
    }

    async fn fetch(
        &self,
        client: &PayshackClient,
        page: u32,
        beyond_last: bool,
    ) -> Result<TransactionsPage, ProviderError> {
        let date_to = (!self.open_end).then_some(self.day);
        let query = PageQuery { page, limit: PAGE_SIZE, date_from: Some(self.day), date_to, beyond_last };
        fetch_page(client, self.stream, &query).await
    }
}

/// How many pages the list has according to one of them; at least 1.
fn announced_pages(page: &TransactionsPage) -> Option<u32> {
    let by_records = page.total_records.map(|records| records.div_ceil(PAGE_SIZE.into()));
    let pages = page.total_pages.or(by_records)?.max(1);
    Some(u32::try_from(pages).unwrap_or(u32::MAX))
}

/// Fetches a page of pay-ins or pay-outs.
pub async fn fetch_page(
    client: &PayshackClient,
    stream: Stream,
    query: &PageQuery,
) -> Result<TransactionsPage, ProviderError> {
    match stream {
        Stream::PayshackPayouts => client.payouts(query).await,
        _ => client.payins(query).await,
    }
}

/// The records of a day seen in any pass, as digests: a day may have half a million.
#[derive(Debug, Default)]
struct SeenRecords {
    digests: HashSet<u64>,
    hasher: RandomState,
}

impl SeenRecords {
    /// Identifies a record by its id, or by its content if it has none.
    fn digest(&self, record: &Record) -> u64 {
        self.hasher.hash_one(match record {
            Record::Payment(payment) => &payment.key.source_id,
            Record::Malformed(malformed) => malformed.source_id.as_deref().unwrap_or(&malformed.raw),
        })
    }
}

/// How a list changed during one pass.
#[derive(Debug, Default)]
struct PassStats {
    /// The number of records that the list reported on the first page.
    first_total: Option<u64>,
    /// The same, on the last page so far.
    last_total: Option<u64>,
    seen_in_pass: HashSet<u64>,
    /// How many records no earlier pass had seen.
    new: usize,
    repeated: bool,
    grew: bool,
    shrank: bool,
    by_creation: TimeOrder,
    by_change: TimeOrder,
}

impl PassStats {
    /// Adds a page, and returns how many of its records no pass had seen before.
    fn observe(&mut self, page: &TransactionsPage, seen: &mut SeenRecords) -> usize {
        if let (Some(before), Some(now)) = (self.last_total, page.total_records) {
            self.grew |= now > before;
            self.shrank |= now < before;
        }
        self.first_total = self.first_total.or(page.total_records);
        self.last_total = page.total_records.or(self.last_total);
        let digests: HashSet<u64> = page.records.iter().map(|record| seen.digest(record)).collect();
        // Twice on one page is a defect of the provider; on two pages, the list has changed between them.
        self.repeated |= digests.iter().any(|digest| self.seen_in_pass.contains(digest));
        self.seen_in_pass.extend(&digests);
        let new = digests.into_iter().filter(|digest| seen.digests.insert(*digest)).count();
        self.new += new;
        for record in &page.records {
            if let Record::Payment(payment) = record {
                self.by_creation.observe(payment.created_at);
                self.by_change.observe(payment.updated_at.unwrap_or(payment.created_at));
            }
        }
        new
    }

    /// What must be read after this pass; `None` if the list is stable. `reread` says that all of it was read before.
    fn next_pass(&self, pass: Pass, reread: bool) -> Option<Pass> {
        let missing = self.first_total.is_some_and(|count| (self.seen_in_pass.len() as u64) < count);
        let newest_first = self.by_creation.newest_first() || self.by_change.newest_first();
        match pass {
            _ if self.shrank => Some(Pass::Full),
            Pass::Head => (self.new > 0).then_some(Pass::Head),
            Pass::Full if !self.grew && !self.repeated && !missing => None,
            Pass::Full if reread && self.new == 0 && !self.grew => None,
            Pass::Full if newest_first && !missing => Some(Pass::Head),
            Pass::Full => Some(Pass::Full),
        }
    }
}

/// The order of the times in a list.
#[derive(Debug, Default)]
struct TimeOrder {
    last: Option<DateTime<Utc>>,
    decreased: bool,
    increased: bool,
}

impl TimeOrder {
    fn observe(&mut self, time: DateTime<Utc>) {
        self.decreased |= self.last.is_some_and(|last| time < last);
        self.increased |= self.last.is_some_and(|last| time > last);
        self.last = Some(time);
    }

    fn newest_first(&self) -> bool {
        self.decreased && !self.increased
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use psp_dashboard::providers::payshack::{Projects, read_payin};

    /// A page of pay-ins. Each letter is the id of one, and its place in the alphabet the hour of its creation.
    fn page(ids: &str, total: u64) -> TransactionsPage {
        let records = ids.chars().map(|id| {
            let hour = u32::from(id) - u32::from('a');
            let raw = format!(r#"{{"txnId":"{id}","amount":1,"createdAt":"2026-01-15T{hour:02}:00:00Z"}}"#);
            read_payin(&raw, &Projects::default())
        });
        TransactionsPage { records: records.collect(), total_records: Some(total), total_pages: None, page: None }
    }

    fn next_pass(pass: Pass, reread: bool, seen_before: &str, pages: &[(&str, u64)]) -> Option<Pass> {
        let mut seen = SeenRecords::default();
        PassStats::default().observe(&page(seen_before, 0), &mut seen);
        let mut stats = PassStats::default();
        for (ids, total) in pages {
            stats.observe(&page(ids, *total), &mut seen);
        }
        stats.next_pass(pass, reread)
    }

    #[test]
    fn day_is_read_until_its_list_is_stable() {
        use Pass::{Full, Head};
        for (pass, reread, seen, pages, expected) in [
            (Full, false, "", &[("dc", 4), ("ba", 4), ("", 4)][..], None),
            (Full, false, "", &[], None),
            // Newest first, one was added: the last of page 1 became the first of page 2, and the new one is on page 1.
            (Full, false, "", &[("dc", 4), ("cb", 5), ("a", 5)], Some(Head)),
            // Oldest first, one was added at the end.
            (Full, false, "", &[("ab", 3), ("cd", 4), ("", 4)], Some(Full)),
            // Ordered by the time of change, oldest first: a moved to the end, and c was skipped.
            (Full, false, "", &[("ab", 4), ("da", 4), ("", 4)], Some(Full)),
            // One was removed.
            (Full, false, "", &[("dc", 4), ("a", 3), ("", 3)], Some(Full)),
            (Head, true, "dcba", &[("dc", 4), ("ba", 3)], Some(Full)),
            // Fewer records than the list reports, and nothing else.
            (Full, false, "", &[("dc", 4), ("b", 4), ("", 4)], Some(Full)),
            // Still fewer after another full pass, but nothing new: the provider counts differently.
            (Full, true, "dcb", &[("dc", 4), ("b", 4), ("", 4)], None),
            // Twice on one page is a defect; on two pages the list has changed, unless that is so in every pass.
            (Full, false, "", &[("ddc", 4), ("ba", 4), ("", 4)], None),
            (Full, true, "abc", &[("ab", 3), ("bc", 3), ("", 3)], None),
            (Head, true, "dcba", &[("e", 5)], Some(Head)),
            (Head, true, "dcba", &[("d", 4)], None),
        ] {
            assert_eq!(next_pass(pass, reread, seen, pages), expected, "{pass:?} {reread} {seen} {pages:?}");
        }
    }
}
