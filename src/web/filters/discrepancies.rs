//! Which cases are asked for: the same for the listing and for its export.

use chrono::{Days, NaiveDate};
use poem_openapi::Object;

use crate::db::discrepancies::DiscrepancyFilter;
use crate::domain::discrepancy::DiscrepancyState;
use crate::domain::reconciliation::DiscrepancyType;
use crate::web::http::fields::{Fields, FromFields};
use crate::web::http::schema::{CaseStatus, CaseWord, Money};

/// A hundred years: nothing is older, and no calendar ends before.
const MOST_DAYS_AGO: u32 = 36_500;

/// Which cases are listed. Lists take one value or several by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Object)]
pub(in crate::web) struct DiscrepancyQuery {
    /// Of this day or later.
    from_date: Option<NaiveDate>,
    /// Of this day or before.
    to_date: Option<NaiveDate>,
    /// About this.
    match_status: Vec<CaseStatus>,
    /// Counted by this type.
    discrepancy_type: Vec<DiscrepancyType>,
    /// About this, or counted by this type.
    r#type: Vec<CaseWord>,
    /// In this state.
    state: Vec<DiscrepancyState>,
    /// Of these projects.
    project: Vec<String>,
    /// Of these people.
    assignee: Vec<String>,
    /// Whose amounts differ by at least so much, in either direction.
    min_diff: Option<Money>,
    /// Whose day is more than so many days ago: 0 to 36,500.
    #[oai(validator(maximum(value = "36500")))]
    older_than_days: Option<u32>,
}

impl FromFields for DiscrepancyQuery {
    fn read(fields: &mut Fields) -> Option<Self> {
        let from_date = fields.optional::<NaiveDate>("from_date");
        let to_date = fields.optional::<NaiveDate>("to_date");
        let match_status = fields.list("match_status");
        let discrepancy_type = fields.list("discrepancy_type");
        let either = fields.list("type");
        let state = fields.list("state");
        let project = fields.list("project");
        let assignee = fields.list("assignee");
        let min_diff = fields.optional("min_diff");
        let older_than_days = fields.optional::<u32>("older_than_days");
        if let (Some(Some(from)), Some(Some(to))) = (from_date, to_date)
            && from > to
        {
            fields.error("from_date", format!("{from} is after to_date {to}: swap them"));
        }
        if older_than_days.flatten().is_some_and(|days| days > MOST_DAYS_AGO) {
            fields.error("older_than_days", format!("must be from 0 to {MOST_DAYS_AGO}"));
        }
        Some(Self {
            from_date: from_date?,
            to_date: to_date?,
            match_status: match_status?,
            discrepancy_type: discrepancy_type?,
            r#type: either?,
            state: state?,
            project: project?,
            assignee: assignee?,
            min_diff: min_diff?.map(Money),
            older_than_days: older_than_days?,
        })
    }
}

impl DiscrepancyQuery {
    /// The filter, on the day `today` of the zone whose days are reconciled.
    pub(in crate::web) fn filter(&self, today: NaiveDate) -> DiscrepancyFilter {
        let days_before = |days: u32| today.checked_sub_days(Days::new(days.into())).unwrap_or(today);
        DiscrepancyFilter {
            from_date: self.from_date,
            to_date: self.to_date,
            match_statuses: self.match_status.iter().map(|CaseStatus(status)| *status).collect(),
            discrepancy_types: self.discrepancy_type.clone(),
            either: self.r#type.iter().map(|word| word.as_str().to_owned()).collect(),
            states: self.state.clone(),
            projects: self.project.clone(),
            assignees: self.assignee.clone(),
            min_diff: self.min_diff.map(|Money(least)| least),
            before_date: self.older_than_days.map(days_before),
        }
    }
}
