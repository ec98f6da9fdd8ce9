//! Columns, which all formats share: name, type, width and how to get the value from a row.
//!
//! The type belongs to the column and not to each value, so that a money column never contains text in one row. Deriving
//! columns from the structs of JSON responses was rejected: a file has columns that no response has.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use serde_json::Value as Json;
use uuid::Uuid;

pub struct Column<R> {
    /// The same as the name of the field in responses of the API.
    pub name: &'static str,
    getter: Getter<R>,
}

/// Gets the value from a row, and determines the type of the column.
enum Getter<R> {
    Text(fn(&R) -> Option<&str>),
    Keyword(fn(&R) -> Option<&'static str>),
    Keywords(fn(&R) -> Vec<&'static str>),
    Id(fn(&R) -> Option<Uuid>),
    Count(fn(&R) -> Option<u64>),
    Flag(fn(&R) -> Option<bool>),
    Money(fn(&R) -> Option<Decimal>),
    Percent(fn(&R) -> Option<Decimal>),
    Day(fn(&R) -> Option<NaiveDate>),
    Time(fn(&R) -> Option<DateTime<Utc>>),
    Json(fn(&R) -> &Json),
}

/// The value of one column in one row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    Empty,
    /// Free text from outside: it may contain anything, also formulas.
    Text(Cow<'a, str>),
    Id(Uuid),
    /// A value of one of our enums.
    Keyword(&'static str),
    Keywords(Vec<&'static str>),
    Count(u64),
    Flag(bool),
    Money(Decimal),
    Percent(Decimal),
    Day(NaiveDate),
    Time(DateTime<Utc>),
    Json(&'a Json),
}

impl<R> Column<R> {
    /// Free text from outside.
    #[must_use]
    pub const fn text(name: &'static str, read: fn(&R) -> Option<&str>) -> Self {
        Self { name, getter: Getter::Text(read) }
    }

    /// A value of one of our enums.
    #[must_use]
    pub const fn keyword(name: &'static str, read: fn(&R) -> Option<&'static str>) -> Self {
        Self { name, getter: Getter::Keyword(read) }
    }

    /// Values of one of our enums: a list in JSON, separated by commas in other formats.
    #[must_use]
    pub const fn keywords(name: &'static str, read: fn(&R) -> Vec<&'static str>) -> Self {
        Self { name, getter: Getter::Keywords(read) }
    }

    #[must_use]
    pub const fn id(name: &'static str, read: fn(&R) -> Option<Uuid>) -> Self {
        Self { name, getter: Getter::Id(read) }
    }

    #[must_use]
    pub const fn count(name: &'static str, read: fn(&R) -> Option<u64>) -> Self {
        Self { name, getter: Getter::Count(read) }
    }

    #[must_use]
    pub const fn flag(name: &'static str, read: fn(&R) -> Option<bool>) -> Self {
        Self { name, getter: Getter::Flag(read) }
    }

    #[must_use]
    pub const fn money(name: &'static str, read: fn(&R) -> Option<Decimal>) -> Self {
        Self { name, getter: Getter::Money(read) }
    }

    #[must_use]
    pub const fn percent(name: &'static str, read: fn(&R) -> Option<Decimal>) -> Self {
        Self { name, getter: Getter::Percent(read) }
    }

    #[must_use]
    pub const fn day(name: &'static str, read: fn(&R) -> Option<NaiveDate>) -> Self {
        Self { name, getter: Getter::Day(read) }
    }

    /// Written in the time zone of the file.
    #[must_use]
    pub const fn time(name: &'static str, read: fn(&R) -> Option<DateTime<Utc>>) -> Self {
        Self { name, getter: Getter::Time(read) }
    }

    /// A nested object in JSON, its JSON text in other formats.
    #[must_use]
    pub const fn json(name: &'static str, read: fn(&R) -> &Json) -> Self {
        Self { name, getter: Getter::Json(read) }
    }

    pub fn value<'a>(&self, row: &'a R) -> Value<'a> {
        let value = match self.getter {
            Getter::Text(read) => read(row).map(|text| Value::Text(text.into())),
            Getter::Keyword(read) => read(row).map(Value::Keyword),
            Getter::Keywords(read) => Some(Value::Keywords(read(row))),
            Getter::Id(read) => read(row).map(Value::Id),
            Getter::Count(read) => read(row).map(Value::Count),
            Getter::Flag(read) => read(row).map(Value::Flag),
            Getter::Money(read) => read(row).map(Value::Money),
            Getter::Percent(read) => read(row).map(Value::Percent),
            Getter::Day(read) => read(row).map(Value::Day),
            Getter::Time(read) => read(row).map(Value::Time),
            Getter::Json(read) => Some(Value::Json(read(row))),
        };
        value.unwrap_or(Value::Empty)
    }

    /// The width in a sheet, in characters: that of usual values, and at least that of the name.
    pub(super) fn width(&self) -> u32 {
        let usual = match self.getter {
            Getter::Id(_) => 38,
            Getter::Text(_) | Getter::Json(_) => 28,
            Getter::Keyword(_) | Getter::Keywords(_) | Getter::Time(_) => 20,
            Getter::Money(_) => 18,
            Getter::Day(_) => 12,
            Getter::Count(_) | Getter::Flag(_) | Getter::Percent(_) => 10,
        };
        // The header also contains the button of the filter.
        u32::try_from(self.name.len() + 4).unwrap_or(usual).max(usual)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    #[error("there is no column \"{name}\"; there are {}", known.join(", "))]
    Unknown { name: String, known: Vec<&'static str> },
    #[error("the column \"{0}\" is named twice")]
    Duplicate(&'static str),
}

/// The columns of these names, in this order; all columns if there are no names.
pub fn select_columns<R>(all: &'static [Column<R>], names: &[String]) -> Result<Vec<&'static Column<R>>, ColumnError> {
    if names.is_empty() {
        return Ok(all.iter().collect());
    }
    let mut selected: Vec<&'static Column<R>> = vec![];
    for name in names {
        let column = all.iter().find(|column| column.name == name).ok_or_else(|| ColumnError::Unknown {
            name: name.clone(),
            known: all.iter().map(|column| column.name).collect(),
        })?;
        if selected.iter().any(|other| other.name == column.name) {
            return Err(ColumnError::Duplicate(column.name));
        }
        selected.push(column);
    }
    Ok(selected)
}

/// RFC 3339 with the offset of the zone, so that the instant is unambiguous.
pub(super) fn format_time(zone: Tz, time: DateTime<Utc>) -> String {
    time.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    static COLUMNS: [Column<String>; 2] =
        [Column::text("note", |row| Some(row)), Column::count("length", |row| Some(row.len() as u64))];

    fn names(selected: &[&Column<String>]) -> Vec<&'static str> {
        selected.iter().map(|column| column.name).collect()
    }

    #[test]
    fn columns_are_selected_in_the_requested_order() {
        let select =
            |names: &[&str]| select_columns(&COLUMNS, &names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(select(&[]).map(|selected| names(&selected)), Ok(vec!["note", "length"]));
        assert_eq!(select(&["length", "note"]).map(|selected| names(&selected)), Ok(vec!["length", "note"]));
        let error = |names: &[&str]| select(names).err().map(|error| error.to_string());
        assert_eq!(error(&["size"]).as_deref(), Some("there is no column \"size\"; there are note, length"));
        assert_eq!(error(&["note", "note"]).as_deref(), Some("the column \"note\" is named twice"));
    }

    #[test]
    fn times_have_the_offset_of_their_zone() {
        let time: DateTime<Utc> = "2026-01-15T10:00:00.250Z".parse().expect("a time");
        assert_eq!(format_time(Tz::UTC, time), "2026-01-15T10:00:00.250Z");
        assert_eq!(format_time(Tz::Asia__Kathmandu, time), "2026-01-15T15:45:00.250+05:45");
    }
}
