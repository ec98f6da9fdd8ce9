//! Keys that a person or a program has probably misspelled.
//!
//! All spellings that differ in one character are generated, and each is looked up in the index of the keys: some hundreds of
//! exact look-ups, however many payments are stored. Rejected: an index for similar texts, which would cost more for every stored
//! payment than it saves in the few explanations; and comparing the keys of a period, which reads hundreds of thousands.

use std::collections::BTreeSet;

use crate::domain::string_enum::string_enum;

/// Shorter keys are similar to too many others, and longer ones have too many spellings. In characters.
const LENGTHS: std::ops::RangeInclusive<usize> = 4..=40;

const DIGITS: &str = "0123456789";
const LOWERCASE: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPERCASE: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const SEPARATORS: &str = "-_";
/// Letters that are taken for digits, and the other way round.
const LOOK_ALIKES: &str = "OolISBZ01582";

string_enum! {
    /// How a key differs from another one.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum KeyDifference {
        /// Only in upper and lower case.
        Case = "case",
        /// Only in blanks around it.
        Whitespace = "whitespace",
        /// One character is another one.
        Substitution = "substitution",
        /// It has one character more.
        Insertion = "insertion",
        /// It has one character less.
        Deletion = "deletion",
        /// Two adjacent characters are swapped.
        Swap = "swap",
    }
}

impl KeyDifference {
    /// How `other` differs from `key`; `None` if they are equal or differ more than that.
    #[must_use]
    pub fn between(key: &str, other: &str) -> Option<Self> {
        if key == other {
            return None;
        }
        if key.trim() == other.trim() {
            return Some(Self::Whitespace);
        }
        if key.to_lowercase() == other.to_lowercase() {
            return Some(Self::Case);
        }
        let (key, other): (Vec<char>, Vec<char>) = (key.chars().collect(), other.chars().collect());
        let prefix = key.iter().zip(&other).take_while(|(left, right)| left == right).count();
        let (rest, other_rest) = (&key[prefix..], &other[prefix..]);
        match (rest, other_rest) {
            ([_, rest @ ..], [_, other_rest @ ..]) if rest == other_rest => Some(Self::Substitution),
            (rest, [_, other_rest @ ..]) if rest == other_rest => Some(Self::Insertion),
            ([_, rest @ ..], other_rest) if rest == other_rest => Some(Self::Deletion),
            ([a, b, rest @ ..], [c, d, other_rest @ ..]) if a == d && b == c && rest == other_rest => Some(Self::Swap),
            _ => None,
        }
    }

    /// How a sentence names it.
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Case => "only in upper and lower case",
            Self::Whitespace => "only in blanks around it",
            Self::Substitution => "in one character",
            Self::Insertion => "by one character more",
            Self::Deletion => "by one character less",
            Self::Swap => "in two adjacent characters that are swapped",
        }
    }
}

/// Whether keys that differ only in case may exist.
#[must_use]
pub fn has_case(key: &str) -> bool {
    key.chars().any(|letter| letter.is_lowercase() || letter.is_uppercase())
}

/// Other spellings of `key`: without surrounding blanks, in upper and in lower case, and with one character different. New
/// characters are of the classes that the key has, digits, separators if it has any, and those that look alike. Empty if the key is
/// too short or too long.
#[must_use]
pub fn spellings(key: &str) -> BTreeSet<String> {
    let trimmed = key.trim();
    let letters: Vec<char> = trimmed.chars().collect();
    if !LENGTHS.contains(&letters.len()) {
        return BTreeSet::new();
    }
    let alphabet = alphabet(trimmed);
    let joined = |parts: [&[char]; 3]| parts.concat().into_iter().collect::<String>();
    let mut found = BTreeSet::from([trimmed.to_owned(), trimmed.to_uppercase(), trimmed.to_lowercase()]);
    for at in 0..=letters.len() {
        found.extend(alphabet.iter().map(|letter| joined([&letters[..at], &[*letter], &letters[at..]])));
        let Some(letter) = letters.get(at) else { break };
        found.extend(alphabet.iter().map(|other| joined([&letters[..at], &[*other], &letters[at + 1..]])));
        found.insert(joined([&letters[..at], &[], &letters[at + 1..]]));
        if let Some(next) = letters.get(at + 1) {
            found.insert(joined([&letters[..at], &[*next, *letter], &letters[at + 2..]]));
        }
    }
    found.remove(key);
    found
}

fn alphabet(key: &str) -> BTreeSet<char> {
    let has_any_of = |class: &str| key.contains(|letter| class.contains(letter));
    let classes = [LOWERCASE, UPPERCASE, SEPARATORS].into_iter().filter(|class| has_any_of(class));
    classes.chain([DIGITS, LOOK_ALIKES]).flat_map(str::chars).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn difference_is_named() {
        use KeyDifference::{Case, Deletion, Insertion, Substitution, Swap, Whitespace};
        for (key, other, expected) in [
            ("order-1042", "order-1042", None),
            ("order-1042", "ORDER-1042", Some(Case)),
            ("order-1042", " order-1042\t", Some(Whitespace)),
            ("order-1042", "order-1O42", Some(Substitution)),
            ("order-1042", "order-10420", Some(Insertion)),
            ("order-1042", "order-11042", Some(Insertion)),
            ("order-1042", "order-142", Some(Deletion)),
            ("order-1042", "rder-1042", Some(Deletion)),
            ("order-1042", "order-1024", Some(Swap)),
            ("order-1042", "order-1402", Some(Swap)),
            ("order-1042", "order-1153", None),
            ("order-1042", "order-", None),
            ("order-1042", "1042-order", None),
        ] {
            assert_eq!(KeyDifference::between(key, other), expected, "{key:?} {other:?}");
        }
    }

    #[test]
    fn spellings_stay_few() {
        for (key, most) in [
            ("123", 0),
            ("179540405154664903", 900),
            ("AGQAMEBYUPHQ4", 1_300),
            ("01JH-8Z4Q_aB9kTm2xR7w", 2_900),
            (&"7".repeat(41), 0),
        ] {
            let count = spellings(key).len();
            assert!(count <= most && (count > 0) == (most > 0), "{key}: {count}");
        }
    }

    proptest! {
        #[test]
        fn every_spelling_differs_slightly(key in "[0-9A-Z]{4,20}|[0-9]{4,20}|[a-z-]{4,12}") {
            let found = spellings(&key);
            prop_assert!(!found.contains(&key));
            for spelling in found {
                prop_assert!(KeyDifference::between(&key, &spelling).is_some(), "{} {}", key, spelling);
            }
        }

        /// One change of the key, by another character of the same class.
        #[test]
        fn every_small_difference_is_generated(key in "[0-9]{5,18}", at in 0_usize..5, new in 0_u32..10, change in 0..4) {
            let mut letters: Vec<char> = key.chars().collect();
            let new = char::from_digit(new, 10).unwrap_or('0');
            match change {
                0 => letters[at] = new,
                1 => letters.insert(at, new),
                2 => drop(letters.remove(at)),
                _ => letters.swap(at.min(3), at.min(3) + 1),
            }
            let changed: String = letters.into_iter().collect();
            prop_assert_eq!(spellings(&key).contains(&changed), changed != key);
            prop_assert_eq!(KeyDifference::between(&key, &changed).is_some(), changed != key);
        }
    }
}
