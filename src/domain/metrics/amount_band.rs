//! Bands of amounts: how payments are spread over small and large ones, each in its own currency.

use rust_decimal::Decimal;

/// A band of amounts. The migration that created `count_metric_cells` holds the same bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AmountBand(u8);

/// Where each band but the first begins.
pub const BOUNDS: [u32; 7] = [100, 500, 1_000, 5_000, 10_000, 50_000, 100_000];

/// What the bands are called.
const LABELS: [&str; BOUNDS.len() + 1] =
    ["0-100", "100-500", "500-1000", "1000-5000", "5000-10000", "10000-50000", "50000-100000", "100000+"];

/// Their names in the cells.
const NAMES: [&str; LABELS.len()] = ["0", "1", "2", "3", "4", "5", "6", "7"];

impl AmountBand {
    /// How many bands there are.
    pub const COUNT: usize = LABELS.len();

    /// The band of an amount: a bound belongs to the band above it.
    #[must_use]
    pub fn of(amount: Decimal) -> Self {
        let below = BOUNDS.iter().filter(|bound| amount >= Decimal::from(**bound)).count();
        // There are fewer bounds than a byte can count.
        Self(u8::try_from(below).unwrap_or(u8::MAX))
    }

    /// Every band, the smallest amounts first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).take(Self::COUNT).map(Self)
    }

    /// Its place among them, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The name in the cells.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        NAMES[self.index()]
    }

    /// What people call it.
    #[must_use]
    pub fn label(self) -> &'static str {
        LABELS[self.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_the_band_above() {
        for (amount, label) in [
            ("-5", "0-100"),
            ("0", "0-100"),
            ("99.99", "0-100"),
            ("100", "100-500"),
            ("100000", "100000+"),
            ("79228162514264337593543950335", "100000+"),
        ] {
            assert_eq!(AmountBand::of(amount.parse().expect(amount)).label(), label, "{amount}");
        }
    }

    #[test]
    fn every_band_has_its_own_name() {
        for (index, band) in AmountBand::all().enumerate() {
            assert_eq!((band.index(), band.as_str()), (index, index.to_string().as_str()));
        }
    }
}
