//! Discrepancies: the listing, the history of each, and updates by people.
//!
//! A run that finds a discrepancy again, unchanged, does not write its row: the time and run of the last finding are read from
//! the runs.

pub mod export;
pub mod history;
pub mod listing;
pub mod updates;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Postgres, QueryBuilder};
use uuid::Uuid;

use super::reconciliation::facts::{self, Facts};
use crate::db::types::names;
use crate::domain::access::ProjectScope;
use crate::domain::discrepancy::DiscrepancyState;
use crate::domain::entity_tag::EntityTag;
use crate::domain::reconciliation::{DiscrepancyType, MatchStatus};

/// An empty list matches every value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscrepancyFilter {
    /// Only discrepancies whose payments are all in it.
    #[serde(default, skip_serializing_if = "ProjectScope::is_all")]
    pub scope: ProjectScope,
    pub from_date: Option<NaiveDate>,
    pub to_date: Option<NaiveDate>,
    pub match_statuses: Vec<MatchStatus>,
    /// The first type of the discrepancy.
    pub discrepancy_types: Vec<DiscrepancyType>,
    /// Names of match statuses or types; one of them must match.
    pub either: Vec<String>,
    pub states: Vec<DiscrepancyState>,
    pub projects: Vec<String>,
    pub assignees: Vec<String>,
    /// The least difference of amounts.
    pub min_diff: Option<Decimal>,
    /// Exclusive.
    pub before_date: Option<NaiveDate>,
}

impl DiscrepancyFilter {
    pub(in crate::db) fn push(&self, query: &mut QueryBuilder<Postgres>) {
        self.push_leading(query);
        self.push_rest(query);
    }

    /// The indexed conditions: the days, and whether it is unresolved.
    fn push_leading(&self, query: &mut QueryBuilder<Postgres>) {
        for (condition, day) in
            [("recon_date >= ", self.from_date), ("recon_date <= ", self.to_date), ("recon_date < ", self.before_date)]
        {
            if let Some(day) = day {
                query.push(format!(" AND {condition}")).push_bind(day);
            }
        }
        if !self.states.is_empty() && self.states.iter().all(|state| state.is_unresolved()) {
            // Exactly the condition of the partial index `discrepancies_unresolved`.
            query.push(" AND state IN ('open', 'acknowledged')");
        }
    }

    fn push_rest(&self, query: &mut QueryBuilder<Postgres>) {
        let owned = |values: Vec<&'static str>| values.into_iter().map(str::to_owned).collect();
        let lists: [(&str, Vec<String>); 6] = [
            ("match_status", owned(names(&self.match_statuses, MatchStatus::as_str))),
            ("types[1]", owned(names(&self.discrepancy_types, DiscrepancyType::as_str))),
            ("state", owned(names(&self.states, DiscrepancyState::as_str))),
            ("project", self.projects.clone()),
            ("assignee", self.assignees.clone()),
            ("", self.either.clone()),
        ];
        for (column, values) in lists.into_iter().filter(|(_, values)| !values.is_empty()) {
            if column.is_empty() {
                query.push(" AND ARRAY[match_status, types[1]] && ").push_bind(values);
            } else {
                query.push(format!(" AND {column} = ANY(")).push_bind(values).push(")");
            }
        }
        if let Some(min_diff) = self.min_diff {
            query.push(" AND abs(amount_diff) >= ").push_bind(min_diff);
        }
        facts::push_scope(query, &self.scope);
    }
}

#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Discrepancy {
    pub id: Uuid,
    pub recon_date: NaiveDate,
    pub key: String,
    #[sqlx(flatten)]
    pub facts: Facts,
    #[sqlx(try_from = "String")]
    pub state: DiscrepancyState,
    pub assignee: Option<String>,
    pub note: Option<String>,
    pub first_seen_at: DateTime<Utc>,
    pub resolved_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub version: i64,
    /// The last run that found it.
    pub run_id: Uuid,
    /// The time as of which that run judged.
    pub last_seen_at: DateTime<Utc>,
}

/// A discrepancy's position in the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscrepancyCursor {
    recon_date: NaiveDate,
    id: Uuid,
}

impl Discrepancy {
    #[must_use]
    pub fn etag(&self) -> EntityTag {
        EntityTag::of_version(self.version)
    }

    #[must_use]
    pub fn cursor(&self) -> DiscrepancyCursor {
        DiscrepancyCursor { recon_date: self.recon_date, id: self.id }
    }
}

/// Selects [`Discrepancy`] rows. More conditions may follow `condition`.
fn select_where(condition: &str) -> QueryBuilder<Postgres> {
    QueryBuilder::new(format!(
        "SELECT discrepancies.id, recon_date, key, {}, state, assignee, note, first_seen_at, resolved_at, created_at, version, \
             COALESCE(last_run_id, latest.run_id, first_run_id) AS run_id, \
             COALESCE(last_seen_at, latest.judged_at, first_seen_at) AS last_seen_at \
           FROM discrepancies LEFT JOIN LATERAL ( \
               SELECT id AS run_id, as_of AS judged_at FROM reconciliation_runs AS runs \
                WHERE runs.recon_date = discrepancies.recon_date AND runs.version IS NOT NULL ORDER BY runs.version DESC LIMIT 1 \
           ) AS latest ON true WHERE {condition}",
        facts::COLUMNS
    ))
}
