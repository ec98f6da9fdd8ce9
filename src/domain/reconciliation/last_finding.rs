//! What was last found of one payment, put together from what runs left behind.
//!
//! Runs write down what is not matched. That a payment is matched follows from what they did not write: it and its partner
//! were there when the last run of their day judged, and neither is mentioned. Rejected: a row for every matched pair, which
//! is what nearly all of a million payments a day would be.

use std::ops::Range;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::rules::{Row, groups};
use super::{DiscrepancyType, MatchStatus, Parameters};

/// The last completed run of a day.
#[derive(Debug, Clone, PartialEq)]
pub struct LastRun {
    /// The run.
    pub id: Uuid,
    /// Its day.
    pub recon_date: NaiveDate,
    /// When that day began and ended.
    pub day: Range<DateTime<Utc>>,
    /// The time at which it judged.
    pub as_of: DateTime<Utc>,
    /// The rules it went by.
    pub parameters: Parameters,
}

/// What the last completed run of a day found of a payment that is not simply matched.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The run.
    pub run_id: Uuid,
    /// Its day.
    pub recon_date: NaiveDate,
    /// The time at which it judged.
    pub as_of: DateTime<Utc>,
    /// What was found.
    pub match_status: MatchStatus,
    /// In what the sides disagree.
    pub types: Vec<DiscrepancyType>,
    /// Vima's row.
    pub vima: Option<Uuid>,
    /// `PayShack`'s row.
    pub payshack: Option<Uuid>,
    /// Why; none where it is matched, for then nothing was written.
    pub details: Option<Value>,
}

impl Finding {
    /// Whether it is about this row.
    #[must_use]
    pub fn is_about(&self, id: Uuid) -> bool {
        [self.vima, self.payshack].contains(&Some(id))
    }

    /// The row of the other side, as seen from `id`.
    #[must_use]
    pub fn counterpart_of(&self, id: Uuid) -> Option<Uuid> {
        [self.vima, self.payshack].into_iter().flatten().find(|other| *other != id)
    }
}

/// A row of the payment's key, and when it was stored here.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRow {
    /// The row.
    pub row: Row,
    /// When it was stored first.
    pub ingested_at: DateTime<Utc>,
}

/// What is known of the rows that share a payment's key.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The rows, the payment's own among them.
    pub rows: Vec<StoredRow>,
    /// What the last runs found of any of them.
    pub findings: Vec<Finding>,
    /// The last runs of the days that they came to be on.
    pub runs: Vec<LastRun>,
}

impl Evidence {
    /// What was found of the payment last; none where no run that counts has judged it.
    #[must_use]
    pub fn last_finding(&self, payment: Uuid) -> Option<Finding> {
        let written = self.findings.iter().filter(|finding| finding.is_about(payment)).cloned();
        let followed = self.runs.iter().filter_map(|run| self.matched(payment, run));
        written.chain(followed).max_by_key(|finding| (finding.as_of, finding.recon_date))
    }

    /// The row of the other side that stands for the same payment by `parameters`, whoever has judged it or not.
    #[must_use]
    pub fn counterpart(&self, payment: Uuid, parameters: &Parameters) -> Option<Uuid> {
        let (vima, payshack) = self.pair(payment, parameters, |_| true)?;
        [vima.id, payshack.id].into_iter().find(|id| *id != payment)
    }

    /// That `run` has matched the payment, where that follows.
    fn matched(&self, payment: Uuid, run: &LastRun) -> Option<Finding> {
        let judged = |stored: &StoredRow| {
            stored.ingested_at <= run.as_of && run.parameters.projects.contains(stored.row.project.as_deref())
        };
        let (vima, payshack) = self.pair(payment, &run.parameters, judged)?;
        let silent = !self
            .findings
            .iter()
            .any(|finding| finding.run_id == run.id && (finding.is_about(vima.id) || finding.is_about(payshack.id)));
        (silent && run.day.contains(&vima.created_at)).then(|| Finding {
            run_id: run.id,
            recon_date: run.recon_date,
            as_of: run.as_of,
            match_status: MatchStatus::Matched,
            types: vec![],
            vima: Some(vima.id),
            payshack: Some(payshack.id),
            details: None,
        })
    }

    /// Both rows of the payment, among those that `count` and were not found to be too many.
    fn pair(&self, payment: Uuid, parameters: &Parameters, count: impl Fn(&StoredRow) -> bool) -> Option<(&Row, &Row)> {
        let rows = self.rows.iter().filter(|stored| count(stored) && !self.is_duplicate(stored.row.id));
        let groups = groups(rows.map(|stored| &stored.row).collect(), parameters);
        let pairs = groups.into_iter().filter_map(|group| group.vima.zip(group.payshack));
        pairs.into_iter().find(|(vima, payshack)| [vima.id, payshack.id].contains(&payment))
    }

    /// Such a row is reported on its own day, be it another than that of the pair.
    fn is_duplicate(&self, id: Uuid) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|finding| finding.match_status == MatchStatus::Duplicate && finding.is_about(id))
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::*;
    use crate::domain::status::Status;
    use crate::domain::transaction::Source;

    const VIMA: Uuid = Uuid::from_u128(1);
    const PAYSHACK: Uuid = Uuid::from_u128(2);
    const AGAIN: Uuid = Uuid::from_u128(3);

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-01-{text}:00Z").parse().expect("a time")
    }

    fn stored(id: Uuid, source: Source, created_at: &str) -> StoredRow {
        let row = Row {
            id,
            source,
            source_id: id.as_u128().to_string(),
            key: Some("order-1".to_owned()),
            project: Some("91game".to_owned()),
            status: Status::Success,
            amount: Decimal::ONE_HUNDRED,
            paid_amount: None,
            currency: "INR".to_owned(),
            created_at: at(created_at),
            updated_at: None,
        };
        StoredRow { row, ingested_at: at("16T00:10") }
    }

    fn run(day: u32, as_of: &str) -> LastRun {
        let recon_date = NaiveDate::from_ymd_opt(2026, 1, day).expect("a day");
        let begin = |day: u32| at(&format!("{day}T00:00"));
        LastRun {
            id: Uuid::from_u128(day.into()),
            recon_date,
            day: begin(day)..begin(day + 1),
            as_of: at(as_of),
            parameters: Parameters::default(),
        }
    }

    fn finding(run: &LastRun, match_status: MatchStatus, vima: Option<Uuid>, payshack: Option<Uuid>) -> Finding {
        let (run_id, recon_date, as_of) = (run.id, run.recon_date, run.as_of);
        Finding { run_id, recon_date, as_of, match_status, types: vec![], vima, payshack, details: Some(Value::Null) }
    }

    /// A pair split by midnight, and the last runs of both its days.
    fn split_by_midnight() -> Evidence {
        let rows = vec![stored(VIMA, Source::Vima, "15T23:59"), stored(PAYSHACK, Source::Payshack, "16T00:01")];
        Evidence { rows, findings: vec![], runs: vec![run(15, "16T01:30"), run(16, "17T01:30")] }
    }

    fn found(evidence: &Evidence, payment: Uuid) -> Option<(MatchStatus, u32, Option<Uuid>)> {
        use chrono::Datelike;
        let found = evidence.last_finding(payment)?;
        Some((found.match_status, found.recon_date.day(), found.counterpart_of(payment)))
    }

    #[test]
    fn a_pair_of_which_nothing_is_written_is_matched_on_the_day_of_its_vima_row() {
        let evidence = split_by_midnight();
        assert_eq!(found(&evidence, VIMA), Some((MatchStatus::Matched, 15, Some(PAYSHACK))));
        assert_eq!(found(&evidence, PAYSHACK), Some((MatchStatus::Matched, 15, Some(VIMA))));
    }

    #[test]
    fn what_a_run_has_not_judged_it_has_not_matched() {
        let spoilt: [fn(&mut Evidence); 5] = [
            |evidence| evidence.runs.retain(|run| run.id != Uuid::from_u128(15)),
            |evidence| evidence.rows[1].ingested_at = at("16T01:31"),
            |evidence| evidence.rows[0].row.project = Some("monetix".to_owned()),
            |evidence| evidence.rows[1].row.created_at = at("17T00:00"),
            |evidence| evidence.rows.truncate(1),
        ];
        for (number, spoil) in spoilt.into_iter().enumerate() {
            let mut evidence = split_by_midnight();
            spoil(&mut evidence);
            assert_eq!(found(&evidence, VIMA), None, "{number}");
        }
    }

    #[test]
    fn what_was_judged_last_counts() {
        let mut evidence = split_by_midnight();
        let early = run(16, "16T01:00");
        evidence.findings = vec![finding(&early, MatchStatus::MissingVima, None, Some(PAYSHACK))];
        assert_eq!(found(&evidence, PAYSHACK), Some((MatchStatus::Matched, 15, Some(VIMA))), "by a later run");
        let pending = finding(&run(15, "16T01:30"), MatchStatus::Pending, Some(VIMA), Some(PAYSHACK));
        evidence.findings.push(pending);
        assert_eq!(found(&evidence, PAYSHACK), Some((MatchStatus::Pending, 15, Some(VIMA))), "it is not silent");
    }

    #[test]
    fn a_row_too_many_has_no_counterpart_and_takes_none() {
        let mut evidence = split_by_midnight();
        evidence.rows.push(stored(AGAIN, Source::Payshack, "16T00:00"));
        evidence.findings = vec![finding(&run(16, "17T01:30"), MatchStatus::Duplicate, None, Some(AGAIN))];
        assert_eq!(found(&evidence, AGAIN), Some((MatchStatus::Duplicate, 16, None)));
        assert_eq!(found(&evidence, VIMA), Some((MatchStatus::Matched, 15, Some(PAYSHACK))), "although it is farther");
        let counterparts = [VIMA, PAYSHACK, AGAIN].map(|id| evidence.counterpart(id, &Parameters::default()));
        assert_eq!(counterparts, [Some(PAYSHACK), Some(VIMA), None]);
    }
}
