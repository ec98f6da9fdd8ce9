//! A discrepancy in a list.

use std::mem::take;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use poem_openapi::Object;
use poem_openapi::types::Example;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use uuid::Uuid;

use super::facts::DiscrepancyFacts;
use crate::db::discrepancies;
use crate::domain::discrepancy::DiscrepancyState;
use crate::domain::entity_tag::EntityTag;
use crate::domain::masking::PiiAccess;
use crate::domain::reconciliation::{DiscrepancyType, MatchStatus, age_in_days};
use crate::domain::status::Status;
use crate::web::filters::discrepancies::DiscrepancyMatchStatus;
use crate::web::http::entity_tag::Tagged;
use crate::web::http::openapi::{EXAMPLE_DAY, EXAMPLE_ID, EXAMPLE_TIME};
use crate::web::http::schema::{Money, Time};
use crate::web::state::State;

/// A payment that differs between the providers, that one of them does not have, or that one has twice; and how it is
/// being resolved.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(in crate::web) struct Discrepancy {
    /// The id of the discrepancy.
    id: Uuid,
    /// The reconciled day, in `RECONCILIATION_TIMEZONE`.
    recon_date: NaiveDate,
    /// The last run that found it.
    run_id: Uuid,
    /// The key of the payment at both providers: Vima's `client_operation_id`, PayShack's `order_id`.
    client_operation_id: String,
    /// The kind of discrepancy: `discrepancy` (the values differ), `missing_vima`, `missing_payshack` or `duplicate`.
    match_status: DiscrepancyMatchStatus,
    #[oai(flatten)]
    facts: DiscrepancyFacts,
    /// The state.
    state: DiscrepancyState,
    /// The person who works on it.
    assignee: Option<String>,
    /// The latest note; for viewers, with addresses and long numbers masked.
    note: Option<String>,
    /// When a run found it for the first time.
    first_seen_at: Time,
    /// When a run found it most recently.
    last_seen_at: Time,
    /// When it was resolved, ignored or auto-resolved; null while it is open or acknowledged.
    resolved_at: Option<Time>,
    /// The number of days from `recon_date` to today, or to `resolved_at`.
    age_days: u32,
    /// What was compared and by which rules, enough to check the result by hand.
    details: Value,
    /// When the discrepancy was created.
    created_at: Time,
    /// The version, for `If-Match` of an update: it changes when a person or a run changes the discrepancy, not with `age_days`,
    /// `run_id` and `last_seen_at`.
    etag: String,
}

impl Discrepancy {
    pub(in crate::web) fn new(mut found: discrepancies::Discrepancy, state: &State, pii_access: PiiAccess) -> Self {
        found.note = found.note.map(|note| pii_access.text(note));
        Self::at(found, state.reconciliation.zone, state.clock.now())
    }

    fn at(mut found: discrepancies::Discrepancy, zone: Tz, now: DateTime<Utc>) -> Self {
        let on = found.resolved_at.unwrap_or(now).with_timezone(&zone).date_naive();
        Self {
            etag: found.etag().to_string(),
            id: found.id,
            recon_date: found.recon_date,
            run_id: found.run_id,
            client_operation_id: found.key,
            match_status: DiscrepancyMatchStatus(found.facts.match_status),
            details: take(&mut found.facts.details),
            facts: found.facts.into(),
            state: found.state,
            assignee: found.assignee,
            note: found.note,
            first_seen_at: Time(found.first_seen_at),
            last_seen_at: Time(found.last_seen_at),
            resolved_at: found.resolved_at.map(Time),
            age_days: age_in_days(found.recon_date, on),
            created_at: Time(found.created_at),
        }
    }
}

impl Tagged for Discrepancy {
    fn etag(&self) -> Option<&str> {
        Some(&self.etag)
    }
}

impl Example for Discrepancy {
    fn example() -> Self {
        let text = |text: &str| Some(text.to_owned());
        Self {
            id: EXAMPLE_ID,
            recon_date: EXAMPLE_DAY,
            run_id: EXAMPLE_ID,
            client_operation_id: "order-1042".to_owned(),
            match_status: DiscrepancyMatchStatus(MatchStatus::Discrepancy),
            facts: DiscrepancyFacts {
                discrepancy_type: Some(DiscrepancyType::Amount),
                types: vec![DiscrepancyType::Amount],
                project: text("91game"),
                vima_txn_id: Some(EXAMPLE_ID),
                payshack_txn_id: Some(EXAMPLE_ID),
                vima_amount: Some(Money(1_500.into())),
                payshack_amount: Some(Money(Decimal::new(149_950, 2))),
                amount_diff: Some(Money(Decimal::new(50, 2))),
                vima_currency: text("INR"),
                payshack_currency: text("INR"),
                vima_status: Some(Status::Success),
                payshack_status: Some(Status::Success),
            },
            state: DiscrepancyState::Acknowledged,
            assignee: text("otto"),
            note: text("asked the bank"),
            first_seen_at: Time(EXAMPLE_TIME),
            last_seen_at: Time(EXAMPLE_TIME),
            resolved_at: None,
            age_days: 1,
            details: json!({"amount": {"tolerance": "0.01"}}),
            created_at: Time(EXAMPLE_TIME),
            etag: EntityTag::of_version(3).to_string(),
        }
    }
}
