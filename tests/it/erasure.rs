//! Erasure: nothing that names the person is left, nothing else changes, and syncs do not bring the person back.

use std::sync::Arc;

use chrono::TimeDelta;
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::domain::access::Principal;
use psp_dashboard::domain::erasure::Identifier;
use psp_dashboard::domain::record::Record;
use psp_dashboard::domain::status::Status;
use psp_dashboard::domain::transaction::{Kind, Source, Transaction};
use psp_dashboard::domain::version::{SequenceId, Version};
use psp_dashboard::operations::audit::{AuditContext, AuditRecord};
use psp_dashboard::operations::erase_person::{ErasureCounts, erase_person};
use psp_dashboard::operations::export::store::ExportStore;
use psp_dashboard::operations::ingest_page::Checkpoint;
use psp_dashboard::operations::verify_audit::verify_audit;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Executor, PgPool};

use crate::harness::exports::create_export;
use crate::harness::ingest_fixture::{IngestFixture, insert_transactions, minimal_transaction};
use crate::harness::programs::{Output, Program, run};
use crate::harness::test_system::{ADMIN, OPERATOR, TestSystem, items};

const EMAIL: &str = "payer7@example.com";

fn erase(system: &TestSystem, arguments: &[&str]) -> Output {
    let arguments = [&["erase"], arguments].concat();
    run(Program::Psp, &arguments, system.settings())
}

/// Everything that must not change.
async fn totals(system: &TestSystem) -> String {
    let totals = sqlx::query_scalar!(
        r#"SELECT concat_ws(' ', (SELECT json_agg(metric_cells ORDER BY metric_cells::text) FROM metric_cells),
                     (SELECT json_agg((id, source_id, amount, currency, status, country, project, content_hash) ORDER BY id)
                        FROM transactions)) AS "totals!""#
    );
    totals.fetch_one(&system.pool).await.expect("a response")
}

/// The tables that contain a text.
#[expect(clippy::disallowed_methods, reason = "the tables are those that the database has")]
async fn tables_with(pool: &PgPool, text: &str) -> Vec<String> {
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(pool).await.expect("a response");
    let mut found = vec![];
    for table in tables {
        // Bytes are shown as hexadecimal digits.
        let query = format!(
            "SELECT count(*) FROM {table} AS t WHERE strpos(lower(t::text), $1) > 0 OR strpos(t::text, $2) > 0"
        );
        let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .bind(text.to_lowercase())
            .bind(hex::encode(text))
            .fetch_one(pool)
            .await
            .expect("a response");
        if count > 0 {
            found.push(table);
        }
    }
    found
}

const TEXTS: &str = r#"
    UPDATE transactions SET raw_data = json_build_object('mail', user_email);
    UPDATE transactions SET user_email = 'someone@else.org', raw_data = '{"cc": "Payer7@Example.com"}' WHERE source_id = '9';
    INSERT INTO quarantine (id, source, kind, reason, raw, raw_hash, run_id, first_seen_at, last_seen_at)
    VALUES (gen_random_uuid(), 'vima', 'payin', 'no', '{"a":"payer7@example.com"', sha256('a'), gen_random_uuid(), now(), now()),
           (gen_random_uuid(), 'vima', 'payin', 'no', '{"a":"xpayer7@example.com"', sha256('b'), gen_random_uuid(), now(), now());
    INSERT INTO unreadable_pages (source, reason, raw, run_id, received_at)
    VALUES ('vima', 'no', '[payer7@example.com', gen_random_uuid(), now());
    INSERT INTO discrepancies (id, recon_date, key, occurrence, match_status, types, details, state, note, first_seen_at,
                               first_run_id, created_at)
    VALUES ('00000000-0000-0000-0000-000000000007', '2026-01-15', 'k', 1, 'missing_payshack', '{missing}', '{}', 'open',
            'wrote to payer7@example.com today', now(), gen_random_uuid(), now());
    INSERT INTO discrepancy_changes (discrepancy_id, changed_at, changed_by, from_state, to_state, note)
    VALUES ('00000000-0000-0000-0000-000000000007', now(), 'ada', 'open', 'acknowledged', 'PAYER7@example.com called');
    INSERT INTO bulk_actions (id, kind, filter, changes, token_hash, requested_by_key, requested_by, role, item_count, created_at,
                              expires_at)
    VALUES (gen_random_uuid(), 'update_discrepancies', '{"assignee": ["payer7@example.com"]}', '{"note": "wrote to payer7@example.com"}',
            'a', gen_random_uuid(), 'ada', 'admin', 0, now(), now());
    INSERT INTO export_pieces (file, number, bytes, created_at) VALUES ('file', 0, 'payer7@example.com', now());
    INSERT INTO exports (id, job_id, name, format, wanted, requested_by, role, file_name, created_at, stored_as)
    VALUES (gen_random_uuid(), gen_random_uuid(), 'transactions', 'csv', '{}', 'ada', 'admin', 'a.csv', now(), 'file')"#;

#[tokio::test]
async fn person_is_erased_everywhere_and_totals_stay() {
    let system = TestSystem::start(&[]).await;
    insert_transactions(&system.pool, 1..=20).await;
    system.pool.execute(TEXTS).await.expect("the database accepts it");
    let web = system.start_web().await;
    create_export(&web, OPERATOR, &format!("format=csv&search={EMAIL}")).await;
    let overview = "/api/v1/metrics/overview?from_date=2026-01-15&to_date=2026-01-15";
    let list = format!("/api/v1/transactions?search={EMAIL}");
    assert_eq!(items(&web.get(&list).await).len(), 1);
    let before = (totals(&system).await, web.get(overview).await);

    let dry = erase(&system, &["--email", "Payer7@example.com"]);
    assert!(dry.status.success() && dry.stdout.contains("2 payments") && dry.stdout.contains("--yes"), "{dry:?}");
    let tables = [
        "audit_log",
        "bulk_actions",
        "discrepancies",
        "discrepancy_changes",
        "export_pieces",
        "exports",
        "quarantine",
        "transactions",
        "unreadable_pages",
    ];
    assert_eq!(tables_with(&system.pool, EMAIL).await, tables, "a dry run changes nothing");

    let done = erase(&system, &["--email", "Payer7@example.com", "--yes"]);
    assert!(done.status.success() && done.stdout.contains("2 payments"), "{done:?}");
    let left =
        system.number("SELECT count(*) FROM quarantine WHERE encode(raw, 'escape') LIKE '%xpayer7@example.com%'").await;
    assert_eq!(left, 1, "another person, whose address ends with the same text, stays");
    system.pool.execute("DELETE FROM quarantine").await.expect("a response");
    assert_eq!(tables_with(&system.pool, EMAIL).await, Vec::<String>::new());
    assert_eq!((totals(&system).await, web.get(overview).await), before);
    assert_eq!(web.get(&list).await["total"], 0, "not found, and not in a cached response");
    let note = sqlx::query_scalar!("SELECT note FROM discrepancies").fetch_one(&system.pool).await.expect("a note");
    assert_eq!(note.as_deref(), Some("wrote to [erased] today"));

    let again = erase(&system, &["--email", EMAIL, "--yes"]);
    assert!(again.status.success() && again.stdout.contains("0 payments"), "{again:?}");
    let audit = web.get("/api/v1/audit?operation=psp%20erase").await;
    let [_, first] = items(&audit).as_slice() else { panic!("{audit}") };
    assert_eq!(
        (&first["details"]["identifiers"], &first["details"]["erased"]["payments"]),
        (&json!(["email"]), &json!(2))
    );
    let ordered = web.get("/api/v1/audit?operation=orderExport").await;
    assert!(ordered.to_string().contains("[erased]"), "{ordered}");
    let verified = verify_audit(&system.pool, None).await.expect("the chain is still valid");
    assert_eq!(verified.erased, 1);
    for arguments in [&["--yes"][..], &["--email", "nobody"], &["--phone", "12"]] {
        assert!(!erase(&system, arguments).status.success(), "{arguments:?}");
    }
    let response = web.request(Method::GET, "/api/v1/me", Some(ADMIN), None).await.expect("a response");
    assert_eq!(response.status, 200);
}

fn payment(source_id: &str, sequence: u128, (email, phone): (&str, &str), status: Status) -> Record {
    let created_at = SystemClock.now() - TimeDelta::hours(1);
    let minimal = minimal_transaction((Source::Vima, Kind::Payin), source_id.to_owned(), created_at);
    let version = Version { sequence: Some(SequenceId(sequence)), modified_at: None };
    let raw = json!({"email": email, "phone": phone}).to_string();
    let (user_email, user_phone) = (Some(email.to_owned()), Some(phone.to_owned()));
    Record::Payment(Box::new(Transaction { version, status, user_email, user_phone, raw, ..minimal }))
}

async fn payers(fixture: &IngestFixture) -> Vec<(String, Option<String>, Option<String>, String)> {
    let rows = sqlx::query!("SELECT source_id, user_email, user_phone, status FROM transactions ORDER BY source_id")
        .fetch_all(&fixture.pool)
        .await
        .expect("a response");
    rows.into_iter().map(|row| (row.source_id, row.user_email, row.user_phone, row.status)).collect()
}

#[tokio::test]
async fn later_syncs_do_not_bring_the_person_back() {
    let fixture = IngestFixture::start().await;
    let (sunita, other) = (("sunita@example.com", "+91 98765 43341"), ("ravi@example.com", "9876500000"));
    let first = vec![payment("1", 1, sunita, Status::Pending), payment("2", 1, other, Status::Pending)];
    fixture.ingest(first.clone(), Checkpoint::None).await.expect("stored");
    let identifiers = [Identifier::email(sunita.0).expect("an address")];
    let store = ExportStore::Database(fixture.pool.clone(), Arc::new(SystemClock));
    let audit = AuditContext::of_command("root".to_owned(), "psp erase");
    let erased = erase_person(&fixture.pool, &store, &identifiers, &audit, SystemClock.now()).await.expect("erased");
    assert_eq!(erased, ErasureCounts { payments: 1, ..ErasureCounts::default() });

    let unchanged = fixture.ingest(first, Checkpoint::None).await.expect("stored");
    assert_eq!((unchanged.unchanged, unchanged.updated), (2, 0), "the same records are not written again");
    // A newer version, even without the identifier that was erased; and new payments of the person.
    let later = vec![
        payment("1", 2, ("new@example.com", sunita.1), Status::Success),
        payment("2", 2, other, Status::Success),
        payment("3", 1, ("SUNITA@example.com", "123456789"), Status::Success),
    ];
    fixture.ingest(later, Checkpoint::None).await.expect("stored");
    let shown = |source_id: &str, payer: Option<(&str, &str)>| {
        let (email, phone) = payer.map(|(email, phone)| (email.to_owned(), phone.to_owned())).unzip();
        (source_id.to_owned(), email, phone, "success".to_owned())
    };
    assert_eq!(payers(&fixture).await, [shown("1", None), shown("2", Some(other)), shown("3", None)]);
    let left = fixture.number("SELECT count(*) FROM transactions WHERE raw_data::text ILIKE '%sunita%'").await;
    assert_eq!(left, 0);
    assert_eq!(fixture.number("SELECT count(*) FROM transaction_changes").await, 2, "the history goes on");
    let record = AuditRecord::succeeded(Value::Null);
    AuditContext::new(Principal::anyone(), "test")
        .record(&fixture.pool, &record, SystemClock.now())
        .await
        .expect("an entry");
    verify_audit(&fixture.pool, None).await.expect("a chain");
}
