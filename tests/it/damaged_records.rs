//! Records that are not JSON, that cannot be parsed, or that are written in unusual forms: each costs at most itself.

use std::fmt::Write as _;

use psp_dashboard::clock::{Clock, SystemClock};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::consistency::{assert_matches_sandbox, assert_rollups_match_transactions};
use crate::harness::eventually;
use crate::harness::programs::{Program, run};
use crate::harness::test_system::{ADMIN, TestSystem, items};

const FULL: Option<&str> = Some(r#"{"mode":"full"}"#);
/// Ids far beyond all others: 38 digits.
const OUTLIER: &str = "99999999999999999999999999999999999999";

#[tokio::test]
async fn damaged_record_costs_only_itself() {
    let system = TestSystem::start(&["--history-days", "2", "--per-day", "80"]).await;
    let _worker = system.start_jobs_with(&["worker"], &[("INITIAL_SYNC_DAYS", "4")]);
    system.sync_both().await;
    let faults = [
        ("nan", "is not valid JSON (expected value"),
        ("control-char", "is not valid JSON (control character"),
        ("bad-escape", "is not valid JSON (invalid escape"),
        ("leading-zero", "is not valid JSON (invalid number"),
        ("stray-quote", "is not valid JSON (expected `,` or `}`"),
        ("duplicate-key", "amount occurs twice"),
        ("unreadable-paid-amount", "should be an exact amount but is \"1,500.00\""),
        ("huge-amount", "should be an amount of at most 10^15"),
        ("float-key", ""),
        ("invisible-key", ""),
        ("repeated-name", ""),
        ("leap-second", ""),
    ];
    let rates: serde_json::Map<_, _> = faults.iter().map(|(fault, _)| ((*fault).to_owned(), json!(0.1))).collect();
    system.sandbox.replace_faults(rates.into()).await;
    system.sandbox.create_and_change(60, 30).await;
    system.sync_both().await;
    for kind in ["sync-payshack", "sync-vima"] {
        system.run_job(kind, FULL);
    }
    assert_matches_sandbox(&system).await;
    let failed = "SELECT count(*) FROM sync_runs WHERE status <> 'succeeded'";
    assert_eq!(system.number(failed).await, 0, "no page had to be read again");

    let truth = system.sandbox.get("truth").await;
    let malformed = |source: &str, kind: &str| truth[source][kind]["malformed"].as_i64().expect("a count");
    let expected = malformed("vima", "payin") + malformed("payshack", "payin") + malformed("payshack", "payout");
    assert!(system.number("SELECT count(*) FROM quarantine").await >= expected, "{expected} records are damaged");
    let web = system.start_web().await;
    let pages = web.pages(ADMIN, "/api/v1/sync/quarantine?limit=100").await;
    let entries: Vec<_> =
        pages.iter().flat_map(items).map(|entry| [text(entry, "source"), text(entry, "reason")]).collect();
    for (fault, reason) in faults.iter().filter(|(_, reason)| !reason.is_empty()) {
        for source in ["vima", "payshack"] {
            let is_of = |[of, found]: &[String; 2]| of == source && found.contains(reason);
            assert!(entries.iter().any(is_of), "{fault} of {source}: {entries:?}");
        }
    }
    let without_id = "SELECT count(*) FROM quarantine WHERE source_id IS NULL";
    assert_eq!(system.number(without_id).await, 0, "the id of a damaged record is visible");
}

fn text(entry: &Value, field: &str) -> String {
    entry[field].as_str().expect(field).to_owned()
}

/// An operation with ids of its own, and a time at which the sandbox has others.
fn operation(id: &str, create_id: &str, update_id: &str) -> Value {
    json!({
        "operation_id": id, "project": "monetix", "payment_status": "in_process", "client_operation_id": id,
        "operation_created_at": SystemClock.now().to_rfc3339(), "operation_modified_at": SystemClock.now().to_rfc3339(),
        "complete_amount": 10, "complete_currency": "INR",
        "operation_create_id": create_id, "operation_update_id": update_id,
    })
}

#[tokio::test]
async fn outlier_id_moves_no_cursor_and_new_payments_keep_arriving() {
    let system = TestSystem::start(&["--history-days", "1", "--per-day", "60"]).await;
    let _worker = system.start_jobs_with(&["worker"], &[("INITIAL_SYNC_DAYS", "2")]);
    // Visible before the first run notes the newest ids, and while it reads the days before.
    system.sandbox.send(Method::POST, "vima/operations", Some(operation("900", OUTLIER, OUTLIER))).await;
    system.sync_both().await;
    assert_matches_sandbox(&system).await;
    for status in ["success", "in_process"] {
        system.sandbox.create_and_change(20, 10).await;
        // A later version is newer than the one with the wrong update id.
        system.sandbox.send(Method::PATCH, "vima/operations/900", Some(json!({"status": status}))).await;
        system.run_job("sync-vima", None);
        system.run_job("sync-payshack", None);
        assert_matches_sandbox(&system).await;
    }
    assert_eq!(system.number("SELECT count(*) FROM sync_streams WHERE cursor > 10::numeric ^ 30").await, 0);
    assert_eq!(system.number("SELECT count(*) FROM sync_cursor_marks WHERE cursor > 10::numeric ^ 30").await, 0);
    let explained = "SELECT count(*) FROM sync_runs WHERE mode = 'incremental' AND source = 'vima'
                        AND status = 'incomplete' AND error LIKE '%operation 900%far beyond all others%'";
    let incremental = "SELECT count(*) FROM sync_runs WHERE mode = 'incremental' AND source = 'vima'";
    assert_eq!(system.number(explained).await, system.number(incremental).await, "every run explains it");
    let watermarks = "SELECT count(*) FROM sync_streams WHERE source = 'vima' AND watermark IS NOT NULL";
    assert_eq!(system.number(watermarks).await, 2, "what is behind the outlier has been read");

    let cursor = system.number("SELECT max(cursor)::bigint FROM sync_streams WHERE source = 'vima'").await.to_string();
    let corrected = operation("900", &cursor, &cursor);
    system.sandbox.send(Method::PUT, "vima/operations/900", Some(corrected)).await;
    system.run_job("sync-vima", None);
    let last = "SELECT count(*) FROM (SELECT status FROM sync_runs WHERE mode = 'incremental' AND source = 'vima'
                                       ORDER BY started_at DESC LIMIT 1) AS last WHERE status = 'succeeded'";
    assert_eq!(system.number(last).await, 1, "the provider has corrected it");
}

/// A page of each provider's documented example, with other ids, and then damaged.
struct DamagedPages {
    rng: StdRng,
}

impl DamagedPages {
    const RECORDS: usize = 10;
    const VALUES: [&str; 12] = [
        "NaN",
        "undefined",
        "007",
        "7e28",
        "1e400",
        "\"1,500.00\"",
        "\"D\\'S\"",
        "\"a\tb\u{1}\"",
        "\"D\"Souza\"",
        "\"\\ud83d\\u0000\"",
        "\"2026-01-15T15:14:60Z\"",
        "{\"a\":[{}]}",
    ];

    fn operations(&mut self, number: usize) -> Vec<u8> {
        let example = include_str!("../../src/providers/vima/wire/example.json").trim();
        let mut page = String::from("[");
        for record in 0..Self::RECORDS {
            let id = number * Self::RECORDS + record;
            let record = example
                .replace("1067250921664811008", &format!("10672509216648{id:05}"))
                .replace("1067250934146775040", &format!("10672509341467{id:05}"))
                .replace("1067251098160838656", &format!("10672510981608{id:05}"));
            let _ = write!(page, "{}{record}", if page.len() > 1 { "," } else { "" });
        }
        page.push(']');
        self.damaged(page)
    }

    fn payins(&mut self, number: usize) -> Vec<u8> {
        let example = include_str!("../../src/providers/payshack/wire/payin.json").trim();
        let records: Vec<String> = (0..Self::RECORDS)
            .map(|record| example.replace("Y7KY0V202611591646", &format!("P{}", number * Self::RECORDS + record)))
            .collect();
        let records = records.join(",");
        self.damaged(format!(r#"{{"success":true,"data":{{"transactions":[{records}],"totalRecords":10}}}}"#))
    }

    fn damaged(&mut self, page: String) -> Vec<u8> {
        let rng = &mut self.rng;
        let mut page = page.into_bytes();
        let at = rng.random_range(0..page.len());
        let end = (at + rng.random_range(1..200)).min(page.len());
        match rng.random_range(0..6) {
            0 | 1 => page[at] ^= 1 << rng.random_range(0..8),
            2 => page.truncate(at.max(1)),
            3 => drop(page.splice(at..at, page[at..end].to_vec())),
            _ => {
                let colon = at + page[at..].iter().position(|byte| *byte == b':').unwrap_or(0);
                let length = page[colon..].iter().position(|byte| b",}]".contains(byte)).unwrap_or(1).max(1);
                let value = Self::VALUES[rng.random_range(0..Self::VALUES.len())];
                page.splice(colon + 1..colon + length, value.bytes());
            }
        }
        page
    }
}

/// The other 2,000 damaged pages are in the unit tests of `providers`; these are also stored.
#[tokio::test]
async fn damaged_pages_are_stored_quarantined_or_read_again() {
    let system = TestSystem::start(&["--per-day", "0"]).await;
    let _worker = system.start_jobs(&["worker"]);
    system.sync_both().await;
    let mut pages = DamagedPages { rng: StdRng::seed_from_u64(15) };
    let script = |path: &str, body: &[u8]| {
        use base64::Engine as _;
        let body = base64::engine::general_purpose::STANDARD.encode(body);
        json!({"path": path, "times": 1, "body_base64": body})
    };
    let scripted: Vec<Value> = (0..30)
        .flat_map(|number| [script("/operation", &pages.operations(number)), script("payin/", &pages.payins(number))])
        .collect();
    system.sandbox.script(json!(scripted)).await;
    for _ in 0..20 {
        if system.sandbox.get("responses").await.as_array().is_none_or(Vec::is_empty) {
            break;
        }
        let jobs = ["sync-vima", "sync-payshack"].map(|kind| system.enqueue(kind, FULL));
        system.wait_until_idle().await;
        for job in jobs {
            assert_eq!(system.job_state(job).await, "succeeded");
        }
    }
    assert_eq!(system.sandbox.get("responses").await, json!([]), "every page was requested");
    let broken = "SELECT count(*) FROM job_attempts WHERE outcome = 'lost' OR error LIKE '%panic%'";
    assert_eq!(system.number(broken).await, 0, "no page breaks a worker");
    let open = "SELECT count(*) FROM sync_runs
                 WHERE status = 'running' OR records_seen <> inserted + updated + unchanged + quarantined";
    assert_eq!(system.number(open).await, 0, "each record is counted");
    for source in ["vima", "payshack"] {
        assert!(system.count_transactions(source).await > 150, "most records of {source} are intact");
    }
    assert!(system.number("SELECT count(*) FROM quarantine").await > 10, "the others are quarantined");
    assert_rollups_match_transactions(&system).await;
}

/// A page that ends too early is no reason to store a part of it. What was received can be printed.
#[tokio::test]
async fn last_unreadable_page_of_a_source_is_kept() {
    let system = TestSystem::start(&["--history-days", "1", "--per-day", "20", "--fault", "vima.truncated=1"]).await;
    let _worker = system.start_jobs(&["worker"]);
    let job = system.enqueue("sync-vima", FULL);
    // Not until an attempt fails: one that fails because a request timed out keeps no page.
    let kept = "SELECT count(*) FROM unreadable_pages WHERE source = 'vima' AND raw LIKE '%operation_id%'::bytea";
    eventually("a page with operations to be kept", || async {
        // Soon after midnight, the day that is read first has none of its own yet.
        system.sandbox.create_and_change(1, 0).await;
        (system.number(kept).await == 1).then_some(())
    })
    .await;
    assert_eq!(system.count_transactions("vima").await, 0);
    assert_ne!(system.job_state(job).await, "succeeded");
    let printed = run(Program::Jobs, &["quarantine", "page", "vima"], system.jobs_settings());
    assert!(printed.status.success() && printed.stdout.contains("\"operation_id\":\""), "{printed:?}");
    let printed = run(Program::Jobs, &["quarantine", "page", "payshack"], system.jobs_settings());
    assert!(printed.stdout.contains("every page of payshack could be read"), "{printed:?}");
}
