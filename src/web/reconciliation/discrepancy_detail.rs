//! A discrepancy with both transactions and its history.

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde_json::Value;
use uuid::Uuid;

use super::discrepancy::Discrepancy;
use crate::db::discrepancies::history;
use crate::db::discrepancies::listing;
use crate::db::transactions::detail;
use crate::domain::access::Principal;
use crate::domain::discrepancy::DiscrepancyState;
use crate::domain::masking::PiiAccess;
use crate::web::http::entity_tag::Tagged;
use crate::web::http::fails::NotFound;
use crate::web::http::openapi::EXAMPLE_TIME;
use crate::web::http::problem::Problem;
use crate::web::http::schema::Time;
use crate::web::responses::transaction::Transaction;
use crate::web::state::State;

/// A change of a discrepancy.
#[derive(Debug, Clone, Object)]
struct DiscrepancyChange {
    /// When it was changed.
    changed_at: Time,
    /// The name of the API key that changed it; null if a run did.
    changed_by: Option<String>,
    /// The run that changed it; null if a person did.
    run_id: Option<Uuid>,
    /// The state before; null if the discrepancy was created.
    from_state: Option<DiscrepancyState>,
    /// The state after.
    to_state: DiscrepancyState,
    /// The assignee before.
    from_assignee: Option<String>,
    /// The assignee after.
    to_assignee: Option<String>,
    /// The note of the change.
    note: Option<String>,
    /// The compared values before; null if they did not change.
    from_facts: Option<Value>,
    /// The compared values after; null if they did not change.
    to_facts: Option<Value>,
}

impl DiscrepancyChange {
    fn new(change: history::DiscrepancyChange, pii_access: PiiAccess) -> Self {
        Self {
            changed_at: Time(change.changed_at),
            changed_by: change.changed_by,
            run_id: change.run_id,
            from_state: change.from_state,
            to_state: change.to_state,
            from_assignee: change.from_assignee,
            to_assignee: change.to_assignee,
            note: change.note.map(|note| pii_access.text(note)),
            from_facts: change.from_facts,
            to_facts: change.to_facts,
        }
    }
}

/// A discrepancy with both transactions and its history.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(in crate::web) struct DiscrepancyDetail {
    #[oai(flatten)]
    discrepancy: Discrepancy,
    /// Vima's transaction as it is now; null if there is none.
    vima: Option<Transaction>,
    /// PayShack's transaction as it is now; null if there is none.
    payshack: Option<Transaction>,
    /// The changes, oldest first; at most the latest 1,000.
    history: Vec<DiscrepancyChange>,
}

impl DiscrepancyDetail {
    /// Personal data is masked if `principal` may not see it.
    pub(in crate::web) async fn get(state: &State, principal: &Principal, id: Uuid) -> Result<Self, Problem> {
        let found = listing::find(&state.pool, id, &principal.scope).await?.ok_or(NotFound("discrepancy"))?;
        let (vima, payshack, history) = tokio::try_join!(
            transaction(state, principal, found.facts.vima_txn_id),
            transaction(state, principal, found.facts.payshack_txn_id),
            async { Ok(history::list(&state.pool, id).await?) }
        )?;
        let pii_access = PiiAccess::for_role(principal.role);
        let history = history.into_iter().map(|change| DiscrepancyChange::new(change, pii_access)).collect();
        Ok(Self { discrepancy: Discrepancy::new(found, state, pii_access), vima, payshack, history })
    }
}

impl Tagged for DiscrepancyDetail {
    fn etag(&self) -> Option<&str> {
        self.discrepancy.etag()
    }
}

async fn transaction(state: &State, principal: &Principal, id: Option<Uuid>) -> Result<Option<Transaction>, Problem> {
    let Some(id) = id else { return Ok(None) };
    let found = detail::find(&state.pool, id).await?;
    Ok(found.map(|found| Transaction::visible_to(principal, found)))
}

impl Example for DiscrepancyDetail {
    fn example() -> Self {
        Self {
            discrepancy: Discrepancy::example(),
            vima: Some(Transaction::example()),
            payshack: None,
            history: vec![DiscrepancyChange {
                changed_at: Time(EXAMPLE_TIME),
                changed_by: Some("otto".to_owned()),
                run_id: None,
                from_state: Some(DiscrepancyState::Open),
                to_state: DiscrepancyState::Acknowledged,
                from_assignee: None,
                to_assignee: Some("otto".to_owned()),
                note: Some("asked the bank".to_owned()),
                from_facts: None,
                to_facts: None,
            }],
        }
    }
}
