//! Removes secrets and personal data from provider texts before they reach a log, an error or a status.
//!
//! Providers echo requests: a 404 page shows the requested URL, and Vima's key is in the URL. So every provider text passes
//! a [`Redactor`] that knows each encoding of the secrets. Searching for `apikey=` and similar patterns was rejected: it
//! finds only secrets in expected places.
//!
//! Of a JSON response only the structure is shown, because its values may be personal data.

use reqwest::Url;

use crate::domain::secret::Secret;

const REDACTED: &str = "[redacted]";
/// In characters.
const MAX_MESSAGE: usize = 200;
/// How many bytes are searched for secrets: more than are shown, so that no secret is cut before it is found.
const SEARCHED_BYTES: usize = 8 * 1024;
/// A run of this many digits is treated as a phone or account number.
const PERSONAL_DIGITS: usize = 7;

#[derive(Clone)]
pub(super) struct Redactor {
    /// Every encoding of every secret, in lower case, longest first, because one may contain another.
    forms: Vec<String>,
}

impl Redactor {
    pub(super) fn new(secrets: &[&Secret]) -> Self {
        Self { forms: Vec::new() }.with(secrets)
    }

    /// A copy with additional secrets.
    pub(super) fn with(&self, secrets: &[&Secret]) -> Self {
        let mut forms = self.forms.clone();
        forms.extend(secrets.iter().flat_map(|secret| forms_of(secret.expose())));
        forms.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        forms.dedup();
        Self { forms }
    }

    /// Replaces all secrets, ignoring case.
    pub(super) fn redact(&self, text: &str) -> String {
        self.forms.iter().fold(text.to_owned(), |text, form| without(&text, form))
    }

    /// A redacted single line of at most [`MAX_MESSAGE`] characters.
    pub(super) fn message(&self, text: &str) -> String {
        let redacted = self.redact(head(text));
        let words = redacted.split_whitespace().collect::<Vec<_>>().join(" ");
        words.chars().take(MAX_MESSAGE).collect()
    }

    /// The redacted beginning of a response that could not be parsed.
    pub(super) fn excerpt(&self, response: &str) -> String {
        let shown = self.message(response);
        if shown.starts_with(['{', '[', '"']) { shape_of(&shown) } else { shown }
    }
}

/// The encodings in which a secret may be echoed: plain, in a URL, in JSON.
fn forms_of(secret: &str) -> Vec<String> {
    if secret.is_empty() {
        return Vec::new();
    }
    let mut forms = vec![secret.to_ascii_lowercase()];
    if let Ok(url) = Url::parse_with_params("http://x/", [("k", secret)]) {
        let encoded = url.query().unwrap_or_default().trim_start_matches("k=").to_ascii_lowercase();
        forms.push(encoded.replace('+', "%20"));
        forms.push(encoded);
    }
    if let Ok(quoted) = serde_json::to_string(secret) {
        forms.push(quoted.trim_matches('"').to_ascii_lowercase());
    }
    forms
}

/// Replaces `form`, which must be in lower case.
fn without(text: &str, form: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut clean = String::with_capacity(text.len());
    let mut end = 0;
    for (start, found) in lower.match_indices(form) {
        clean.push_str(&text[end..start]);
        clean.push_str(REDACTED);
        end = start + found.len();
    }
    clean.push_str(&text[end..]);
    clean
}

/// The first [`SEARCHED_BYTES`] bytes, cut at a character boundary.
fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(SEARCHED_BYTES)]
}

/// JSON, possibly truncated, with its names but without its values.
fn shape_of(json: &str) -> String {
    let mut shape = String::new();
    let mut rest = json;
    while let Some(quote) = rest.find('"') {
        shape.push_str(&without_numbers(&rest[..quote]));
        let (text, after) = split_string(&rest[quote + 1..]);
        let is_name = after.trim_start().starts_with(':');
        let shown = if is_name { text } else { "…" };
        shape.extend(["\"", shown, "\""]);
        rest = after;
    }
    shape.push_str(&without_numbers(rest));
    shape
}

/// Splits after the closing quote of a JSON string whose opening quote was removed.
fn split_string(text: &str) -> (&str, &str) {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return (&text[..at], &text[at + 1..]),
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    (text, "")
}

/// Removes long runs of digits.
fn without_numbers(text: &str) -> String {
    text.split_inclusive(|c: char| !c.is_ascii_digit())
        .map(|run| {
            let digits = run.trim_end_matches(|c: char| !c.is_ascii_digit());
            if digits.len() < PERSONAL_DIGITS { run.to_owned() } else { format!("…{}", &run[digits.len()..]) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_redacted_in_every_encoding() {
        let secret = Secret::new("k/e y+\"Z");
        let redactor = Redactor::new(&[&secret]);
        for text in [
            "k/e y+\"Z",
            "K/E Y+\"z",
            "GET /operation?apikey=k%2Fe+y%2B%22Z&count=100 not found",
            "k%2fe%20y%2b%22z",
            r#"{"apikey":"k/e y+\"Z"}"#,
        ] {
            let clean = redactor.redact(text);
            assert!(clean.contains(REDACTED), "{text} -> {clean}");
            assert!(!clean.to_lowercase().contains("%2b%22z") && !clean.contains("e y+"), "{text} -> {clean}");
        }
    }

    #[test]
    fn secret_is_redacted_before_the_text_is_cut() {
        let secret = Secret::new("0123456789abcdef");
        let text = format!("<html>{}0123456789abcdef", "x".repeat(MAX_MESSAGE - 10));
        let excerpt = Redactor::new(&[&secret]).excerpt(&text);
        assert!(excerpt.chars().count() <= MAX_MESSAGE && !excerpt.contains("0123"), "{excerpt}");
    }

    #[test]
    fn longer_secret_is_redacted_first() {
        let (short, long) = (Secret::new("abc"), Secret::new("abcdef"));
        assert_eq!(Redactor::new(&[&short, &long]).redact("abcdef abc"), "[redacted] [redacted]");
    }

    #[test]
    fn json_excerpt_shows_only_the_structure() {
        let redactor = Redactor::new(&[]);
        for (answer, expected) in [
            (r#"[{"contact": "payer@example.com", "n": 9000000001, "m": 12"#, r#"[{"contact": "…", "n": …, "m": 12"#),
            (r#"{"a \"b": ["Asha", {"payerName" : "As"#, r#"{"a \"b": ["…", {"payerName" : "…""#),
            ("<html>\n  <h1>502 Bad Gateway</h1>", "<html> <h1>502 Bad Gateway</h1>"),
            ("", ""),
        ] {
            assert_eq!(redactor.excerpt(answer), expected, "{answer}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_can_be_redacted(text in ".*", secret in ".*") {
            let redactor = Redactor::new(&[&Secret::new(secret)]);
            let _ = redactor.excerpt(&text);
            let _ = shape_of(&text);
        }
    }
}
