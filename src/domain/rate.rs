//! Percentages, changes and averages, rounded to two decimals. `None`, not 0, if the denominator is 0.

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};

#[must_use]
pub fn percent(part: Decimal, whole: Decimal) -> Option<f64> {
    rounded(part.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(whole)?).to_f64()
}

/// Negative for a decrease.
#[must_use]
pub fn percent_change(current: Decimal, previous: Decimal) -> Option<f64> {
    percent(current - previous, previous.abs())
}

/// The difference between two shares, each given as `(part, whole)`.
#[must_use]
pub fn percentage_points(current: (Decimal, Decimal), previous: (Decimal, Decimal)) -> Option<f64> {
    let share = |(part, whole): (Decimal, Decimal)| part.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(whole);
    rounded(share(current)? - share(previous)?).to_f64()
}

#[must_use]
pub fn average(sum: Decimal, count: i64) -> Option<Decimal> {
    sum.checked_div(Decimal::from(count)).map(rounded)
}

/// Rounds half away from zero, as people do.
fn rounded(value: Decimal) -> Decimal {
    value.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages() {
        for (part, whole, expected) in [
            (1, 3, Some(33.33)),
            (2, 3, Some(66.67)),
            (0, 5, Some(0.0)),
            (5, 5, Some(100.0)),
            (1, 0, None),
            (0, 0, None),
        ] {
            assert_eq!(percent(part.into(), whole.into()), expected, "{part} of {whole}");
        }
    }

    #[test]
    fn percent_changes() {
        for (current, previous, expected) in [
            (150, 100, Some(50.0)),
            (50, 100, Some(-50.0)),
            (0, 100, Some(-100.0)),
            (100, 100, Some(0.0)),
            (7, 3, Some(133.33)),
            (5, 0, None),
            (5, -10, Some(150.0)),
        ] {
            assert_eq!(percent_change(current.into(), previous.into()), expected, "{previous} to {current}");
        }
    }

    #[test]
    fn percentage_point_differences() {
        for (current, previous, expected) in [
            ((1, 2), (1, 4), Some(25.0)),
            ((1, 3), (2, 3), Some(-33.33)),
            ((1, 1), (1, 1), Some(0.0)),
            ((1, 2), (0, 0), None),
            ((0, 0), (1, 2), None),
        ] {
            let decimals = |(part, whole): (i64, i64)| (part.into(), whole.into());
            assert_eq!(percentage_points(decimals(current), decimals(previous)), expected, "{previous:?} {current:?}");
        }
    }

    #[test]
    fn averages() {
        for (sum, count, expected) in
            [("10", 4, Some("2.50")), ("1", 3, Some("0.33")), ("0.01", 2, Some("0.01")), ("9", 0, None)]
        {
            let sum: Decimal = sum.parse().expect(sum);
            let expected = expected.map(|text| text.parse::<Decimal>().expect(text));
            assert_eq!(average(sum, count), expected, "{sum} among {count}");
        }
    }
}
