//! Keeps log lines short enough for the hosts that collect them.
//!
//! Heroku's collector splits lines at 10,000 bytes, and half a JSON object is no longer found by its fields. So a longer line
//! loses the ends of its longest texts, each marked with the number of bytes that are missing, and stays valid JSON. A line of
//! the readable format is cut.

use std::io::{self, Write};

use serde_json::{Map, Value, json};
use tracing_subscriber::fmt::MakeWriter;

use crate::progress::beside_bars;

/// In bytes, with its line feed. The host puts a time and a name before it.
const MAX_LINE: usize = 9_500;
/// To which lengths texts are cut, in bytes, until the line fits.
const TEXT_LENGTHS: [usize; 3] = [4_000, 1_000, 100];
/// What is kept of a line that has too many fields.
const ESSENTIAL: [&str; 5] = ["timestamp", "level", "message", "target", "error"];

/// Writes to standard error. `tracing_subscriber` writes each line at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct LimitedLines;

impl<'a> MakeWriter<'a> for LimitedLines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl Write for LimitedLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let shortened = (line.len() > MAX_LINE).then(|| shorten(&String::from_utf8_lossy(line)));
        let written = shortened.as_deref().map_or(line, str::as_bytes);
        beside_bars(|| io::stderr().lock().write_all(written))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn shorten(line: &str) -> String {
    match serde_json::from_str::<Map<String, Value>>(line) {
        Ok(fields) => shorten_fields(fields, line.len()),
        Err(_) => format!("{}\n", cut(line.trim_end(), MAX_LINE - 64)),
    }
}

fn shorten_fields(fields: Map<String, Value>, length: usize) -> String {
    let mut line = Value::Object(fields);
    for max in TEXT_LENGTHS {
        cut_texts(&mut line, max);
        let text = format!("{line}\n");
        if text.len() <= MAX_LINE {
            return text;
        }
    }
    let kept = ESSENTIAL.iter().filter_map(|name| Some(((*name).to_owned(), line.get(name)?.clone())));
    let mut kept: Map<String, Value> = kept.filter(|(_, value)| !value.is_object() && !value.is_array()).collect();
    kept.insert("truncated_bytes".to_owned(), json!(length));
    format!("{}\n", Value::Object(kept))
}

fn cut_texts(value: &mut Value, max: usize) {
    match value {
        Value::String(text) if text.len() > max => *text = cut(text, max),
        Value::Array(values) => values.iter_mut().for_each(|value| cut_texts(value, max)),
        Value::Object(fields) => fields.iter_mut().for_each(|(_, value)| cut_texts(value, max)),
        _ => {}
    }
}

fn cut(text: &str, max: usize) -> String {
    let kept = &text[..text.floor_char_boundary(max)];
    format!("{kept}… [{} bytes truncated]", text.len() - kept.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_short(line: &str) -> String {
        let short = shorten(line);
        assert!(short.len() <= MAX_LINE, "{} bytes", short.len());
        assert!(short.ends_with('\n') && short.matches('\n').count() == 1, "{short}");
        assert!(short.contains("truncated"), "{short}");
        short
    }

    #[test]
    fn long_lines_stay_valid_json_with_all_fields() {
        let huge = "é\"\n".repeat(50_000);
        for line in [
            json!({"level": "WARN", "message": "attempt ended", "error": huge, "kind": "sync-vima"}),
            json!({"level": "WARN", "message": "attempt ended", "error": huge, "kind": "sync-vima", "span": {"path": huge}}),
            json!({"level": "WARN", "message": huge, "kind": "sync-vima", "spans": [{"a": huge}, {"b": huge}]}),
        ] {
            let short = assert_short(&format!("{line}\n"));
            let fields: Value = serde_json::from_str(&short).expect("valid JSON");
            assert_eq!((&fields["level"], &fields["kind"]), (&json!("WARN"), &json!("sync-vima")), "{short}");
            assert!(fields.as_object().map(Map::len) == line.as_object().map(Map::len), "{short}");
        }
    }

    #[test]
    fn line_with_too_many_fields_keeps_the_essential_ones() {
        let mut line = json!({"level": "ERROR", "message": "boom", "error": "x".repeat(20_000)});
        for number in 0..2_000 {
            line[format!("field{number}")] = json!(number);
        }
        let fields: Value = serde_json::from_str(&assert_short(&format!("{line}\n"))).expect("valid JSON");
        assert_eq!((&fields["level"], &fields["message"]), (&json!("ERROR"), &json!("boom")));
        assert!(fields["truncated_bytes"].as_u64().is_some_and(|bytes| bytes > 20_000), "{fields}");
    }

    #[test]
    fn readable_lines_are_cut() {
        let short = assert_short(&format!("2026-01-15 WARN {}\n", "é".repeat(20_000)));
        assert!(short.starts_with("2026-01-15 WARN é"), "{short}");
    }
}
