//! Lookup of many pasted ids at once.
//!
//! A POST, because 500 ids are longer than a URL may be. It changes nothing, so that it needs neither an audit entry nor an
//! `Idempotency-Key`.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use crate::operations::look_up_transactions::{LookedUpId, look_up_transactions_at_once};
use crate::web::filters::pasted_ids::PastedIds;
use crate::web::http::auth::Caller;
use crate::web::http::body::Body;
use crate::web::http::fails::Fails;
use crate::web::http::fields::request_fields;
use crate::web::http::openapi::Tag;
use crate::web::responses::transaction::Transaction;
use crate::web::state::State;

request_fields! {
    /// Ids to look up.
    #[oai(example)]
    struct LookupRequest {
        /// 1 to 500 ids: this API's `id`, `source_id`, `reference_id`, `client_operation_id`, `order_id` or `utr`. Either one text,
        /// as copied from a spreadsheet, that is split at white space, commas and semicolons, or a list, whose items are not split.
        /// Quotation marks, a leading apostrophe, and invisible characters around an id are removed.
        ids: PastedIds,
    }
}

impl Example for LookupRequest {
    fn example() -> Self {
        Self { ids: PastedIds(["402211334455", "ORDER-1042", "SP-20260115-9999"].map(str::to_owned).into()) }
    }
}

/// An id and the transactions that have it.
#[derive(Debug, Clone, Object)]
struct LookupItem {
    /// The id as it was looked up.
    input: String,
    /// Whether the same id comes before it.
    repeated: bool,
    /// The transactions that have exactly this id or, if there are none, those that have it in upper or lower case; newest first,
    /// at most 20.
    matches: Vec<Transaction>,
    /// Whether the id has more transactions than these.
    has_more: bool,
}

/// How many ids were looked up and found.
#[derive(Debug, Clone, Object)]
struct LookupCounts {
    /// The ids, repeated ones included.
    ids: u32,
    /// The ids that repeat an earlier one.
    repeated: u32,
    /// The different ids that were found.
    found: u32,
    /// The different ids that were not found.
    not_found: u32,
    /// The transactions in `items`, without those of repeated ids.
    transactions: u32,
}

/// The result of a lookup.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Lookup {
    /// An item for each id, in the order of the ids.
    items: Vec<LookupItem>,
    /// The different ids that were not found, in their order.
    not_found: Vec<String>,
    /// How many ids were looked up and found.
    counts: LookupCounts,
}

impl Lookup {
    fn new(looked_up: Vec<LookedUpId>, caller: &Caller) -> Self {
        let items: Vec<LookupItem> = looked_up
            .into_iter()
            .map(|asked| LookupItem {
                input: asked.id,
                repeated: asked.is_repeated,
                matches: asked.matches.into_iter().map(|found| Transaction::visible_to(&caller.0, found)).collect(),
                has_more: asked.has_more,
            })
            .collect();
        Self::of_items(items)
    }

    fn of_items(items: Vec<LookupItem>) -> Self {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let distinct = || items.iter().filter(|item| !item.repeated);
        let not_found: Vec<String> =
            distinct().filter(|item| item.matches.is_empty()).map(|item| item.input.clone()).collect();
        let counts = LookupCounts {
            ids: count(items.len()),
            repeated: count(items.len() - distinct().count()),
            found: count(distinct().count() - not_found.len()),
            not_found: count(not_found.len()),
            transactions: count(distinct().map(|item| item.matches.len()).sum()),
        };
        Self { items, not_found, counts }
    }
}

impl Example for Lookup {
    fn example() -> Self {
        let item =
            |input: &str, matches| LookupItem { input: input.to_owned(), repeated: false, matches, has_more: false };
        Self::of_items(vec![
            item("402211334455", vec![Transaction::example()]),
            item("ORDER-1042", vec![Transaction::example()]),
            item("SP-20260115-9999", vec![]),
        ])
    }
}

pub(in crate::web) struct LookupApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Transactions")]
impl LookupApi {
    /// Look up transactions
    ///
    /// Finds the transactions of up to 500 ids at once, in the order of the ids, for example a column of a spreadsheet. An id is
    /// compared exactly, and if no transaction has it, without regard to case. Transactions of other projects than those of the key
    /// are not found. Personal data is masked for viewers. As a file: `POST /exports` with `ids`.
    #[oai(path = "/transactions/lookup", method = "post", operation_id = "lookUpTransactions")]
    async fn look_up(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        body: Body<LookupRequest>,
    ) -> Result<Json<Lookup>, Fails> {
        let PastedIds(ids) = body.value.ids;
        let projects = caller.projects(&[])?;
        let metrics = state.metrics.current().await?;
        let (ids, projects) = (&ids, &projects);
        let look_up = |pool| async move { look_up_transactions_at_once(&pool, ids, projects).await };
        let looked_up = metrics.read_all(look_up).await?;
        Ok(Json(Lookup::new(looked_up, &caller)))
    }
}
