//! The metrics against plain SQL: random histories through the real ingest, then every endpoint, in four time zones, across
//! clock changes. Every response must equal a count over the raw rows with PostgreSQL's own calendar.

mod history;
mod links;
mod oracle;
mod values;

use std::sync::Arc;

use chrono::NaiveDate;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use psp_dashboard::domain::sync::{Stream, day_start};
use psp_dashboard::domain::transaction::{Kind, Source};
use psp_dashboard::operations::ingest_page::{Checkpoint, Page};
use psp_dashboard::operations::pack_days::pack_days;
use sqlx::{Postgres, QueryBuilder};

use crate::harness::consistency::assert_rollups_match_transactions;
use crate::harness::ingest_fixture::IngestFixture;
use crate::harness::is_long;
use crate::harness::test_system::{TestSystem, Web};
use history::{PaymentVersion, histories};
use oracle::{Asked, Oracle, RECONCILED};

const ZONES: [&str; 4] = ["UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/New_York"];

/// Filters of a dashboard: none, each alone, combinations, and one without results.
const FILTERS: [&[(&str, &str)]; 14] = [
    &[],
    &[("count", "payments")],
    &[("count", "payments"), ("source", "payshack")],
    &[("count", "payments"), ("project", "project-1")],
    &[("count", "payments"), ("project", "project-0,project-1"), ("status", "success,failed")],
    &[("count", "payments"), ("kind", "payin"), ("currency", "INR")],
    &[("source", "vima")],
    &[("kind", "payout")],
    &[("project", "project-1")],
    &[("project", "project-0,project-2"), ("status", "success,pending")],
    &[("status", "failed")],
    &[("currency", "INR")],
    &[("source", "payshack"), ("kind", "payin"), ("project", "project-1"), ("currency", "INR")],
    &[("project", "nobody")],
];

#[tokio::test]
async fn every_endpoint_equals_plain_sql_over_the_transactions() {
    let mut runner = TestRunner::deterministic();
    // Clocks go forward in New York on 8 March, and back on 1 November.
    for first in ["2026-03-06", "2026-10-30"] {
        let first: NaiveDate = first.parse().expect("a day");
        for _ in 0..if is_long() { 10 } else { 1 } {
            let history = histories(first).new_tree(&mut runner).expect("a history").current();
            compare_with_plain_sql(first, &history).await;
        }
    }
}

async fn compare_with_plain_sql(first: NaiveDate, history: &[Vec<PaymentVersion>]) {
    let system = TestSystem::start(&[]).await;
    let books = IngestFixture::start_on(Arc::clone(&system.servers)).await;
    let web = system.start_web_with(&[("RECONCILED_PROJECTS", RECONCILED)]).await;
    for (page, versions) in history.iter().enumerate() {
        store(&books, versions).await;
        // Also between pages: a cached response must not outlive its data.
        if page % 4 == 1 {
            pack(&books).await;
        }
        if page % 4 == 3 {
            ask(&web, &books, first, "Asia/Kolkata", FILTERS[0]).await;
        }
    }
    assert_rollups_match_transactions(&system).await;
    reconcile(&books, first).await;
    for (zone_place, zone) in ZONES.into_iter().enumerate() {
        // The first zones see some days packed, some changed since.
        if zone_place == 2 {
            pack(&books).await;
        }
        for (filter_place, filter) in FILTERS.into_iter().enumerate() {
            // Every filter in two of the zones; in all of them in long runs.
            if filter.is_empty() || is_long() || (zone_place + filter_place) % 2 == 0 {
                ask(&web, &books, first, zone, filter).await;
            }
        }
    }
}

/// Packs every day: those of the history are long over, or count as such.
async fn pack(books: &IngestFixture) {
    let now = day_start("2030-01-01".parse().expect("a day"));
    pack_days(&books.pool, now).await.expect("the days are packed");
}

/// Records two completed runs of each day, each of which found other pay-ins of PayShack to be missing in Vima.
async fn reconcile(books: &IngestFixture, first: NaiveDate) {
    let mut query = QueryBuilder::<Postgres>::new("WITH first AS (SELECT ");
    query.push_bind(first).push(
        "::date AS day), runs AS (
         INSERT INTO reconciliation_runs (id, recon_date, version, status, trigger, started_at, finished_at, parameters,
                                          day_from, day_until, as_of)
         SELECT gen_random_uuid(), first.day + later, version, 'completed', 'schedule', now(), now(), '{}', first.day + later,
                first.day + later + 1, now()
           FROM first CROSS JOIN generate_series(-3, 10) AS later CROSS JOIN generate_series(1, 2) AS version
         RETURNING id, recon_date, version)
         INSERT INTO reconciliation_results (run_id, recon_date, match_status, types, payshack_txn_id, details)
         SELECT runs.id, recon_date,
                CASE (hashtext(source_id) % 3 + version) % 3 WHEN 0 THEN 'missing_vima' ELSE 'pending' END, '{missing}',
                transactions.id, '{}'
           FROM transactions JOIN runs ON recon_date = (created_at AT TIME ZONE 'Asia/Kolkata')::date
          WHERE source = 'payshack' AND kind = 'payin'",
    );
    query.build().execute(&books.pool).await.expect("the runs are stored");
}

/// A page per list, as the providers return them.
async fn store(books: &IngestFixture, versions: &[PaymentVersion]) {
    for (stream, source, kind) in [
        (Stream::VimaUpdates, Source::Vima, Kind::Payin),
        (Stream::PayshackPayins, Source::Payshack, Kind::Payin),
        (Stream::PayshackPayouts, Source::Payshack, Kind::Payout),
    ] {
        let records = versions.iter().filter(|version| (version.source, version.kind) == (source, kind));
        let page = Page::new(stream, records.map(PaymentVersion::record).collect(), Checkpoint::None);
        books.ingest_page(page).await.expect("the page is stored");
    }
}

/// Compares every endpoint with its count.
async fn ask(
    web: &Web,
    books: &IngestFixture,
    first: NaiveDate,
    zone: &'static str,
    filter: &[(&'static str, &'static str)],
) {
    let days = (first + chrono::Days::new(1), first + chrono::Days::new(4));
    let oracle = Oracle { pool: &books.pool, zone, days, filter: filter.to_vec() };
    for asked in Asked::all() {
        asked.compare(web, &oracle).await;
    }
}
