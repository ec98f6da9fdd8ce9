//! The structure of JSON that a strict parser rejects: where a value ends, and which members an object has.
//!
//! Providers send `NaN`, raw control characters, unknown escapes and leading zeros. None of these hides where a value ends,
//! so here a string may contain anything but an unescaped quote, and a scalar is any text without structural characters.
//! Everything else must be as in JSON: after an unbalanced quote or bracket, every guess about the structure may be wrong, so
//! that is an error. Relaxed parsers (JSON5 and similar) were rejected: they accept what is not JSON instead of finding where
//! it ends.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::IgnoredAny;

/// PostgreSQL and most parsers fail at deep nesting; no record has more than a dozen levels.
pub(super) const MAX_DEPTH: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum StructureError {
    #[error("the text ends inside a value")]
    Truncated,
    #[error("the text ends inside a string")]
    OpenString,
    #[error("the brackets, commas or quotes are wrong at byte {at}")]
    Unexpected { at: usize },
    #[error("the nesting is deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// JSON without invalid values and repeated names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repaired {
    pub(super) json: String,
    /// A name that may occur only once but occurs several times in one object; its value is null in `json`.
    pub(super) repeated: Option<String>,
}

/// Rewrites `text` as valid JSON: an invalid scalar becomes null, and the last of several members with the same name wins,
/// except for the names in `once`.
pub(super) fn repair(text: &str, once: &[&str]) -> Result<Repaired, StructureError> {
    let (start, end) = whole_value(text)?;
    let mut repaired = Repaired { json: String::with_capacity(text.len()), repeated: None };
    write_repaired(&mut repaired, &text[start..end], once)?;
    Ok(repaired)
}

/// Recursive: [`value_end`] has checked the depth.
fn write_repaired(repaired: &mut Repaired, value: &str, once: &[&str]) -> Result<(), StructureError> {
    match value.as_bytes().first() {
        Some(b'{') => {
            let members = members(value)?;
            let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for (name, value) in &members {
                values.entry(name).or_default().push(value);
            }
            repaired.json.push('{');
            for (index, (name, values)) in values.into_iter().enumerate() {
                repaired.json.push_str(if index > 0 { "," } else { "" });
                repaired.json.push_str(&serde_json::Value::from(name).to_string());
                repaired.json.push(':');
                match values.last() {
                    Some(last) if values.len() == 1 || !once.contains(&name) => write_repaired(repaired, last, once)?,
                    _ => {
                        repaired.repeated.get_or_insert_with(|| name.to_owned());
                        repaired.json.push_str("null");
                    }
                }
            }
            repaired.json.push('}');
        }
        Some(b'[') => {
            repaired.json.push('[');
            for (index, element) in elements(value)?.into_iter().enumerate() {
                if index > 0 {
                    repaired.json.push(',');
                }
                write_repaired(repaired, element, once)?;
            }
            repaired.json.push(']');
        }
        _ => repaired.json.push_str(if is_valid(value) { value } else { "null" }),
    }
    Ok(())
}

/// Whether `text` is valid JSON.
pub(super) fn is_valid(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Whether the nesting of valid JSON exceeds [`MAX_DEPTH`].
pub(super) fn is_too_deep(json: &str) -> bool {
    let brackets = json.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count();
    brackets > MAX_DEPTH && value_end(json, 0) == Err(StructureError::TooDeep)
}

/// The members of an object in their order, with the text of each value.
pub(super) fn members(object: &str) -> Result<Vec<(Cow<'_, str>, &str)>, StructureError> {
    let mut members = vec![];
    let mut at = skip_blanks(object, 1);
    while object.as_bytes().get(at) != Some(&b'}') {
        let (name, start) = member_name(object, at)?;
        let end = value_end(object, start)?;
        members.push((name, &object[start..end]));
        at = next_item(object, end, b'}')?;
    }
    Ok(members)
}

fn elements(array: &str) -> Result<Vec<&str>, StructureError> {
    let mut elements = vec![];
    let mut at = skip_blanks(array, 1);
    while array.as_bytes().get(at) != Some(&b']') {
        let end = value_end(array, at)?;
        elements.push(&array[at..end]);
        at = next_item(array, end, b']')?;
    }
    Ok(elements)
}

/// The position of the next item of an object or array after one that ends at `at`, or of the closing bracket.
fn next_item(text: &str, at: usize, closing: u8) -> Result<usize, StructureError> {
    let at = skip_blanks(text, at);
    match text.as_bytes().get(at) {
        None => Err(StructureError::Truncated),
        Some(b',') => Ok(skip_blanks(text, at + 1)),
        Some(byte) if *byte == closing => Ok(at),
        Some(_) => Err(StructureError::Unexpected { at }),
    }
}

/// The name at `at` and the position of its value.
pub(super) fn member_name(text: &str, at: usize) -> Result<(Cow<'_, str>, usize), StructureError> {
    let at = skip_blanks(text, at);
    expect(text, at, b'"')?;
    let end = string_end(text, at)?;
    let colon = skip_blanks(text, end);
    expect(text, colon, b':')?;
    let quoted = &text[at..end];
    let plain = &quoted[1..quoted.len() - 1];
    let name = if plain.contains('\\') {
        serde_json::from_str(quoted).map_or(Cow::Borrowed(plain), Cow::Owned)
    } else {
        Cow::Borrowed(plain)
    };
    Ok((name, skip_blanks(text, colon + 1)))
}

fn expect(text: &str, at: usize, byte: u8) -> Result<(), StructureError> {
    match text.as_bytes().get(at) {
        None => Err(StructureError::Truncated),
        Some(found) if *found == byte => Ok(()),
        Some(_) => Err(StructureError::Unexpected { at }),
    }
}

/// The range of the only value of `text`.
fn whole_value(text: &str) -> Result<(usize, usize), StructureError> {
    let start = skip_blanks(text, 0);
    let end = value_end(text, start)?;
    let after = skip_blanks(text, end);
    if after < text.len() { Err(StructureError::Unexpected { at: after }) } else { Ok((start, end)) }
}

/// The position after the value that begins at `at`, or at the first character after blanks there.
pub(super) fn value_end(text: &str, at: usize) -> Result<usize, StructureError> {
    let bytes = text.as_bytes();
    let mut open: Vec<u8> = vec![];
    let mut at = skip_blanks(text, at);
    loop {
        at = match bytes.get(at) {
            None => return Err(StructureError::Truncated),
            Some(bracket @ (b'{' | b'[')) => {
                if open.len() == MAX_DEPTH {
                    return Err(StructureError::TooDeep);
                }
                let closing = bracket + 2;
                let first = skip_blanks(text, at + 1);
                if bytes.get(first) == Some(&closing) {
                    first + 1
                } else {
                    open.push(closing);
                    at = item_start(text, first, closing)?;
                    continue;
                }
            }
            Some(b'"') => string_end(text, at)?,
            Some(b',' | b':' | b'}' | b']') => return Err(StructureError::Unexpected { at }),
            Some(_) => scalar_end(text, at),
        };
        // After a value: close what ends here, up to the next item.
        loop {
            let Some(closing) = open.last().copied() else { return Ok(at) };
            at = skip_blanks(text, at);
            match bytes.get(at) {
                None => return Err(StructureError::Truncated),
                Some(b',') => {
                    at = item_start(text, at + 1, closing)?;
                    break;
                }
                Some(byte) if *byte == closing => {
                    open.pop();
                    at += 1;
                }
                Some(_) => return Err(StructureError::Unexpected { at }),
            }
        }
    }
}

/// The position of the value of the item at `at`: in an object after its name.
fn item_start(text: &str, at: usize, closing: u8) -> Result<usize, StructureError> {
    if closing == b'}' { Ok(member_name(text, at)?.1) } else { Ok(skip_blanks(text, at)) }
}

/// The position after the string whose opening quote is at `at`.
pub(super) fn string_end(text: &str, at: usize) -> Result<usize, StructureError> {
    let mut escaped = false;
    for (offset, byte) in text.bytes().enumerate().skip(at + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Ok(offset + 1),
            _ => {}
        }
    }
    Err(StructureError::OpenString)
}

fn scalar_end(text: &str, at: usize) -> usize {
    let structural = |byte: u8| matches!(byte, b',' | b':' | b'{' | b'}' | b'[' | b']' | b'"');
    let length = text[at..].bytes().position(structural).unwrap_or(text.len() - at);
    at + text[at..at + length].trim_end_matches(is_blank).len()
}

pub(super) fn skip_blanks(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.len() - rest.trim_start_matches(is_blank).len()
}

fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests;
