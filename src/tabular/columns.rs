//! What a column is: its name, its type, how wide it is shown, and where its value comes from. All formats read this.
//!
//! The type belongs to the column and not to each value, so that a column of money can never hold a text in one row. A
//! derive over the answers' structs was rejected: those say what a page of JSON looks like, and a file has columns that no
//! answer has.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use serde_json::Value as Json;
use uuid::Uuid;

/// A column of a file whose rows are `R`.
pub struct Column<R> {
    /// Its name, the same as in the answers of the API.
    pub name: &'static str,
    read: Read<R>,
}

/// Where a value comes from, and so of which type it is.
enum Read<R> {
    Text(fn(&R) -> Option<&str>),
    Word(fn(&R) -> Option<&'static str>),
    Words(fn(&R) -> Vec<&'static str>),
    Id(fn(&R) -> Option<Uuid>),
    Count(fn(&R) -> Option<u64>),
    Flag(fn(&R) -> Option<bool>),
    Money(fn(&R) -> Option<Decimal>),
    Percent(fn(&R) -> Option<Decimal>),
    Day(fn(&R) -> Option<NaiveDate>),
    Time(fn(&R) -> Option<DateTime<Utc>>),
    Json(fn(&R) -> &Json),
}

/// What stands where a row and a column meet.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Empty,
    /// Whatever somebody wrote: no part of it is ours.
    Text(Cow<'a, str>),
    /// An id.
    Id(Uuid),
    /// A word of ours.
    Word(&'static str),
    /// Words of ours.
    Words(Vec<&'static str>),
    /// How many.
    Count(u64),
    /// Whether.
    Flag(bool),
    /// An exact amount.
    Money(Decimal),
    /// A share of a hundred.
    Percent(Decimal),
    /// A calendar day.
    Day(NaiveDate),
    /// An instant.
    Time(DateTime<Utc>),
    /// An object.
    Json(&'a Json),
}

impl<R> Column<R> {
    /// A text of somebody's.
    #[must_use]
    pub const fn text(name: &'static str, read: fn(&R) -> Option<&str>) -> Self {
        Self { name, read: Read::Text(read) }
    }

    /// A word of ours.
    #[must_use]
    pub const fn word(name: &'static str, read: fn(&R) -> Option<&'static str>) -> Self {
        Self { name, read: Read::Word(read) }
    }

    /// Words of ours: a list in JSON, and by commas where there are no lists.
    #[must_use]
    pub const fn words(name: &'static str, read: fn(&R) -> Vec<&'static str>) -> Self {
        Self { name, read: Read::Words(read) }
    }

    /// An id.
    #[must_use]
    pub const fn id(name: &'static str, read: fn(&R) -> Option<Uuid>) -> Self {
        Self { name, read: Read::Id(read) }
    }

    /// How many.
    #[must_use]
    pub const fn count(name: &'static str, read: fn(&R) -> Option<u64>) -> Self {
        Self { name, read: Read::Count(read) }
    }

    /// Whether.
    #[must_use]
    pub const fn flag(name: &'static str, read: fn(&R) -> Option<bool>) -> Self {
        Self { name, read: Read::Flag(read) }
    }

    /// An exact amount.
    #[must_use]
    pub const fn money(name: &'static str, read: fn(&R) -> Option<Decimal>) -> Self {
        Self { name, read: Read::Money(read) }
    }

    /// A share of a hundred.
    #[must_use]
    pub const fn percent(name: &'static str, read: fn(&R) -> Option<Decimal>) -> Self {
        Self { name, read: Read::Percent(read) }
    }

    /// A calendar day.
    #[must_use]
    pub const fn day(name: &'static str, read: fn(&R) -> Option<NaiveDate>) -> Self {
        Self { name, read: Read::Day(read) }
    }

    /// An instant, told in the zone of the file.
    #[must_use]
    pub const fn time(name: &'static str, read: fn(&R) -> Option<DateTime<Utc>>) -> Self {
        Self { name, read: Read::Time(read) }
    }

    /// An object: as it is in JSON, and as its text elsewhere.
    #[must_use]
    pub const fn json(name: &'static str, read: fn(&R) -> &Json) -> Self {
        Self { name, read: Read::Json(read) }
    }

    /// Its value in a row.
    pub fn value<'a>(&self, row: &'a R) -> Value<'a> {
        let value = match self.read {
            Read::Text(read) => read(row).map(|text| Value::Text(text.into())),
            Read::Word(read) => read(row).map(Value::Word),
            Read::Words(read) => Some(Value::Words(read(row))),
            Read::Id(read) => read(row).map(Value::Id),
            Read::Count(read) => read(row).map(Value::Count),
            Read::Flag(read) => read(row).map(Value::Flag),
            Read::Money(read) => read(row).map(Value::Money),
            Read::Percent(read) => read(row).map(Value::Percent),
            Read::Day(read) => read(row).map(Value::Day),
            Read::Time(read) => read(row).map(Value::Time),
            Read::Json(read) => Some(Value::Json(read(row))),
        };
        value.unwrap_or(Value::Empty)
    }

    /// How many characters wide a sheet shows it: what it usually holds, and never less than its name.
    pub(super) fn width(&self) -> u32 {
        let usual = match self.read {
            Read::Id(_) => 38,
            Read::Text(_) | Read::Json(_) => 28,
            Read::Word(_) | Read::Words(_) | Read::Time(_) => 20,
            Read::Money(_) => 18,
            Read::Day(_) => 12,
            Read::Count(_) | Read::Flag(_) | Read::Percent(_) => 10,
        };
        // A button of the filter stands in the header too.
        u32::try_from(self.name.len() + 4).unwrap_or(usual).max(usual)
    }
}

/// A column that there is not, or one that is named twice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// There is none of this name.
    #[error("there is no column \"{name}\"; there are {}", known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<&'static str>,
    },
    /// A file has each column once.
    #[error("the column \"{0}\" is named twice")]
    Twice(&'static str),
}

/// The columns of these names, in their order; all of them where none is named.
///
/// # Errors
/// [`ChoiceError`] where there is none of a name, or it is named twice.
pub fn choose<R>(all: &'static [Column<R>], names: &[String]) -> Result<Vec<&'static Column<R>>, ChoiceError> {
    if names.is_empty() {
        return Ok(all.iter().collect());
    }
    let mut chosen: Vec<&'static Column<R>> = vec![];
    for name in names {
        let column = all.iter().find(|column| column.name == name).ok_or_else(|| ChoiceError::Unknown {
            name: name.clone(),
            known: all.iter().map(|column| column.name).collect(),
        })?;
        if chosen.iter().any(|known| known.name == column.name) {
            return Err(ChoiceError::Twice(column.name));
        }
        chosen.push(column);
    }
    Ok(chosen)
}

/// An instant as text: RFC 3339 with the offset of the zone, so that it is exact whatever the zone.
pub(super) fn told_in(zone: Tz, time: DateTime<Utc>) -> String {
    time.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    static COLUMNS: [Column<String>; 2] =
        [Column::text("note", |row| Some(row)), Column::count("length", |row| Some(row.len() as u64))];

    fn names(chosen: &[&Column<String>]) -> Vec<&'static str> {
        chosen.iter().map(|column| column.name).collect()
    }

    #[test]
    fn columns_are_chosen_in_order() {
        let choice = |names: &[&str]| choose(&COLUMNS, &names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(choice(&[]).map(|chosen| names(&chosen)), Ok(vec!["note", "length"]));
        assert_eq!(choice(&["length", "note"]).map(|chosen| names(&chosen)), Ok(vec!["length", "note"]));
        let told = |names: &[&str]| choice(names).err().map(|error| error.to_string());
        assert_eq!(told(&["size"]).as_deref(), Some("there is no column \"size\"; there are note, length"));
        assert_eq!(told(&["note", "note"]).as_deref(), Some("the column \"note\" is named twice"));
    }

    #[test]
    fn times_bear_the_offset_of_their_zone() {
        let time: DateTime<Utc> = "2026-01-15T10:00:00.250Z".parse().expect("a time");
        assert_eq!(told_in(Tz::UTC, time), "2026-01-15T10:00:00.250Z");
        assert_eq!(told_in(Tz::Asia__Kathmandu, time), "2026-01-15T15:45:00.250+05:45");
    }
}
