//! A case with everything that is known of it: both payments side by side, and what became of it.

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde_json::Value;
use uuid::Uuid;

use super::discrepancy::Discrepancy;
use crate::db::discrepancies::history;
use crate::db::discrepancies::listing;
use crate::db::transactions::detail;
use crate::domain::access::Principal;
use crate::domain::discrepancy::CaseState;
use crate::web::http::openapi::EXAMPLE_TIME;
use crate::web::http::problem::Problem;
use crate::web::http::schema::Time;
use crate::web::state::State;
use crate::web::transactions::Transaction;

/// What became of a case, once.
#[derive(Debug, Clone, Object)]
struct DiscrepancyChange {
    /// When.
    changed_at: Time,
    /// By whom: the name of the key; null where a run did it.
    changed_by: Option<String>,
    /// By which run; null where a person did it.
    run_id: Option<Uuid>,
    /// Where the case stood before; null where it was opened.
    from_state: Option<CaseState>,
    /// Where it stood after.
    to_state: CaseState,
    /// Who looked into it before.
    from_assignee: Option<String>,
    /// Who looked into it after.
    to_assignee: Option<String>,
    /// What was said with it.
    note: Option<String>,
    /// What the case was about before; null where that did not change.
    from_facts: Option<Value>,
    /// What it was about after; null where that did not change.
    to_facts: Option<Value>,
}

impl From<history::DiscrepancyChange> for DiscrepancyChange {
    fn from(change: history::DiscrepancyChange) -> Self {
        Self {
            changed_at: Time(change.changed_at),
            changed_by: change.changed_by,
            run_id: change.run_id,
            from_state: change.from_state,
            to_state: change.to_state,
            from_assignee: change.from_assignee,
            to_assignee: change.to_assignee,
            note: change.note,
            from_facts: change.from_facts,
            to_facts: change.to_facts,
        }
    }
}

/// A case with everything that is known of it.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(in crate::web) struct DiscrepancyDetail {
    #[oai(flatten)]
    discrepancy: Discrepancy,
    /// Vima's payment, as it is now.
    vima: Option<Transaction>,
    /// PayShack's payment, as it is now.
    payshack: Option<Transaction>,
    /// What became of the case, oldest first; of more than a thousand changes, the last thousand.
    history: Vec<DiscrepancyChange>,
}

impl DiscrepancyDetail {
    /// The case of this id, as `principal` may see it.
    pub(in crate::web) async fn get(state: &State, principal: &Principal, id: Uuid) -> Result<Self, Problem> {
        let found = listing::find(&state.pool, id).await?.ok_or_else(|| Problem::not_found("discrepancy"))?;
        let (vima, payshack, history) = tokio::try_join!(
            transaction(state, principal, found.facts.vima_txn_id),
            transaction(state, principal, found.facts.payshack_txn_id),
            async { Ok(history::list(&state.pool, id).await?) }
        )?;
        let history = history.into_iter().map(DiscrepancyChange::from).collect();
        Ok(Self { discrepancy: Discrepancy::shown(found, state), vima, payshack, history })
    }
}

async fn transaction(state: &State, principal: &Principal, id: Option<Uuid>) -> Result<Option<Transaction>, Problem> {
    let Some(id) = id else { return Ok(None) };
    let found = detail::find(&state.pool, id).await?;
    Ok(found.map(|found| Transaction::shown_to(principal, found)))
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
                from_state: Some(CaseState::Open),
                to_state: CaseState::Acknowledged,
                from_assignee: None,
                to_assignee: Some("otto".to_owned()),
                note: Some("asked the bank".to_owned()),
                from_facts: None,
                to_facts: None,
            }],
        }
    }
}
