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
use crate::web::http::schema::{Money, Time, named_enum};

/// A payment, as one provider tells it.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct Transaction {
    /// Its id here.
    id: Uuid,
    /// Who told of it.
    source: Source,
    /// Pay-in or pay-out.
    kind: Kind,
    /// The provider's own id.
    source_id: String,
    /// The processor's or acquirer's reference.
    reference_id: Option<String>,
    /// The merchant's own id (Vima).
    client_operation_id: Option<String>,
    /// The order (PayShack).
    order_id: Option<String>,
    /// The merchant's project.
    project: Option<String>,
    /// The merchant's account.
    merchant_id: Option<String>,
    /// The amount, in major units of `currency`.
    amount: Money,
    /// What was really paid, where the provider says it apart from the amount.
    paid_amount: Option<Money>,
    /// The currency of `amount`, `paid_amount` and `fee`.
    currency: String,
    /// `amount` in US dollars, where a rate is known.
    amount_usd: Option<Money>,
    /// The provider's charge.
    fee: Option<Money>,
    /// `fee` in US dollars, where a rate is known.
    fee_usd: Option<Money>,
    /// US dollars for one unit of `currency`.
    exchange_rate: Option<Money>,
    /// Whose word `exchange_rate` is: the record's own, or one of the rates that are stored here; null without a rate.
    exchange_rate_origin: Option<RateOriginName>,
    /// When a stored rate was fetched.
    exchange_rate_at: Option<Time>,
    /// The state, the same for every provider.
    status: Status,
    /// The provider's own word for it.
    original_status: Option<String>,
    /// The payer's id at the merchant.
    user_id: Option<String>,
    /// The payer's email address; masked for a viewer.
    user_email: Option<String>,
    /// The payer's phone number; masked for a viewer.
    user_phone: Option<String>,
    /// The payer's name; masked for a viewer.
    user_name: Option<String>,
    /// The payer's country.
    country: Option<String>,
    /// The bank's Unique Transaction Reference.
    utr: Option<String>,
    /// How it was paid.
    payment_method: Option<String>,
    /// The product it was paid through.
    payment_product: Option<String>,
    /// When it came to be, by the provider's clock.
    created_at: Time,
    /// When it last changed, by the provider's clock.
    updated_at: Option<Time>,
    /// When it came to its end, by the provider's clock.
    completed_at: Option<Time>,
    /// When it was stored here first.
    ingested_at: Time,
}

impl Transaction {
    /// A payment as `principal` may see it.
    pub(in crate::web) fn shown_to(principal: &Principal, found: FoundTransaction) -> Self {
        let pii_access = PiiAccess::for_role(principal.role);
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
            amount_usd: found.amount_usd.map(Money),
            fee: found.fee.map(Money),
            fee_usd: found.fee_usd.map(Money),
            exchange_rate: found.exchange_rate.map(Money),
            exchange_rate_origin: origin.map(RateOriginName::from),
            exchange_rate_at: origin.and_then(RateOrigin::fetched_at).map(Time),
            status: found.status,
            original_status: found.original_status,
            user_id: found.user_id,
            user_email: pii_access.email(found.user_email),
            user_phone: pii_access.phone(found.user_phone),
            user_name: pii_access.name(found.user_name),
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
            amount_usd: Some(Money(1_851.into())),
            fee: Some(Money(3_085.into())),
            fee_usd: Some(Money(Decimal::new(3_702, 2))),
            exchange_rate: Some(Money(Decimal::new(12, 3))),
            exchange_rate_origin: Some(RateOrigin::Record.into()),
            exchange_rate_at: None,
            status: Status::Success,
            original_status: text("success"),
            user_id: text("u-881"),
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
