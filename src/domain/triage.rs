//! What a person does to a case, and what becomes of it.
//!
//! Apart from the states themselves ([`super::discrepancy`]): those hold for runs as well, a move is a person's alone. What
//! is asked is held against how the case stands, so that asking for what is so already writes nothing, whoever asks twice.

use super::discrepancy::{DiscrepancyState, IllegalTransition};

/// Who is to look into a case from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assignment {
    Unassigned,
    /// This person.
    Person(String),
}

/// What a person asks of a case. What is none stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TriageUpdate {
    /// Where it is to stand.
    pub state: Option<DiscrepancyState>,
    /// Who is to look into it.
    pub assignment: Option<Assignment>,
    /// What is to be said of it.
    pub note: Option<String>,
}

/// How a case stands, as far as people move it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Triage {
    /// Where it stands.
    pub state: DiscrepancyState,
    /// Who looks into it.
    pub assignee: Option<String>,
    /// What was said of it last.
    pub note: Option<String>,
}

impl Triage {
    /// How it stands after a move; none where that is how it stands already.
    ///
    /// # Errors
    /// [`IllegalTransition`] where nobody may.
    pub fn after(&self, asked: &TriageUpdate) -> Result<Option<Self>, IllegalTransition> {
        let state = asked.state.map_or(Ok(self.state), |to| self.state.transition_to(to))?;
        let assignee = match &asked.assignment {
            None => self.assignee.clone(),
            Some(Assignment::Unassigned) => None,
            Some(Assignment::Person(name)) => Some(name.clone()),
        };
        let note = asked.note.clone().or_else(|| self.note.clone());
        Ok(Some(Self { state, assignee, note }).filter(|after| after != self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(state: DiscrepancyState, assignee: Option<&str>, note: Option<&str>) -> Triage {
        Triage { state, assignee: assignee.map(str::to_owned), note: note.map(str::to_owned) }
    }

    #[test]
    fn what_is_not_asked_for_stays() {
        use DiscrepancyState::{Acknowledged, Open, Resolved};
        let (state, note) =
            (|state| TriageUpdate { state: Some(state), ..TriageUpdate::default() }, Some("paid twice".to_owned()));
        let person = |name: &str| Some(Assignment::Person(name.to_owned()));
        let before = standing(Open, Some("otto"), Some("asked the bank"));
        for (asked, after) in [
            (TriageUpdate::default(), None),
            (state(Open), None),
            (state(Acknowledged), Some(standing(Acknowledged, Some("otto"), Some("asked the bank")))),
            (
                TriageUpdate { note: note.clone(), ..TriageUpdate::default() },
                Some(standing(Open, Some("otto"), Some("paid twice"))),
            ),
            (TriageUpdate { note: before.note.clone(), ..TriageUpdate::default() }, None),
            (TriageUpdate { assignment: person("otto"), ..TriageUpdate::default() }, None),
            (
                TriageUpdate { assignment: person("ada"), ..TriageUpdate::default() },
                Some(standing(Open, Some("ada"), Some("asked the bank"))),
            ),
            (
                TriageUpdate { assignment: Some(Assignment::Unassigned), note, ..state(Resolved) },
                Some(standing(Resolved, None, Some("paid twice"))),
            ),
        ] {
            assert_eq!(before.after(&asked), Ok(after), "{asked:?}");
        }
    }

    #[test]
    fn an_illegal_move_is_told_whatever_else_is_asked() {
        let resolved = standing(DiscrepancyState::Resolved, None, None);
        let asked = TriageUpdate {
            state: Some(DiscrepancyState::Ignored),
            note: Some("never mind".to_owned()),
            assignment: None,
        };
        assert!(resolved.after(&asked).is_err());
    }
}
