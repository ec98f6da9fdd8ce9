//! Transactions: the list, one with its counterpart, its reconciliation and its history, and explanations.

mod explained;
pub(crate) mod explanation;
pub(crate) mod filter_values;
pub(crate) mod lookup;
pub(crate) mod reconciliation;
pub(crate) mod reference_explanation;

use std::sync::Arc;

use poem::Request;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde_json::{Value, json};
use uuid::Uuid;

use self::reconciliation::TransactionReconciliation;
use super::filters::transactions::TransactionQuery;
use super::http::auth::Caller;
use super::http::fails::{Fails, NotFound};
use super::http::openapi::{EXAMPLE_TIME, Tag};
use super::http::pagination::{Page, PageQuery, Window};
use super::http::path::Path;
use super::http::query::Query;
use super::http::response_cache::{CacheVersion, CachedJson};
use super::http::schema::{Money, Time};
use super::responses::transaction::Transaction;
use super::state::State;
use crate::db::transactions::detail;
use crate::db::transactions::detail::RecordedChange;
use crate::db::transactions::search::{FoundTransaction, TransactionCursor, TransactionWindow};
use crate::domain::access::Role;
use crate::domain::status::Status;
use crate::operations::audit::{AuditContext, AuditRecord};
use crate::operations::find_counterpart::{Counterpart, find_counterpart};
use crate::operations::list_transactions::list_transactions;

/// A change of a transaction's status or amount.
#[derive(Debug, Clone, Object)]
struct TransactionChange {
    /// When the transaction changed at the provider.
    changed_at: Option<Time>,
    /// When the change was stored in this system.
    recorded_at: Time,
    /// The status before the change.
    old_status: Status,
    /// The status after the change.
    new_status: Status,
    /// The amount before the change, in the transaction's currency.
    old_amount: Money,
    /// The amount after the change, in the transaction's currency.
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

/// A transaction with its counterpart, its reconciliation and its history.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct TransactionDetail {
    #[oai(flatten)]
    transaction: Transaction,
    /// The record as the provider sent it; null unless the key's role is admin.
    raw_data: Option<Value>,
    /// The other source's record of the same payment: the one that the last reconciliation compared, else the one that a
    /// reconciliation would compare now; null if there is none.
    counterpart: Option<Transaction>,
    /// The result of the transaction's last reconciliation; null before the first.
    reconciliation: Option<TransactionReconciliation>,
    /// The changes of status and amount, oldest first.
    history: Vec<TransactionChange>,
}

pub(in crate::web) struct TransactionsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Transactions")]
impl TransactionsApi {
    /// List transactions
    ///
    /// Transactions of both sources, by default the newest first. List filters take one value or several, comma-separated.
    /// Personal data is masked for viewers, and they cannot search it.
    #[oai(path = "/transactions", method = "get", operation_id = "listTransactions")]
    async fn list(
        &self,
        request: &Request,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<TransactionQuery>,
        page: Query<PageQuery>,
    ) -> Result<CachedJson<Page<Transaction>>, Fails> {
        let Query(query) = query;
        let (sort_by, order) = (query.sort_by.unwrap_or_default(), query.order.unwrap_or_default());
        let listing = caller.listing(&format!("transactions {} {}", sort_by.as_str(), order.as_str()));
        let asked: Window<TransactionCursor> = state.cursors.window(&listing, &page.0)?;
        let filter = query.filter(state.report_timezone, state.reconciled_projects(), &caller)?;
        let window = TransactionWindow { sort_by, order, page: asked.to_db() };
        let metrics = state.metrics.current().await?;
        let query = filter.metric_query();
        let version = CacheVersion::of_transactions(metrics.data_version(&query));
        let page = Box::pin(async {
            let now = state.clock.now();
            let (sums, filter, window) = (&metrics, &filter, &window);
            let list = |pool| async move { list_transactions(&pool, sums, filter, window, now).await };
            let (found, count) = metrics.read(&query, list).await?;
            let page = state.cursors.page(&listing, &asked, count, found, |found| found.cursor(sort_by));
            Ok(page.map(|found| Transaction::visible_to(&caller.0, found)))
        });
        state.responses.get_or_insert((request.uri(), &caller.0), version, page).await
    }

    /// Get a transaction
    ///
    /// Includes its counterpart at the other source, the result of its last reconciliation, its history and, for admins, the
    /// record as the provider sent it. Personal data is masked for viewers.
    #[oai(path = "/transactions/:id", method = "get", operation_id = "getTransaction")]
    async fn show(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        caller: Caller,
        /// The transaction's id in this API.
        id: Path<Uuid>,
    ) -> Result<Json<TransactionDetail>, Fails<NotFound>> {
        let found = detail::find(&state.pool, id.0).await?;
        let visible = |found: &FoundTransaction| caller.0.scope.covers(found.project.as_deref());
        let found = found.filter(visible).ok_or(NotFound("transaction"))?;
        let Counterpart { last_finding, counterpart_id } =
            find_counterpart(&state.pool, &found, &state.reconciliation.parameters).await?;
        let counterpart = match counterpart_id {
            Some(id) => detail::find(&state.pool, id).await?,
            None => None,
        };
        // A result about two payments compares their values: it is for those who may see both.
        let counterpart_is_hidden = counterpart.as_ref().is_some_and(|found| !visible(found));
        let (counterpart, last_finding) =
            if counterpart_is_hidden { (None, None) } else { (counterpart, last_finding) };
        let history = detail::list_changes(&state.pool, id.0).await?;
        let raw_data = match audit.principal.role {
            Role::Admin => detail::find_raw(&state.pool, id.0).await?,
            Role::Viewer | Role::Operator => None,
        };
        if raw_data.is_some() {
            let record = AuditRecord::succeeded(json!({"transaction_id": id.0}));
            audit.record(&state.pool, &record, state.clock.now()).await?;
        }
        Ok(Json(TransactionDetail {
            transaction: Transaction::visible_to(&audit.principal, found),
            raw_data,
            counterpart: counterpart.map(|found| Transaction::visible_to(&audit.principal, found)),
            reconciliation: last_finding.map(|last| TransactionReconciliation::new(id.0, last)),
            history: history.into_iter().map(TransactionChange::from).collect(),
        }))
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
