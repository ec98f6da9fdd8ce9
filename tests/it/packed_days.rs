//! Packed days answer exactly what the cells and payments would, and only until a payment of their day changes.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use psp_dashboard::db::metrics::sums;
use psp_dashboard::domain::day::DayRange;
use psp_dashboard::domain::metrics::granularity::Granularity;
use psp_dashboard::domain::metrics::query::{Dimension, MetricFilter, MetricQuery, payment_count};
use psp_dashboard::domain::metrics::time_buckets::TimeBuckets;
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::operations::ingest_page::Checkpoint;
use psp_dashboard::operations::pack_days::{count_mismatches, pack_days};
use psp_dashboard::providers::vima::read_operation;
use serde_json::json;
use sqlx::{Executor, PgPool};

use crate::harness::ingest_fixture::IngestFixture;

async fn store(books: &IngestFixture, id: u64, created_at: &str) {
    let raw = json!({
        "operation_id": id.to_string(),
        "operation_update_id": "1",
        "operation_created_at": created_at,
        "payment_status": "success",
        "complete_amount": 5,
        "complete_currency": "INR",
    });
    books.ingest(vec![read_operation(&raw.to_string()).record], Checkpoint::None).await.expect("the page is stored");
}

/// The payments of two days, from their sums by project, by the hour of Kolkata, and by merchant.
async fn counts(pool: &PgPool) -> [u64; 3] {
    let day = |text: &str| text.parse().expect(text);
    let days = |zone| DayRange::new(day("2026-01-15"), day("2026-01-16"), zone).expect("days");
    let hours = || TimeBuckets::calendar(days(Tz::Asia__Kolkata), Granularity::Hour).expect("few enough").0;
    let queries = [
        MetricQuery::new(MetricFilter::default(), TimeBuckets::one(days(Tz::UTC).time_range())).by(Dimension::Project),
        MetricQuery::new(MetricFilter::default(), hours()),
        MetricQuery::new(MetricFilter::default(), hours()).by(Dimension::Merchant),
    ];
    let mut counts = [0; 3];
    for (count, query) in counts.iter_mut().zip(&queries) {
        *count = payment_count(&sums::list_at_once(pool, query).await.expect("the query succeeds"));
    }
    counts
}

#[tokio::test]
async fn packed_days_are_read_until_their_payments_change() {
    let books = IngestFixture::start().await;
    let pool = &books.pool;
    let now: DateTime<Utc> = "2026-01-17T00:00:00Z".parse().expect("a time");
    let pack = async || pack_days(pool, now).await.expect("the days are packed");
    for (id, created_at) in [
        (1, "2026-01-14T20:00:00Z"),
        (2, "2026-01-15T10:20:00Z"),
        (3, "2026-01-15T10:40:00Z"),
        (4, "2026-01-16T05:10:00Z"),
        (5, "2026-01-17T05:10:00Z"),
    ] {
        store(&books, id, created_at).await;
    }
    assert_eq!(counts(pool).await, [3, 4, 4]);
    // Three days of each source, not the one that has not ended.
    assert_eq!((pack().await, pack().await), (6, 0));
    assert_eq!(counts(pool).await, [3, 4, 4]);

    // Nothing but the packed days is read: neither cells nor payments.
    pool.execute(
        "UPDATE metric_cells SET count = count + 100;
         UPDATE transactions SET created_at = created_at + interval '1 hour'",
    )
    .await
    .expect("a hand that writes");
    assert_eq!(counts(pool).await, [3, 4, 4]);
    pool.execute(
        "UPDATE metric_cells SET count = count - 100;
         UPDATE transactions SET created_at = created_at - interval '1 hour'",
    )
    .await
    .expect("a hand that writes");

    // A payment of one day: its cells are read, and the other days still packed.
    store(&books, 6, "2026-01-15T10:25:00Z").await;
    pool.execute("UPDATE metric_cells SET count = count + 100 WHERE bucket >= '2026-01-16Z'")
        .await
        .expect("a hand that writes");
    assert_eq!(counts(pool).await, [4, 5, 5]);
    assert_eq!((pack().await, counts(pool).await), (1, [4, 5, 5]));
    pool.execute("UPDATE metric_cells SET count = count - 100 WHERE bucket >= '2026-01-16Z'")
        .await
        .expect("a hand that writes");

    // A writer of an earlier release names no days, and another release packs in another format.
    for outdated in ["UPDATE payment_versions SET version = version + 1", "UPDATE packed_days SET format = format + 1"]
    {
        pool.execute("UPDATE packed_cells SET cells = '\\x00'").await.expect("a hand that writes");
        pool.execute(outdated).await.expect("a hand that writes");
        assert_eq!(counts(pool).await, [4, 5, 5], "{outdated}");
        assert_eq!((pack().await, counts(pool).await), (6, [4, 5, 5]), "{outdated}");
    }

    let mismatches = async || {
        let day = "2026-01-15".parse().expect("a day");
        count_mismatches(pool, Source::Vima, day).await.expect("the day is counted")
    };
    assert_eq!(mismatches().await, 0);
    pool.execute("DELETE FROM packed_cells WHERE facet = 'project' AND width = 'day' AND day = '2026-01-15'")
        .await
        .expect("a hand that writes");
    assert_eq!(mismatches().await, 1);
    store(&books, 7, "2026-01-15T10:25:00Z").await;
    assert_eq!(
        (mismatches().await, counts(pool).await),
        (0, [5, 6, 6]),
        "what is not current is neither read nor wrong"
    );
}
