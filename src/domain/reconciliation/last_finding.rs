//! The last finding about one payment.
//!
//! Runs store only findings that are not matched. A payment is matched if both its rows were stored when the last run of
//! their day judged, and the run has no finding about either. Rejected: storing matched pairs, which are nearly all of a
//! million payments a day.

use std::ops::Range;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::rules::{Row, groups};
use super::{DiscrepancyType, MatchStatus, Parameters};

/// The last completed run of a day.
#[derive(Debug, Clone, PartialEq)]
pub struct LastRun {
    pub id: Uuid,
    pub recon_date: NaiveDate,
    /// The instants of that day.
    pub day: Range<DateTime<Utc>>,
    /// The time of its judgement.
    pub as_of: DateTime<Utc>,
    pub parameters: Parameters,
}

/// A finding of the last completed run of a day.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub run_id: Uuid,
    pub recon_date: NaiveDate,
    pub as_of: DateTime<Utc>,
    pub match_status: MatchStatus,
    pub types: Vec<DiscrepancyType>,
    pub vima: Option<Uuid>,
    pub payshack: Option<Uuid>,
    /// `None` if matched, because nothing is stored then.
    pub details: Option<Value>,
}

impl Finding {
    #[must_use]
    pub fn is_about(&self, id: Uuid) -> bool {
        [self.vima, self.payshack].contains(&Some(id))
    }

    /// The row of the other side.
    #[must_use]
    pub fn counterpart_of(&self, id: Uuid) -> Option<Uuid> {
        [self.vima, self.payshack].into_iter().flatten().find(|other| *other != id)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct StoredRow {
    pub row: Row,
    /// When the row was first stored.
    pub ingested_at: DateTime<Utc>,
}

/// The rows that share a payment's key, with all findings about them.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Including the payment's own.
    pub rows: Vec<StoredRow>,
    pub findings: Vec<Finding>,
    /// The last runs of the days on which the rows were created.
    pub runs: Vec<LastRun>,
}

impl Evidence {
    /// `None` if no completed run has judged the payment.
    #[must_use]
    pub fn last_finding(&self, payment: Uuid) -> Option<Finding> {
        let stored = self.findings.iter().filter(|finding| finding.is_about(payment)).cloned();
        let concluded = self.runs.iter().filter_map(|run| self.matched(payment, run));
        stored.chain(concluded).max_by_key(|finding| (finding.as_of, finding.recon_date))
    }

    /// The row of the other side, by `parameters`, whether or not a run has judged it.
    #[must_use]
    pub fn counterpart(&self, payment: Uuid, parameters: &Parameters) -> Option<Uuid> {
        let (vima, payshack) = self.pair(payment, parameters, |_| true)?;
        [vima.id, payshack.id].into_iter().find(|id| *id != payment)
    }

    /// The finding that `run` has matched the payment, if that can be concluded.
    fn matched(&self, payment: Uuid, run: &LastRun) -> Option<Finding> {
        let was_judged = |stored: &StoredRow| {
            stored.ingested_at <= run.as_of && run.parameters.projects.contains(stored.row.project.as_deref())
        };
        let (vima, payshack) = self.pair(payment, &run.parameters, was_judged)?;
        let has_no_finding = !self
            .findings
            .iter()
            .any(|finding| finding.run_id == run.id && (finding.is_about(vima.id) || finding.is_about(payshack.id)));
        (has_no_finding && run.day.contains(&vima.created_at)).then(|| Finding {
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

    /// Both rows of the payment, ignoring duplicates and rows that do not pass the filter.
    fn pair(
        &self,
        payment: Uuid,
        parameters: &Parameters,
        filter: impl Fn(&StoredRow) -> bool,
    ) -> Option<(&Row, &Row)> {
        let rows = self.rows.iter().filter(|stored| filter(stored) && !self.is_duplicate(stored.row.id));
        let groups = groups(rows.map(|stored| &stored.row).collect(), parameters);
        let pairs = groups.into_iter().filter_map(|group| group.vima.zip(group.payshack));
        pairs.into_iter().find(|(vima, payshack)| [vima.id, payshack.id].contains(&payment))
    }

    /// A duplicate is reported on its own day, which may differ from that of the pair.
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
    fn pair_without_findings_is_matched_on_the_day_of_its_vima_row() {
        let evidence = split_by_midnight();
        assert_eq!(found(&evidence, VIMA), Some((MatchStatus::Matched, 15, Some(PAYSHACK))));
        assert_eq!(found(&evidence, PAYSHACK), Some((MatchStatus::Matched, 15, Some(VIMA))));
    }

    #[test]
    fn pair_that_no_run_judged_is_not_matched() {
        let changes: [fn(&mut Evidence); 5] = [
            |evidence| evidence.runs.retain(|run| run.id != Uuid::from_u128(15)),
            |evidence| evidence.rows[1].ingested_at = at("16T01:31"),
            |evidence| evidence.rows[0].row.project = Some("monetix".to_owned()),
            |evidence| evidence.rows[1].row.created_at = at("17T00:00"),
            |evidence| evidence.rows.truncate(1),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut evidence = split_by_midnight();
            change(&mut evidence);
            assert_eq!(found(&evidence, VIMA), None, "{number}");
        }
    }

    #[test]
    fn latest_judgement_wins() {
        let mut evidence = split_by_midnight();
        let early = run(16, "16T01:00");
        evidence.findings = vec![finding(&early, MatchStatus::MissingVima, None, Some(PAYSHACK))];
        assert_eq!(found(&evidence, PAYSHACK), Some((MatchStatus::Matched, 15, Some(VIMA))), "by a later run");
        let pending = finding(&run(15, "16T01:30"), MatchStatus::Pending, Some(VIMA), Some(PAYSHACK));
        evidence.findings.push(pending);
        assert_eq!(found(&evidence, PAYSHACK), Some((MatchStatus::Pending, 15, Some(VIMA))), "the run has a finding");
    }

    #[test]
    fn duplicate_has_no_counterpart_and_takes_none() {
        let mut evidence = split_by_midnight();
        evidence.rows.push(stored(AGAIN, Source::Payshack, "16T00:00"));
        evidence.findings = vec![finding(&run(16, "17T01:30"), MatchStatus::Duplicate, None, Some(AGAIN))];
        assert_eq!(found(&evidence, AGAIN), Some((MatchStatus::Duplicate, 16, None)));
        assert_eq!(
            found(&evidence, VIMA),
            Some((MatchStatus::Matched, 15, Some(PAYSHACK))),
            "although it is further away"
        );
        let counterparts = [VIMA, PAYSHACK, AGAIN].map(|id| evidence.counterpart(id, &Parameters::default()));
        assert_eq!(counterparts, [Some(PAYSHACK), Some(VIMA), None]);
    }
}
