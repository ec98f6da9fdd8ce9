//! What is asked of a case, and of many at once.
//!
//! A field that is left out leaves the case as it is. So there must be another word for "nobody": an assignee that is
//! named and says nothing, null or an empty text. A note and a state that say nothing are as good as left out, for
//! neither can be taken away.

use std::collections::BTreeSet;

use poem_openapi::Object;
use poem_openapi::types::Example;
use uuid::Uuid;

use super::discrepancy::Discrepancy;
use crate::domain::discrepancy::DiscrepancyState;
use crate::domain::triage::{Assignment, TriageUpdate};
use crate::web::http::fields::{Fields, FromFields};
use crate::web::http::openapi::EXAMPLE_ID;
use crate::web::http::schema::CaseTarget;

/// The most cases that are moved at once.
const MOST_CASES: usize = 1_000;
const LONGEST_NOTE: usize = 2_000;
const LONGEST_ASSIGNEE: usize = 200;

/// What is to become of a case: at least one of these.
#[derive(Debug, Clone, Default, Object)]
#[oai(example)]
pub(in crate::web) struct DiscrepancyMove {
    /// Where it is to stand.
    state: Option<CaseTarget>,
    /// Who is to look into it; null or empty where nobody is.
    #[oai(validator(max_length = 200))]
    assignee: Option<String>,
    /// What is to be said of it; kept in its history.
    #[oai(validator(max_length = 2000))]
    note: Option<String>,
    /// Whether `assignee` is named, be it by nothing.
    #[oai(skip)]
    assigns: bool,
}

impl DiscrepancyMove {
    fn read_known(fields: &mut Fields, known: &[&str]) -> Option<Self> {
        fields.refuse_others(known);
        let state = fields.optional("state");
        let assignee = fields.optional::<String>("assignee");
        let note = fields.optional::<String>("note");
        for (name, text, longest) in [("assignee", &assignee, LONGEST_ASSIGNEE), ("note", &note, LONGEST_NOTE)] {
            if text.iter().flatten().any(|text| text.chars().count() > longest) {
                fields.error(name, format!("must have at most {longest} characters"));
            }
        }
        let (state, assignee, note) = (state?, assignee?, note?);
        let assigns = assignee.is_some() || fields.is_blank("assignee");
        if state.is_none() && note.is_none() && !assigns {
            fields.error("state", "is missing: say at least one of state, assignee, note");
        }
        Some(Self { state, assignee, note, assigns })
    }
}

impl FromFields for DiscrepancyMove {
    fn read(fields: &mut Fields) -> Option<Self> {
        Self::read_known(fields, &["state", "assignee", "note"])
    }
}

impl From<DiscrepancyMove> for TriageUpdate {
    fn from(asked: DiscrepancyMove) -> Self {
        Self {
            state: asked.state.map(|CaseTarget(state)| state),
            assignment: asked.assigns.then(|| asked.assignee.map_or(Assignment::Unassigned, Assignment::Person)),
            note: asked.note,
        }
    }
}

impl Example for DiscrepancyMove {
    fn example() -> Self {
        Self {
            state: Some(CaseTarget(DiscrepancyState::Acknowledged)),
            assignee: Some("otto".to_owned()),
            note: Some("asked the bank".to_owned()),
            assigns: true,
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
    fn read(fields: &mut Fields) -> Option<Self> {
        let asked = DiscrepancyMove::read_known(fields, &["ids", "state", "assignee", "note"]);
        let ids = fields.array("ids", 1..=MOST_CASES);
        Some(Self { ids: ids?, asked: asked? })
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
