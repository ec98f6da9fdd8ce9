//! The records of a provider's page: payments, and records that could not be read.

use super::transaction::{Kind, Source, Transaction};

#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    Payment(Box<Transaction>),
    /// Goes to quarantine, while the rest of the page is stored.
    Malformed(Malformed),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    pub source: Source,
    /// The list that contained it.
    pub kind: Kind,
    /// `None` if not even the id could be read.
    pub source_id: Option<String>,
    /// A sentence that names the field.
    pub reason: String,
    /// The record exactly as the provider sent it.
    pub raw: String,
}

/// The raw bytes of a record as text that any JSON parser and terminal accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadableText {
    /// Every NUL and every invalid UTF-8 sequence is replaced by U+FFFD.
    pub text: String,
    /// A sentence about the replacements; `None` if there are none.
    pub replaced: Option<String>,
}

impl ReadableText {
    #[must_use]
    pub fn new(raw: &[u8]) -> Self {
        let (mut text, mut nuls, mut sequences) = (String::new(), 0, 0);
        for chunk in raw.utf8_chunks() {
            nuls += chunk.valid().matches('\0').count();
            text.push_str(&chunk.valid().replace('\0', "\u{fffd}"));
            if !chunk.invalid().is_empty() {
                sequences += 1;
                text.push('\u{fffd}');
            }
        }
        let replaced = (nuls + sequences > 0)
            .then(|| format!("U+FFFD replaces {nuls} NULs and {sequences} sequences of bytes that are not UTF-8"));
        Self { text, replaced }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_and_invalid_utf8_are_replaced_and_counted() {
        for (raw, text, replaced) in [
            (&b"{\"a\":\"\\u0000 \xc3\xa9\"}"[..], "{\"a\":\"\\u0000 \u{e9}\"}", None),
            (b"", "", None),
            (b"a\0b\0", "a\u{fffd}b\u{fffd}", Some("2 NULs and 0 sequences")),
            (b"\xff\xfea\xe2\x82", "\u{fffd}\u{fffd}a\u{fffd}", Some("0 NULs and 3 sequences")),
        ] {
            let readable = ReadableText::new(raw);
            assert_eq!(readable.text, text);
            match (readable.replaced, replaced) {
                (None, None) => {}
                (Some(sentence), Some(expected)) => assert!(sentence.contains(expected), "{sentence}"),
                (sentence, expected) => panic!("{sentence:?} instead of {expected:?}"),
            }
        }
    }
}
