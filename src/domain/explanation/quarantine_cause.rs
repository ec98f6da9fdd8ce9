//! Why a record is in quarantine, and what to do about it.
//!
//! The sentence that is stored with the record is written for people and contains names of fields. Its kind is recognized by its
//! wording, which the tests of the parsers check for every sentence that they can write. Rejected: a column for the kind, which
//! entries of older releases would not have.

use crate::domain::string_enum::string_enum;

string_enum! {
    /// Why a record could not be read.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum QuarantineCause {
        /// A field that no payment can do without.
        MissingField = "missing_field",
        /// A field that must be readable: an id, an amount, a currency, a time.
        UnreadableField = "unreadable_field",
        /// An amount that no payment has.
        ImplausibleAmount = "implausible_amount",
        /// A field that may occur only once.
        RepeatedField = "repeated_field",
        InvalidJson = "invalid_json",
        NotAnObject = "not_an_object",
        TooDeep = "too_deep",
        /// The wording of another release.
        Other = "other",
    }
}

impl QuarantineCause {
    /// Of the sentence that is stored with the record.
    #[must_use]
    pub fn from_sentence(reason: &str) -> Self {
        // A sentence may quote the value of a field, so that its own words are looked for first.
        if reason.starts_with("the record is not valid JSON") || reason.starts_with("the record cannot be parsed") {
            Self::InvalidJson
        } else if reason.starts_with("the record is nested deeper") {
            Self::TooDeep
        } else if reason.starts_with("the record is ") {
            Self::NotAnObject
        } else if reason.contains(" should be an amount of at most ") {
            Self::ImplausibleAmount
        } else if reason.contains(" should be ") {
            Self::UnreadableField
        } else if reason.ends_with(" is missing") {
            Self::MissingField
        } else if reason.ends_with(" occurs twice") {
            Self::RepeatedField
        } else {
            Self::Other
        }
    }

    /// What a person should do.
    #[must_use]
    pub fn action(self) -> &'static str {
        match self {
            Self::MissingField => {
                "Ask the provider to complete the record. It is stored by the next sync that receives it complete."
            }
            Self::UnreadableField => {
                "Compare the named field with the provider's documentation. If the provider has changed its form, update the \
                 program and replay the quarantine; otherwise ask the provider to correct the record."
            }
            Self::ImplausibleAmount => "Ask the provider for the correct amount. No payment is that large.",
            Self::RepeatedField => {
                "Ask the provider which of the values is correct. The record is stored by the next sync that receives it with one \
                 of them."
            }
            Self::InvalidJson => {
                "Report the record to the provider: it is not JSON. It is stored by the next sync that receives it corrected."
            }
            Self::NotAnObject => {
                "Ask the provider what it is. Without an id it cannot be linked to a payment, and a corrected record is stored as \
                 a new one."
            }
            Self::TooDeep => "Ask the provider why the record is nested that deep. Such a record cannot be stored.",
            Self::Other => "Replay the record, which states the reason in the words of this release.",
        }
    }
}

/// Whether the raw text of a record contains the id, and not merely as a part of a longer one.
#[must_use]
pub fn mentions(raw: &[u8], id: &str) -> bool {
    let id = id.as_bytes();
    let is_free = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric() && !b"-_".contains(byte));
    !id.is_empty()
        && raw.windows(id.len()).enumerate().any(|(at, window)| {
            window == id
                && is_free(at.checked_sub(1).and_then(|before| raw.get(before)))
                && is_free(raw.get(at + id.len()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentence_has_a_cause() {
        use QuarantineCause as Cause;
        for (reason, cause) in [
            ("operation_id is missing", Cause::MissingField),
            ("paidAmount should be an exact amount but is \"1,500.00\"", Cause::UnreadableField),
            ("amount should be an amount of at most 10^15 but is a number", Cause::ImplausibleAmount),
            ("complete_amount occurs twice", Cause::RepeatedField),
            ("the record is not valid JSON (expected value at line 1 column 2)", Cause::InvalidJson),
            ("the record cannot be parsed: the text ends inside a string", Cause::InvalidJson),
            ("the record is a text of 31 characters, not an object", Cause::NotAnObject),
            ("the record is nested deeper than 100 levels", Cause::TooDeep),
            ("as an older release had it", Cause::Other),
        ] {
            assert_eq!(QuarantineCause::from_sentence(reason), cause, "{reason}");
        }
    }

    #[test]
    fn every_cause_says_what_to_do() {
        let actions: std::collections::BTreeSet<_> = QuarantineCause::ALL.map(QuarantineCause::action).into();
        assert_eq!(actions.len(), QuarantineCause::ALL.len());
    }

    #[test]
    fn id_is_mentioned_as_a_whole() {
        for (raw, expected) in [
            (r#"{"order":"17954"}"#, true),
            (r#"{"order":17954,"x":NaN}"#, true),
            ("17954", true),
            (r#"{"order":"917954"}"#, false),
            (r#"{"order":"17954a"}"#, false),
            (r#"{"order":"17954-X"}"#, false),
            (r#"{"order":"a_17954"}"#, false),
            (r#"{"a":"179540","order":"17954"}"#, true),
            ("", false),
        ] {
            assert_eq!(mentions(raw.as_bytes(), "17954"), expected, "{raw}");
        }
        assert!(!mentions(b"anything", ""));
    }
}
