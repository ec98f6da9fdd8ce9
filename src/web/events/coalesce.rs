//! Coalesces events that supersede each other.
//!
//! Progress and `metrics_updated` come in bursts of which only the last event matters. Each has a lane, which sends one
//! event and then delays the following ones for an interval. Delayed events are merged and always sent in the end.
//!
//! Every event after a delayed one waits for it, at most a second, because the id of the last message is all that a client
//! knows when it reconnects: whatever has a smaller id must have been sent. Superseded progress can be dropped. Several
//! `metrics_updated` become two, the first and the last: the first contains the sources of all, for a client that leaves
//! before the last; the last is still needed by a client that received the first from another process, without the others.
//! Rejected: sending a delayed event later with an id that was sent already (two messages have one id, and a client that
//! reconnects between the two never gets the second).
//!
//! The current time is a parameter, so that tests need no clock.

use std::collections::{HashMap, HashSet, VecDeque};
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

/// Whether an event must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Until its lane may send again.
    Lane(Lane),
    /// Only until the events before it are sent.
    Free,
}

#[derive(Debug)]
struct Waiting {
    event: RecordedEvent,
    hold: Hold,
}

#[derive(Debug, Default)]
pub(in crate::web) struct Coalescer {
    /// When each lane last sent an event.
    sent: HashMap<Lane, Instant>,
    /// In the order of ids; the first one is held by its lane. Of progress at most one per source, of `metrics_updated` two.
    waiting: VecDeque<Waiting>,
}

impl Coalescer {
    /// Accepts the next event and returns the events to send now, in order.
    pub(in crate::web) fn admit(&mut self, event: RecordedEvent, now: Instant) -> Vec<RecordedEvent> {
        match Lane::from_event(&event.event) {
            Some(Lane::Metrics) => self.admit_metrics(event),
            Some(lane @ Lane::Progress(_)) => {
                self.waiting.retain(|waiting| waiting.hold != Hold::Lane(lane));
                self.waiting.push_back(Waiting { event, hold: Hold::Lane(lane) });
            }
            None => {
                // The last progress is sent before the end of its sync.
                let ended = bounds_of_sync(&event.event).map(|source| Hold::Lane(Lane::Progress(source)));
                self.waiting.iter_mut().filter(|waiting| Some(waiting.hold) == ended).for_each(Waiting::free);
                self.waiting.push_back(Waiting { event, hold: Hold::Free });
            }
        }
        self.release(now)
    }

    /// Of the waiting `metrics_updated`, the first has the sources of all, and the last those of all but the first.
    fn admit_metrics(&mut self, mut event: RecordedEvent) {
        let hold = Hold::Lane(Lane::Metrics);
        let mut places = self.waiting.iter().enumerate().filter(|(_, waiting)| waiting.hold == hold);
        let (first, last) = (places.next().map(|(place, _)| place), places.next().map(|(place, _)| place));
        if let Some(first) = first.and_then(|place| self.waiting.get_mut(place)) {
            add_sources(&mut first.event, &event);
        }
        if let Some(last) = last.and_then(|place| self.waiting.remove(place)) {
            add_sources(&mut event, &last.event);
        }
        self.waiting.push_back(Waiting { event, hold });
    }

    /// Returns the events that may be sent now, in order.
    pub(in crate::web) fn release(&mut self, now: Instant) -> Vec<RecordedEvent> {
        let mut released = vec![];
        while self.next_release().is_none_or(|due| due <= now) {
            let Some(Waiting { event, .. }) = self.waiting.pop_front() else { break };
            if let Some(lane) = Lane::from_event(&event.event) {
                self.sent.insert(lane, now);
            }
            released.push(event);
        }
        released
    }

    /// When the first waiting event is due; `None` if nothing waits, or it is due at once.
    pub(in crate::web) fn next_release(&self) -> Option<Instant> {
        match self.waiting.front()?.hold {
            Hold::Lane(lane) => Some(*self.sent.get(&lane)? + lane.every()),
            Hold::Free => None,
        }
    }
}

impl Waiting {
    fn free(&mut self) {
        self.hold = Hold::Free;
    }
}

/// Coalesces past events, in the order of ids: of progress, the last of each source remains; `metrics_updated` remains once,
/// at the place of the first one and with all sources, because a client may leave before it reaches the last one.
pub(in crate::web) fn coalesce_past(events: impl IntoIterator<Item = RecordedEvent>) -> Vec<RecordedEvent> {
    let mut kept: Vec<RecordedEvent> = vec![];
    let mut places: HashMap<Lane, usize> = HashMap::new();
    let mut superseded = HashSet::new();
    for event in events {
        let lane = Lane::from_event(&event.event);
        let place = lane.and_then(|lane| places.get(&lane).copied());
        match (lane, place.and_then(|place| kept.get_mut(place))) {
            (Some(Lane::Metrics), Some(first)) => {
                add_sources(first, &event);
                continue;
            }
            (_, Some(earlier)) => {
                superseded.insert(earlier.id);
            }
            (_, None) => {}
        }
        if let Some(lane) = lane {
            places.insert(lane, kept.len());
        }
        kept.push(event);
    }
    kept.retain(|event| !superseded.contains(&event.id));
    kept
}

/// Adds the sources of another `metrics_updated`.
fn add_sources(metrics: &mut RecordedEvent, other: &RecordedEvent) {
    let mut sources = [metrics.event.sources(), other.event.sources()].concat();
    sources.sort_unstable();
    sources.dedup();
    metrics.event = Event::MetricsUpdated { sources };
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
    fn events_wait_for_a_delayed_metrics_event_which_has_the_sources_of_all() {
        let (mut coalescer, start) = (Coalescer::default(), Instant::now());
        assert_eq!(ids(&coalescer.admit(metrics(1, &[Source::Vima]), start)), [1]);
        assert!(coalescer.admit(metrics(2, &[Source::Payshack]), start).is_empty());
        assert!(coalescer.admit(new_transactions(3, Source::Vima), start).is_empty());
        assert!(coalescer.admit(metrics(4, &[Source::Vima]), start).is_empty());
        assert!(coalescer.release(start + METRICS_EVERY - MILLISECOND).is_empty());
        assert!(coalescer.admit(metrics(5, &[Source::Vima]), start).is_empty());
        assert_eq!(
            coalescer.release(start + METRICS_EVERY),
            [metrics(2, &[Source::Vima, Source::Payshack]), new_transactions(3, Source::Vima)]
        );
        assert_eq!(coalescer.release(start + 2 * METRICS_EVERY), [metrics(5, &[Source::Vima])]);
        assert_eq!(coalescer.next_release(), None);
    }

    #[test]
    fn superseded_progress_delays_no_other_event() {
        let (mut coalescer, start) = (Coalescer::default(), Instant::now());
        assert_eq!(ids(&coalescer.admit(progress(1, Source::Vima, 10), start)), [1]);
        assert!(coalescer.admit(progress(2, Source::Vima, 20), start).is_empty());
        assert!(coalescer.admit(new_transactions(3, Source::Vima), start).is_empty());
        assert_eq!(ids(&coalescer.admit(progress(4, Source::Vima, 30), start)), [3]);
        assert_eq!(coalescer.release(start + PROGRESS_EVERY), [progress(4, Source::Vima, 30)]);
    }

    /// Sends events of all kinds, with the number of events that were admitted before each message.
    fn send_burst(events: &[RecordedEvent]) -> Vec<(i64, RecordedEvent)> {
        let (mut coalescer, mut now) = (Coalescer::default(), Instant::now());
        let mut sent = vec![];
        for (admitted, event) in (0..).zip(events) {
            now += MILLISECOND * 37;
            sent.extend(coalescer.release(now).into_iter().map(|message| (admitted, message)));
            sent.extend(coalescer.admit(event.clone(), now).into_iter().map(|message| (admitted + 1, message)));
        }
        while let Some(due) = coalescer.next_release() {
            sent.extend(coalescer.release(due).into_iter().map(|message| (400, message)));
        }
        sent
    }

    #[test]
    fn client_that_reconnects_after_any_message_misses_nothing() {
        let events: Vec<RecordedEvent> = (1..400_i64)
            .map(|id| match id * id % 7 {
                0 => new_transactions(id, Source::Vima),
                1 => metrics(id, &[Source::Payshack]),
                2 => progress(id, Source::Payshack, id.unsigned_abs()),
                _ => metrics(id, &[Source::Vima]),
            })
            .collect();
        let sent = send_burst(&events);
        assert!(sent.is_sorted_by(|(_, before), (_, after)| before.id < after.id), "ids strictly increase: {sent:?}");
        let covers = |message: &RecordedEvent, event: &RecordedEvent| match event.event {
            Event::MetricsUpdated { .. } => {
                message.event.name() == "metrics_updated"
                    && event.event.sources().iter().all(|source| message.event.sources().contains(source))
            }
            // Superseded by later progress.
            Event::SyncProgress { .. } => true,
            _ => message == event,
        };
        for event in &events {
            for (position, (_, last)) in sent.iter().enumerate().filter(|(_, (_, last))| last.id >= event.id) {
                let received = &sent[..=position];
                assert!(
                    received.iter().any(|(admitted, message)| *admitted >= event.id && covers(message, event)),
                    "{event:?} has not been sent before {last:?}"
                );
            }
            assert!(
                sent.iter().any(|(_, message)| message.id >= event.id && covers(message, event)),
                "{event:?} is not sent to a client that another process has sent all events before it"
            );
        }
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
    fn past_progress_is_reduced_to_the_last_and_metrics_to_the_first_with_all_sources() {
        let past = [
            progress(1, Source::Vima, 1),
            metrics(2, &[Source::Payshack]),
            new_transactions(3, Source::Vima),
            progress(4, Source::Vima, 2),
            metrics(5, &[Source::Vima]),
            new_transactions(6, Source::Vima),
        ];
        let coalesced = coalesce_past(past);
        assert_eq!(ids(&coalesced), [2, 3, 4, 6]);
        assert_eq!(coalesced[0], metrics(2, &[Source::Vima, Source::Payshack]));
    }
}
