//! Triage of discrepancies by people: state, assignee and note.
//!
//! Separate from the states ([`super::discrepancy`]), which runs change as well. An update is compared with the current
//! values, so a repeated request writes nothing.

use serde::{Deserialize, Deserializer, Serialize};

use super::discrepancy::{DiscrepancyState, IllegalTransition};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<String>", into = "Option<String>")]
pub enum Assignment {
    Unassigned,
    Person(String),
}

impl From<Option<String>> for Assignment {
    fn from(person: Option<String>) -> Self {
        person.map_or(Self::Unassigned, Self::Person)
    }
}

impl From<Assignment> for Option<String> {
    fn from(assignment: Assignment) -> Self {
        match assignment {
            Assignment::Unassigned => None,
            Assignment::Person(person) => Some(person),
        }
    }
}

/// A requested change. Fields that are `None` stay unchanged. Stored as JSON with bulk actions: the names in it must not change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriageUpdate {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<DiscrepancyState>,
    /// Null removes the assignee.
    #[serde(rename = "assignee", default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub assignment: Option<Assignment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Without it, null would count as absent.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Assignment>, D::Error> {
    Assignment::deserialize(deserializer).map(Some)
}

/// The fields of a discrepancy that people change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Triage {
    pub state: DiscrepancyState,
    pub assignee: Option<String>,
    pub note: Option<String>,
}

impl Triage {
    /// The values after the update, or `None` if it changes nothing.
    pub fn apply(&self, update: &TriageUpdate) -> Result<Option<Self>, IllegalTransition> {
        let state = update.state.map_or(Ok(self.state), |to| self.state.transition_to(to))?;
        let assignee = match &update.assignment {
            None => self.assignee.clone(),
            Some(Assignment::Unassigned) => None,
            Some(Assignment::Person(name)) => Some(name.clone()),
        };
        let note = update.note.clone().or_else(|| self.note.clone());
        Ok(Some(Self { state, assignee, note }).filter(|after| after != self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn triage(state: DiscrepancyState, assignee: Option<&str>, note: Option<&str>) -> Triage {
        Triage { state, assignee: assignee.map(str::to_owned), note: note.map(str::to_owned) }
    }

    #[test]
    fn fields_that_are_not_requested_stay_unchanged() {
        use DiscrepancyState::{Acknowledged, Open, Resolved};
        let (state, note) =
            (|state| TriageUpdate { state: Some(state), ..TriageUpdate::default() }, Some("paid twice".to_owned()));
        let person = |name: &str| Some(Assignment::Person(name.to_owned()));
        let before = triage(Open, Some("otto"), Some("asked the bank"));
        for (update, after) in [
            (TriageUpdate::default(), None),
            (state(Open), None),
            (state(Acknowledged), Some(triage(Acknowledged, Some("otto"), Some("asked the bank")))),
            (
                TriageUpdate { note: note.clone(), ..TriageUpdate::default() },
                Some(triage(Open, Some("otto"), Some("paid twice"))),
            ),
            (TriageUpdate { note: before.note.clone(), ..TriageUpdate::default() }, None),
            (TriageUpdate { assignment: person("otto"), ..TriageUpdate::default() }, None),
            (
                TriageUpdate { assignment: person("ada"), ..TriageUpdate::default() },
                Some(triage(Open, Some("ada"), Some("asked the bank"))),
            ),
            (
                TriageUpdate { assignment: Some(Assignment::Unassigned), note, ..state(Resolved) },
                Some(triage(Resolved, None, Some("paid twice"))),
            ),
        ] {
            assert_eq!(before.apply(&update), Ok(after), "{update:?}");
        }
    }

    #[test]
    fn stored_updates_keep_their_json() {
        for (json, assignment) in [
            (r#"{"state":"resolved"}"#, None),
            (r#"{"state":"resolved","assignee":null}"#, Some(Assignment::Unassigned)),
            (r#"{"state":"resolved","assignee":"ada"}"#, Some(Assignment::Person("ada".to_owned()))),
        ] {
            let update: TriageUpdate = serde_json::from_str(json).expect(json);
            assert_eq!((update.state, &update.assignment), (Some(DiscrepancyState::Resolved), &assignment), "{json}");
            assert_eq!(serde_json::to_string(&update).expect("JSON"), json);
        }
    }

    #[test]
    fn illegal_transition_is_rejected_even_with_other_changes() {
        let resolved = triage(DiscrepancyState::Resolved, None, None);
        let update = TriageUpdate {
            state: Some(DiscrepancyState::Ignored),
            note: Some("never mind".to_owned()),
            assignment: None,
        };
        assert!(resolved.apply(&update).is_err());
    }
}
