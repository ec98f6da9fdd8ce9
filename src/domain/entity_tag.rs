//! Entity tags (RFC 9110, section 8.8.3), and changes that are made only if no one else has changed the row since it was read.
//!
//! A tag is the version of a row, which the database counts. Rejected: a hash of the representation, which contains values of the
//! moment, such as an age in days, and would have to be made in SQL as well, where many rows are compared at once.

use std::fmt;

/// The version of a row, as a strong entity tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag(i64);

impl EntityTag {
    #[must_use]
    pub fn of_version(version: i64) -> Self {
        Self(version)
    }
}

/// As in the header, with its quotes.
impl fmt::Display for EntityTag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\"{}\"", self.0)
    }
}

/// `If-Match`: what must be true of a row for a change of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Precondition {
    /// There is no such header.
    #[default]
    None,
    /// `*`: the row exists.
    Exists,
    /// Its tag is one of these, which are as in the header. Weak ones never match.
    OneOf(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "If-Match must be * or a list of entity tags in double quotes, for example \"7\": send the ETag as it was received"
)]
pub struct MalformedTag;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it has changed since the version that If-Match names, and nothing was changed now: read it again, and repeat the change with \
     the ETag of that response if it is still wanted"
)]
pub struct PreconditionFailed;

impl Precondition {
    /// From the values of all `If-Match` headers of a request.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, MalformedTag> {
        let values: Vec<&str> = values.into_iter().map(str::trim).collect();
        match &values[..] {
            [] => Ok(Self::None),
            ["*"] => Ok(Self::Exists),
            values => parse_list(&values.join(",")).map(Self::OneOf),
        }
    }

    pub fn check(&self, current: EntityTag) -> Result<(), PreconditionFailed> {
        match self {
            Self::None | Self::Exists => Ok(()),
            Self::OneOf(tags) if tags.contains(&current.to_string()) => Ok(()),
            Self::OneOf(_) => Err(PreconditionFailed),
        }
    }
}

/// Elements may be empty, but not all of them.
fn parse_list(list: &str) -> Result<Vec<String>, MalformedTag> {
    let (mut tags, mut rest) = (vec![], list);
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return if tags.is_empty() { Err(MalformedTag) } else { Ok(tags) };
        }
        let opaque = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"').ok_or(MalformedTag)?;
        let (text, after) = opaque.split_once('"').ok_or(MalformedTag)?;
        if !text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x7E)) {
            return Err(MalformedTag);
        }
        tags.push(rest[..rest.len() - after.len()].to_owned());
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return Err(MalformedTag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn condition_holds_for_the_current_tag_in_any_place() {
        let current = EntityTag::of_version(7);
        for (values, holds) in [
            (&[][..], true),
            (&["*"], true),
            (&[" * "], true),
            (&["\"7\""], true),
            (&["\"6\", \"7\""], true),
            (&["\"6\",,\t\"7\" ,"], true),
            (&["\"6\"", "\"7\""], true),
            (&["\"a,b\", \"7\""], true),
            (&["\"6\""], false),
            (&["\"\""], false),
            (&["\"77\""], false),
            (&["W/\"7\""], false),
            (&["W/\"7\", \"6\""], false),
        ] {
            let precondition = Precondition::parse(values.iter().copied()).expect("well-formed");
            assert_eq!(precondition.check(current).is_ok(), holds, "{values:?}");
        }
    }

    #[test]
    fn malformed_lists_are_refused() {
        for values in [
            &[""][..],
            &[","],
            &["7"],
            &["\"7"],
            &["7\""],
            &["\"7\" \"8\""],
            &["\"7\"8"],
            &["\"a b\""],
            &["w/\"7\""],
            &["*, \"7\""],
            &["*", "\"7\""],
            &["\"é\""],
        ] {
            assert_eq!(Precondition::parse(values.iter().copied()), Err(MalformedTag), "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn every_tag_matches_itself_and_no_other(version: i64, other: i64) {
            let precondition = Precondition::parse([EntityTag::of_version(version).to_string().as_str()]).expect("a tag");
            prop_assert!(precondition.check(EntityTag::of_version(version)).is_ok());
            prop_assert_eq!(precondition.check(EntityTag::of_version(other)).is_ok(), version == other);
        }

        #[test]
        fn any_text_is_parsed_or_refused(text: String) {
            let _ = Precondition::parse([text.as_str()]);
        }
    }
}
