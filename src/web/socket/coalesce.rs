//! Coalesces events that supersede each other.
//!
//! Progress and `metrics_updated` come in bursts of which only the last event matters. Each has a lane, which sends one
//! event and then delays the following ones for an interval. Delayed events are merged and always sent in the end. A
//! delayed event gets the newest id that was sent, if its own is older, because ids must increase.
//!
//! The current time is a parameter, so that tests need no clock.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::event::{Event, RecordedEvent};
use crate::domain::transaction::Source;

/// Three per second, and one more when the sync ends: at most four per second, even if the network delays some.
const PROGRESS_EVERY: Duration = Duration::from_millis(340);
/// A little more than the promised second, to allow for network delays.
const METRICS_EVERY: Duration = Duration::from_millis(1_050);

/// Events of one lane supersede each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::web) enum Lane {
    /// The progress of a sync.
    Progress(Source),
    Metrics,
}

impl Lane {
    /// `None` for most events, which are sent at once.
    pub(in crate::web) fn from_event(event: &Event) -> Option<Self> {
        match event {
            Event::SyncProgress { source, .. } => Some(Self::Progress(*source)),
            Event::MetricsUpdated { .. } => Some(Self::Metrics),
            _ => None,
        }
    }

    fn every(self) -> Duration {
        match self {
            Self::Progress(_) => PROGRESS_EVERY,
            Self::Metrics => METRICS_EVERY,
        }
    }
}

/// The state of one lane: when it last sent an event, and the delayed one.
#[derive(Debug, Default)]
struct Gate {
    opened: Option<Instant>,
    held: Option<RecordedEvent>,
}

#[derive(Debug, Default)]
pub(in crate::web) struct Coalescer {
    gates: HashMap<Lane, Gate>,
    newest: i64,
}

impl Coalescer {
    /// Accepts the next event and returns the events to send now, in order.
    pub(in crate::web) fn admit(&mut self, event: RecordedEvent, now: Instant) -> Vec<RecordedEvent> {
        let Some(lane) = Lane::from_event(&event.event) else {
            // Progress after the end would look like a sync that is still running.
            let late = bounds_of_sync(&event.event).and_then(|source| self.open(Lane::Progress(source), now));
            self.newest = event.id;
            return late.into_iter().chain([event]).collect();
        };
        let gate = self.gates.entry(lane).or_default();
        gate.held = Some(match gate.held.take() {
            Some(older) => merge(&older, event),
            None => event,
        });
        if gate.opened.is_some_and(|opened| now < opened + lane.every()) {
            return vec![];
        }
        self.open(lane, now).into_iter().collect()
    }

    /// Returns delayed events that are due, in the order of ids.
    pub(in crate::web) fn release(&mut self, now: Instant) -> Vec<RecordedEvent> {
        let mut due: Vec<(i64, Lane)> =
            self.waiting().filter(|(_, _, at)| *at <= now).map(|(lane, held, _)| (held.id, lane)).collect();
        due.sort_unstable_by_key(|(id, _)| *id);
        due.into_iter().filter_map(|(_, lane)| self.open(lane, now)).collect()
    }

    /// When the next delayed event is due.
    pub(in crate::web) fn next_release(&self) -> Option<Instant> {
        self.waiting().map(|(_, _, at)| at).min()
    }

    fn waiting(&self) -> impl Iterator<Item = (Lane, &RecordedEvent, Instant)> {
        self.gates.iter().filter_map(|(lane, gate)| Some((*lane, gate.held.as_ref()?, gate.opened? + lane.every())))
    }

    fn open(&mut self, lane: Lane, now: Instant) -> Option<RecordedEvent> {
        let gate = self.gates.get_mut(&lane)?;
        let mut event = gate.held.take()?;
        gate.opened = Some(now);
        event.id = event.id.max(self.newest);
        self.newest = event.id;
        Some(event)
    }
}

/// Coalesces past events: only the last of each lane remains, in the order of ids.
pub(in crate::web) fn coalesce_past(events: impl IntoIterator<Item = RecordedEvent>) -> Vec<RecordedEvent> {
    let mut last: HashMap<Lane, RecordedEvent> = HashMap::new();
    let mut kept = vec![];
    for event in events {
        match Lane::from_event(&event.event) {
            None => kept.push(event),
            Some(lane) => {
                let merged = match last.remove(&lane) {
                    Some(older) => merge(&older, event),
                    None => event,
                };
                last.insert(lane, merged);
            }
        }
    }
    kept.extend(last.into_values());
    kept.sort_by_key(|event| event.id);
    kept
}

/// Merges two events of one lane: the newer one, with the sources of both.
fn merge(older: &RecordedEvent, newer: RecordedEvent) -> RecordedEvent {
    let Event::MetricsUpdated { sources } = &newer.event else { return newer };
    let mut union = older.event.sources().to_vec();
    union.extend(sources);
    union.sort_unstable();
    union.dedup();
    RecordedEvent { event: Event::MetricsUpdated { sources: union }, ..newer }
}

/// The source whose sync starts or ends with this event.
fn bounds_of_sync(event: &Event) -> Option<Source> {
    match event {
        Event::SyncStarted { source, .. } | Event::SyncCompleted { source, .. } | Event::SyncFailed { source, .. } => {
            Some(*source)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{completed, metrics, new_transactions, progress};
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn ids(events: &[RecordedEvent]) -> Vec<i64> {
        events.iter().map(|event| event.id).collect()
    }

    #[test]
    fn first_progress_is_sent_at_once_and_then_the_newest_delayed_one() {
        let (mut coalescer, start) = (Coalescer::default(), Instant::now());
        assert_eq!(ids(&coalescer.admit(progress(1, Source::Vima, 10), start)), [1]);
        assert!(coalescer.admit(progress(2, Source::Vima, 20), start).is_empty());
        assert!(coalescer.admit(progress(3, Source::Vima, 30), start).is_empty());
        assert_eq!(coalescer.next_release(), Some(start + PROGRESS_EVERY));
        assert!(coalescer.release(start + PROGRESS_EVERY - MILLISECOND).is_empty());
        assert_eq!(coalescer.release(start + PROGRESS_EVERY), [progress(3, Source::Vima, 30)]);
        assert_eq!(coalescer.next_release(), None);
    }

    #[test]
    fn sources_do_not_delay_each_other() {
        let (mut coalescer, start) = (Coalescer::default(), Instant::now());
        assert_eq!(ids(&coalescer.admit(progress(1, Source::Vima, 10), start)), [1]);
        assert_eq!(ids(&coalescer.admit(progress(2, Source::Payshack, 10), start)), [2]);
    }

    #[test]
    fn delayed_metrics_event_has_all_sources_and_the_newest_id() {
        let (mut coalescer, start) = (Coalescer::default(), Instant::now());
        assert_eq!(ids(&coalescer.admit(metrics(1, &[Source::Vima]), start)), [1]);
        assert!(coalescer.admit(metrics(2, &[Source::Payshack]), start).is_empty());
        assert!(coalescer.admit(metrics(3, &[Source::Vima]), start).is_empty());
        assert_eq!(ids(&coalescer.admit(new_transactions(4, Source::Vima), start)), [4]);
        assert_eq!(coalescer.release(start + METRICS_EVERY), [metrics(4, &[Source::Vima, Source::Payshack])]);
    }

    #[test]
    fn last_progress_is_sent_before_the_end_of_its_sync() {
        let (mut coalescer, start) = (Coalescer::default(), Instant::now());
        coalescer.admit(progress(1, Source::Vima, 10), start);
        coalescer.admit(progress(2, Source::Vima, 100), start);
        assert_eq!(
            coalescer.admit(completed(3, Source::Vima), start),
            [progress(2, Source::Vima, 100), completed(3, Source::Vima)]
        );
        assert_eq!(coalescer.next_release(), None);
    }

    #[test]
    fn at_most_four_per_second_are_sent_and_always_the_last() {
        let (mut coalescer, start) = (Coalescer::default(), Instant::now());
        let mut out: Vec<(Instant, RecordedEvent)> = vec![];
        for step in 0..3_000_u32 {
            let now = start + MILLISECOND * step;
            out.extend(coalescer.release(now).into_iter().map(|event| (now, event)));
            let event = progress(i64::from(step) + 1, Source::Vima, u64::from(step));
            out.extend(coalescer.admit(event, now).into_iter().map(|event| (now, event)));
        }
        let end = start + MILLISECOND * 3_000 + PROGRESS_EVERY;
        out.extend(coalescer.release(end).into_iter().map(|event| (end, event)));
        for (at, _) in &out {
            let within = out.iter().filter(|(other, _)| other >= at && *other < *at + Duration::from_secs(1)).count();
            assert!(within <= 4, "{within} per second");
        }
        assert_eq!(out.last().map(|(_, event)| event.clone()), Some(progress(3_000, Source::Vima, 2_999)));
    }

    #[test]
    fn past_events_are_reduced_to_the_last_of_each_lane() {
        let past = [
            progress(1, Source::Vima, 1),
            metrics(2, &[Source::Payshack]),
            new_transactions(3, Source::Vima),
            progress(4, Source::Vima, 2),
            metrics(5, &[Source::Vima]),
            new_transactions(6, Source::Vima),
        ];
        let coalesced = coalesce_past(past);
        assert_eq!(ids(&coalesced), [3, 4, 5, 6]);
        assert_eq!(coalesced[2], metrics(5, &[Source::Vima, Source::Payshack]));
    }
}
