//! What is asked of a case, and of many at once.
//!
//! A field that is left out leaves the case as it is. So there must be another word for "nobody": an assignee that is
//! named and says nothing, null or an empty text. A note and a state that say nothing are as good as left out, for
//! neither can be taken away.

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

/// The most cases that are moved at once.
const MOST_CASES: usize = 1_000;
const LONGEST_NOTE: usize = 2_000;
const LONGEST_ASSIGNEE: usize = 200;

request_fields! {
    /// A change of a discrepancy; at least one field is required.
    #[oai(example)]
    pub(in crate::web) struct DiscrepancyMove {
        /// The new state.
        state: Option<CaseTarget>,
        /// The new assignee; null or empty removes the assignee.
        #[oai(validator(max_length = 200))]
        assignee: MaybeUndefined<String>,
        /// A note for the history.
        #[oai(validator(max_length = 2000))]
        note: Option<String>,
    }
    check: DiscrepancyMove::check
}

impl DiscrepancyMove {
    fn check(&self, fields: &mut Fields) {
        let assignee = self.assignee.value();
        for (name, text, longest) in
            [("assignee", assignee, LONGEST_ASSIGNEE), ("note", self.note.as_ref(), LONGEST_NOTE)]
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

impl From<DiscrepancyMove> for TriageUpdate {
    fn from(asked: DiscrepancyMove) -> Self {
        Self {
            state: asked.state.map(|CaseTarget(state)| state),
            assignment: match asked.assignee {
                MaybeUndefined::Undefined => None,
                MaybeUndefined::Null => Some(Assignment::Unassigned),
                MaybeUndefined::Value(person) => Some(Assignment::Person(person)),
            },
            note: asked.note,
        }
    }
}

impl Example for DiscrepancyMove {
    fn example() -> Self {
        Self {
            state: Some(CaseTarget(DiscrepancyState::Acknowledged)),
            assignee: MaybeUndefined::Value("otto".to_owned()),
            note: Some("asked the bank".to_owned()),
        }
    }
}

/// What is to become of many cases: all of them, or none.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(in crate::web) struct DiscrepancyMoves {
    /// The cases, 1 to 1,000; one that is named twice counts once.
    #[oai(validator(min_items = 1, max_items = 1000))]
    pub(in crate::web) ids: Vec<Uuid>,
    #[oai(flatten)]
    pub(in crate::web) asked: DiscrepancyMove,
}

impl FromFields for DiscrepancyMoves {
    fn names() -> Vec<&'static str> {
        [vec!["ids"], DiscrepancyMove::names()].concat()
    }

    fn read(fields: &mut Fields) -> Self {
        Self { asked: DiscrepancyMove::read(fields), ids: fields.array("ids", 1..=MOST_CASES) }
    }
}

impl DiscrepancyMoves {
    /// The cases, each once.
    pub(in crate::web) fn cases(&self) -> BTreeSet<Uuid> {
        self.ids.iter().copied().collect()
    }
}

impl Example for DiscrepancyMoves {
    fn example() -> Self {
        Self { ids: vec![EXAMPLE_ID], asked: DiscrepancyMove::example() }
    }
}

/// What became of many cases.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(in crate::web) struct DiscrepanciesMoved {
    /// How many are another way now; those that were so already are not written.
    pub(in crate::web) updated: u64,
    /// All that were asked for, by their ids, as they are now.
    pub(in crate::web) items: Vec<Discrepancy>,
}

impl Example for DiscrepanciesMoved {
    fn example() -> Self {
        Self { updated: 1, items: vec![Discrepancy::example()] }
    }
}

named_enum!(CaseTarget, "CaseTarget", CaseTarget::all(), "A state that a person may set.");

/// A state that a person may set; `auto_resolved` is set by runs alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) struct CaseTarget(DiscrepancyState);

impl CaseTarget {
    fn all() -> [Self; 4] {
        DiscrepancyState::MANUAL.map(Self)
    }

    fn as_str(self) -> &'static str {
        self.0.as_str()
    }
}
