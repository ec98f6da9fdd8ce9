//! What a provider's page is made of: payments that could be read, and records that could not.

use super::transaction::{Kind, Source, Transaction};

/// One record of a page.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// It could be read.
    Payment(Box<Transaction>),
    /// It could not: it goes to quarantine, and the rest of the page is stored.
    Malformed(Malformed),
}

/// A record that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Whose record it is.
    pub source: Source,
    /// The list it came from.
    pub kind: Kind,
    /// The provider's id, where at least that could be read.
    pub source_id: Option<String>,
    /// Why it could not be read, in a sentence that names the field.
    pub reason: String,
    /// The record as the provider sent it, to the letter.
    pub raw: String,
}

/// A record that could not be read, as text that any reader of JSON and any terminal can take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadableText {
    /// The text. U+FFFD stands for every NUL, and for every stretch of bytes that is no UTF-8.
    pub text: String,
    /// What was replaced, in words; none where the text is the record to the letter.
    pub replaced: Option<String>,
}

impl ReadableText {
    /// The text of `raw`.
    #[must_use]
    pub fn new(raw: &[u8]) -> Self {
        let (mut text, mut nuls, mut stretches) = (String::new(), 0, 0);
        for chunk in raw.utf8_chunks() {
            nuls += chunk.valid().matches('\0').count();
            text.push_str(&chunk.valid().replace('\0', "\u{fffd}"));
            if !chunk.invalid().is_empty() {
                stretches += 1;
                text.push('\u{fffd}');
            }
        }
        let replaced = (nuls + stretches > 0)
            .then(|| format!("U+FFFD stands for {nuls} NULs and for {stretches} stretches of bytes that are no UTF-8"));
        Self { text, replaced }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_text_can_hold_is_replaced_and_said() {
        for (raw, text, replaced) in [
            (&b"{\"a\":\"\\u0000 \xc3\xa9\"}"[..], "{\"a\":\"\\u0000 \u{e9}\"}", None),
            (b"", "", None),
            (b"a\0b\0", "a\u{fffd}b\u{fffd}", Some("2 NULs and for 0 stretches")),
            (b"\xff\xfea\xe2\x82", "\u{fffd}\u{fffd}a\u{fffd}", Some("0 NULs and for 3 stretches")),
        ] {
            let readable = ReadableText::new(raw);
            assert_eq!(readable.text, text);
            match (readable.replaced, replaced) {
                (None, None) => {}
                (Some(said), Some(expected)) => assert!(said.contains(expected), "{said}"),
                (said, expected) => panic!("{said:?} instead of {expected:?}"),
            }
        }
    }
}
