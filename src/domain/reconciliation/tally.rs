//! The counts of a run, and the check that no row was lost.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Numbers of rows per side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct BySide {
    pub vima: u64,
    pub payshack: u64,
}

impl BySide {
    #[must_use]
    pub fn sum(self) -> u64 {
        self.vima + self.payshack
    }
}

/// The results of a day. Payments are counted once, duplicates and unmatchable rows per row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// All rows assigned to the day.
    pub total: BySide,
    pub matched: u64,
    /// The amounts differ, and possibly the statuses too.
    pub amount_discrepancies: u64,
    /// Only the statuses differ.
    pub status_discrepancies: u64,
    pub missing_vima: u64,
    pub missing_payshack: u64,
    /// Too early to decide.
    pub pending: u64,
    /// The rows of pending payments: a pair has one on each side.
    pub pending_rows: BySide,
    pub duplicates: BySide,
    pub unmatchable: BySide,
}

/// Rows were lost or counted twice, so the run is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the rows of the day do not add up (Vima has {} and {} were judged, PayShack has {} and {} were judged): this is a \
     bug, please report it; nothing was written",
    total.vima, judged.vima, total.payshack, judged.payshack
)]
pub struct TallyMismatch {
    pub total: BySide,
    pub judged: BySide,
}

impl Tally {
    #[must_use]
    pub fn discrepancies(&self) -> u64 {
        self.amount_discrepancies + self.status_discrepancies
    }

    #[must_use]
    pub fn missing(&self) -> u64 {
        self.missing_vima + self.missing_payshack
    }

    /// All payments of the day.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.matched + self.discrepancies() + self.missing() + self.pending
    }

    /// Checks that every row of each side is counted exactly once.
    pub fn check(&self) -> Result<(), TallyMismatch> {
        let paired = self.matched + self.discrepancies();
        let judged = BySide {
            vima: paired
                + self.missing_payshack
                + self.pending_rows.vima
                + self.duplicates.vima
                + self.unmatchable.vima,
            payshack: paired
                + self.missing_vima
                + self.pending_rows.payshack
                + self.duplicates.payshack
                + self.unmatchable.payshack,
        };
        if judged == self.total { Ok(()) } else { Err(TallyMismatch { total: self.total, judged }) }
    }

    /// The shares of matched, discrepant, missing and pending payments, in hundredths of a percent. They add up to exactly
    /// 10,000, or are all 0 if there are no payments.
    #[must_use]
    pub fn shares(&self) -> [u64; 4] {
        largest_remainder([self.matched, self.discrepancies(), self.missing(), self.pending])
    }
}

/// Largest remainder method: rounds each part of 10,000 down, then distributes the rest to the parts with the largest
/// remainders (the first of equals).
fn largest_remainder(counts: [u64; 4]) -> [u64; 4] {
    const WHOLE: u128 = 10_000;
    let sum: u128 = counts.iter().map(|count| u128::from(*count)).sum();
    if sum == 0 {
        return [0; 4];
    }
    let scaled = counts.map(|count| u128::from(count) * WHOLE);
    let mut shares = scaled.map(|part| u64::try_from(part / sum).unwrap_or(0));
    let mut by_remainder = [0, 1, 2, 3];
    by_remainder.sort_by_key(|place| std::cmp::Reverse(scaled[*place] % sum));
    let left = u64::try_from(WHOLE).unwrap_or(0) - shares.iter().sum::<u64>();
    for place in by_remainder.into_iter().take(usize::try_from(left).unwrap_or(0)) {
        shares[place] += 1;
    }
    shares
}

/// The amounts of a day in one currency. The amount at risk is the difference if only amounts in one currency differ,
/// otherwise all of Vima's amount or of the only row's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Amounts {
    /// Vima's amounts.
    pub matched: Decimal,
    /// At risk because amounts differ.
    pub amount: Decimal,
    /// At risk because only statuses differ.
    pub status: Decimal,
    pub missing_vima: Decimal,
    pub missing_payshack: Decimal,
    pub duplicate: Decimal,
    pub pending: Decimal,
}

/// Amounts are never added across currencies.
pub type AmountsByCurrency = BTreeMap<String, Amounts>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for (counts, expected) in [
            ([0, 0, 0, 0], [0, 0, 0, 0]),
            ([1, 0, 0, 0], [10_000, 0, 0, 0]),
            ([1, 1, 1, 0], [3334, 3333, 3333, 0]),
            ([2, 2, 2, 1], [2857, 2857, 2857, 1429]),
            ([999_999, 1, 0, 0], [10_000, 0, 0, 0]),
            ([u64::MAX / 2, u64::MAX / 2, 1, 1], [5000, 5000, 0, 0]),
        ] {
            let shares = largest_remainder(counts);
            assert_eq!(shares, expected, "{counts:?}");
        }
    }

    #[test]
    fn lost_row_is_detected() {
        let tally = Tally {
            total: BySide { vima: 6, payshack: 4 },
            matched: 2,
            missing_payshack: 1,
            pending: 2,
            pending_rows: BySide { vima: 2, payshack: 1 },
            duplicates: BySide { vima: 1, payshack: 0 },
            unmatchable: BySide { vima: 0, payshack: 1 },
            ..Tally::default()
        };
        assert_eq!(tally.check(), Ok(()));
        assert_eq!(tally.keys(), 5);
        let lost = Tally { total: BySide { vima: 7, ..tally.total }, ..tally };
        let message = lost.check().expect_err("a row is lost").to_string();
        assert!(message.contains("Vima has 7 and 6 were judged, PayShack has 4 and 4 were judged"), "{message}");
    }
}
