//! The text of a response: its charset, byte order mark, and characters that JSON does not allow.
//!
//! One invalid character must not make a whole page unreadable, so what cannot be decoded is replaced, not refused.

use encoding_rs::{Encoding, UTF_8};
use tracing::warn;

const BOM: char = '\u{feff}';

/// Decodes a response by its byte order mark, or else the charset of its content type, or else as UTF-8. The byte order
/// mark is not part of the text.
pub(super) fn decode(bytes: Vec<u8>, content_type: Option<&str>) -> String {
    let declared = content_type.and_then(charset).and_then(|label| Encoding::for_label(label.as_bytes()));
    let encoding = Encoding::for_bom(&bytes).map(|(encoding, _)| encoding).or(declared).unwrap_or(UTF_8);
    let text = if encoding == UTF_8 { readable_text(bytes) } else { decode_as(encoding, &bytes) };
    text.strip_prefix(BOM).map(str::to_owned).unwrap_or(text)
}

fn decode_as(encoding: &'static Encoding, bytes: &[u8]) -> String {
    let (text, replaced) = encoding.decode_without_bom_handling(bytes);
    if replaced {
        warn!(charset = encoding.name(), "the response is not valid in its charset; invalid bytes were replaced");
    }
    without_nul(text.into_owned())
}

/// The `charset` of a content type such as `application/json; charset="utf-8"`.
fn charset(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']))
    })
}

/// Decodes UTF-8. Invalid bytes are replaced, and a bare NUL, which JSON allows only escaped, is escaped.
#[must_use]
pub fn readable_text(bytes: Vec<u8>) -> String {
    let text = String::from_utf8(bytes).unwrap_or_else(|error| {
        warn!("the response is not valid UTF-8; invalid bytes were replaced");
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    });
    without_nul(text)
}

fn without_nul(text: String) -> String {
    if text.contains('\0') {
        warn!("the response contains bare NULs; they were escaped");
        return text.replace('\0', "\\u0000");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charset_and_byte_order_mark_are_honoured() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let big_endian = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
        for (bytes, content_type, expected) in [
            ("[\"é\"]".into(), None, "[\"é\"]"),
            ("\u{feff}[1]".into(), Some("application/json"), "[1]"),
            (b"[\"Jos\xe9\"]".to_vec(), Some("application/json; charset=ISO-8859-1"), "[\"José\"]"),
            (b"[\"\x93\"]".to_vec(), Some("application/json;Charset=\"windows-1252\""), "[\"\u{201c}\"]"),
            (b"[\"Jos\xe9\"]".to_vec(), Some("application/json; charset=utf-8"), "[\"Jos\u{fffd}\"]"),
            (utf16("[\"é\"]"), Some("text/json; q=1; charset=utf-16"), "[\"é\"]"),
            (utf16("\u{feff}[1]"), None, "[1]"),
            (big_endian("\u{feff}[1]"), Some("application/json; charset=utf-8"), "[1]"),
            ("[1]".into(), Some("application/json; charset=klingon"), "[1]"),
            (b"[\"A\0\"]".to_vec(), Some("application/json; charset=latin1"), "[\"A\\u0000\"]"),
        ] {
            assert_eq!(decode(bytes, content_type), expected, "{content_type:?}");
        }
    }
}
