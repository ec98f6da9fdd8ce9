//! CSV (RFC 4180) that a spreadsheet opens without running formulas.
//!
//! The rules are few and the bytes go straight into the chunk that is sent, so this module implements them; the `csv`
//! crate, whose writer has its own buffer, only reads the result in tests.

use chrono_tz::Tz;
use uuid::Uuid;

use super::columns::{Column, Value};
use super::digits::{write_decimal, write_time};

/// Makes Excel detect UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

pub(super) fn write_header<R>(columns: &[&Column<R>], excel: bool, out: &mut Vec<u8>) {
    if excel {
        out.extend_from_slice(BYTE_ORDER_MARK.as_bytes());
    }
    write_line(columns.iter(), out, |column, out| write_quoted(column.name, out));
}

pub(super) fn write_row<R>(columns: &[&Column<R>], zone: Tz, row: &R, out: &mut Vec<u8>) {
    write_line(columns.iter(), out, |column, out| write_value(&column.value(row), zone, out));
}

fn write_line<T>(fields: impl Iterator<Item = T>, out: &mut Vec<u8>, write: impl Fn(T, &mut Vec<u8>)) {
    for (index, field) in fields.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(field, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Only free text is protected against formulas: a negative amount stays a number.
fn write_value(value: &Value<'_>, zone: Tz, out: &mut Vec<u8>) {
    let write = |text: &str, out: &mut Vec<u8>| out.extend_from_slice(text.as_bytes());
    match value {
        Value::Empty => {}
        Value::Text(text) if is_formula(text) => write_quoted(&format!("'{text}"), out),
        Value::Text(text) => write_quoted(text, out),
        Value::Id(id) => write(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()), out),
        Value::Keyword(keyword) => write(keyword, out),
        Value::Keywords(keywords) => write_quoted(&keywords.join(","), out),
        Value::Count(count) => write(&count.to_string(), out),
        Value::Flag(flag) => write(&flag.to_string(), out),
        Value::Money(amount) | Value::Percent(amount) => write_decimal(*amount, out),
        Value::Day(day) => write(&day.to_string(), out),
        Value::Time(time) => write_time(zone, *time, out),
        Value::Json(json) => write_quoted(&json.to_string(), out),
    }
}

/// Writes the text, with quotes if it needs them.
fn write_quoted(text: &str, out: &mut Vec<u8>) {
    if !text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n')) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for (index, part) in text.split('"').enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}

/// Whether a spreadsheet would treat the text as a formula (OWASP, "CSV Injection"), so that it needs an apostrophe in front.
/// Leading blanks do not prevent it, and some spreadsheets accept the full-width signs too.
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
        write_row(&COLUMNS.iter().collect::<Vec<_>>(), Tz::UTC, &text, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn formulas_are_written_as_text() {
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
    fn separators_and_quotes_are_quoted() {
        assert_eq!(written("a,\"b\"\r\nc"), "\"a,\"\"b\"\"\r\nc\",-5.00\r\n");
        assert_eq!(written("=HYPERLINK(\"x\",\"y\")"), "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\",-5.00\r\n");
    }
}
