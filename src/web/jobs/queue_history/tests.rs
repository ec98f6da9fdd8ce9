use super::*;

fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn period(query: &str) -> Result<HistoryPeriod, Problem> {
    Query::<QueueHistoryQuery>::from_text(query)?.0.period(time("2026-01-15T10:07:30Z"))
}

#[test]
fn periods_start_with_a_bucket() {
    for (query, from, buckets) in [
        ("", "2026-01-15T09:07:00Z", 61),
        ("granularity=15min", "2026-01-15T09:00:00Z", 5),
        ("from=2026-01-15T10:05:00Z", "2026-01-15T10:05:00Z", 3),
        ("from=2026-01-15T08:59:59Z&until=2026-01-15T10:00:00Z&granularity=hour", "2026-01-15T08:00:00Z", 2),
        ("from=2026-01-15T10:00:00Z&until=2026-01-15T10:00:00Z", "2026-01-15T10:00:00Z", 0),
    ] {
        let period = period(query).expect("a period");
        assert_eq!((period.from, period.buckets()), (time(from), buckets), "{query}");
        assert_eq!(period.starts().count(), usize::try_from(buckets).expect("a count"), "{query}");
    }
}

#[test]
fn too_many_buckets_are_rejected() {
    let from = "from=2026-01-12T10:07:00Z";
    for (query, allowed) in [
        (format!("{from}&queue=sync,export"), true),
        (format!("{from}&queue=sync,export,webhooks"), false),
        (from.to_owned(), false),
        (format!("{from}&granularity=5min"), true),
        ("from=1970-01-01T00:00:00Z&granularity=hour&queue=sync".to_owned(), false),
        ("from=2026-01-15T10:00:00Z&until=2026-01-15T09:00:00Z".to_owned(), false),
    ] {
        assert_eq!(period(&query).is_ok(), allowed, "{query}");
    }
}

#[test]
fn minutes_without_a_record_are_null() {
    let bucket = |minute: i64, finished| QueueBucket {
        queue: "sync".to_owned(),
        start: EXAMPLE_TIME + TimeDelta::minutes(minute),
        depth: Some(crate::db::jobs::queues::QueueDepth::default()),
        finished,
    };
    let none = FinishedJobs { finished: 0, failed: 0, run_time: Duration::ZERO, longest_run: None };
    let some = FinishedJobs {
        finished: 4,
        run_time: Duration::from_secs(6),
        longest_run: Some(Duration::from_secs(3)),
        ..none
    };
    let period =
        HistoryPeriod { from: EXAMPLE_TIME, until: EXAMPLE_TIME + TimeDelta::minutes(4), step: HistoryStep::Minute };
    let buckets = [bucket(0, Some(none)), bucket(2, Some(some)), bucket(3, None)];
    let history = QueueHistory::new(period, &["export"], &buckets);
    let [export, sync] = history.queues.as_slice() else { panic!("{history:?}") };
    assert!(export.data.iter().all(|point| point.depth.is_none() && point.finished.is_none()), "{export:?}");
    let finished: Vec<_> = sync.data.iter().map(|point| (point.depth.is_some(), point.finished)).collect();
    assert_eq!(finished, [(true, Some(0)), (false, None), (true, Some(4)), (true, None)]);
    let run: Vec<_> =
        sync.data.iter().map(|point| (point.run_seconds, point.mean_run_seconds, point.max_run_seconds)).collect();
    assert_eq!(run[0], (Some(0.0), None, None));
    assert_eq!(run[2], (Some(6.0), Some(1.5), Some(3.0)));
}
