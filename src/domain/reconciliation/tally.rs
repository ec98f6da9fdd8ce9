//! What a run counted, and that nothing was lost in counting.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// How many rows, by the side that told them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BySide {
    /// Vima's.
    pub vima: u64,
    /// `PayShack`'s.
    pub payshack: u64,
}

impl BySide {
    /// Of both.
    #[must_use]
    pub fn sum(self) -> u64 {
        self.vima + self.payshack
    }
}

/// What became of the rows of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Every row assigned to the day.
    pub total: BySide,
    /// Payments on which both sides agree.
    pub matched: u64,
    /// Payments on whose amount they disagree, and perhaps on the status too.
    pub amount_discrepancies: u64,
    /// Payments on whose status alone they disagree.
    pub status_discrepancies: u64,
    /// Payments that only `PayShack` knows of.
    pub missing_vima: u64,
    /// Payments that only Vima knows of.
    pub missing_payshack: u64,
    /// Payments of which it is too early to say.
    pub pending: u64,
    /// Their rows: a pending pair has one on either side.
    pub pending_rows: BySide,
    /// Rows too many.
    pub duplicates: BySide,
    /// Rows without a key.
    pub unmatchable: BySide,
}

/// Rows that were lost, or counted twice: the run must not be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the rows of the day do not add up (Vima has {} and {} were judged, PayShack has {} and {} were judged): this is a \
     fault of the program, please report it; nothing was written",
    total.vima, judged.vima, total.payshack, judged.payshack
)]
pub struct TallyMismatch {
    /// Rows of the day.
    pub total: BySide,
    /// Rows of which something was said.
    pub judged: BySide,
}

impl Tally {
    /// Payments on which the sides disagree.
    #[must_use]
    pub fn discrepancies(&self) -> u64 {
        self.amount_discrepancies + self.status_discrepancies
    }

    /// Payments that one side does not know.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.missing_vima + self.missing_payshack
    }

    /// Payments of the day, each counted once.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.matched + self.discrepancies() + self.missing() + self.pending
    }

    /// Checks that every row of either side is one of these, once.
    ///
    /// # Errors
    /// [`TallyMismatch`] where that is not so.
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

    /// The shares of what was matched, discrepant, missing and pending in all payments, in hundredths of a percent. They
    /// add up to 10,000 exactly, or are all 0 where there are no payments.
    #[must_use]
    pub fn shares(&self) -> [u64; 4] {
        largest_remainder([self.matched, self.discrepancies(), self.missing(), self.pending])
    }
}

/// Parts of 10,000 that add up to it: each is rounded down, and what is left goes to those that lost most (Hare, 1859; the
/// first of equals).
fn largest_remainder(counts: [u64; 4]) -> [u64; 4] {
    const WHOLE: u128 = 10_000;
    let sum: u128 = counts.iter().map(|count| u128::from(*count)).sum();
    if sum == 0 {
        return [0; 4];
    }
    let scaled = counts.map(|count| u128::from(count) * WHOLE);
    let mut shares = scaled.map(|part| u64::try_from(part / sum).unwrap_or(0));
    let mut by_loss = [0, 1, 2, 3];
    by_loss.sort_by_key(|place| std::cmp::Reverse(scaled[*place] % sum));
    let left = u64::try_from(WHOLE).unwrap_or(0) - shares.iter().sum::<u64>();
    for place in by_loss.into_iter().take(usize::try_from(left).unwrap_or(0)) {
        shares[place] += 1;
    }
    shares
}

/// What the payments of a day come to in one currency. At risk is the difference, where only the amounts differ in one
/// currency, and else all of Vima's amount, or of the only row's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Amounts {
    /// Matched, by Vima's amounts.
    pub matched: Decimal,
    /// At risk where the amounts differ.
    pub amount: Decimal,
    /// At risk where only the statuses differ.
    pub status: Decimal,
    /// Known to `PayShack` alone.
    pub missing_vima: Decimal,
    /// Known to Vima alone.
    pub missing_payshack: Decimal,
    /// Of rows too many.
    pub duplicate: Decimal,
    /// Of payments of which it is too early to say.
    pub pending: Decimal,
}

/// The amounts of a day, by currency: they are never added up across two.
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
    fn a_row_that_is_lost_is_noticed() {
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
        let told = lost.check().expect_err("a row is lost").to_string();
        assert!(told.contains("Vima has 7 and 6 were judged, PayShack has 4 and 4 were judged"), "{told}");
    }
}
