//! Text by commas, as RFC 4180 has it, that a spreadsheet opens without running anything of it.
//!
//! The rules are few and the bytes go straight into the chunk that is sent, so they are written here; the `csv` crate,
//! which would keep a buffer of its own, reads what was written in the tests instead.

use chrono_tz::Tz;
use uuid::Uuid;

use super::columns::{Column, Value, told_in};
use crate::domain::money::format_decimal;

/// Tells Excel that the text is UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Writes the names of the columns.
pub(super) fn head<R>(columns: &[&Column<R>], excel: bool, out: &mut Vec<u8>) {
    if excel {
        out.extend_from_slice(BYTE_ORDER_MARK.as_bytes());
    }
    line(columns.iter(), out, |column, out| quoted(column.name, out));
}

/// Writes a row.
pub(super) fn row<R>(columns: &[&Column<R>], zone: Tz, row: &R, out: &mut Vec<u8>) {
    line(columns.iter(), out, |column, out| field(&column.value(row), zone, out));
}

fn line<T>(fields: impl Iterator<Item = T>, out: &mut Vec<u8>, write: impl Fn(T, &mut Vec<u8>)) {
    for (place, field) in fields.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write(field, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Only what somebody wrote can be a formula: a negative amount is a number, and stays one.
fn field(value: &Value<'_>, zone: Tz, out: &mut Vec<u8>) {
    let plain = |text: &str, out: &mut Vec<u8>| out.extend_from_slice(text.as_bytes());
    match value {
        Value::Empty => {}
        Value::Text(text) if is_formula(text) => quoted(&format!("'{text}"), out),
        Value::Text(text) => quoted(text, out),
        Value::Id(id) => plain(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()), out),
        Value::Word(word) => plain(word, out),
        Value::Words(words) => quoted(&words.join(","), out),
        Value::Count(count) => plain(&count.to_string(), out),
        Value::Flag(flag) => plain(&flag.to_string(), out),
        Value::Money(amount) | Value::Percent(amount) => plain(&format_decimal(*amount), out),
        Value::Day(day) => plain(&day.to_string(), out),
        Value::Time(time) => plain(&told_in(zone, *time), out),
        Value::Json(json) => quoted(&json.to_string(), out),
    }
}

/// The text, in quotes where it has to be.
fn quoted(text: &str, out: &mut Vec<u8>) {
    if !text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n')) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for (place, part) in text.split('"').enumerate() {
        if place > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}

/// Whether a spreadsheet would take the text for a formula (OWASP, "CSV Injection"), and an apostrophe has to stand before
/// it: blanks before the sign do not help, and some read the signs' wide forms too.
fn is_formula(text: &str) -> bool {
    let sign = |first: char| matches!(first, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠');
    text.starts_with(['\t', '\r', '\n']) || text.trim_start().starts_with(sign)
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
