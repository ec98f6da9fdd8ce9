//! Previews of bulk actions on discrepancies.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use rust_decimal::Decimal;
use serde_json::json;

use super::discrepancy::Discrepancy;
use super::discrepancy_update::DiscrepancyUpdate;
use crate::db::bulk_actions::snapshot::{CurrencySum, Selection};
use crate::db::discrepancies::listing;
use crate::domain::bulk_action::BulkAction;
use crate::operations::bulk_actions::preview::{BulkRequest, preview_bulk_action};
use crate::web::filters::bulk::read_filter;
use crate::web::filters::discrepancies::DiscrepancyQuery;
use crate::web::http::auth::Caller;
use crate::web::http::body::Body;
use crate::web::http::fails::Fails;
use crate::web::http::fields::{Fields, FromFields, Object as JsonObject};
use crate::web::http::openapi::Tag;
use crate::web::http::schema::Money;
use crate::web::responses::bulk_preview::BulkPreview;
use crate::web::state::State;

/// What is to be changed of which discrepancies. At least one field besides `filter` is required.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct DiscrepancyBulkRequest {
    /// The filters by the names of the query parameters of `GET /reconciliation/discrepancies`, at least one. A value is a string, a
    /// number or a boolean; where the parameter takes several values, also an array of them.
    filter: Option<JsonObject>,
    #[oai(flatten)]
    update: DiscrepancyUpdate,
}

impl FromFields for DiscrepancyBulkRequest {
    fn names() -> Vec<&'static str> {
        [vec!["filter"], DiscrepancyUpdate::names()].concat()
    }

    fn read(fields: &mut Fields) -> Self {
        Self { update: DiscrepancyUpdate::read(fields), filter: fields.read("filter") }
    }
}

impl Example for DiscrepancyBulkRequest {
    fn example() -> Self {
        let filter =
            [("discrepancy_type", json!(["amount"])), ("state", json!(["open"])), ("older_than_days", json!(30))];
        Self {
            filter: Some(filter.map(|(name, value)| (name.to_owned(), value)).into()),
            update: DiscrepancyUpdate::example(),
        }
    }
}

/// The discrepancies of one currency.
#[derive(Debug, Clone, Object)]
struct CurrencyAmount {
    /// The currency; null for discrepancies without amounts.
    currency: Option<String>,
    /// The number of discrepancies.
    count: u64,
    /// The amount at risk: the difference if only the amounts differ, otherwise the whole amount; null if there are no amounts.
    amount_at_risk: Option<Money>,
}

impl From<CurrencySum> for CurrencyAmount {
    fn from(sum: CurrencySum) -> Self {
        Self { currency: sum.currency, count: sum.count, amount_at_risk: sum.at_risk.map(Money) }
    }
}

/// The discrepancies that a bulk action would change.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct DiscrepancyBulkPreview {
    #[oai(flatten)]
    preview: BulkPreview,
    /// The sums by currency; amounts in different currencies are never added.
    amounts: Vec<CurrencyAmount>,
    /// Ten of them.
    samples: Vec<Discrepancy>,
}

impl Example for DiscrepancyBulkPreview {
    fn example() -> Self {
        let amount = Money(Decimal::new(48_230_050, 2));
        Self {
            preview: BulkPreview::example(),
            amounts: vec![CurrencyAmount {
                currency: Some("INR".to_owned()),
                count: 1_250,
                amount_at_risk: Some(amount),
            }],
            samples: vec![Discrepancy::example()],
        }
    }
}

pub(in crate::web) struct DiscrepancyBulkActionsApi;

#[OpenApi(prefix_path = "/api/v1/reconciliation", tag = "Tag::BulkActions")]
impl DiscrepancyBulkActionsApi {
    /// Preview a bulk action on discrepancies
    ///
    /// Counts the discrepancies that match the filter and whose state may become the requested one, without a limit, sums them up, and
    /// remembers them for 15 minutes. The changes are those of `PATCH /reconciliation/discrepancies/{id}`. Nothing is changed until the
    /// token is confirmed by `POST /bulk-actions`. A key with a project scope gets those whose payments are all of its projects.
    /// Requires the role operator.
    #[oai(path = "/discrepancies/bulk-actions/preview", method = "post", operation_id = "previewDiscrepancyBulkAction")]
    async fn preview(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        body: Body<DiscrepancyBulkRequest>,
    ) -> Result<Json<DiscrepancyBulkPreview>, Fails> {
        let now = state.clock.now();
        let (query, filter) = read_filter::<DiscrepancyQuery>(body.value.filter)?;
        let today = now.with_timezone(&state.reconciliation.zone).date_naive();
        let selection = Selection::Discrepancies(query.filter(today, &caller)?);
        let action = BulkAction::UpdateDiscrepancies(body.value.update.into());
        let request = BulkRequest { action, selection, filter };
        let preview = preview_bulk_action(&state.pool, &request, &caller.0, now).await?;
        let samples = listing::list_by_ids(&state.pool, &preview.snapshot.sample_ids, &caller.0.scope).await?;
        let samples = samples.into_iter().map(|found| Discrepancy::new(found, &state, caller.pii_access())).collect();
        let shared = BulkPreview::from(&preview);
        let amounts = preview.snapshot.sums.into_iter().map(CurrencyAmount::from).collect();
        Ok(Json(DiscrepancyBulkPreview { preview: shared, amounts, samples }))
    }
}
