//! DiscrepancyStream: which there are, and how each is read ([`listing`]), what became of one ([`history`]), and what people do to
//! them ([`updates`]).
//!
//! A case that the last run of its day found again is not written for that: when it was last seen, and by which run, is
//! asked of the runs.

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
use crate::domain::discrepancy::DiscrepancyState;
use crate::domain::reconciliation::{DiscrepancyType, MatchStatus};

/// Which cases are looked for. An empty list stands for every value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscrepancyFilter {
    /// Of this day or later.
    pub from_date: Option<NaiveDate>,
    /// Of this day or before.
    pub to_date: Option<NaiveDate>,
    /// What was found.
    pub match_statuses: Vec<MatchStatus>,
    /// The type that they are counted by.
    pub discrepancy_types: Vec<DiscrepancyType>,
    /// Either of the two, by its name.
    pub either: Vec<String>,
    /// Where they stand.
    pub states: Vec<DiscrepancyState>,
    /// Of these projects.
    pub projects: Vec<String>,
    /// Of these people.
    pub assignees: Vec<String>,
    /// Whose amounts differ by at least so much.
    pub min_diff: Option<Decimal>,
    /// Of a day before this one.
    pub before_date: Option<NaiveDate>,
}

impl DiscrepancyFilter {
    /// Appends ` AND ...` for everything that is asked for.
    pub(in crate::db) fn push(&self, query: &mut QueryBuilder<Postgres>) {
        self.push_leading(query);
        self.push_rest(query);
    }

    /// What an index leads to: the days, and whether anything is still to be done.
    fn push_leading(&self, query: &mut QueryBuilder<Postgres>) {
        for (condition, day) in
            [("recon_date >= ", self.from_date), ("recon_date <= ", self.to_date), ("recon_date < ", self.before_date)]
        {
            if let Some(day) = day {
                query.push(format!(" AND {condition}")).push_bind(day);
            }
        }
        if !self.states.is_empty() && self.states.iter().all(|state| state.is_unresolved()) {
            // To the letter what `discrepancies_unresolved` says of itself.
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
        if let Some(least) = self.min_diff {
            query.push(" AND abs(amount_diff) >= ").push_bind(least);
        }
    }
}

/// A case as it is shown.
#[derive(Debug, Clone, PartialEq, FromRow)]
#[expect(missing_docs, reason = "the names are the contract's")]
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
    /// The last run that found it, and the time at which that run judged.
    pub run_id: Uuid,
    pub last_seen_at: DateTime<Utc>,
}

/// A case's place in the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscrepancyCursor {
    recon_date: NaiveDate,
    id: Uuid,
}

impl Discrepancy {
    /// Its place in the listing.
    #[must_use]
    pub fn cursor(&self) -> DiscrepancyCursor {
        DiscrepancyCursor { recon_date: self.recon_date, id: self.id }
    }
}

/// Selects [`Discrepancy`] where `condition` holds, which more may follow.
fn select_where(condition: &str) -> QueryBuilder<Postgres> {
    QueryBuilder::new(format!(
        "SELECT discrepancies.id, recon_date, key, {}, state, assignee, note, first_seen_at, resolved_at, created_at, \
             COALESCE(last_run_id, latest.run_id, first_run_id) AS run_id, \
             COALESCE(last_seen_at, latest.judged_at, first_seen_at) AS last_seen_at \
           FROM discrepancies LEFT JOIN LATERAL ( \
               SELECT id AS run_id, as_of AS judged_at FROM reconciliation_runs AS runs \
                WHERE runs.recon_date = discrepancies.recon_date AND version IS NOT NULL ORDER BY version DESC LIMIT 1 \
           ) AS latest ON true WHERE {condition}",
        facts::COLUMNS
    ))
}
