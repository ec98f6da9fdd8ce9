//! How live events are sent.

use super::{EnvVars, Setting, Switch};
use crate::domain::event_names::EventNames;

/// Reads `LEGACY_EVENTS`.
pub(super) fn read_names(env: &mut EnvVars) -> Option<EventNames> {
    let Switch(is_legacy) = env.optional(Setting::open("LEGACY_EVENTS", "true"), Switch(false))?;
    Some(if is_legacy { EventNames::BothForms } else { EventNames::Current })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_events_are_off_by_default() {
        for (pairs, expected) in [
            (vec![], Some(EventNames::Current)),
            (vec![("LEGACY_EVENTS", "false")], Some(EventNames::Current)),
            (vec![("LEGACY_EVENTS", "true")], Some(EventNames::BothForms)),
            (vec![("LEGACY_EVENTS", "plural")], None),
        ] {
            assert_eq!(read_names(&mut EnvVars::from_pairs(pairs.clone())), expected, "{pairs:?}");
        }
    }
}
