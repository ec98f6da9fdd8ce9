//! What became of a payment of which only a reference is known.

use chrono::{DateTime, NaiveDate, Utc};

use super::reason::time;
use crate::domain::string_enum::string_enum;
use crate::domain::sync::Stream;
use crate::domain::transaction::Source;

/// How far a source has been read, in both lanes of its syncs.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceProgress {
    pub source: Source,
    /// Of the live lane: up to when each list has been read completely; `None` before the first complete read.
    pub streams: Vec<(Stream, Option<DateTime<Utc>>)>,
    /// Of the days lane: since when everything has been read, without gaps.
    pub covered_from: Option<DateTime<Utc>>,
    /// The days that are still to be read.
    pub remaining: Option<(NaiveDate, NaiveDate)>,
}

impl SourceProgress {
    /// Up to when all lists have been read.
    #[must_use]
    pub fn read_until(&self) -> Option<DateTime<Utc>> {
        self.streams.iter().map(|(_, watermark)| *watermark).min().flatten()
    }
}

string_enum! {
    /// What became of a payment.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum ReferenceCode {
        /// Both sources have it.
        Stored = "stored",
        /// Only Vima has it.
        OnlyVima = "only_vima",
        /// Only PayShack has it.
        OnlyPayshack = "only_payshack",
        /// It could not be read.
        Quarantined = "quarantined",
        /// A payment has nearly the same key.
        SimilarKey = "similar_key",
        /// A source has not been read completely.
        NotSynced = "not_synced",
        /// Neither source has sent it.
        Unknown = "unknown",
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReferenceFacts {
    /// The sources that have it.
    pub stored_by: Vec<Source>,
    pub quarantined: usize,
    /// The most similar key that is stored.
    pub similar_key: Option<String>,
    pub progress: Vec<SourceProgress>,
    /// Whether payments of some projects, and the quarantine, are hidden from the caller.
    pub is_limited: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceConclusion {
    pub code: ReferenceCode,
    pub sentence: String,
    pub action: &'static str,
}

/// The most definite conclusion that the facts allow.
#[must_use]
pub fn conclude(facts: &ReferenceFacts) -> ReferenceConclusion {
    let has = |source| facts.stored_by.contains(&source);
    let (code, sentence, action) = match (has(Source::Vima), has(Source::Payshack)) {
        (true, true) => {
            (ReferenceCode::Stored, "Both sources have it.".to_owned(), "See the explanations of its payments.")
        }
        (true, false) => only(Source::Vima, ReferenceCode::OnlyVima),
        (false, true) => only(Source::Payshack, ReferenceCode::OnlyPayshack),
        (false, false) => conclude_without_payment(facts),
    };
    ReferenceConclusion { code, sentence, action }
}

type Parts = (ReferenceCode, String, &'static str);

fn only(source: Source, code: ReferenceCode) -> Parts {
    let sentence = format!("{} has it, and {} has no payment with its key.", source.title(), source.other().title());
    (code, sentence, "See the explanation of the payment.")
}

fn conclude_without_payment(facts: &ReferenceFacts) -> Parts {
    if facts.quarantined > 0 {
        let sentence =
            "It is not stored: a record that contains it could not be read, and is in quarantine.".to_owned();
        return (ReferenceCode::Quarantined, sentence, "See what to do about the record in `quarantined`.");
    }
    if let Some(key) = &facts.similar_key {
        let sentence = format!("It is not stored, but {key:?} is, which is nearly the same.");
        return (
            ReferenceCode::SimilarKey,
            sentence,
            "Compare the payments in `similar`: the reference may be misspelled.",
        );
    }
    let unread = facts.progress.iter().find(|progress| progress.read_until().is_none() || progress.remaining.is_some());
    let visible = if facts.is_limited { " in the projects that you may see" } else { "" };
    if let Some(unread) = unread {
        let source = unread.source.title();
        let sentence = match unread.remaining {
            Some((from, to)) => {
                format!("It is not stored{visible}, and {source} is still to be read from {from} to {to}.")
            }
            None => format!("It is not stored{visible}, and {source} has not been read completely yet."),
        };
        return (ReferenceCode::NotSynced, sentence, "Wait for the sync; if it fails, see the sync status.");
    }
    let read = facts.progress.iter().filter_map(|progress| {
        Some(format!("{} has been read up to {}", progress.source.title(), time(progress.read_until()?)))
    });
    let read = read.collect::<Vec<_>>().join(" and ");
    let sentence = format!("It is not stored{visible}, although {read}: no provider has sent it.");
    let action = "If it was created later, wait for the next sync; if it is older than the period read, start a sync of its day; \
                  otherwise ask the provider.";
    (ReferenceCode::Unknown, sentence, action)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(source: Source, remaining: bool) -> SourceProgress {
        let at = |hour: i64| DateTime::from_timestamp(1_768_471_200 + hour * 3_600, 0);
        let day = |day| NaiveDate::from_ymd_opt(2026, 1, day).expect("a day");
        let [first, second] = Stream::all_of(source);
        SourceProgress {
            source,
            streams: vec![(first, at(2)), (second, at(1))],
            covered_from: at(-48),
            remaining: remaining.then(|| (day(1), day(9))),
        }
    }

    #[test]
    fn most_definite_fact_decides() {
        use Source::{Payshack, Vima};
        let read = || Source::ALL.map(|source| progress(source, false)).to_vec();
        let facts = || ReferenceFacts { progress: read(), ..ReferenceFacts::default() };
        let similar = || Some("order-1O42".to_owned());
        let unread = SourceProgress { streams: vec![(Stream::PayshackPayins, None)], ..progress(Payshack, false) };
        for (facts, code, part) in [
            (
                ReferenceFacts { stored_by: vec![Vima, Payshack], quarantined: 1, ..facts() },
                ReferenceCode::Stored,
                "Both",
            ),
            (ReferenceFacts { stored_by: vec![Vima], ..facts() }, ReferenceCode::OnlyVima, "PayShack has no payment"),
            (
                ReferenceFacts { stored_by: vec![Payshack], ..facts() },
                ReferenceCode::OnlyPayshack,
                "Vima has no payment",
            ),
            (
                ReferenceFacts { quarantined: 1, similar_key: similar(), ..facts() },
                ReferenceCode::Quarantined,
                "quarantine",
            ),
            (ReferenceFacts { similar_key: similar(), ..facts() }, ReferenceCode::SimilarKey, "order-1O42"),
            (
                ReferenceFacts { progress: vec![progress(Vima, false), unread], ..facts() },
                ReferenceCode::NotSynced,
                "PayShack has not been read completely",
            ),
            (
                ReferenceFacts { progress: vec![progress(Vima, true)], ..facts() },
                ReferenceCode::NotSynced,
                "from 2026-01-01 to 2026-01-09",
            ),
            (facts(), ReferenceCode::Unknown, "Vima has been read up to 2026-01-15T11:00:00Z and PayShack"),
            (ReferenceFacts { is_limited: true, ..facts() }, ReferenceCode::Unknown, "that you may see"),
        ] {
            let conclusion = conclude(&facts);
            assert_eq!(conclusion.code, code, "{facts:?}");
            assert!(conclusion.sentence.contains(part), "{}", conclusion.sentence);
        }
    }
}
