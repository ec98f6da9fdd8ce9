//! The list of transactions: every filter, sort and page against the same logic in Rust over all rows.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::count::Count;
use psp_dashboard::db::page::PageWindow;
use psp_dashboard::db::reads::ReadPools;
use psp_dashboard::db::transactions::search::{
    FoundTransaction, Search, SortBy, SortOrder, TransactionCursor, TransactionFilter, TransactionWindow, list,
};
use psp_dashboard::domain::metrics::amount_band::AmountRange;
use psp_dashboard::domain::metrics::query::MetricFilter;
use psp_dashboard::domain::status::Status;
use psp_dashboard::domain::transaction::{Kind, Source};
use psp_dashboard::operations::list_transactions::list_transactions;
use psp_dashboard::operations::metrics_cache::MetricsCache;
use reqwest::Method;
use rust_decimal::Decimal;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor, PgPool};

use crate::harness::servers::Servers;
use crate::harness::test_system::{OPERATOR, TestSystem, VIEWER};

/// Enough payments that deep pages skip whole days.
const PAYMENTS: i64 = 2_500;

/// Payments from `first` to `last`, several per second, over ten days; amounts and update times repeat.
async fn insert(pool: &PgPool, first: i64, last: i64) {
    let statement = format!(
        "INSERT INTO transactions (id, source, kind, source_id, content_hash, reference_id, client_operation_id, project,
                merchant_id, amount, currency, status, country, utr, payment_method, user_email, user_phone, user_name,
                created_at, updated_at, ingested_at, raw_data, original_status)
         SELECT gen_random_uuid(), CASE WHEN n % 3 = 0 THEN 'payshack' ELSE 'vima' END,
                CASE WHEN n % 20 = 0 THEN 'payout' ELSE 'payin' END, n::text, '\\x00', 'Ref-' || n, 'op_' || n,
                'project' || n % 4, 'merchant-' || n % 7, n % 50, CASE WHEN n % 9 = 0 THEN 'BDT' ELSE 'INR' END,
                (ARRAY['success', 'failed', 'pending', 'refunded', 'success'])[n % 5 + 1],
                CASE WHEN n % 4 = 0 THEN NULL ELSE 'C' || n % 3 END, 400000000000 + n, 'M' || n % 6, 'U' || n || '@example.com',
                '9198' || n, 'Name ' || n, '2026-01-10T00:00:00Z'::timestamptz + n / 3 * interval '1021 seconds',
                CASE WHEN n % 2 = 0 THEN '2026-02-01T00:00:00Z'::timestamptz + n % 40 * interval '1 hour' END, now(), '{{}}',
                (ARRAY['success', 'Success', 'fail', NULL])[n % 4 + 1]
           FROM generate_series({first}::bigint, {last}::bigint) AS n"
    );
    pool.execute(AssertSqlSafe(statement)).await.expect("the payments are new");
}

/// Computes the rollup cells of the payments, as the ingest would have.
async fn fill_cells(pool: &PgPool) {
    pool.execute(
        "TRUNCATE metric_cells;
         INSERT INTO metric_cells SELECT cells.* FROM (VALUES ('vima'), ('payshack')) AS sources (source)
             CROSS JOIN LATERAL count_metric_cells(source, '2020-01-01Z', '2030-01-01Z') AS cells;
         UPDATE payment_versions SET version = version + 1",
    )
    .await
    .expect("cells can be counted");
}

fn window(
    sort_by: SortBy,
    order: SortOrder,
    after: Option<TransactionCursor>,
    offset: i64,
    limit: i64,
) -> TransactionWindow {
    TransactionWindow { sort_by, order, page: PageWindow { after, offset, limit } }
}

/// The page of a new request, and the count.
async fn page(
    pool: &PgPool,
    metrics: &MetricsCache,
    filter: &TransactionFilter,
    window: &TransactionWindow,
    now: DateTime<Utc>,
) -> (Vec<FoundTransaction>, Count) {
    let metrics = metrics.current().await.expect("the database responds");
    list_transactions(pool, &metrics, filter, window, now).await.expect("a page")
}

async fn all_payments(pool: &PgPool) -> Vec<FoundTransaction> {
    let all = window(SortBy::CreatedAt, SortOrder::Asc, None, 0, i64::MAX);
    list(pool, &TransactionFilter::default(), &all).await.expect("the database responds")
}

/// The reference implementation of filters and sorting.
fn expected(
    all: &[FoundTransaction],
    filter: &TransactionFilter,
    sort_by: SortBy,
    order: SortOrder,
) -> Vec<FoundTransaction> {
    let mut found: Vec<FoundTransaction> = all.iter().filter(|payment| is_meant(filter, payment)).cloned().collect();
    found.sort_by_key(|payment| payment.id);
    match sort_by {
        SortBy::CreatedAt => found.sort_by_key(|payment| payment.created_at),
        SortBy::UpdatedAt => found.sort_by_key(|payment| payment.updated_at.unwrap_or(payment.created_at)),
        SortBy::Amount => found.sort_by_key(|payment| payment.amount),
    }
    if order == SortOrder::Desc {
        found.reverse();
    }
    found
}

fn is_meant(filter: &TransactionFilter, payment: &FoundTransaction) -> bool {
    fn is_one<T: PartialEq>(values: &[T], value: &T) -> bool {
        values.is_empty() || values.contains(value)
    }
    fn is_said(values: &[String], value: Option<&String>) -> bool {
        values.is_empty() || value.is_some_and(|value| values.contains(value))
    }
    let original_status = payment.original_status.clone().unwrap_or_default();
    is_one(&filter.dimensions.sources, &payment.source)
        && is_one(&filter.original_statuses, &original_status)
        && is_one(&filter.dimensions.kinds, &payment.kind)
        && is_one(&filter.dimensions.statuses, &payment.status)
        && is_one(&filter.dimensions.currencies, &payment.currency)
        && is_said(&filter.dimensions.projects, payment.project.as_ref())
        && is_said(&filter.dimensions.countries, payment.country.as_ref())
        && is_said(&filter.dimensions.payment_methods, payment.payment_method.as_ref())
        && is_said(&filter.dimensions.merchant_ids, payment.merchant_id.as_ref())
        && filter.amounts.least.is_none_or(|least| payment.amount >= least)
        && filter.amounts.most.is_none_or(|most| payment.amount <= most)
        && filter.from.is_none_or(|from| payment.created_at >= from)
        && filter.until.is_none_or(|until| payment.created_at < until)
        && filter.search.as_ref().is_none_or(|search| contains(search, payment))
}

fn contains(search: &Search, payment: &FoundTransaction) -> bool {
    let ids = [&payment.reference_id, &payment.client_operation_id, &payment.order_id, &payment.utr];
    let personal = [&payment.user_email, &payment.user_phone, &payment.user_name];
    let part = search.text.to_lowercase();
    let texts = ids.into_iter().chain(personal.into_iter().filter(|_| search.personal)).flatten();
    texts.chain([&payment.source_id]).any(|text| text.to_lowercase().contains(&part))
}

fn amounts(least: Option<i64>, most: Option<i64>) -> AmountRange {
    AmountRange { least: least.map(Decimal::from), most: most.map(Decimal::from), below: None }
}

fn filters() -> Vec<TransactionFilter> {
    let (none, all) = (TransactionFilter::default, MetricFilter::default);
    let one = |text: &str| vec![text.to_owned()];
    let time = |text: &str| Some(text.parse().expect(text));
    let search = |text: &str, personal| Some(Search { text: text.to_owned(), personal });
    vec![
        none(),
        TransactionFilter { dimensions: MetricFilter { sources: vec![Source::Payshack], ..all() }, ..none() },
        TransactionFilter { dimensions: MetricFilter { kinds: vec![Kind::Payout], ..all() }, ..none() },
        TransactionFilter { dimensions: MetricFilter { projects: one("project1"), ..all() }, ..none() },
        TransactionFilter {
            dimensions: MetricFilter { projects: vec!["project1".to_owned(), "project3".to_owned()], ..all() },
            ..none()
        },
        TransactionFilter { dimensions: MetricFilter { projects: one("nobody's"), ..all() }, ..none() },
        TransactionFilter { dimensions: MetricFilter { statuses: vec![Status::Refunded], ..all() }, ..none() },
        TransactionFilter {
            dimensions: MetricFilter { statuses: vec![Status::Success, Status::Pending], ..all() },
            ..none()
        },
        TransactionFilter { dimensions: MetricFilter { currencies: one("BDT"), ..all() }, ..none() },
        TransactionFilter { dimensions: MetricFilter { countries: one("C2"), ..all() }, ..none() },
        TransactionFilter { dimensions: MetricFilter { payment_methods: one("M5"), ..all() }, ..none() },
        TransactionFilter { dimensions: MetricFilter { merchant_ids: one("merchant-6"), ..all() }, ..none() },
        TransactionFilter { original_statuses: one("fail"), ..none() },
        TransactionFilter { original_statuses: vec!["fail".to_owned(), String::new()], ..none() },
        TransactionFilter {
            dimensions: MetricFilter { statuses: vec![Status::Failed], projects: one("project1"), ..all() },
            original_statuses: one("success"),
            ..none()
        },
        TransactionFilter { amounts: amounts(Some(48), None), ..none() },
        TransactionFilter { amounts: amounts(Some(7), Some(7)), ..none() },
        TransactionFilter { amounts: amounts(Some(7), Some(101)), ..none() },
        TransactionFilter { from: time("2026-01-12T18:30:00Z"), until: time("2026-01-15T18:30:00Z"), ..none() },
        TransactionFilter {
            dimensions: MetricFilter { countries: one("C1"), payment_methods: one("M5"), ..all() },
            ..none()
        },
        TransactionFilter {
            dimensions: MetricFilter {
                merchant_ids: one("merchant-6"),
                countries: one("C1"),
                statuses: vec![Status::Failed],
                ..all()
            },
            ..none()
        },
        TransactionFilter {
            dimensions: MetricFilter { projects: one("project2"), kinds: vec![Kind::Payout], ..all() },
            amounts: amounts(None, Some(1)),
            ..none()
        },
        TransactionFilter { search: search("012", false), ..none() },
        TransactionFilter { search: search("REF-12", false), ..none() },
        TransactionFilter { search: search("@exam", false), ..none() },
        TransactionFilter {
            dimensions: MetricFilter { projects: one("project1"), ..all() },
            search: search("u77", true),
            ..none()
        },
        TransactionFilter { search: search("@example.COM", true), ..none() },
        TransactionFilter { search: search("op_2499", true), ..none() },
        // In ids and in e-mail addresses.
        TransactionFilter { search: search("177", true), ..none() },
        TransactionFilter { search: search("nowhere", true), ..none() },
    ]
}

#[tokio::test]
async fn filters_sorts_and_pages_equal_plain_sql() {
    let servers = Servers::start().await;
    let pool = servers.pool().await;
    insert(&pool, 1, PAYMENTS).await;
    fill_cells(&pool).await;
    let (sums, now) = (MetricsCache::new(ReadPools::only(pool.clone())), SystemClock.now());
    let all = all_payments(&pool).await;
    assert_eq!(all.len(), 2_500);
    for filter in filters() {
        for (sort_by, order) in SortBy::ALL.into_iter().flat_map(|sort_by| SortOrder::ALL.map(|order| (sort_by, order)))
        {
            let case = format!("{filter:?} {sort_by:?} {order:?}");
            let expected = expected(&all, &filter, sort_by, order);
            let total = Count { total: expected.len() as u64, exact: true };
            let (mut walked, mut after) = (vec![], None);
            loop {
                let part = window(sort_by, order, after, 0, 400);
                let (page, count) = page(&pool, &sums, &filter, &part, now).await;
                assert_eq!(count, total, "{case}");
                after = page.last().map(|last| last.cursor(sort_by));
                walked.extend(page.iter().map(|payment| payment.id));
                if page.len() < 400 {
                    break;
                }
            }
            assert!(walked.iter().eq(expected.iter().map(|payment| &payment.id)), "{case}");
            for offset in [0, 3, 1_001, 1_777, 2_498, 9_999] {
                let part = window(sort_by, order, None, offset, 5);
                let (page, _) = page(&pool, &sums, &filter, &part, now).await;
                let offset = usize::try_from(offset).expect("small");
                assert!(page.iter().eq(expected.iter().skip(offset).take(5)), "{case} from {offset}");
            }
        }
    }
}

#[tokio::test]
async fn cursor_visits_every_payment_once_while_others_arrive() {
    let servers = Servers::start().await;
    let pool = servers.pool().await;
    insert(&pool, 1, 1_000).await;
    let old: HashSet<_> = all_payments(&pool).await.into_iter().map(|payment| payment.id).collect();
    let arriving = tokio::spawn({
        let pool = pool.clone();
        async move {
            let mut beat = tokio::time::interval(Duration::from_millis(10));
            for number in 1_001.. {
                beat.tick().await;
                insert(&pool, number, number).await;
            }
        }
    });
    for (sort_by, order) in SortBy::ALL.into_iter().flat_map(|sort_by| SortOrder::ALL.map(|order| (sort_by, order))) {
        let (mut met, mut after) = (HashSet::new(), None);
        loop {
            let part = window(sort_by, order, after, 0, 20);
            let page = list(&pool, &TransactionFilter::default(), &part).await.expect("a page");
            let Some(last) = page.last() else { break };
            after = Some(last.cursor(sort_by));
            for payment in &page {
                assert!(met.insert(payment.id), "{sort_by:?} {order:?}: met twice");
            }
        }
        assert!(met.is_superset(&old), "{sort_by:?} {order:?}: {} of {}", met.intersection(&old).count(), old.len());
    }
    assert!(!arriving.is_finished(), "payments arrived all the while");
    arriving.abort();
    assert!(all_payments(&pool).await.len() > old.len(), "some have arrived");
}

#[tokio::test]
async fn expensive_counts_are_at_least() {
    let servers = Servers::start().await;
    let pool = servers.pool().await;
    let statement = "INSERT INTO transactions (id, source, kind, source_id, content_hash, amount, currency, status, country,
                            payment_method, created_at, ingested_at, raw_data)
                     SELECT gen_random_uuid(), 'vima', 'payin', 'many-' || n, '\\x00', n, 'INR', 'success', 'IN',
                            CASE WHEN n <= 10 THEN 'CARD' ELSE 'UPI' END, '2026-01-10Z'::timestamptz + n * interval '1 second',
                            now(), '{}' FROM generate_series(1, 100001) AS n";
    pool.execute(statement).await.expect("the payments are new");
    fill_cells(&pool).await;
    let (sums, now) = (MetricsCache::new(ReadPools::only(pool.clone())), SystemClock.now());
    let one = |text: &str| vec![text.to_owned()];
    let search = |text: &str| Some(Search { text: text.to_owned(), personal: false });
    let all = MetricFilter::default;
    let india = TransactionFilter {
        dimensions: MetricFilter { countries: one("IN"), ..all() },
        ..TransactionFilter::default()
    };
    for (filter, total, exact) in [
        (india.clone(), 100_001, true),
        (
            TransactionFilter {
                dimensions: MetricFilter { payment_methods: one("CARD"), ..india.dimensions.clone() },
                ..india.clone()
            },
            10,
            false,
        ),
        // All but the first 99 are counted by cells.
        (TransactionFilter { amounts: amounts(Some(1), None), ..TransactionFilter::default() }, 100_001, true),
        (TransactionFilter { amounts: amounts(None, Some(100_000)), ..TransactionFilter::default() }, 100_000, true),
        (TransactionFilter { amounts: amounts(Some(1), None), ..india.clone() }, 100_001, false),
        (TransactionFilter { search: search("many-"), ..TransactionFilter::default() }, 4_000, false),
        (TransactionFilter { search: search("many-10000"), ..TransactionFilter::default() }, 3, true),
        (
            TransactionFilter {
                dimensions: MetricFilter { countries: one("PK"), ..all() },
                search: search("many-10000"),
                ..TransactionFilter::default()
            },
            0,
            true,
        ),
    ] {
        let part = window(SortBy::CreatedAt, SortOrder::Desc, None, 0, 5);
        let (page, count) = page(&pool, &sums, &filter, &part, now).await;
        assert_eq!(count.exact, exact, "{filter:?} {count:?}");
        let enough = if exact || total == 4_000 { count.total == total } else { count.total <= total };
        assert!(enough, "{filter:?} {count:?}");
        assert_eq!(page.len() as u64, total.min(5), "{filter:?}");
    }
}

#[tokio::test]
async fn search_matches_literally_and_respects_roles() {
    let system = TestSystem::start(&[]).await;
    system
        .pool
        .execute(
            "INSERT INTO transactions (id, source, kind, source_id, content_hash, reference_id, client_operation_id, order_id,
                    utr, user_email, user_phone, user_name, amount, currency, status, created_at, ingested_at, raw_data)
             VALUES (gen_random_uuid(), 'vima', 'payin', 'src%Aa', '\\x00', 'ref_Bb', 'cli\\Cc', 'ord-Dd', 'utr''Ee',
                     'mail@Ff.example', '+91 Gg', 'Ärmel Hh', 1, 'INR', 'success', now(), now(), '{}'),
                    (gen_random_uuid(), 'vima', 'payin', 'srcXAa', '\\x00', 'refXBb', 'cliXCc', NULL, NULL, NULL, NULL, NULL, 1,
                     'INR', 'success', now(), now(), '{}')",
        )
        .await
        .expect("the payments are new");
    fill_cells(&system.pool).await;
    let web = system.start_web().await;
    let found = async |text: &str, key: &str| -> Value {
        let query: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let path = format!("/api/v1/transactions?search={query}");
        let response = web.request(Method::GET, &path, Some(key), None).await.expect("a response");
        assert_eq!(response.status, 200, "{text}: {response:?}");
        let page = response.json();
        let items = page["items"].as_array().expect("items");
        assert_eq!(page["total"], items.len(), "{page}");
        page["total"].clone()
    };
    for (text, personal) in [
        ("SRC%a", false),
        ("c%a", false),
        ("f_b", false),
        ("i\\c", false),
        ("D-D", false),
        ("ord-dd", false),
        ("r'ee", false),
        ("l@ff.EX", true),
        ("+91", true),
        ("ärmel", true),
        ("mel Hh", true),
    ] {
        assert_eq!(found(text, OPERATOR).await, 1, "{text}");
        assert_eq!(found(text, VIEWER).await, u64::from(!personal), "{text}");
    }
    assert_eq!(found("src", VIEWER).await, 2);
    // A search does not match across two fields.
    assert_eq!(found("Aaref", OPERATOR).await, 0);
    let response = web.request(Method::GET, "/api/v1/transactions?search=ab%0Acd", Some(VIEWER), None).await;
    assert_eq!(response.expect("a response").status, 422);
}
