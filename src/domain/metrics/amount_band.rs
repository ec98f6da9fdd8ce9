//! Amount bands: the distribution of payments over small and large amounts, each in its own currency.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// The migration that created `count_metric_cells` contains the same bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AmountBand(u8);

/// The lower bounds of all bands but the first.
pub const BOUNDS: [u32; 7] = [100, 500, 1_000, 5_000, 10_000, 50_000, 100_000];

/// The names of the bands in the API.
const LABELS: [&str; BOUNDS.len() + 1] =
    ["0-100", "100-500", "500-1000", "1000-5000", "5000-10000", "10000-50000", "50000-100000", "100000+"];

/// The names of the bands in the cells.
const NAMES: [&str; LABELS.len()] = ["0", "1", "2", "3", "4", "5", "6", "7"];

impl AmountBand {
    pub const COUNT: usize = LABELS.len();

    /// A bound belongs to the band above it.
    #[must_use]
    pub fn from_amount(amount: Decimal) -> Self {
        let below = BOUNDS.iter().filter(|bound| amount >= Decimal::from(**bound)).count();
        // The number of bounds fits into a byte.
        Self(u8::try_from(below).unwrap_or(u8::MAX))
    }

    /// All bands, the smallest amounts first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).take(Self::COUNT).map(Self)
    }

    /// From 0.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        NAMES[self.index()]
    }

    #[must_use]
    pub fn label(self) -> &'static str {
        LABELS[self.index()]
    }

    #[must_use]
    pub fn range(self) -> AmountRange {
        let below = BOUNDS.get(self.index()).map(|bound| Decimal::from(*bound));
        AmountRange { least: self.lower_bound(), most: None, below }
    }

    /// `None` for the first band.
    fn lower_bound(self) -> Option<Decimal> {
        self.index().checked_sub(1).map(|below| Decimal::from(BOUNDS[below]))
    }
}

/// A range of amounts. The default contains all amounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmountRange {
    /// The smallest amount, inclusive.
    pub least: Option<Decimal>,
    /// The largest amount, inclusive.
    pub most: Option<Decimal>,
    /// An exclusive upper bound.
    pub below: Option<Decimal>,
}

impl AmountRange {
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// The bands that lie entirely within the range, and the remaining ranges below and above them.
    #[must_use]
    pub fn in_bands(self) -> (Vec<AmountBand>, Vec<Self>) {
        let end = self.most.or(self.below).map(AmountBand::from_amount);
        let bands: Vec<AmountBand> = AmountBand::all()
            .filter(|band| self.least.is_none_or(|least| band.lower_bound().is_some_and(|bound| bound >= least)))
            .filter(|band| end.is_none_or(|end| *band < end))
            .collect();
        let Some((first, last)) = bands.first().zip(bands.last()) else { return (bands, vec![self]) };
        let under = Self { below: first.lower_bound(), most: None, ..self };
        let over = Self { least: AmountBand::all().nth(last.index() + 1).and_then(AmountBand::lower_bound), ..self };
        let has_under = self.least.is_some_and(|least| first.lower_bound() > Some(least));
        let has_over = end.is_some() && (over.below.is_none() || over.most.is_some() || over.least < over.below);
        let rest = [(has_under, under), (has_over, over)];
        (bands, rest.into_iter().filter_map(|(is_left, range)| is_left.then_some(range)).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bound_belongs_to_the_band_above() {
        for (amount, label) in [
            ("-5", "0-100"),
            ("0", "0-100"),
            ("99.99", "0-100"),
            ("100", "100-500"),
            ("100000", "100000+"),
            ("79228162514264337593543950335", "100000+"),
        ] {
            assert_eq!(AmountBand::from_amount(amount.parse().expect(amount)).label(), label, "{amount}");
        }
    }

    #[test]
    fn range_is_split_into_whole_bands_and_remaining_ranges() {
        let amount = |text: &str| (!text.is_empty()).then(|| text.parse().expect(text));
        let shown = |(least, most): (&str, &str)| {
            let (bands, rest) = AmountRange { least: amount(least), most: amount(most), below: None }.in_bands();
            let labels: Vec<&str> = bands.into_iter().map(AmountBand::label).collect();
            let text = |bound: Option<Decimal>| bound.map_or(String::new(), |bound| bound.to_string());
            let rest: Vec<String> = rest
                .iter()
                .map(|range| format!("{} to {} below {}", text(range.least), text(range.most), text(range.below)))
                .collect();
            (labels.join(" "), rest.join(", "))
        };
        for (range, bands, rest) in [
            (("50000", ""), "50000-100000 100000+", ""),
            (("50000.01", ""), "100000+", "50000.01 to  below 100000"),
            (("100000", ""), "100000+", ""),
            (("100000.01", ""), "", "100000.01 to  below "),
            (("", "100"), "0-100", "100 to 100 below "),
            (("", "99.99"), "", " to 99.99 below "),
            (("60", "700"), "100-500", "60 to  below 100, 500 to 700 below "),
            (("200", "700"), "", "200 to 700 below "),
            (("200", "300"), "", "200 to 300 below "),
            (("-5", "100"), "", "-5 to 100 below "),
        ] {
            assert_eq!(shown(range), (bands.to_owned(), rest.to_owned()), "{range:?}");
        }
    }

    proptest! {
        #[test]
        fn every_amount_of_a_range_is_covered_once(amounts in proptest::array::uniform3(-50_i64..150_000), ends in 0..6) {
            let [one, other, amount] = amounts.map(Decimal::from);
            let range = AmountRange {
                least: (ends & 1 > 0).then_some(one.min(other)),
                most: (ends & 2 > 0).then_some(one.max(other)),
                below: (ends & 4 > 0).then_some(one.max(other)),
            };
            let (bands, rest) = range.in_bands();
            let has = |range: &AmountRange| {
                range.least.is_none_or(|least| amount >= least)
                    && range.most.is_none_or(|most| amount <= most)
                    && range.below.is_none_or(|below| amount < below)
            };
            let covered = usize::from(bands.contains(&AmountBand::from_amount(amount))) + rest.iter().filter(|rest| has(rest)).count();
            prop_assert_eq!(covered, usize::from(has(&range)), "{:?} {:?}", bands, rest);
        }
    }

    #[test]
    fn band_is_exactly_its_range() {
        for band in AmountBand::all() {
            assert_eq!(band.range().in_bands(), (vec![band], vec![]), "{}", band.label());
        }
    }

    #[test]
    fn band_names_are_their_indexes() {
        for (index, band) in AmountBand::all().enumerate() {
            assert_eq!((band.index(), band.as_str()), (index, index.to_string().as_str()));
        }
    }
}
