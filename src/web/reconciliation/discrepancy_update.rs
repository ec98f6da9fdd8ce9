//! Updates of one discrepancy, and of many at once.
//!
//! An absent field stays as it is, so removing the assignee needs a value: null or an empty text. A null or empty note
//! or state counts as absent, because neither can be removed.

use std::collections::BTreeSet;

use poem_openapi::Object;
use poem_openapi::types::{Example, MaybeUndefined};
use uuid::Uuid;

use super::discrepancy::Discrepancy;
use crate::domain::discrepancy::DiscrepancyState;
use crate::domain::triage::{Assignment, TriageUpdate};
use crate::web::http::fields::{Fields, FromFields, request_fields};
use crate::web::http::openapi::EXAMPLE_ID;
use crate::web::http::schema::named_enum;

const MAX_IDS: usize = 1_000;
const MAX_NOTE_LENGTH: usize = 2_000;
const MAX_ASSIGNEE_LENGTH: usize = 200;

request_fields! {
    /// An update of a discrepancy. At least one field is required; absent fields stay as they are.
    #[oai(example)]
    pub(in crate::web) struct DiscrepancyUpdate {
        /// The new state.
        state: Option<ManualDiscrepancyState>,
        /// The new assignee; null or empty removes the assignee.
        #[oai(validator(max_length = 200))]
        assignee: MaybeUndefined<String>,
        /// A note, which is kept in the history.
        #[oai(validator(max_length = 2000))]
        note: Option<String>,
    }
    check: DiscrepancyUpdate::check
}

impl DiscrepancyUpdate {
    fn check(&self, fields: &mut Fields) {
        let assignee = self.assignee.value();
        for (name, text, longest) in
            [("assignee", assignee, MAX_ASSIGNEE_LENGTH), ("note", self.note.as_ref(), MAX_NOTE_LENGTH)]
        {
            if text.is_some_and(|text| text.chars().count() > longest) {
                fields.error(name, format!("must have at most {longest} characters"));
            }
        }
        let is_given = ["state", "assignee", "note"].iter().any(|name| fields.has_value(name));
        if !is_given && self.assignee.is_undefined() {
            fields.error("state", "is missing: set at least one of state, assignee, note");
        }
    }
}

impl From<DiscrepancyUpdate> for TriageUpdate {
    fn from(update: DiscrepancyUpdate) -> Self {
        Self {
            state: update.state.map(|ManualDiscrepancyState(state)| state),
            assignment: match update.assignee {
                MaybeUndefined::Undefined => None,
                MaybeUndefined::Null => Some(Assignment::Unassigned),
                MaybeUndefined::Value(person) => Some(Assignment::Person(person)),
            },
            note: update.note,
        }
    }
}

impl Example for DiscrepancyUpdate {
    fn example() -> Self {
        Self {
            state: Some(ManualDiscrepancyState(DiscrepancyState::Acknowledged)),
            assignee: MaybeUndefined::Value("otto".to_owned()),
            note: Some("asked the bank".to_owned()),
        }
    }
}

/// An update of many discrepancies: of all or of none. At least one field besides `ids` is required.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(in crate::web) struct DiscrepanciesUpdate {
    /// The ids of the discrepancies, 1 to 1,000; repeated ids count once.
    #[oai(validator(min_items = 1, max_items = 1000))]
    pub(in crate::web) ids: Vec<Uuid>,
    #[oai(flatten)]
    pub(in crate::web) update: DiscrepancyUpdate,
}

impl FromFields for DiscrepanciesUpdate {
    fn names() -> Vec<&'static str> {
        [vec!["ids"], DiscrepancyUpdate::names()].concat()
    }

    fn read(fields: &mut Fields) -> Self {
        Self { update: DiscrepancyUpdate::read(fields), ids: fields.array("ids", 1..=MAX_IDS) }
    }
}

impl DiscrepanciesUpdate {
    pub(in crate::web) fn distinct_ids(&self) -> BTreeSet<Uuid> {
        self.ids.iter().copied().collect()
    }
}

impl Example for DiscrepanciesUpdate {
    fn example() -> Self {
        Self { ids: vec![EXAMPLE_ID], update: DiscrepancyUpdate::example() }
    }
}

/// The updated discrepancies.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(in crate::web) struct UpdatedDiscrepancies {
    /// The number of discrepancies that changed; those that already had the values are not counted.
    pub(in crate::web) updated: u64,
    /// All requested discrepancies as they are now, ordered by id.
    pub(in crate::web) items: Vec<Discrepancy>,
}

impl Example for UpdatedDiscrepancies {
    fn example() -> Self {
        Self { updated: 1, items: vec![Discrepancy::example()] }
    }
}

named_enum!(
    ManualDiscrepancyState,
    "ManualDiscrepancyState",
    ManualDiscrepancyState::all(),
    "A state that a person may set."
);

/// A state that a person may set. `auto_resolved` is set only by runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) struct ManualDiscrepancyState(DiscrepancyState);

impl ManualDiscrepancyState {
    fn all() -> [Self; 4] {
        DiscrepancyState::MANUAL.map(Self)
    }

    fn as_str(self) -> &'static str {
        self.0.as_str()
    }
}
