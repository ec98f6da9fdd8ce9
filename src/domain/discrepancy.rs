//! Cases: what people do about what two providers disagree on.
//!
//! A case lives across runs. Runs open it, change what it is about, and close it where they find it no longer; people
//! acknowledge, resolve and ignore it. What may follow what is decided here alone.

use super::string_enum::string_enum;

string_enum! {
    /// Where a case stands.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum DiscrepancyState {
        /// Nobody has looked into it.
        Open = "open",
        /// Somebody is at it.
        Acknowledged = "acknowledged",
        /// Somebody has settled it. It is opened again where an amount or a status has changed since.
        Resolved = "resolved",
        /// Somebody has decided that it does not matter, whatever runs find.
        Ignored = "ignored",
        /// A later run no longer found it. It is opened again where one does.
        AutoResolved = "auto_resolved",
    }
}

impl DiscrepancyState {
    /// Those that a person may choose: that a run finds a case no longer is said by runs alone.
    pub const MANUAL: [Self; 4] = [Self::Open, Self::Acknowledged, Self::Resolved, Self::Ignored];

    /// Whether somebody has still to do something.
    #[must_use]
    pub fn is_unresolved(self) -> bool {
        matches!(self, Self::Open | Self::Acknowledged)
    }

    /// The states that a person may move it to.
    #[must_use]
    pub fn manual_transitions(self) -> &'static [Self] {
        match self {
            Self::Open => &[Self::Acknowledged, Self::Resolved, Self::Ignored],
            Self::Acknowledged => &[Self::Open, Self::Resolved, Self::Ignored],
            Self::Resolved | Self::Ignored | Self::AutoResolved => &[Self::Open],
        }
    }

    /// Moves it as a person asks. To where it is already is no move, and no fault.
    ///
    /// # Errors
    /// [`IllegalTransition`] where nobody may.
    pub fn transition_to(self, to: Self) -> Result<Self, IllegalTransition> {
        if self == to || self.manual_transitions().contains(&to) {
            Ok(to)
        } else {
            Err(IllegalTransition { from: self, to })
        }
    }
}

/// A move that nobody may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} cannot become {}; it can become {}", from.as_str(), to.as_str(), names(from.manual_transitions()))]
pub struct IllegalTransition {
    /// Where the case stands.
    pub from: DiscrepancyState,
    /// Where it was to go.
    pub to: DiscrepancyState,
}

fn names(states: &[DiscrepancyState]) -> String {
    states.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_move_cases_along_the_legal_ways_alone() {
        use DiscrepancyState::{Acknowledged, AutoResolved, Ignored, Open, Resolved};
        let legal = [
            (Open, Acknowledged),
            (Open, Resolved),
            (Open, Ignored),
            (Acknowledged, Open),
            (Acknowledged, Resolved),
            (Acknowledged, Ignored),
            (Resolved, Open),
            (Ignored, Open),
            (AutoResolved, Open),
        ];
        for from in DiscrepancyState::ALL {
            for to in DiscrepancyState::ALL {
                let expected = from == to || legal.contains(&(from, to));
                assert_eq!(from.transition_to(to).is_ok(), expected, "{from:?} -> {to:?}");
            }
        }
        let told = Resolved.transition_to(Ignored).expect_err("an illegal move").to_string();
        assert_eq!(told, "resolved cannot become ignored; it can become open");
    }
}
