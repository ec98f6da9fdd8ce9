//! A transaction in a response.

use poem_openapi::Object;
use poem_openapi::types::Example;
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::db::transactions::search::FoundTransaction;
use crate::domain::access::Principal;
use crate::domain::exchange_rate::RateOrigin;
use crate::domain::masking::PiiAccess;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME};
use crate::web::http::schema::{Money, Time, Usd, named_enum};

/// A transaction as one provider reports it.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct Transaction {
    /// The transaction's id in this API.
    id: Uuid,
    /// The provider that reports it.
    source: Source,
    /// Pay-in or pay-out.
    kind: Kind,
    /// The provider's id of the transaction.
    source_id: String,
    /// The reference of the processor or acquirer.
    reference_id: Option<String>,
    /// The merchant's own id of the operation (Vima).
    client_operation_id: Option<String>,
    /// The id of the order (PayShack).
    order_id: Option<String>,
    /// The merchant's project.
    project: Option<String>,
    /// The merchant's account.
    merchant_id: Option<String>,
    /// The amount in major units of `currency` (`10.50` is ten and a half).
    amount: Money,
    /// The amount actually paid, in `currency`, if the provider reports it separately.
    paid_amount: Option<Money>,
    /// The currency of `amount`, `paid_amount` and `fee` (ISO 4217 code).
    currency: String,
    /// `amount` in US dollars; null without an exchange rate.
    amount_usd: Option<Usd>,
    /// The provider's fee, in `currency`.
    fee: Option<Money>,
    /// `fee` in US dollars; null without an exchange rate.
    fee_usd: Option<Usd>,
    /// US dollars per unit of `currency`.
    exchange_rate: Option<Money>,
    /// Where `exchange_rate` comes from: the provider's record, or a stored rate; null without a rate.
    exchange_rate_origin: Option<RateOriginName>,
    /// When the stored rate was fetched; null for a rate of the record.
    exchange_rate_at: Option<Time>,
    /// The status, in the terms that all providers share.
    status: Status,
    /// The status as the provider names it.
    original_status: Option<String>,
    /// The payer's id at the merchant; masked for viewers.
    user_id: Option<String>,
    /// The payer's email address; masked for viewers.
    user_email: Option<String>,
    /// The payer's phone number; masked for viewers.
    user_phone: Option<String>,
    /// The payer's name; masked for viewers.
    user_name: Option<String>,
    /// The payer's country.
    country: Option<String>,
    /// The bank's Unique Transaction Reference.
    utr: Option<String>,
    /// The payment method, as the provider names it.
    payment_method: Option<String>,
    /// The payment product, as the provider names it.
    payment_product: Option<String>,
    /// When the transaction was created at the provider.
    created_at: Time,
    /// When the transaction last changed at the provider.
    updated_at: Option<Time>,
    /// When the transaction reached a final status at the provider.
    completed_at: Option<Time>,
    /// When the transaction was first stored in this system.
    ingested_at: Time,
}

impl Transaction {
    /// Masks what `principal` must not see.
    pub(in crate::web) fn visible_to(principal: &Principal, found: FoundTransaction) -> Self {
        let pii = PiiAccess::for_role(principal.role);
        let origin = found.rate_origin;
        Self {
            id: found.id,
            source: found.source,
            kind: found.kind,
            source_id: found.source_id,
            reference_id: found.reference_id,
            client_operation_id: found.client_operation_id,
            order_id: found.order_id,
            project: found.project,
            merchant_id: found.merchant_id,
            amount: Money(found.amount),
            paid_amount: found.paid_amount.map(Money),
            currency: found.currency,
            amount_usd: found.amount_usd.map(Usd),
            fee: found.fee.map(Money),
            fee_usd: found.fee_usd.map(Usd),
            exchange_rate: found.exchange_rate.map(Money),
            exchange_rate_origin: origin.map(RateOriginName::from),
            exchange_rate_at: origin.and_then(RateOrigin::fetched_at).map(Time),
            status: found.status,
            original_status: found.original_status.map(|status| pii.text(status)),
            user_id: pii.person_id(found.user_id),
            user_email: pii.email(found.user_email),
            user_phone: pii.phone(found.user_phone),
            user_name: pii.name(found.user_name),
            country: found.country,
            utr: found.utr,
            payment_method: found.payment_method,
            payment_product: found.payment_product,
            created_at: Time(found.created_at),
            updated_at: found.updated_at.map(Time),
            completed_at: found.completed_at.map(Time),
            ingested_at: Time(found.ingested_at),
        }
    }
}

impl Example for Transaction {
    fn example() -> Self {
        let text = |text: &str| Some(text.to_owned());
        Self {
            id: EXAMPLE_ID,
            source: Source::Vima,
            kind: Kind::Payin,
            source_id: "48151623".to_owned(),
            reference_id: text("SP-20260115-0042"),
            client_operation_id: text("order-1042"),
            order_id: None,
            project: text("monetix"),
            merchant_id: text("merchant-7"),
            amount: Money(154_250.into()),
            paid_amount: None,
            currency: "INR".to_owned(),
            amount_usd: Some(Usd(1_851.into())),
            fee: Some(Money(3_085.into())),
            fee_usd: Some(Usd(Decimal::new(3_702, 2))),
            exchange_rate: Some(Money(Decimal::new(12, 3))),
            exchange_rate_origin: Some(RateOrigin::Record.into()),
            exchange_rate_at: None,
            status: Status::Success,
            original_status: text("success"),
            user_id: text("*****"),
            user_email: text("s***@example.com"),
            user_phone: text("******3341"),
            user_name: text("S***"),
            country: text("IN"),
            utr: text("402211334455"),
            payment_method: text("UPI"),
            payment_product: None,
            created_at: Time(EXAMPLE_TIME),
            updated_at: Some(Time(EXAMPLE_TIME)),
            completed_at: Some(Time(EXAMPLE_TIME)),
            ingested_at: Time(EXAMPLE_TIME),
        }
    }
}

/// The name of an origin of rates; the time of a stored rate is a field of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) struct RateOriginName(&'static str);

impl RateOriginName {
    fn all() -> [Self; 2] {
        RateOrigin::NAMES.map(Self)
    }

    fn as_str(self) -> &'static str {
        self.0
    }
}

impl From<RateOrigin> for RateOriginName {
    fn from(origin: RateOrigin) -> Self {
        Self(origin.as_str())
    }
}

named_enum!(RateOriginName, "RateOrigin", RateOriginName::all(), "The origin of an exchange rate.");
