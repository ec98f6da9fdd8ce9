//! What a run found about a payment: the columns that results and discrepancies share.

use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::{FromRow, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::db::DbError;
use crate::domain::access::ProjectScope;
use crate::domain::reconciliation::{DiscrepancyType, MatchStatus};
use crate::domain::status::Status;

#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Facts {
    #[sqlx(try_from = "String")]
    pub match_status: MatchStatus,
    #[sqlx(try_from = "Vec<String>")]
    pub types: DiscrepancyTypes,
    pub project: Option<String>,
    pub vima_txn_id: Option<Uuid>,
    pub payshack_txn_id: Option<Uuid>,
    pub vima_amount: Option<Decimal>,
    pub payshack_amount: Option<Decimal>,
    pub amount_diff: Option<Decimal>,
    pub vima_currency: Option<String>,
    pub payshack_currency: Option<String>,
    #[sqlx(try_from = "OptionalText")]
    pub vima_status: OptionalStatus,
    #[sqlx(try_from = "OptionalText")]
    pub payshack_status: OptionalStatus,
    pub details: Value,
}

/// The columns of [`Facts`].
pub(in crate::db) const COLUMNS: &str = "match_status, types, project, vima_txn_id, payshack_txn_id, vima_amount, payshack_amount, \
    amount_diff, vima_currency, payshack_currency, vima_status, payshack_status, details";

/// Adds the condition that the finding is visible in `scope`. It compares two payments, which may be of different projects if
/// the providers name them differently: it is visible only where both are.
pub(in crate::db) fn push_scope(query: &mut QueryBuilder<Postgres>, scope: &ProjectScope) {
    let Some(projects) = scope.projects() else { return };
    query.push(" AND project = ANY(").push_bind(projects.to_vec()).push(
        ") AND NOT EXISTS (SELECT FROM transactions AS payment WHERE payment.id IN (vima_txn_id, payshack_txn_id) \
         AND (payment.project = ANY(",
    );
    query.push_bind(projects.to_vec()).push(")) IS NOT TRUE)");
}

/// How the sides differ. The first type is the one that a discrepancy is counted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscrepancyTypes(pub Vec<DiscrepancyType>);

/// `None` if the side has no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionalStatus(pub Option<Status>);

type OptionalText = Option<String>;

impl TryFrom<Vec<String>> for DiscrepancyTypes {
    type Error = DbError;

    fn try_from(names: Vec<String>) -> Result<Self, Self::Error> {
        Ok(Self(names.into_iter().map(DiscrepancyType::try_from).collect::<Result<_, _>>()?))
    }
}

impl TryFrom<Option<String>> for OptionalStatus {
    type Error = DbError;

    fn try_from(name: Option<String>) -> Result<Self, Self::Error> {
        Ok(Self(name.map(Status::try_from).transpose()?))
    }
}
