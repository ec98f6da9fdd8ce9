//! A payment as one provider reports it.
//!
//! One shape for all sources, so that storage, metrics and exports do not depend on the provider. Fields that only one
//! provider reports are `Option`s; nothing is filled in that the provider did not report.

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
    /// The provider that reported a payment.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Source {
        /// The Vima collector: the merchant's record.
        Vima = "vima",
        /// `PayShack`: the processor's record.
        Payshack = "payshack",
    }
}

impl Source {
    /// The name in sentences.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Vima => "Vima",
            Self::Payshack => "PayShack",
        }
    }

    /// The one that it is compared with.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Vima => Self::Payshack,
            Self::Payshack => Self::Vima,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

string_enum! {
    /// The direction of a payment, from the merchant's point of view.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Kind {
        /// A payer pays the merchant.
        Payin = "payin",
        /// The merchant pays someone.
        Payout = "payout",
    }
}

/// The identity of a payment: `source_id` is unique within a source and kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct TransactionKey {
    pub source: Source,
    pub kind: Kind,
    /// The provider's id.
    pub source_id: String,
}

/// A normalized payment. The field names are those of the API's transaction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Transaction {
    #[serde(flatten)]
    pub key: TransactionKey,
    pub version: Version,
    /// The processor's or acquirer's reference (Vima `reference_id`, `PayShack` `spTxnId`).
    pub reference_id: Option<String>,
    /// The merchant's id (Vima); matched with the other side's `order_id` by reconciliation.
    pub client_operation_id: Option<String>,
    /// The order (`PayShack`); matched with the other side's `client_operation_id` by reconciliation.
    pub order_id: Option<String>,
    pub project: Option<String>,
    /// The merchant's account (Vima `credentials_owner`, `PayShack` `clientId`).
    pub merchant_id: Option<String>,
    /// In major units of `currency`.
    pub amount: Decimal,
    /// The amount really paid, if the provider reports it separately.
    pub paid_amount: Option<Decimal>,
    /// The currency of `amount`, `paid_amount` and `fee`.
    pub currency: Currency,
    /// `amount` in US dollars, if a rate is known.
    pub amount_usd: Option<Decimal>,
    /// Charged by the provider.
    pub fee: Option<Decimal>,
    /// `fee` in US dollars, if a rate is known.
    pub fee_usd: Option<Decimal>,
    /// US dollars for one unit of `currency`.
    pub exchange_rate: Option<Decimal>,
    pub status: Status,
    /// The provider's status, unmapped.
    pub original_status: Option<String>,
    /// The payer's id at the merchant. The `user_` fields are personal data of the payer, except this one.
    pub user_id: Option<String>,
    pub user_email: Option<String>,
    pub user_phone: Option<String>,
    pub user_name: Option<String>,
    /// The payer's ISO 3166 country code.
    pub country: Option<String>,
    /// The bank's Unique Transaction Reference.
    pub utr: Option<String>,
    /// For example `apm` or `UPI`.
    pub payment_method: Option<String>,
    pub payment_product: Option<String>,
    /// By the provider's clock, like all times of the payment.
    pub created_at: DateTime<Utc>,
    pub updated_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
    /// The record exactly as the provider sent it. Not part of the content hash.
    #[serde(skip)]
    pub raw: String,
}

/// A digest of a transaction's content, to compare two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 16]);

impl Transaction {
    /// A payment with an unknown status, no version and no optional field: the base of test data. Code that reads a
    /// provider lists every field instead, so that it cannot miss one that is added.
    #[must_use]
    pub fn minimal(key: TransactionKey, created_at: DateTime<Utc>, amount: Decimal, currency: Currency) -> Self {
        Self {
            key,
            version: Version { sequence: None, modified_at: None },
            reference_id: None,
            client_operation_id: None,
            order_id: None,
            project: None,
            merchant_id: None,
            amount,
            paid_amount: None,
            currency,
            amount_usd: None,
            fee: None,
            fee_usd: None,
            exchange_rate: None,
            status: Status::Unknown,
            original_status: None,
            user_id: None,
            user_email: None,
            user_phone: None,
            user_name: None,
            country: None,
            utr: None,
            payment_method: None,
            payment_product: None,
            created_at,
            updated_at: None,
            completed_at: None,
            raw: String::new(),
        }
    }

    /// Excludes the raw text: a provider may reorder the fields of a record.
    #[must_use]
    pub fn content_hash(&self) -> ContentHash {
        let mut hasher = Sha256::new();
        // Serializing plain data cannot fail; an empty digest would only cost an extra update.
        if let Ok(canonical) = serde_json::to_vec(self) {
            hasher.update(&canonical);
        }
        let digest = hasher.finalize();
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        ContentHash(short)
    }
}
