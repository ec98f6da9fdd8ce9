//! What a provider's page is made of: payments that could be read, and records that could not.

use super::transaction::{Kind, Source, Transaction};

/// One record of a page.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// It could be read.
    Payment(Box<Transaction>),
    /// It could not: it goes to quarantine, and the rest of the page is stored.
    Malformed(Malformed),
}

/// A record that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Whose record it is.
    pub source: Source,
    /// The list it came from.
    pub kind: Kind,
    /// The provider's id, where at least that could be read.
    pub source_id: Option<String>,
    /// Why it could not be read, in a sentence that names the field.
    pub reason: String,
    /// The record as the provider sent it, to the letter.
    pub raw: String,
}
