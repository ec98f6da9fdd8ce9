//! Pages are stored completely or not at all, repeating one changes nothing, and the metrics stay exact. Random pages are
//! compared with a simple model.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use psp_dashboard::db::DbError;
use psp_dashboard::db::transactions::search_entries;
use psp_dashboard::domain::record::{Malformed, Record};
use psp_dashboard::domain::status::Status;
use psp_dashboard::domain::sync::Counts;
use psp_dashboard::domain::transaction::{Kind, Source, Transaction};
use psp_dashboard::domain::version::SequenceId;
use psp_dashboard::operations::ingest_page::Checkpoint;
use psp_dashboard::providers::vima::read_operation;
use serde_json::json;
use sqlx::{Executor, PgPool};

use crate::harness::ingest_fixture::{IngestFixture, minimal_transaction};
use crate::harness::servers::Servers;

/// One version of an operation.
#[derive(Debug, Clone, Copy)]
struct RecordVersion {
    id: u32,
    version: u32,
    amount: u32,
    status: &'static str,
}

impl RecordVersion {
    fn to_record(self) -> Record {
        let created: DateTime<Utc> = "2026-01-15T10:00:00Z".parse().expect("a time");
        let created = created + Duration::minutes(i64::from(self.id) * 7);
        let raw = json!({
            "operation_id": self.id.to_string(),
            "operation_update_id": self.version.to_string(),
            "operation_created_at": created.to_rfc3339(),
            "project": format!("project-{}", self.id % 3),
            "payment_status": self.status,
            "complete_amount": self.amount,
            "complete_currency": if self.id.is_multiple_of(4) { "USD" } else { "INR" },
        });
        read_operation(&raw.to_string()).record
    }
}

fn pages() -> impl Strategy<Value = Vec<Vec<RecordVersion>>> {
    let status = prop_oneof![Just("success"), Just("fail"), Just("pending"), Just("strange")];
    // Amount and status follow from id and version, since a consistent provider never changes a version.
    let record = (1_u32..15, 1_u32..8, status).prop_map(|(id, version, _)| {
        let statuses = ["pending", "success", "fail", "strange"];
        let status = statuses[(id + version) as usize % statuses.len()];
        RecordVersion { id, version, amount: id * 100 + version, status }
    });
    proptest::collection::vec(proptest::collection::vec(record, 0..12), 1..8)
}

#[tokio::test]
async fn random_pages_leave_the_same_state_as_a_model() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..25 {
        let pages = pages().new_tree(&mut runner).expect("a generated value").current();
        let fixture = IngestFixture::start().await;
        let mut model: BTreeMap<u32, RecordVersion> = BTreeMap::new();
        let mut counts = Counts::default();
        for page in &pages {
            let records = page.iter().map(|record| record.to_record()).collect();
            counts += fixture.ingest(records, Checkpoint::None).await.expect("the page is stored");
            for record in page {
                let newest = model.entry(record.id).or_insert(*record);
                if record.version > newest.version {
                    *newest = *record;
                }
            }
        }
        let records: usize = pages.iter().map(Vec::len).sum();
        assert_eq!((counts.seen(), counts.inserted), (records as u64, model.len() as u64), "{pages:?}");
        assert_equals_model(&fixture, &model).await;
    }
}

async fn assert_equals_model(fixture: &IngestFixture, model: &BTreeMap<u32, RecordVersion>) {
    let rows = sqlx::query!(r#"SELECT source_id, amount, status FROM transactions ORDER BY source_id::int"#);
    let rows = rows.fetch_all(&fixture.pool).await.expect("the database responds");
    let stored: Vec<_> = rows.into_iter().map(|row| (row.source_id, row.amount.normalize(), row.status)).collect();
    let expected: Vec<_> = model
        .values()
        .map(|record| {
            let status = Status::from_vima(record.status).as_str().to_owned();
            (record.id.to_string(), record.amount.into(), status)
        })
        .collect();
    assert_eq!(stored, expected);
    let cells = sqlx::query!(
        r#"SELECT COALESCE(sum(count), 0)::bigint AS "count!", COALESCE(sum(amount), 0) AS "amount!"
             FROM metric_cells WHERE facet = 'all' AND width = 'day'"#
    );
    let cells = cells.fetch_one(&fixture.pool).await.expect("the database responds");
    let total: u32 = model.values().map(|record| record.amount).sum();
    assert_eq!((usize::try_from(cells.count), cells.amount.normalize()), (Ok(model.len()), total.into()));
    let negative = "SELECT count(*) FROM metric_cells WHERE count < 0 OR (count = 0 AND amount <> 0)";
    assert_eq!(fixture.number(negative).await, 0, "cells that count payments that do not exist");
}

#[tokio::test]
async fn page_of_a_lost_claim_writes_nothing() {
    let fixture = IngestFixture::start().await.with_lost_claim();
    let record = RecordVersion { id: 1, version: 1, amount: 5, status: "success" };
    let broken = Malformed {
        source: Source::Vima,
        kind: Kind::Payin,
        source_id: None,
        reason: "no id".to_owned(),
        raw: "{}".to_owned(),
    };
    let page = vec![record.to_record(), Record::Malformed(broken)];
    let refused = fixture.ingest(page, Checkpoint::Cursor(SequenceId(9))).await;
    assert!(matches!(refused, Err(DbError::ClaimLost)), "{refused:?}");
    for table in [
        "SELECT count(*) FROM transactions",
        "SELECT count(*) FROM metric_cells",
        "SELECT count(*) FROM quarantine",
        "SELECT count(*) FROM sync_streams",
        "SELECT sum(records_seen)::bigint FROM sync_runs",
    ] {
        assert_eq!(fixture.number(table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn repeated_malformed_record_is_one_quarantine_entry() {
    let fixture = IngestFixture::start().await;
    let broken = r#"{"operation_id":"17","complete_amount":"ten"}"#;
    for _ in 0..3 {
        let record = read_operation(broken).record;
        let counts = fixture.ingest(vec![record], Checkpoint::None).await.expect("the page is stored");
        assert_eq!(counts.quarantined, 1);
    }
    assert_eq!(fixture.number("SELECT count(*) FROM quarantine").await, 1);
    assert_eq!(fixture.number("SELECT times_seen FROM quarantine").await, 3);
    let entry = sqlx::query!("SELECT raw, source_id FROM quarantine").fetch_one(&fixture.pool).await.expect("an entry");
    assert_eq!((entry.raw.as_slice(), entry.source_id.as_deref()), (broken.as_bytes(), Some("17")));
}

fn broken(id: Option<&str>) -> Record {
    read_operation(&json!({"operation_id": id, "complete_amount": "a hundred"}).to_string()).record
}

fn good(version: u32) -> Record {
    RecordVersion { id: 1, version, amount: 100 + version, status: "success" }.to_record()
}

#[tokio::test]
async fn record_leaves_the_quarantine_with_the_page_that_contains_a_readable_version() {
    let fixture = IngestFixture::start().await;
    let quarantined = "SELECT count(*) FROM quarantine WHERE source_id = '1'";
    let others = [broken(None), broken(Some("2"))];
    for (page, left, why) in [
        (vec![broken(Some("1"))], 1, "it cannot be read"),
        (vec![good(3)], 0, "it is stored"),
        (vec![broken(Some("1")), good(3)], 0, "the last version in the page is readable and already stored"),
        (vec![good(4), broken(Some("1"))], 1, "the last version in the page is malformed"),
        (vec![good(2)], 1, "an older readable version does not replace a newer malformed one"),
        (vec![broken(Some("1")), good(2)], 1, "neither does it in the same page"),
        (vec![good(4)], 0, "it is unchanged"),
    ] {
        let page = others.iter().cloned().chain(page).collect();
        fixture.ingest(page, Checkpoint::None).await.expect("the page is stored");
        assert_eq!(fixture.number(quarantined).await, left, "{why}");
    }
    assert_eq!(fixture.number("SELECT count(*) FROM quarantine").await, 2, "entries of other records stay");
}

#[tokio::test]
async fn malformed_record_with_nul_characters_is_quarantined() {
    let fixture = IngestFixture::start().await;
    let raw = "{\"operation_id\":\"1\0\"}".to_owned();
    let (source_id, reason) = (Some("1\0".to_owned()), "the id is 1\0".to_owned());
    let nuls = Malformed { source: Source::Vima, kind: Kind::Payin, source_id, reason, raw: raw.clone() };
    let page = vec![Record::Malformed(nuls), good(1)];
    let counts = fixture.ingest(page, Checkpoint::None).await.expect("the page is stored");
    assert_eq!((counts.quarantined, counts.inserted), (1, 1));
    let entry = sqlx::query!("SELECT source_id, reason, raw FROM quarantine").fetch_one(&fixture.pool).await;
    let entry = entry.expect("an entry");
    assert_eq!((entry.source_id.as_deref(), entry.reason.as_str()), (Some("1\u{fffd}"), "the id is 1\u{fffd}"));
    assert_eq!(entry.raw, raw.as_bytes(), "the raw text is unchanged");
}

/// Every payment has some 900 entries in the index of ids, so that a few hundred payments have more than the 512 pages of
/// entries at which PostgreSQL merges them by default.
fn payment_with_long_reference(number: u64) -> Record {
    let created: DateTime<Utc> = "2026-01-15T10:00:00Z".parse().expect("a time");
    let mut state = number;
    let digits = (0..60).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{state:016x}")
    });
    let reference_id = Some(digits.collect());
    let payment = minimal_transaction((Source::Vima, Kind::Payin), number.to_string(), created);
    Record::Payment(Box::new(Transaction { reference_id, ..payment }))
}

#[tokio::test]
async fn transaction_with_many_payments_leaves_merging_search_entries_to_others() {
    const DEFAULT_PAGES: u64 = 512;
    let most = search_entries::DEFERRED_FROM as u64;
    for (payments, deferred) in [(most - 1, false), (most, true)] {
        let servers = Arc::new(Servers::start().await);
        let fixture = IngestFixture::start_on(Arc::clone(&servers)).await;
        // A worker is not the owner of the indexes.
        let worker = PgPool::connect(&servers.worker_url()).await.expect("the role exists");
        // It merges too.
        let alone = "ALTER TABLE transactions SET (autovacuum_enabled = off)";
        fixture.pool.execute(alone).await.expect("the owner may do this");
        let page = (1..=payments).map(payment_with_long_reference).collect();
        fixture.ingest(page, Checkpoint::None).await.expect("the page is stored");
        let merging = (search_entries::merge(&worker), search_entries::merge(&worker));
        let merged = tokio::try_join!(merging.0, merging.1).expect("two calls do not fail each other");
        assert_eq!(merged.0 + merged.1 > DEFAULT_PAGES + 20, deferred, "{payments} payments: {merged:?} pages");
        assert_eq!(search_entries::merge(&worker).await.expect("a merge"), 0, "everything is merged");
        let found = "SELECT count(*) FROM transactions
                      WHERE searched_ids(source_id, reference_id, client_operation_id, order_id, utr) LIKE '%00%'";
        let all = fixture.number("SELECT count(*) FROM transactions WHERE reference_id LIKE '%00%'").await;
        assert_eq!(fixture.number(found).await, all, "nothing is lost");
    }
}

#[tokio::test]
async fn long_raw_records_are_compressed_by_the_faster_method() {
    let fixture = IngestFixture::start().await;
    let created: DateTime<Utc> = "2026-01-15T10:00:00Z".parse().expect("a time");
    let payment = minimal_transaction((Source::Vima, Kind::Payin), "1".to_owned(), created);
    let raw = json!({"more": "x".repeat(5_000)}).to_string();
    let page = vec![Record::Payment(Box::new(Transaction { raw, ..payment }))];
    fixture.ingest(page, Checkpoint::None).await.expect("the page is stored");
    let expected = "SELECT count(*) FROM transactions
                     WHERE pg_column_compression(raw_data) =
                           (SELECT CASE WHEN 'lz4' = ANY (enumvals) THEN 'lz4' ELSE 'pglz' END
                              FROM pg_settings WHERE name = 'default_toast_compression')";
    assert_eq!(fixture.number(expected).await, 1, "lz4, if the server has it");
}
