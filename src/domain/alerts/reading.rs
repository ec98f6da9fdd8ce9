//! What a condition was measured to be.

use rust_decimal::Decimal;

/// How a measured value relates to the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The condition holds.
    Breached,
    /// It does not hold, but the value is not beyond the threshold at which an alert is resolved.
    Between,
    Clear,
    /// It cannot be judged.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    pub level: Level,
    pub value: Option<Decimal>,
    /// A sentence for people, without personal data.
    pub text: String,
}

/// A threshold with hysteresis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    pub fires: Decimal,
    /// An alert is resolved only beyond this value. `None`: beyond the other one.
    pub clears: Option<Decimal>,
}

impl Threshold {
    /// For a condition that holds above the threshold.
    #[must_use]
    pub fn level_above(self, value: Decimal) -> Level {
        match self.clears {
            _ if value > self.fires => Level::Breached,
            Some(clears) if value > clears => Level::Between,
            _ => Level::Clear,
        }
    }

    /// For a condition that holds below the threshold.
    #[must_use]
    pub fn level_below(self, value: Decimal) -> Level {
        match self.clears {
            _ if value < self.fires => Level::Breached,
            Some(clears) if value < clears => Level::Between,
            _ => Level::Clear,
        }
    }
}

/// The payments of a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WindowCounts {
    pub total: i64,
    /// Also those that were refunded later.
    pub succeeded: i64,
    pub failed: i64,
}

impl WindowCounts {
    #[must_use]
    pub fn decided(self) -> i64 {
        self.succeeded + self.failed
    }

    /// In percent of the decided payments. `None` without any.
    #[must_use]
    pub fn success_rate(self) -> Option<Decimal> {
        let rate = (Decimal::from(self.succeeded) * Decimal::ONE_HUNDRED).checked_div(Decimal::from(self.decided()))?;
        Some(rate.round_dp(2))
    }
}

impl std::ops::Add for WindowCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            total: self.total + other.total,
            succeeded: self.succeeded + other.succeeded,
            failed: self.failed + other.failed,
        }
    }
}

impl std::ops::Sub for WindowCounts {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            total: self.total - other.total,
            succeeded: self.succeeded - other.succeeded,
            failed: self.failed - other.failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_between_the_thresholds_is_neither_breached_nor_clear() {
        let plain = Threshold { fires: 10.into(), clears: None };
        let above = Threshold { clears: Some(5.into()), ..plain };
        let below = Threshold { clears: Some(15.into()), ..plain };
        for (value, expected) in [(11, Level::Breached), (10, Level::Between), (6, Level::Between), (5, Level::Clear)] {
            assert_eq!(above.level_above(value.into()), expected, "{value}");
        }
        for (value, expected) in [(9, Level::Breached), (10, Level::Between), (14, Level::Between), (15, Level::Clear)]
        {
            assert_eq!(below.level_below(value.into()), expected, "{value}");
        }
        for (value, is_above, is_below) in [(9, false, true), (10, false, false), (11, true, false)] {
            assert_eq!(plain.level_above(value.into()) == Level::Breached, is_above, "{value}");
            assert_eq!(plain.level_below(value.into()) == Level::Breached, is_below, "{value}");
        }
    }
}
