//! Text by commas, as RFC 4180 has it, that a spreadsheet opens without running anything of it.
//!
//! The rules are few and the bytes go straight into the chunk that is sent, so they are written here; the `csv` crate,
//! which would keep a buffer of its own, reads what was written in the tests instead.

use chrono_tz::Tz;

use super::columns::{Column, Value, told_in};
use crate::domain::money::format_decimal;

/// Tells Excel that the text is UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Writes the names of the columns.
pub(super) fn head<R>(columns: &[&Column<R>], excel: bool, out: &mut Vec<u8>) {
    if excel {
        out.extend_from_slice(BYTE_ORDER_MARK.as_bytes());
    }
    fields(columns.iter().map(|column| column.name.to_owned()), out);
}

/// Writes a row.
pub(super) fn row<R>(columns: &[&Column<R>], zone: Tz, row: &R, out: &mut Vec<u8>) {
    fields(columns.iter().map(|column| text(&column.value(row), zone)), out);
}

fn fields(texts: impl Iterator<Item = String>, out: &mut Vec<u8>) {
    for (place, text) in texts.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        if text.contains([',', '"', '\r', '\n']) {
            out.push(b'"');
            out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        } else {
            out.extend_from_slice(text.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// A value as text. Only what somebody wrote can be a formula: a negative amount is a number, and stays one.
fn text(value: &Value<'_>, zone: Tz) -> String {
    match value {
        Value::Empty => String::new(),
        Value::Text(text) => neutralised(text),
        Value::Words(words) => words.join(","),
        Value::Count(count) => count.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::Money(amount) | Value::Percent(amount) => format_decimal(*amount),
        Value::Day(day) => day.to_string(),
        Value::Time(time) => told_in(zone, *time),
        Value::Json(json) => json.to_string(),
    }
}

/// The text, after an apostrophe where a spreadsheet would take it for a formula (OWASP, "CSV Injection"): blanks before
/// the sign do not help, and some read the signs' wide forms too.
fn neutralised(text: &str) -> String {
    let sign = |first: char| matches!(first, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠');
    if text.starts_with(['\t', '\r', '\n']) || text.trim_start().starts_with(sign) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static COLUMNS: [Column<&'static str>; 2] =
        [Column::text("a", |row| Some(row)), Column::money("b", |_| Some((-5).into()))];

    fn written(text: &'static str) -> String {
        let mut out = vec![];
        row(&COLUMNS.iter().collect::<Vec<_>>(), Tz::UTC, &text, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn formulas_are_text() {
        for (text, expected) in [
            ("plain", "plain,-5.00\r\n"),
            ("=1+1", "'=1+1,-5.00\r\n"),
            ("+1", "'+1,-5.00\r\n"),
            ("-1", "'-1,-5.00\r\n"),
            ("@SUM(A1)", "'@SUM(A1),-5.00\r\n"),
            ("  \u{a0}=1", "'  \u{a0}=1,-5.00\r\n"),
            ("\t=1", "'\t=1,-5.00\r\n"),
            ("\tplain", "'\tplain,-5.00\r\n"),
            ("\rplain", "\"'\rplain\",-5.00\r\n"),
            ("＝1", "'＝1,-5.00\r\n"),
            ("1=1", "1=1,-5.00\r\n"),
            ("'=1", "'=1,-5.00\r\n"),
            ("", ",-5.00\r\n"),
        ] {
            assert_eq!(written(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_would_end_a_field_is_quoted() {
        assert_eq!(written("a,\"b\"\r\nc"), "\"a,\"\"b\"\"\r\nc\",-5.00\r\n");
        assert_eq!(written("=HYPERLINK(\"x\",\"y\")"), "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\",-5.00\r\n");
    }
}
