//! The erasure of a person: how the person is recognized, and what of a payment is removed.
//!
//! Identifiers are stored only as keyed digests, so that the list of erased persons does not itself say who was erased.

use std::collections::HashSet;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::transaction::Transaction;

/// What replaces the identifiers of an erased person in free text.
pub const ERASED_TEXT: &str = "[erased]";
/// What replaces the record of an erased payment as its provider sent it.
pub const ERASED_RAW: &str = r#"{"erased":true}"#;
/// Phone numbers are compared by their last digits: country codes and zeros before them are written in many ways.
const PHONE_DIGITS: usize = 10;
/// Shorter numbers belong to nobody in particular.
const MIN_PHONE_DIGITS: usize = 7;
/// Shorter user ids are also amounts, days and counts, so they are not searched in free text.
const MIN_USER_ID_IN_TEXT: usize = 5;

/// Something that identifies a person, in a form in which equal ones are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identifier {
    Email(String),
    Phone(String),
    UserId(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    #[error("--email must be an address with an @")]
    Email,
    #[error("--phone must have at least {MIN_PHONE_DIGITS} digits")]
    Phone,
    #[error("--user-id must not be empty")]
    UserId,
}

impl Identifier {
    pub fn email(text: &str) -> Result<Self, IdentifierError> {
        let email = text.trim().to_lowercase();
        let is_address = email.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
        if is_address { Ok(Self::Email(email)) } else { Err(IdentifierError::Email) }
    }

    pub fn phone(text: &str) -> Result<Self, IdentifierError> {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        if digits.len() < MIN_PHONE_DIGITS {
            return Err(IdentifierError::Phone);
        }
        Ok(Self::Phone(digits[digits.len().saturating_sub(PHONE_DIGITS)..].to_owned()))
    }

    pub fn user_id(text: &str) -> Result<Self, IdentifierError> {
        let id = text.trim();
        if id.is_empty() { Err(IdentifierError::UserId) } else { Ok(Self::UserId(id.to_owned())) }
    }

    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::Phone(_) => "phone",
            Self::UserId(_) => "user_id",
        }
    }

    #[must_use]
    pub fn text(&self) -> &str {
        let (Self::Email(text) | Self::Phone(text) | Self::UserId(text)) = self;
        text
    }

    /// A digest that only holders of the key can compute.
    #[must_use]
    pub fn digest(&self, key: &[u8]) -> Vec<u8> {
        let mac = Hmac::<Sha256>::new_from_slice(key).map(|mac| mac.chain_update(self.kind()).chain_update([0_u8]));
        // Every key length is valid; an empty digest matches nobody.
        mac.map(|mac| mac.chain_update(self.text()).finalize().into_bytes().to_vec()).unwrap_or_default()
    }

    /// A regular expression of PostgreSQL that finds it in free text; `None` if it is too short.
    fn pattern(&self) -> Option<String> {
        match self {
            Self::Email(email) => Some(format!(r"(?<![\w.%+-]){}(?![\w-]|\.\w)", escape(email))),
            Self::Phone(digits) => {
                let digits: Vec<String> = digits.chars().map(String::from).collect();
                Some(format!(r"(?<!\d)(?:\+?\d{{1,3}}[ -]?)?{}(?!\d)", digits.join("[ -]?")))
            }
            Self::UserId(id) if id.chars().count() < MIN_USER_ID_IN_TEXT => None,
            Self::UserId(id) => Some(format!(r"(?<![\w-]){}(?![\w-])", escape(id))),
        }
    }
}

/// Finds each of `identifiers` in free text.
#[must_use]
pub fn text_pattern(identifiers: &[Identifier]) -> String {
    let patterns: Vec<String> = identifiers.iter().filter_map(Identifier::pattern).collect();
    // An expression that never matches.
    if patterns.is_empty() { "x(?<!x)".to_owned() } else { patterns.join("|") }
}

fn escape(text: &str) -> String {
    let escaped = text.chars().flat_map(|character| {
        let is_plain = character.is_alphanumeric() || character == '_' || !character.is_ascii();
        (!is_plain).then_some('\\').into_iter().chain([character])
    });
    escaped.collect()
}

/// The persons who must not be stored again.
#[derive(Debug, Clone, Default)]
pub struct ErasedPersons {
    pub key: Vec<u8>,
    pub digests: HashSet<Vec<u8>>,
}

impl ErasedPersons {
    /// Whether a payment is of one of them.
    #[must_use]
    pub fn include_payer_of(&self, payment: &Transaction) -> bool {
        let identifiers = [
            payment.user_email.as_deref().map(Identifier::email),
            payment.user_phone.as_deref().map(Identifier::phone),
            payment.user_id.as_deref().map(Identifier::user_id),
        ];
        let mut known = identifiers.into_iter().flatten().filter_map(Result::ok);
        !self.digests.is_empty() && known.any(|identifier| self.digests.contains(&identifier.digest(&self.key)))
    }
}

/// The payment without its payer. Everything that metrics and reconciliation use stays.
#[must_use]
pub fn without_payer(payment: &Transaction) -> Transaction {
    Transaction {
        user_id: None,
        user_email: None,
        user_phone: None,
        user_name: None,
        raw: ERASED_RAW.to_owned(),
        ..payment.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;
    use crate::domain::transaction::{Kind, Source, TransactionKey};

    #[test]
    fn equal_identifiers_have_equal_digests() {
        let digest = |identifier: Result<Identifier, _>| identifier.expect("an identifier").digest(b"key");
        let email = digest(Identifier::email("Sunita@Example.com "));
        assert_eq!(email, digest(Identifier::email("sunita@example.com")));
        let phone = digest(Identifier::phone("+91 98765-43341"));
        assert_eq!(phone, digest(Identifier::phone("9876543341")));
        assert_eq!(phone, digest(Identifier::phone("09876543341")));
        assert_ne!(digest(Identifier::user_id("9876543341")), phone, "another kind");
        assert_ne!(Identifier::email("sunita@example.com").expect("an address").digest(b"other"), email);
    }

    #[test]
    fn invalid_identifiers_are_rejected() {
        for text in ["", "sunita", "@example.com", "sunita@"] {
            assert_eq!(Identifier::email(text), Err(IdentifierError::Email), "{text}");
        }
        assert_eq!(Identifier::phone("123-456"), Err(IdentifierError::Phone));
        assert_eq!(Identifier::user_id(" "), Err(IdentifierError::UserId));
    }

    #[test]
    fn payment_of_an_erased_person_loses_its_payer_only() {
        let key = TransactionKey { source: Source::Vima, kind: Kind::Payin, source_id: "1".to_owned() };
        let created_at = "2026-01-15T10:00:00Z".parse().expect("a time");
        let payment = Transaction {
            user_email: Some("SUNITA@example.com".to_owned()),
            user_name: Some("Sunita".to_owned()),
            country: Some("IN".to_owned()),
            ..Transaction::minimal(key, created_at, 10.into(), Currency::inr())
        };
        let digest = Identifier::email("sunita@example.com").expect("an address").digest(b"key");
        let erased = ErasedPersons { key: b"key".to_vec(), digests: HashSet::from([digest]) };
        assert!(erased.include_payer_of(&payment));
        let others = Transaction { user_email: Some("sunita@example.org".to_owned()), ..payment.clone() };
        assert!(!erased.include_payer_of(&others));
        let masked = without_payer(&payment);
        assert!(!erased.include_payer_of(&masked));
        assert_eq!((masked.user_name, masked.raw.as_str(), masked.country), (None, ERASED_RAW, Some("IN".to_owned())));
    }
}
