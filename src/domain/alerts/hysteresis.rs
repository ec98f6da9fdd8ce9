//! When an alert fires, and when it is resolved.
//!
//! The times are those up to which the data was read, not those of the evaluation: minutes in which nothing new was read count
//! for neither, and an evaluation that is repeated changes nothing.

use chrono::{DateTime, TimeDelta, Utc};

use super::reading::Level;

/// How long a condition must hold, or be over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HoldTimes {
    pub for_minutes: u32,
    pub clear_minutes: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Phase {
    pub is_open: bool,
    /// Since when the condition holds without interruption, while no alert is open.
    pub breached_since: Option<DateTime<Utc>>,
    /// Since when the condition is over without interruption, while an alert is open.
    pub clear_since: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    Fire,
    Resolve,
}

impl HoldTimes {
    /// The phase after a measurement as of `at`.
    #[must_use]
    pub fn step(self, phase: Phase, level: Level, at: DateTime<Utc>) -> (Phase, Option<Transition>) {
        let expected = if phase.is_open { Level::Clear } else { Level::Breached };
        let (since, minutes) = if phase.is_open {
            (phase.clear_since, self.clear_minutes)
        } else {
            (phase.breached_since, self.for_minutes)
        };
        let idle = Phase { is_open: phase.is_open, ..Phase::default() };
        if level != expected {
            return (idle, None);
        }
        let since = since.unwrap_or(at);
        if at - since < TimeDelta::minutes(i64::from(minutes)) {
            let waiting = if phase.is_open {
                Phase { clear_since: Some(since), ..idle }
            } else {
                Phase { breached_since: Some(since), ..idle }
            };
            return (waiting, None);
        }
        let transition = if phase.is_open { Transition::Resolve } else { Transition::Fire };
        (Phase { is_open: !phase.is_open, ..Phase::default() }, Some(transition))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn levels() -> impl Strategy<Value = Vec<Level>> {
        let level = prop_oneof![
            4 => Just(Level::Breached),
            4 => Just(Level::Clear),
            1 => Just(Level::Between),
            1 => Just(Level::Unknown),
        ];
        proptest::collection::vec(level, 0..60)
    }

    /// Whether an alert is open after each minute: it looks back at the levels of the last minutes, which all began after the last
    /// change.
    fn oracle(levels: &[Level], hold: HoldTimes) -> Vec<bool> {
        let (mut is_open, mut changed_at, mut open) = (false, 0, vec![]);
        for now in 0..levels.len() {
            let (wanted, minutes) =
                if is_open { (Level::Clear, hold.clear_minutes) } else { (Level::Breached, hold.for_minutes) };
            let first = now.checked_sub(minutes as usize).filter(|first| *first >= changed_at);
            if first.is_some_and(|first| levels[first..=now].iter().all(|level| *level == wanted)) {
                (is_open, changed_at) = (!is_open, now + 1);
            }
            open.push(is_open);
        }
        open
    }

    proptest! {
        #[test]
        fn alert_fires_and_is_resolved_as_the_levels_of_the_last_minutes_say(
            levels in levels(), for_minutes in 0_u32..6, clear_minutes in 0_u32..6,
        ) {
            let hold = HoldTimes { for_minutes, clear_minutes };
            let (mut phase, mut open, mut at) = (Phase::default(), vec![], DateTime::UNIX_EPOCH);
            for level in &levels {
                let (next, transition) = hold.step(phase, *level, at);
                prop_assert_eq!(transition.is_some(), next.is_open != phase.is_open);
                if transition.is_none() {
                    prop_assert_eq!(hold.step(next, *level, at), (next, None), "the same measurement again changes nothing");
                }
                phase = next;
                open.push(phase.is_open);
                at += TimeDelta::minutes(1);
            }
            prop_assert_eq!(open, oracle(&levels, hold));
        }
    }

    #[test]
    fn interruptions_start_the_time_again() {
        let hold = HoldTimes { for_minutes: 2, clear_minutes: 3 };
        let (mut phase, mut changes) = (Phase::default(), vec![]);
        for (minute, letter) in "bbcbbu-bbb-cc-cccc".chars().enumerate() {
            let level = match letter {
                'b' => Level::Breached,
                'c' => Level::Clear,
                'u' => Level::Unknown,
                _ => Level::Between,
            };
            let minutes = TimeDelta::minutes(i64::try_from(minute).expect("small"));
            let (next, transition) = hold.step(phase, level, DateTime::UNIX_EPOCH + minutes);
            changes.extend(transition.map(|transition| (minute, transition)));
            phase = next;
        }
        assert_eq!(changes, [(9, Transition::Fire), (17, Transition::Resolve)]);
    }
}
