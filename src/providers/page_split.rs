//! Splits a page that is not valid JSON into its records, so that one invalid record costs one record.
//!
//! Valid pages never come here. In an invalid page, each record that is valid JSON is taken as it is. A record with an
//! invalid value still ends where its brackets balance ([`structure`](super::structure)). If even its quotes or brackets are
//! unbalanced, it ends before the next object with an id, or at the end of the list if the rest of the page fits together
//! there. When several records may be in such a gap, the page is an error: rather read it again than lose a record. A page
//! that ends too early is always an error.

use serde_json::value::RawValue;

use super::structure::{StructureError, member_name, members, repair, skip_blanks, value_end};

/// How often one page is searched for the end of an invalid record; a limit for hostile pages.
const MAX_ATTEMPTS: usize = 1000;

/// Where the pages of a list have their records.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageShape {
    /// The names that lead to an array of records; an empty path is the page itself.
    pub(super) lists: &'static [&'static [&'static str]],
    /// The names that lead to a single record.
    pub(super) single: Option<&'static [&'static str]>,
    /// The names of the records' ids. An object without any of them is part of a record.
    pub(super) ids: &'static [&'static str],
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct SplitPage<'a> {
    /// The page with an empty list, as valid JSON.
    pub(super) envelope: String,
    /// Without surrounding blanks.
    pub(super) records: Vec<&'a str>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SplitError {
    #[error("it has no list of records")]
    NoList,
    #[error("{0} occurs twice")]
    Repeated(String),
    #[error("its records cannot be separated after byte {at}")]
    Ambiguous { at: usize },
    #[error(transparent)]
    Structure(#[from] StructureError),
}

/// # Errors
/// The page must be read again: it is truncated, or its records cannot be separated with certainty.
pub(super) fn split<'a>(page: &'a str, shape: &PageShape) -> Result<SplitPage<'a>, SplitError> {
    if let Some(start) = shape.lists.iter().find_map(|path| find_value(page, path, '[')) {
        let mut splitter = Splitter { page, start, shape, attempts: MAX_ATTEMPTS };
        let (records, end) = splitter.records()?;
        return Ok(SplitPage { envelope: splitter.envelope(end)?, records });
    }
    let start = shape.single.and_then(|path| find_value(page, path, '{')).ok_or(SplitError::NoList)?;
    let end = value_end(page, start)?;
    let envelope = Splitter { page, start, shape, attempts: 0 }.envelope(end)?;
    Ok(SplitPage { envelope, records: vec![&page[start..end]] })
}

/// The position of the value at a path, if it begins with `bracket`.
fn find_value(page: &str, path: &[&str], bracket: char) -> Option<usize> {
    let mut at = skip_blanks(page, 0);
    for name in path {
        if !page[at..].starts_with('{') {
            return None;
        }
        at = find_member(page, at + 1, name)?;
    }
    page[at..].starts_with(bracket).then_some(at)
}

/// The position of the value of the first member `name` of the object whose members begin at `at`.
fn find_member(page: &str, mut at: usize, name: &str) -> Option<usize> {
    loop {
        let (found, start) = member_name(page, at).ok()?;
        if found == name {
            return Some(start);
        }
        at = skip_blanks(page, value_end(page, start).ok()?);
        if !page[at..].starts_with(',') {
            return None;
        }
        at += 1;
    }
}

struct Splitter<'a, 's> {
    page: &'a str,
    /// The position of the list, or of the single record.
    start: usize,
    shape: &'s PageShape,
    attempts: usize,
}

impl<'a> Splitter<'a, '_> {
    /// The records, and the position after the list.
    fn records(&mut self) -> Result<(Vec<&'a str>, usize), SplitError> {
        let mut records = vec![];
        let mut at = skip_blanks(self.page, self.start + 1);
        if self.page[at..].starts_with(']') {
            return Ok((records, at + 1));
        }
        loop {
            let end = self.record_end(at)?;
            records.push(self.page[at..end].trim_end());
            let next = skip_blanks(self.page, end);
            if self.page[next..].starts_with(']') {
                return Ok((records, next + 1));
            }
            at = skip_blanks(self.page, next + 1);
        }
    }

    /// The position after the record at `at`. A comma or the end of the list follows.
    fn record_end(&mut self, at: usize) -> Result<usize, SplitError> {
        if let Some(end) = valid_end(self.page, at).filter(|end| self.is_followed(*end)) {
            return Ok(end);
        }
        match value_end(self.page, at) {
            Ok(end) if self.is_followed(end) => Ok(end),
            Err(StructureError::Truncated) => Err(StructureError::Truncated.into()),
            Ok(_) | Err(_) => self.gap_end(at),
        }
    }

    fn is_followed(&self, end: usize) -> bool {
        self.page[skip_blanks(self.page, end)..].starts_with([',', ']'])
    }

    /// The position after the record at `at`, whose quotes or brackets are unbalanced.
    fn gap_end(&mut self, at: usize) -> Result<usize, SplitError> {
        let ambiguous = SplitError::Ambiguous { at };
        let end = self.before_next_record(at).or_else(|| self.end_of_list(at)).ok_or(ambiguous.clone())?;
        let gap = &self.page[at..end];
        let has_several = |id: &&str| gap.matches(&format!("\"{id}\"")).count() > 1;
        if self.shape.ids.iter().any(has_several) { Err(ambiguous) } else { Ok(end) }
    }

    /// The position of the comma before the next record after `at`.
    fn before_next_record(&mut self, at: usize) -> Option<usize> {
        for (offset, _) in self.page[at..].match_indices('{').filter(|(offset, _)| *offset > 0) {
            let before = self.page[at..at + offset].trim_end();
            let Some(before) = before.strip_suffix(',') else { continue };
            self.attempts = self.attempts.checked_sub(1)?;
            if self.is_record(at + offset) {
                return Some(at + before.len());
            }
        }
        None
    }

    /// Whether the object at `start` begins with an id, or has one and balanced brackets.
    fn is_record(&self, start: usize) -> bool {
        let is_id = |name: &str| self.shape.ids.contains(&name);
        if member_name(self.page, start + 1).is_ok_and(|(name, _)| is_id(&name)) {
            return true;
        }
        let end = value_end(self.page, start).ok().filter(|end| self.is_followed(*end));
        let members = end.and_then(|end| members(&self.page[start..end]).ok());
        members.is_some_and(|members| members.iter().any(|(name, _)| is_id(name)))
    }

    /// The position of the end of the list after `at`, if the rest of the page fits together there.
    fn end_of_list(&mut self, at: usize) -> Option<usize> {
        for (offset, _) in self.page[at..].match_indices(']') {
            self.attempts = self.attempts.checked_sub(1)?;
            let end = at + offset;
            if self.envelope(end + 1).is_ok() {
                return Some(end);
            }
        }
        None
    }

    /// The page without the records, which end at `end`.
    fn envelope(&self, end: usize) -> Result<String, SplitError> {
        let names: Vec<&str> = self.shape.lists.iter().chain(&self.shape.single).copied().flatten().copied().collect();
        let repaired = repair(&format!("{}[]{}", &self.page[..self.start], &self.page[end..]), &names)?;
        repaired.repeated.map_or(Ok(repaired.json), |name| Err(SplitError::Repeated(name)))
    }
}

/// The position after the valid JSON value at `at`.
fn valid_end(page: &str, at: usize) -> Option<usize> {
    let mut values = serde_json::Deserializer::from_str(&page[at..]).into_iter::<&RawValue>();
    values.next()?.ok()?;
    Some(at + values.byte_offset())
}

#[cfg(test)]
mod tests;
