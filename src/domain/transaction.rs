//! A payment as one provider tells it.
//!
//! One shape for all sources, so that the jobs table, the metrics and the exports never ask where a payment came from.
//! Every field that only one provider knows is an `Option`; nothing is filled in that the provider did not say.

use std::fmt;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::money::Currency;
use super::status::Status;
use super::string_enum::string_enum;
use super::version::Version;

string_enum! {
    /// The provider that told of a payment.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Source {
        /// The Vima collector: the merchant's record.
        Vima = "vima",
        /// `PayShack`: the processor's record.
        Payshack = "payshack",
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

string_enum! {
    /// Which way the money goes, seen from the merchant.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Kind {
        /// A payer pays the merchant.
        Payin = "payin",
        /// The merchant pays somebody.
        Payout = "payout",
    }
}

/// The identity of a record: no two payments of one source and kind share a `source_id`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct TransactionKey {
    /// Who told of it.
    pub source: Source,
    /// Pay-in or pay-out.
    pub kind: Kind,
    /// The provider's own id, as text.
    pub source_id: String,
}

/// One payment, normalised. The names are those of the contract's transaction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Transaction {
    /// Whose record it is.
    #[serde(flatten)]
    pub key: TransactionKey,
    /// How new this telling of it is.
    pub version: Version,
    /// The processor's or acquirer's reference (Vima `reference_id`, `PayShack` `spTxnId`).
    pub reference_id: Option<String>,
    /// The merchant's own id (Vima); the key of reconciliation on that side.
    pub client_operation_id: Option<String>,
    /// The order (`PayShack`); the key of reconciliation on that side.
    pub order_id: Option<String>,
    /// The merchant's project.
    pub project: Option<String>,
    /// The merchant's account (Vima `credentials_owner`, `PayShack` `clientId`).
    pub merchant_id: Option<String>,
    /// The amount, in major units of `currency`.
    pub amount: Decimal,
    /// What was really paid, where the provider says it apart from the amount.
    pub paid_amount: Option<Decimal>,
    /// The currency of `amount`, `paid_amount` and `fee`.
    pub currency: Currency,
    /// `amount` in US dollars, where a rate is known.
    pub amount_usd: Option<Decimal>,
    /// The provider's charge.
    pub fee: Option<Decimal>,
    /// `fee` in US dollars, where a rate is known.
    pub fee_usd: Option<Decimal>,
    /// US dollars for one unit of `currency`.
    pub exchange_rate: Option<Decimal>,
    /// The normalised state.
    pub status: Status,
    /// The provider's own word for it.
    pub original_status: Option<String>,
    /// The payer's id at the merchant.
    pub user_id: Option<String>,
    /// The payer's email address (personal).
    pub user_email: Option<String>,
    /// The payer's phone number (personal).
    pub user_phone: Option<String>,
    /// The payer's name (personal).
    pub user_name: Option<String>,
    /// ISO 3166 country code of the payer.
    pub country: Option<String>,
    /// The bank's Unique Transaction Reference.
    pub utr: Option<String>,
    /// How it was paid (`apm`, `UPI`).
    pub payment_method: Option<String>,
    /// The product it was paid through.
    pub payment_product: Option<String>,
    /// When it came to be, by the provider's clock.
    pub created_at: DateTime<Utc>,
    /// When it last changed, by the provider's clock.
    pub updated_at: Option<DateTime<Utc>>,
    /// When it came to its end, by the provider's clock.
    pub completed_at: Option<DateTime<Utc>>,
    /// The record as the provider sent it, to the letter. No part of the content that versions are compared by.
    #[serde(skip)]
    pub raw: String,
}

/// A digest of everything a transaction says, so that "the same content" is one comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 16]);

impl Transaction {
    /// The digest of its content. The raw text is left out: a provider may order the fields of one record anew.
    #[must_use]
    pub fn content_hash(&self) -> ContentHash {
        let mut hasher = Sha256::new();
        // Writing plain data into a hasher cannot fail, and an empty digest would only ever cost an extra update.
        if let Ok(canonical) = serde_json::to_vec(self) {
            hasher.update(&canonical);
        }
        let digest = hasher.finalize();
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        ContentHash(short)
    }
}
