//! The states of a discrepancy between the two providers.
//!
//! A discrepancy outlives the run that found it. Later runs update it, and close it if they no longer find it; people
//! acknowledge, resolve and ignore it. All state transitions are defined here.

use super::string_enum::string_enum;

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum DiscrepancyState {
        Open = "open",
        /// Someone is investigating it.
        Acknowledged = "acknowledged",
        /// Resolved by a person. A run reopens it if an amount or a status has changed since.
        Resolved = "resolved",
        /// Closed by a person for good: no run reopens it.
        Ignored = "ignored",
        /// A later run no longer found it. A run that finds it again reopens it.
        AutoResolved = "auto_resolved",
    }
}

impl DiscrepancyState {
    /// The states that a person may choose; only runs set `AutoResolved`.
    pub const MANUAL: [Self; 4] = [Self::Open, Self::Acknowledged, Self::Resolved, Self::Ignored];

    #[must_use]
    pub fn is_unresolved(self) -> bool {
        matches!(self, Self::Open | Self::Acknowledged)
    }

    #[must_use]
    pub fn manual_transitions(self) -> &'static [Self] {
        match self {
            Self::Open => &[Self::Acknowledged, Self::Resolved, Self::Ignored],
            Self::Acknowledged => &[Self::Open, Self::Resolved, Self::Ignored],
            Self::Resolved | Self::Ignored | Self::AutoResolved => &[Self::Open],
        }
    }

    /// The new state after a person's request. Requesting the current state is allowed and changes nothing.
    pub fn transition_to(self, to: Self) -> Result<Self, IllegalTransition> {
        if self == to || self.manual_transitions().contains(&to) {
            Ok(to)
        } else {
            Err(IllegalTransition { from: self, to })
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} cannot become {}; it can become {}", from.as_str(), to.as_str(), names(from.manual_transitions()))]
pub struct IllegalTransition {
    pub from: DiscrepancyState,
    pub to: DiscrepancyState,
}

fn names(states: &[DiscrepancyState]) -> String {
    states.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn illegal_manual_transitions_are_rejected() {
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
        let message = Resolved.transition_to(Ignored).expect_err("an illegal move").to_string();
        assert_eq!(message, "resolved cannot become ignored; it can become open");
    }
}
