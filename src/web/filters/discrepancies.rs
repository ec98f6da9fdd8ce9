//! The filters of discrepancies, for the list and for its export.

use chrono::{Days, NaiveDate};

use crate::db::discrepancies::DiscrepancyFilter;
use crate::domain::discrepancy::DiscrepancyState;
use crate::domain::reconciliation::{DiscrepancyType, MatchStatus};
use crate::web::http::auth::Caller;
use crate::web::http::fields::{Fields, request_fields};
use crate::web::http::problem::Problem;
use crate::web::http::schema::{Money, named_enum};

/// A hundred years.
const MAX_DAYS_AGO: u32 = 36_500;

request_fields! {
    /// Which discrepancies are listed.
    pub(in crate::web) struct DiscrepancyQuery {
        /// The first day.
        from_date: Option<NaiveDate>,
        /// The last day.
        to_date: Option<NaiveDate>,
        /// Filter by what was found.
        match_status: Vec<DiscrepancyMatchStatus>,
        /// Filter by type of discrepancy (the first of `types`).
        discrepancy_type: Vec<DiscrepancyType>,
        /// Filter by `match_status` or `discrepancy_type`.
        r#type: Vec<MatchStatusOrType>,
        /// Filter by state.
        state: Vec<DiscrepancyState>,
        /// Filter by project.
        project: Vec<String>,
        /// Filter by assignee.
        assignee: Vec<String>,
        /// The minimum difference of the two amounts, in either direction.
        min_diff: Option<Money>,
        /// Only days more than this many days ago: 0 to 36,500.
        #[oai(validator(maximum(value = "36500")))]
        older_than_days: Option<u32>,
    }
    check: DiscrepancyQuery::check
}

impl DiscrepancyQuery {
    fn check(&self, fields: &mut Fields) {
        fields.check_days(self.from_date, self.to_date);
        if self.older_than_days.is_some_and(|days| days > MAX_DAYS_AGO) {
            fields.error("older_than_days", format!("must be from 0 to {MAX_DAYS_AGO}"));
        }
    }

    /// `today` is a day of the reconciliation time zone.
    pub(in crate::web) fn filter(&self, today: NaiveDate, caller: &Caller) -> Result<DiscrepancyFilter, Problem> {
        let days_before = |days: u32| today.checked_sub_days(Days::new(days.into())).unwrap_or(today);
        Ok(DiscrepancyFilter {
            scope: caller.0.scope.clone(),
            from_date: self.from_date,
            to_date: self.to_date,
            match_statuses: self.match_status.iter().map(|DiscrepancyMatchStatus(status)| *status).collect(),
            discrepancy_types: self.discrepancy_type.clone(),
            either: self.r#type.iter().map(|name| name.as_str().to_owned()).collect(),
            states: self.state.clone(),
            projects: caller.projects(&self.project)?,
            assignees: self.assignee.clone(),
            min_diff: self.min_diff.map(|Money(least)| least),
            before_date: self.older_than_days.map(days_before),
        })
    }
}

named_enum!(MatchStatus, "MatchStatus", MatchStatus::ALL, "What a reconciliation found about a payment.");
named_enum!(
    DiscrepancyMatchStatus,
    "DiscrepancyMatchStatus",
    DiscrepancyMatchStatus::all(),
    "What a discrepancy is about."
);
named_enum!(DiscrepancyType, "DiscrepancyType", DiscrepancyType::ALL, "How the two records of a payment differ.");
named_enum!(
    MatchStatusOrType,
    "MatchStatusOrType",
    MatchStatusOrType::all(),
    "A match status or a type of discrepancy."
);
named_enum!(DiscrepancyState, "DiscrepancyState", DiscrepancyState::ALL, "The state of a discrepancy.");

/// A match status that opens a discrepancy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) struct DiscrepancyMatchStatus(pub(in crate::web) MatchStatus);

impl DiscrepancyMatchStatus {
    fn all() -> [Self; 4] {
        MatchStatus::DISCREPANCIES.map(Self)
    }

    fn as_str(self) -> &'static str {
        self.0.as_str()
    }
}

/// The name of a [`DiscrepancyMatchStatus`] or of a [`DiscrepancyType`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) struct MatchStatusOrType(&'static str);

impl MatchStatusOrType {
    fn all() -> Vec<Self> {
        let mut names = MatchStatus::DISCREPANCIES.map(MatchStatus::as_str).to_vec();
        names.extend(DiscrepancyType::ALL.map(DiscrepancyType::as_str));
        // `duplicate` is in both.
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(Self).collect()
    }

    fn as_str(self) -> &'static str {
        self.0
    }
}
