//! What must be taken out of a text before anybody may see it.
//!
//! Providers echo: a 404 page shows the address it was asked for, and Vima's key is in the address. So every text of a
//! provider passes a [`Redactor`] that knows the secrets in each form they may come back in. Looking for `apikey=` and
//! the like was rejected: it finds a secret by the company it keeps.
//!
//! Payers are no secrets of ours but nobody's business either: of an answer in JSON only the shape is shown.

use reqwest::Url;

use crate::domain::secret::Secret;

const REDACTED: &str = "[redacted]";
/// How much of a provider's text a person gets to see, in characters.
const SHOWN: usize = 200;
/// How much of a provider's text is looked at for that, in bytes: more, so that no secret is cut before it is found.
const LOOKED_AT: usize = 8 * 1024;
/// As many digits in a row are taken for somebody's phone or account.
const TELLING_DIGITS: usize = 7;

/// Knows the secrets of a request, and takes them out of texts.
#[derive(Clone)]
pub(super) struct Redactor {
    /// Every form of every secret, in lower case, the longest first: a form may be part of a longer one.
    forms: Vec<String>,
}

impl Redactor {
    pub(super) fn new(secrets: &[&Secret]) -> Self {
        Self { forms: Vec::new() }.with(secrets)
    }

    /// The same, knowing some more.
    pub(super) fn with(&self, secrets: &[&Secret]) -> Self {
        let mut forms = self.forms.clone();
        forms.extend(secrets.iter().flat_map(|secret| forms_of(secret.expose())));
        forms.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        forms.dedup();
        Self { forms }
    }

    /// The text without the secrets, whatever their case.
    pub(super) fn redact(&self, text: &str) -> String {
        self.forms.iter().fold(text.to_owned(), |text, form| without(&text, form))
    }

    /// What a person may see of a message, cut to one line's length.
    pub(super) fn message(&self, text: &str) -> String {
        let redacted = self.redact(head(text));
        let words = redacted.split_whitespace().collect::<Vec<_>>().join(" ");
        words.chars().take(SHOWN).collect()
    }

    /// The beginning of an answer that could not be read.
    pub(super) fn excerpt(&self, answer: &str) -> String {
        let shown = self.message(answer);
        if shown.starts_with(['{', '[', '"']) { shape_of(&shown) } else { shown }
    }
}

/// The forms in which a secret may come back: as it is, in an address, in JSON.
fn forms_of(secret: &str) -> Vec<String> {
    if secret.is_empty() {
        return Vec::new();
    }
    let mut forms = vec![secret.to_ascii_lowercase()];
    if let Ok(address) = Url::parse_with_params("http://x/", [("k", secret)]) {
        let encoded = address.query().unwrap_or_default().trim_start_matches("k=").to_ascii_lowercase();
        forms.push(encoded.replace('+', "%20"));
        forms.push(encoded);
    }
    if let Ok(quoted) = serde_json::to_string(secret) {
        forms.push(quoted.trim_matches('"').to_ascii_lowercase());
    }
    forms
}

/// `text` without `form`, which is in lower case.
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

/// The first [`LOOKED_AT`] bytes, to a whole character.
fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(LOOKED_AT)]
}

/// JSON, perhaps cut off, with its names but without its values.
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

/// What is inside a JSON string, without its opening quote, and what follows it.
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

/// The text with its long runs of digits taken out.
fn without_numbers(text: &str) -> String {
    text.split_inclusive(|c: char| !c.is_ascii_digit())
        .map(|run| {
            let digits = run.trim_end_matches(|c: char| !c.is_ascii_digit());
            if digits.len() < TELLING_DIGITS { run.to_owned() } else { format!("…{}", &run[digits.len()..]) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form_it_may_come_back_in() {
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
    fn a_secret_is_found_before_the_text_is_cut() {
        let secret = Secret::new("0123456789abcdef");
        let text = format!("<html>{}0123456789abcdef", "x".repeat(SHOWN - 10));
        let excerpt = Redactor::new(&[&secret]).excerpt(&text);
        assert!(excerpt.chars().count() <= SHOWN && !excerpt.contains("0123"), "{excerpt}");
    }

    #[test]
    fn the_longer_secret_goes_first() {
        let (short, long) = (Secret::new("abc"), Secret::new("abcdef"));
        assert_eq!(Redactor::new(&[&short, &long]).redact("abcdef abc"), "[redacted] [redacted]");
    }

    #[test]
    fn of_json_only_the_shape_is_shown() {
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
        fn no_text_is_too_odd(text in ".*", secret in ".*") {
            let redactor = Redactor::new(&[&Secret::new(secret)]);
            let _ = redactor.excerpt(&text);
            let _ = shape_of(&text);
        }
    }
}
