//! Payments: listed, searched, and each with its history.

pub(crate) mod filter_values;
pub(crate) mod reconciliation;

use std::sync::Arc;

use poem::Request;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

use self::reconciliation::TransactionReconciliation;
use super::filters::transactions::TransactionQuery;
use super::http::auth::Viewer;
use super::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME, Tag};
use super::http::pagination;
use super::http::pagination::{Page, PageQuery};
use super::http::path::Path;
use super::http::problem::Problem;
use super::http::query::Query;
use super::http::response_cache::CachedJson;
use super::http::schema::{Money, RateOriginName, Time};
use super::state::State;
use crate::db::transactions::detail;
use crate::db::transactions::detail::RecordedChange;
use crate::db::transactions::search::{FoundTransaction, TransactionCursor, TransactionWindow};
use crate::domain::access::{Principal, Role};
use crate::domain::exchange_rate::RateOrigin;
use crate::domain::masking::PiiAccess;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};
use crate::operations::find_counterpart::{Counterpart, find_counterpart};
use crate::operations::list_transactions::list_transactions;

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
        let sight = PiiAccess::for_role(principal.role);
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
            user_email: sight.email(found.user_email),
            user_phone: sight.phone(found.user_phone),
            user_name: sight.name(found.user_name),
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

/// A change of a payment's status or amount.
#[derive(Debug, Clone, Object)]
struct TransactionChange {
    /// When it changed, by the provider's clock.
    changed_at: Option<Time>,
    /// When the change was stored here.
    recorded_at: Time,
    /// The status before.
    old_status: Status,
    /// The status after.
    new_status: Status,
    /// The amount before.
    old_amount: Money,
    /// The amount after.
    new_amount: Money,
}

impl From<RecordedChange> for TransactionChange {
    fn from(change: RecordedChange) -> Self {
        Self {
            changed_at: change.changed_at.map(Time),
            recorded_at: Time(change.recorded_at),
            old_status: change.status.0,
            new_status: change.status.1,
            old_amount: Money(change.amount.0),
            new_amount: Money(change.amount.1),
        }
    }
}

/// A payment with everything that is known of it.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct TransactionDetail {
    #[oai(flatten)]
    transaction: Transaction,
    /// The record as the provider sent it; null for whoever is no admin.
    raw_data: Option<Value>,
    /// The other source's record of the same payment: the one that it was last held against, else the one that the rules of
    /// reconciliation would hold it against now.
    counterpart: Option<Transaction>,
    /// What the last reconciliation found of it; null before one has looked.
    reconciliation: Option<TransactionReconciliation>,
    /// Its changes of status and amount, oldest first.
    history: Vec<TransactionChange>,
}

/// The endpoints.
pub(in crate::web) struct TransactionsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Transactions")]
impl TransactionsApi {
    /// List payments
    ///
    /// Of both sources, newest first where nothing else is said. Lists take one value or several by commas. Personal data
    /// is masked for a viewer, who cannot search it either.
    #[oai(path = "/transactions", method = "get", operation_id = "listTransactions")]
    async fn list(
        &self,
        request: &Request,
        state: Data<&Arc<State>>,
        viewer: Viewer,
        query: Query<TransactionQuery>,
        page: Query<PageQuery>,
    ) -> Result<CachedJson<Page<Transaction>>, Problem> {
        let Query(query) = query;
        let (sort_by, order) = (query.sort_by.unwrap_or_default(), query.order.unwrap_or_default());
        let listing = format!("transactions {} {}", sort_by.as_str(), order.as_str());
        let asked: pagination::Window<TransactionCursor> = state.cursors.window(&listing, &page.0)?;
        let filter = query.filter(state.report_timezone, &viewer.0);
        let window = TransactionWindow { sort_by, order, page: asked.to_db() };
        let edition = state.metrics.data_version(&filter.metric_query()).await?;
        let page = Box::pin(async {
            let now = state.clock.now();
            let (found, count) = list_transactions(&state.pool, &state.metrics, &filter, &window, now).await?;
            let page = state.cursors.page(&listing, &asked, count, found, |found| found.cursor(sort_by));
            Ok(page.map(|found| Transaction::shown_to(&viewer.0, found)))
        });
        state.written.answer((request.original_uri(), &viewer.0), edition.into(), page).await
    }

    /// Show a payment
    ///
    /// With its counterpart at the other source, what the last reconciliation found of it, its history, and, for an admin, the
    /// record as the provider sent it.
    #[oai(path = "/transactions/:id", method = "get", operation_id = "getTransaction")]
    async fn show(
        &self,
        state: Data<&Arc<State>>,
        viewer: Viewer,
        /// The payment's id here.
        id: Path<Uuid>,
    ) -> Result<Json<TransactionDetail>, Problem> {
        let found = detail::find(&state.pool, id.0).await?;
        let found = found.ok_or_else(|| Problem::not_found("transaction"))?;
        let Counterpart { last_finding, counterpart_id } =
            find_counterpart(&state.pool, &found, &state.reconciliation.parameters).await?;
        let counterpart = match counterpart_id {
            Some(id) => detail::find(&state.pool, id).await?,
            None => None,
        };
        let history = detail::list_changes(&state.pool, id.0).await?;
        let raw_data = match viewer.0.role {
            Role::Admin => detail::find_raw(&state.pool, id.0).await?,
            Role::Viewer | Role::Operator => None,
        };
        Ok(Json(TransactionDetail {
            transaction: Transaction::shown_to(&viewer.0, found),
            raw_data,
            counterpart: counterpart.map(|found| Transaction::shown_to(&viewer.0, found)),
            reconciliation: last_finding.map(|last| TransactionReconciliation::of(id.0, last)),
            history: history.into_iter().map(TransactionChange::from).collect(),
        }))
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

impl Example for TransactionDetail {
    fn example() -> Self {
        Self {
            transaction: Transaction::example(),
            raw_data: None,
            counterpart: None,
            reconciliation: Some(TransactionReconciliation::example()),
            history: vec![TransactionChange {
                changed_at: Some(Time(EXAMPLE_TIME)),
                recorded_at: Time(EXAMPLE_TIME),
                old_status: Status::Pending,
                new_status: Status::Success,
                old_amount: Money(154_250.into()),
                new_amount: Money(154_250.into()),
            }],
        }
    }
}
