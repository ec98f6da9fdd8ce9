//! How numbers, days and times are written in each language.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;

use super::schedule::Language;
use crate::domain::money::format_decimal;

const NO_BREAK_SPACE: char = '\u{a0}';
const RUSSIAN_MONTHS: [&str; 12] = [
    "января",
    "февраля",
    "марта",
    "апреля",
    "мая",
    "июня",
    "июля",
    "августа",
    "сентября",
    "октября",
    "ноября",
    "декабря",
];

/// The form of a noun after a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluralForm {
    One,
    /// Only in Russian: 2 to 4.
    Few,
    Many,
}

impl Language {
    /// The rules of the Unicode CLDR for whole numbers.
    #[must_use]
    pub fn plural_form(self, count: u64) -> PluralForm {
        match (self, count % 10, count % 100) {
            (Self::English, ..) if count == 1 => PluralForm::One,
            (Self::English, ..) | (Self::Russian, _, 11..=14) => PluralForm::Many,
            (Self::Russian, 1, _) => PluralForm::One,
            (Self::Russian, 2..=4, _) => PluralForm::Few,
            (Self::Russian, ..) => PluralForm::Many,
        }
    }

    /// A whole number, with groups of three digits.
    #[must_use]
    pub fn count(self, count: u64) -> String {
        self.grouped(&count.to_string())
    }

    /// An amount, exact, with at least two decimals.
    #[must_use]
    pub fn amount(self, amount: Decimal) -> String {
        self.grouped(&format_decimal(amount))
    }

    /// A percentage with two decimals; a dash if there is none.
    #[must_use]
    pub fn percent(self, percent: Option<f64>) -> String {
        percent.map_or_else(|| "–".to_owned(), |percent| self.with_percent_sign(&format!("{percent:.2}")))
    }

    /// A change in percent, with its sign.
    #[must_use]
    pub fn change(self, percent: Option<f64>) -> String {
        percent.map_or_else(|| "–".to_owned(), |percent| self.with_percent_sign(&format!("{percent:+.2}")))
    }

    #[must_use]
    pub fn day(self, day: NaiveDate) -> String {
        match self {
            Self::English => day.format("%-d %B %Y").to_string(),
            Self::Russian => {
                let month = usize::try_from(day.month0()).ok().and_then(|month| RUSSIAN_MONTHS.get(month));
                format!("{} {} {} г.", day.day(), month.copied().unwrap_or_default(), day.year())
            }
        }
    }

    /// With the zone, to the minute.
    #[must_use]
    pub fn time(self, time: DateTime<Utc>, zone: Tz) -> String {
        let local = time.with_timezone(&zone);
        let format = match self {
            Self::English => "%Y-%m-%d %H:%M",
            Self::Russian => "%d.%m.%Y %H:%M",
        };
        format!("{} ({})", local.format(format), zone.name())
    }

    fn with_percent_sign(self, number: &str) -> String {
        let number = self.grouped(number);
        match self {
            Self::English => format!("{number}%"),
            Self::Russian => format!("{number}{NO_BREAK_SPACE}%"),
        }
    }

    /// A number as `-1234.50`, with the separators of the language.
    fn grouped(self, number: &str) -> String {
        let (group, point) = match self {
            Self::English => (',', '.'),
            Self::Russian => (NO_BREAK_SPACE, ','),
        };
        let (whole, decimals) = number.split_once('.').map_or((number, None), |(whole, rest)| (whole, Some(rest)));
        let digits = whole.trim_start_matches(['-', '+']);
        let mut text = whole[..whole.len() - digits.len()].to_owned();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(group);
            }
            text.push(digit);
        }
        if let Some(decimals) = decimals {
            text.push(point);
            text.push_str(decimals);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Language::{English, Russian};
    use proptest::prelude::*;

    #[test]
    fn plural_forms_follow_the_language() {
        use PluralForm::{Few, Many, One};
        for (count, english, russian) in [
            (0, Many, Many),
            (1, One, One),
            (2, Many, Few),
            (4, Many, Few),
            (5, Many, Many),
            (10, Many, Many),
            (11, Many, Many),
            (12, Many, Many),
            (14, Many, Many),
            (15, Many, Many),
            (20, Many, Many),
            (21, Many, One),
            (22, Many, Few),
            (25, Many, Many),
            (100, Many, Many),
            (101, Many, One),
            (111, Many, Many),
            (112, Many, Many),
            (121, Many, One),
            (1_002, Many, Few),
            (1_011, Many, Many),
            (1_000_001, Many, One),
        ] {
            assert_eq!((English.plural_form(count), Russian.plural_form(count)), (english, russian), "{count}");
        }
    }

    #[test]
    fn numbers_have_the_separators_of_the_language() {
        for (amount, english, russian) in [
            ("0", "0.00", "0,00"),
            ("999.5", "999.50", "999,50"),
            ("1000", "1,000.00", "1\u{a0}000,00"),
            ("-1234567.891", "-1,234,567.891", "-1\u{a0}234\u{a0}567,891"),
        ] {
            let decimal: Decimal = amount.parse().expect(amount);
            assert_eq!((English.amount(decimal).as_str(), Russian.amount(decimal).as_str()), (english, russian));
        }
        assert_eq!((English.count(12_345), Russian.count(12)), ("12,345".to_owned(), "12".to_owned()));
        assert_eq!(
            (English.percent(Some(45.5)), Russian.percent(Some(45.5))),
            ("45.50%".to_owned(), "45,50\u{a0}%".to_owned())
        );
        assert_eq!(
            (English.change(Some(1_250.0)), Russian.change(Some(-3.25))),
            ("+1,250.00%".to_owned(), "-3,25\u{a0}%".to_owned())
        );
        assert_eq!((English.change(None), Russian.percent(None)), ("–".to_owned(), "–".to_owned()));
    }

    #[test]
    fn days_and_times_are_written_out() {
        let day = "2026-05-01".parse().expect("a day");
        assert_eq!((English.day(day), Russian.day(day)), ("1 May 2026".to_owned(), "1 мая 2026 г.".to_owned()));
        let time = "2026-05-01T20:00:00Z".parse().expect("a time");
        assert_eq!(English.time(time, Tz::Asia__Kolkata), "2026-05-02 01:30 (Asia/Kolkata)");
        assert_eq!(Russian.time(time, Tz::UTC), "01.05.2026 20:00 (UTC)");
    }

    proptest! {
        #[test]
        fn separators_lose_no_digit(units in any::<i64>(), scale in 0_u32..6) {
            let amount = Decimal::new(units, scale);
            for language in Language::ALL {
                let text = language.amount(amount);
                let plain: String = match language {
                    English => text.replace(',', ""),
                    Russian => text.replace('\u{a0}', "").replace(',', "."),
                };
                prop_assert_eq!(plain.parse::<Decimal>().expect("a number"), amount);
            }
        }
    }
}
