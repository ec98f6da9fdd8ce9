//! A page is stored whole or not at all, twice like once, and the metrics stay exact: random pages against a simple model.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use psp_dashboard::db::DbError;
use psp_dashboard::domain::record::{Malformed, Record};
use psp_dashboard::domain::status::Status;
use psp_dashboard::domain::sync::Counts;
use psp_dashboard::domain::transaction::{Kind, Source};
use psp_dashboard::domain::version::SequenceId;
use psp_dashboard::operations::ingest_page::Checkpoint;
use psp_dashboard::providers::vima::read_operation;
use serde_json::json;

use crate::harness::ingest_fixture::IngestFixture;

/// A telling of an operation: which, which version of it, its amount and status.
#[derive(Debug, Clone, Copy)]
struct Telling {
    id: u32,
    version: u32,
    amount: u32,
    status: &'static str,
}

impl Telling {
    fn record(self) -> Record {
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

fn pages() -> impl Strategy<Value = Vec<Vec<Telling>>> {
    let status = prop_oneof![Just("success"), Just("fail"), Just("pending"), Just("strange")];
    // One version says one thing: its amount follows from it, as at a provider that does not contradict itself.
    let telling = (1_u32..15, 1_u32..8, status).prop_map(|(id, version, _)| {
        let statuses = ["pending", "success", "fail", "strange"];
        let status = statuses[(id + version) as usize % statuses.len()];
        Telling { id, version, amount: id * 100 + version, status }
    });
    proptest::collection::vec(proptest::collection::vec(telling, 0..12), 1..8)
}

#[tokio::test]
async fn random_pages_leave_what_a_simple_model_says() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..25 {
        let pages = pages().new_tree(&mut runner).expect("a case").current();
        let books = IngestFixture::start().await;
        let mut model: BTreeMap<u32, Telling> = BTreeMap::new();
        let mut counts = Counts::default();
        for page in &pages {
            let records = page.iter().map(|telling| telling.record()).collect();
            counts += books.ingest(records, Checkpoint::None).await.expect("the page is stored");
            for telling in page {
                let newest = model.entry(telling.id).or_insert(*telling);
                if telling.version > newest.version {
                    *newest = *telling;
                }
            }
        }
        let told: usize = pages.iter().map(Vec::len).sum();
        assert_eq!((counts.seen(), counts.inserted), (told as u64, model.len() as u64), "{pages:?}");
        assert_equals_model(&books, &model).await;
    }
}

async fn assert_equals_model(books: &IngestFixture, model: &BTreeMap<u32, Telling>) {
    let rows = sqlx::query!(r#"SELECT source_id, amount, status FROM transactions ORDER BY source_id::int"#);
    let rows = rows.fetch_all(&books.pool).await.expect("the database answers");
    let stored: Vec<_> = rows.into_iter().map(|row| (row.source_id, row.amount.normalize(), row.status)).collect();
    let expected: Vec<_> = model
        .values()
        .map(|telling| {
            let status = Status::from_vima(telling.status).as_str().to_owned();
            (telling.id.to_string(), telling.amount.into(), status)
        })
        .collect();
    assert_eq!(stored, expected);
    let cells = sqlx::query!(
        r#"SELECT COALESCE(sum(count), 0)::bigint AS "count!", COALESCE(sum(amount), 0) AS "amount!"
             FROM metric_cells WHERE facet = 'all' AND width = 'day'"#
    );
    let cells = cells.fetch_one(&books.pool).await.expect("the database answers");
    let total: u32 = model.values().map(|telling| telling.amount).sum();
    assert_eq!((usize::try_from(cells.count), cells.amount.normalize()), (Ok(model.len()), total.into()));
    let negative = "SELECT count(*) FROM metric_cells WHERE count < 0 OR (count = 0 AND amount <> 0)";
    assert_eq!(books.number(negative).await, 0, "a cell that holds what is not there");
}

#[tokio::test]
async fn a_page_of_a_lost_claim_leaves_nothing() {
    let stale = IngestFixture::start().await.with_lost_claim();
    let telling = Telling { id: 1, version: 1, amount: 5, status: "success" };
    let broken = Malformed {
        source: Source::Vima,
        kind: Kind::Payin,
        source_id: None,
        reason: "no id".to_owned(),
        raw: "{}".to_owned(),
    };
    let page = vec![telling.record(), Record::Malformed(broken)];
    let refused = stale.ingest(page, Checkpoint::Cursor(SequenceId(9))).await;
    assert!(matches!(refused, Err(DbError::ClaimLost)), "{refused:?}");
    for table in [
        "SELECT count(*) FROM transactions",
        "SELECT count(*) FROM metric_cells",
        "SELECT count(*) FROM quarantine",
        "SELECT count(*) FROM sync_streams",
        "SELECT sum(records_seen)::bigint FROM sync_runs",
    ] {
        assert_eq!(stale.number(table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn the_same_broken_record_is_one_entry_however_often_it_comes() {
    let books = IngestFixture::start().await;
    let broken = r#"{"operation_id":"17","complete_amount":"ten"}"#;
    for _ in 0..3 {
        let record = read_operation(broken).record;
        let counts = books.ingest(vec![record], Checkpoint::None).await.expect("the page is stored");
        assert_eq!(counts.quarantined, 1);
    }
    assert_eq!(books.number("SELECT count(*) FROM quarantine").await, 1);
    assert_eq!(books.number("SELECT times_seen FROM quarantine").await, 3);
    let kept = sqlx::query!("SELECT raw, source_id FROM quarantine").fetch_one(&books.pool).await.expect("an entry");
    assert_eq!((kept.raw.as_slice(), kept.source_id.as_deref()), (broken.as_bytes(), Some("17")));
}

fn broken(id: Option<&str>) -> Record {
    read_operation(&json!({"operation_id": id, "complete_amount": "a hundred"}).to_string()).record
}

fn good(version: u32) -> Record {
    Telling { id: 1, version, amount: 100 + version, status: "success" }.record()
}

#[tokio::test]
async fn a_record_leaves_the_quarantine_with_the_page_that_tells_it_rightly() {
    let books = IngestFixture::start().await;
    let kept = "SELECT count(*) FROM quarantine WHERE source_id = '1'";
    let beside = [broken(None), broken(Some("2"))];
    for (page, left, why) in [
        (vec![broken(Some("1"))], 1, "it cannot be read"),
        (vec![good(3)], 0, "it is stored"),
        (vec![broken(Some("1")), good(3)], 0, "the last telling in the page is right, and known"),
        (vec![good(4), broken(Some("1"))], 1, "the last telling in the page is the broken one"),
        (vec![good(2)], 1, "an older version says nothing of a newer one"),
        (vec![broken(Some("1")), good(2)], 1, "nor beside it"),
        (vec![good(4)], 0, "it is unchanged"),
    ] {
        let page = beside.iter().cloned().chain(page).collect();
        books.ingest(page, Checkpoint::None).await.expect("the page is stored");
        assert_eq!(books.number(kept).await, left, "{why}");
    }
    assert_eq!(books.number("SELECT count(*) FROM quarantine").await, 2, "what nobody mended stays");
}

#[tokio::test]
async fn a_nul_in_what_cannot_be_read_holds_up_no_page() {
    let books = IngestFixture::start().await;
    let raw = "{\"operation_id\":\"1\0\"}".to_owned();
    let (source_id, reason) = (Some("1\0".to_owned()), "the id is 1\0".to_owned());
    let nuls = Malformed { source: Source::Vima, kind: Kind::Payin, source_id, reason, raw: raw.clone() };
    let page = vec![Record::Malformed(nuls), good(1)];
    let counts = books.ingest(page, Checkpoint::None).await.expect("the page is stored");
    assert_eq!((counts.quarantined, counts.inserted), (1, 1));
    let kept = sqlx::query!("SELECT source_id, reason, raw FROM quarantine").fetch_one(&books.pool).await;
    let kept = kept.expect("an entry");
    assert_eq!((kept.source_id.as_deref(), kept.reason.as_str()), (Some("1\u{fffd}"), "the id is 1\u{fffd}"));
    assert_eq!(kept.raw, raw.as_bytes(), "the record is kept to the letter");
}
