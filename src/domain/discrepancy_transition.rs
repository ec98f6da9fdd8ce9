//! What a person does to a case, and what becomes of it.
//!
//! Apart from the states themselves ([`super::discrepancy`]): those hold for runs as well, a move is a person's alone. What
//! is asked is held against how the case stands, so that asking for what is so already writes nothing, whoever asks twice.

use super::discrepancy::{CaseState, IllegalMove};

/// Who is to look into a case from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assignment {
    /// Nobody in particular.
    Nobody,
    /// This person.
    Person(String),
}

/// What a person asks of a case. What is none stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Move {
    /// Where it is to stand.
    pub state: Option<CaseState>,
    /// Who is to look into it.
    pub assignment: Option<Assignment>,
    /// What is to be said of it.
    pub note: Option<String>,
}

/// How a case stands, as far as people move it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Where it stands.
    pub state: CaseState,
    /// Who looks into it.
    pub assignee: Option<String>,
    /// What was said of it last.
    pub note: Option<String>,
}

impl Standing {
    /// How it stands after a move; none where that is how it stands already.
    ///
    /// # Errors
    /// [`IllegalMove`] where nobody may.
    pub fn after(&self, asked: &Move) -> Result<Option<Self>, IllegalMove> {
        let state = asked.state.map_or(Ok(self.state), |to| self.state.moved_to(to))?;
        let assignee = match &asked.assignment {
            None => self.assignee.clone(),
            Some(Assignment::Nobody) => None,
            Some(Assignment::Person(name)) => Some(name.clone()),
        };
        let note = asked.note.clone().or_else(|| self.note.clone());
        Ok(Some(Self { state, assignee, note }).filter(|after| after != self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(state: CaseState, assignee: Option<&str>, note: Option<&str>) -> Standing {
        Standing { state, assignee: assignee.map(str::to_owned), note: note.map(str::to_owned) }
    }

    #[test]
    fn what_is_not_asked_for_stays() {
        use CaseState::{Acknowledged, Open, Resolved};
        let (state, note) = (|state| Move { state: Some(state), ..Move::default() }, Some("paid twice".to_owned()));
        let person = |name: &str| Some(Assignment::Person(name.to_owned()));
        let before = standing(Open, Some("otto"), Some("asked the bank"));
        for (asked, after) in [
            (Move::default(), None),
            (state(Open), None),
            (state(Acknowledged), Some(standing(Acknowledged, Some("otto"), Some("asked the bank")))),
            (Move { note: note.clone(), ..Move::default() }, Some(standing(Open, Some("otto"), Some("paid twice")))),
            (Move { note: before.note.clone(), ..Move::default() }, None),
            (Move { assignment: person("otto"), ..Move::default() }, None),
            (
                Move { assignment: person("ada"), ..Move::default() },
                Some(standing(Open, Some("ada"), Some("asked the bank"))),
            ),
            (
                Move { assignment: Some(Assignment::Nobody), note, ..state(Resolved) },
                Some(standing(Resolved, None, Some("paid twice"))),
            ),
        ] {
            assert_eq!(before.after(&asked), Ok(after), "{asked:?}");
        }
    }

    #[test]
    fn an_illegal_move_is_told_whatever_else_is_asked() {
        let resolved = standing(CaseState::Resolved, None, None);
        let asked = Move { state: Some(CaseState::Ignored), note: Some("never mind".to_owned()), assignment: None };
        assert!(resolved.after(&asked).is_err());
    }
}
