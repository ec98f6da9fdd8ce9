//! Every event exactly once and in order, whatever is lost.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::super::message::Outgoing;
use super::super::outbox::Outbox;
use super::*;
use crate::domain::access::{FileAudience, Principal, ProjectScope, Role};
use crate::domain::masking::PiiAccess;

/// Up to `count` ids that arrive within `limit`.
async fn receive(outbox: &Outbox, count: usize, limit: Duration) -> Vec<i64> {
    let mut ids = vec![];
    let deadline = Instant::now() + limit;
    while ids.len() < count {
        match tokio::time::timeout_at(deadline, outbox.next()).await {
            Ok(event) => ids.push(event.recorded.id),
            Err(_) => break,
        }
    }
    ids
}

const SOON: Duration = Duration::from_millis(500);
const AFTER_SILENCE: Duration = Duration::from_secs(4);

fn event(id: i64) -> RecordedEvent {
    new_transactions(id, Source::Vima)
}

#[tokio::test]
async fn events_arrive_in_order_each_once() {
    let feed = FakeFeed::new((1..=5).map(event).collect());
    let hub = feed.start().await;
    let outbox = hub.join(Principal::anyone(), None).await.outbox;
    feed.commit_and_publish(event(6));
    feed.commit_and_publish(event(7));
    feed.announce(6);
    feed.commit_and_publish(event(8));
    assert_eq!(receive(&outbox, 4, SOON).await, [6, 7, 8]);
}

#[tokio::test]
async fn announced_ids_prove_nothing() {
    let feed = FakeFeed::new(vec![event(1)]);
    let hub = feed.start().await;
    let outbox = hub.join(Principal::anyone(), None).await.outbox;
    // None of these exists, and the table is not read for each.
    let before = feed.reads.load(Ordering::Relaxed);
    for id in (2..500).chain([i64::MAX, i64::MIN, 0, -1]) {
        feed.announce(id);
    }
    assert!(receive(&outbox, 1, Duration::from_millis(300)).await.is_empty());
    let reads = feed.reads.load(Ordering::Relaxed) - before;
    assert!(reads < 20, "{reads} reads of the table");
    feed.commit_and_publish(event(2));
    assert_eq!(receive(&outbox, 1, AFTER_SILENCE).await, [2]);
    // Ids that are known already do not delay the regular look into the table either.
    feed.commit(event(3));
    let flood = async {
        loop {
            feed.announce(1);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        ids = receive(&outbox, 1, AFTER_SILENCE) => assert_eq!(ids, [3]),
        () = flood => {}
    }
}

#[tokio::test]
async fn lost_publish_is_recovered_by_the_next_one() {
    let feed = FakeFeed::new(vec![event(1)]);
    let hub = feed.start().await;
    let outbox = hub.join(Principal::anyone(), None).await.outbox;
    feed.commit(event(2));
    feed.commit(event(3));
    feed.commit_and_publish(event(4));
    assert_eq!(receive(&outbox, 4, SOON).await, [2, 3, 4]);
}

#[tokio::test]
async fn lost_publish_is_recovered_after_a_silence() {
    let feed = FakeFeed::new(vec![event(1)]);
    let hub = feed.start().await;
    let outbox = hub.join(Principal::anyone(), None).await.outbox;
    feed.commit(event(2));
    assert_eq!(receive(&outbox, 1, AFTER_SILENCE).await, [2]);
}

#[tokio::test]
async fn events_of_a_newer_release_are_passed_over() {
    let feed = FakeFeed::new(vec![event(1)]);
    let hub = feed.start().await;
    let outbox = hub.join(Principal::anyone(), None).await.outbox;
    let unknown = Event::JobFailed { kind: UNKNOWN.to_owned(), job_id: Uuid::nil(), error: String::new() };
    // More than are read at once.
    (2..=400).for_each(|id| feed.commit(recorded(id, unknown.clone())));
    feed.commit_and_publish(event(401));
    assert_eq!(receive(&outbox, 1, AFTER_SILENCE).await, [401]);
}

#[tokio::test]
async fn rolled_back_transaction_delays_no_event() {
    let feed = FakeFeed::new(vec![event(1)]);
    let hub = feed.start().await;
    let outbox = hub.join(Principal::anyone(), None).await.outbox;
    feed.commit_and_publish(event(3));
    feed.commit_and_publish(event(4));
    feed.commit_and_publish(event(9));
    assert_eq!(receive(&outbox, 4, SOON).await, [3, 4, 9]);
}

#[tokio::test]
async fn events_come_from_the_table_during_a_redis_outage() {
    let feed = FakeFeed::new(vec![event(1)]);
    let hub = feed.start().await;
    let outbox = hub.join(Principal::anyone(), None).await.outbox;
    feed.disconnect_redis();
    feed.commit(event(2));
    assert_eq!(receive(&outbox, 1, AFTER_SILENCE).await, [2]);
    feed.redis_unavailable.store(false, Ordering::Relaxed);
    timeout(Duration::from_secs(6), async {
        while feed.redis.lock().expect("sound").receiver_count() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("a new connection");
    feed.commit_and_publish(event(3));
    assert_eq!(receive(&outbox, 1, SOON).await, [3]);
}

#[tokio::test]
async fn gap_waits_for_the_table_and_is_filled() {
    let feed = FakeFeed::new(vec![event(1)]);
    let hub = feed.start().await;
    let outbox = hub.join(Principal::anyone(), None).await.outbox;
    feed.table_away.store(true, Ordering::Relaxed);
    feed.commit(event(2));
    feed.commit_and_publish(event(3));
    assert!(receive(&outbox, 1, SOON).await.is_empty());
    feed.table_away.store(false, Ordering::Relaxed);
    feed.commit_and_publish(event(4));
    assert_eq!(receive(&outbox, 3, AFTER_SILENCE).await, [2, 3, 4]);
}

#[tokio::test]
async fn catching_up_overflows_no_client() {
    let feed = FakeFeed::new(vec![event(1)]);
    let hub = feed.start().await;
    let outbox = hub.join(Principal::anyone(), None).await.outbox;
    (2..=5_000).for_each(|id| feed.commit(event(id)));
    feed.commit_and_publish(event(5_001));
    assert_eq!(receive(&outbox, 5_000, Duration::from_secs(10)).await, (2..=5_001).collect::<Vec<_>>());
    assert!(timeout(Duration::from_millis(1), outbox.overflowed()).await.is_err());
}

#[tokio::test]
async fn delayed_event_is_sent_in_the_end() {
    let feed = FakeFeed::new(vec![event(1)]);
    let hub = feed.start().await;
    let outbox = hub.join(Principal::anyone(), None).await.outbox;
    feed.commit_and_publish(metrics(2, &[Source::Vima]));
    feed.commit_and_publish(metrics(3, &[Source::Payshack]));
    feed.commit_and_publish(metrics(4, &[Source::Vima]));
    feed.commit_and_publish(event(5));
    let mut received = vec![];
    for _ in 0..4 {
        received.push(timeout(AFTER_SILENCE, outbox.next()).await.expect("in the end").recorded.clone());
    }
    let both = [Source::Vima, Source::Payshack];
    assert_eq!(received[..2], [metrics(2, &[Source::Vima]), metrics(3, &both)]);
    assert_eq!(received[2..], [metrics(4, &[Source::Vima]), event(5)]);
}

#[tokio::test]
async fn client_that_reconnects_after_any_message_gets_every_delayed_event() {
    let feed = FakeFeed::new(vec![event(1)]);
    let hub = feed.start().await;
    let outbox = hub.join(Principal::anyone(), None).await.outbox;
    for event in [
        metrics(2, &[Source::Vima]),
        metrics(3, &[Source::Payshack]),
        event(4),
        metrics(5, &[Source::Vima]),
        progress(6, Source::Vima, 10),
        event(7),
    ] {
        feed.commit_and_publish(event);
    }
    let mut received = vec![];
    for _ in 0..6 {
        received.push(timeout(AFTER_SILENCE, outbox.next()).await.expect("in the end").recorded.id);
    }
    assert_eq!(received, [2, 3, 4, 5, 6, 7], "each id once");
    // Another process, which has no history in memory, replays from the table.
    for hub in [hub, feed.start().await] {
        for (last, replayed) in [
            (2, vec![metrics(3, &[Source::Vima, Source::Payshack]), event(4), progress(6, Source::Vima, 10), event(7)]),
            (3, vec![event(4), metrics(5, &[Source::Vima]), progress(6, Source::Vima, 10), event(7)]),
            (6, vec![event(7)]),
            (7, vec![]),
        ] {
            let outbox = hub.join(Principal::anyone(), Some(last)).await.outbox;
            let mut messages = vec![];
            while let Ok(message) = timeout(Duration::from_millis(20), outbox.next()).await {
                messages.push(message.recorded.clone());
            }
            assert_eq!(messages, replayed, "since {last}");
        }
    }
}

#[tokio::test]
async fn reconnecting_client_receives_missed_events() {
    let feed = FakeFeed::new((11..=20).map(event).collect());
    let hub = feed.start().await;
    let witness = hub.join(Principal::anyone(), None).await;
    assert_eq!(witness.last_event_id, 20);
    (21..=24).for_each(|id| feed.commit_and_publish(event(id)));
    receive(&witness.outbox, 4, SOON).await;
    for (name, since, replayed, gap) in [
        ("from memory", 22, vec![23, 24], false),
        ("nothing", 24, vec![], false),
        ("from the edge of memory", 20, vec![21, 22, 23, 24], false),
        ("from the table", 17, (18..=24).collect(), false),
        ("all that the table holds", 10, (11..=24).collect(), false),
        ("more than the table holds", 3, (11..=24).collect(), true),
        ("a history that is no more", 900, vec![], true),
        ("nonsense", -7, (11..=24).collect(), true),
    ] {
        let membership = hub.join(Principal::anyone(), Some(since)).await;
        assert_eq!(receive(&membership.outbox, 100, Duration::from_millis(20)).await, replayed, "{name}");
        assert_eq!((membership.last_event_id, membership.gap), (24, gap), "{name}");
    }
}

#[tokio::test]
async fn client_from_a_process_ahead_receives_nothing_twice() {
    let feed = FakeFeed::new(vec![event(1)]);
    let hub = feed.start().await;
    feed.commit(event(2));
    feed.commit(event(3));
    let membership = hub.join(Principal::anyone(), Some(3)).await;
    assert!(!membership.gap);
    feed.commit_and_publish(event(4));
    assert_eq!(receive(&membership.outbox, 2, SOON).await, [4]);
}

#[tokio::test]
async fn unavailable_table_is_only_a_gap() {
    let feed = FakeFeed::new((1..=5).map(event).collect());
    let hub = feed.start().await;
    let witness = hub.join(Principal::anyone(), None).await.outbox;
    feed.commit_and_publish(event(6));
    receive(&witness, 1, SOON).await;
    feed.table_away.store(true, Ordering::Relaxed);
    let membership = hub.join(Principal::anyone(), Some(2)).await;
    assert!(membership.gap);
    feed.table_away.store(false, Ordering::Relaxed);
    feed.commit_and_publish(event(7));
    assert_eq!(receive(&membership.outbox, 2, AFTER_SILENCE).await, [6, 7]);
}

#[tokio::test]
async fn history_is_bounded_and_the_table_has_the_rest() {
    let feed = FakeFeed::new(vec![event(1)]);
    let hub = feed.start().await;
    let witness = hub.join(Principal::anyone(), None).await.outbox;
    (2..=8_000).for_each(|id| feed.commit(event(id)));
    feed.commit_and_publish(event(8_001));
    assert_eq!(receive(&witness, 8_000, Duration::from_secs(10)).await.len(), 8_000);
    assert!(!hub.join(Principal::anyone(), Some(7_500)).await.gap);
    let far = hub.join(Principal::anyone(), Some(3_001)).await;
    assert!(!far.gap);
    assert_eq!(receive(&far.outbox, 5_000, SOON).await, (3_002..=8_001).collect::<Vec<_>>());
    assert!(hub.join(Principal::anyone(), Some(3_000)).await.gap, "more than are replayed");
}

#[tokio::test]
async fn scoped_key_receives_only_what_is_about_its_projects() {
    let scope = |projects: &[&str]| ProjectScope::new(Some(projects.iter().map(|&name| name.to_owned()).collect()));
    let limited = Principal { role: Role::Viewer, scope: scope(&["acme"]), ..Principal::anyone() };
    let export = |id, role, projects: Option<&[&str]>| {
        let audience = projects.map(|projects| FileAudience { role, scope: scope(projects) });
        recorded(id, Event::ExportReady { id: Uuid::nil(), audience })
    };
    let events = [
        new_transactions(1, Source::Vima),
        metrics(2, &[Source::Vima]),
        export(3, Role::Viewer, Some(&["acme"])),
        export(4, Role::Viewer, Some(&["other"])),
        export(5, Role::Viewer, Some(&[])),
        export(6, Role::Admin, Some(&["acme"])),
        export(7, Role::Viewer, None),
        job_failed(8),
        completed(9, Source::Vima),
    ];
    let feed = FakeFeed::new(vec![event(0)]);
    let hub = feed.start().await;
    let live = hub.join(limited.clone(), None).await.outbox;
    let everything = hub.join(Principal::anyone(), None).await.outbox;
    for event in &events {
        feed.commit_and_publish(event.clone());
    }
    assert_eq!(receive(&everything, 9, AFTER_SILENCE).await, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(receive(&live, 3, SOON).await, [2, 3]);
    assert_eq!(live.position(), 9);
    let replayed = hub.join(limited, Some(0)).await.outbox;
    assert_eq!(receive(&replayed, 3, SOON).await, [2, 3], "a replay obeys the same rule");
}

#[test]
fn viewers_get_masked_errors_and_no_client_gets_the_audience() {
    let failed =
        Event::JobFailed { kind: "export".to_owned(), job_id: Uuid::nil(), error: "bad a.b@example.com".to_owned() };
    let failed = Outgoing::from(recorded(1, failed));
    assert!(failed.text(PiiAccess::Full).contains("a.b@example.com"));
    assert!(!failed.text(PiiAccess::Masked).contains("a.b@"));
    let audience = Some(Principal::anyone().file_audience());
    let ready = Outgoing::from(recorded(2, Event::ExportReady { id: Uuid::nil(), audience }));
    assert!(!ready.text(PiiAccess::Full).contains("audience"), "{ready:?}");
}
