//! The listing of payments: its first page with every filter, common and rare, in every order, by search, and a page far from
//! the first; and explanations of single payments.

use chrono::Days;
use chrono_tz::Tz;
use psp_dashboard::domain::day::DayRange;
use psp_dashboard::domain::status::Status;
use psp_dashboard::domain::transaction::Transaction;
use reqwest::Method;

use super::measurement::{CountIn, Endpoint, Limits};
use super::plain_sql::PlainSql;
use crate::harness::test_system::{ADMIN, Web};
use crate::payments::{COUNTRIES, METHODS, OTHER_CURRENCY, PROJECTS, Payments};

const QUERIES: u64 = 60;
/// The row from which pages are read by cursor, if there are that many.
const DEEP: u64 = 100_000;
const PAGE: u64 = 50;

const PAGES: Option<Limits> = Some(Limits(5.0, 15.0));
const SEARCHES: Option<Limits> = Some(Limits(30.0, 100.0));
const EXPLANATIONS: Limits = Limits(10.0, 50.0);

const NEWEST_FIRST: &str = "created_at DESC, id DESC";
const SEARCHED: [&str; 8] =
    ["source_id", "reference_id", "client_operation_id", "order_id", "utr", "user_email", "user_phone", "user_name"];

pub(super) async fn all(web: &Web, payments: &Payments) -> Vec<Endpoint> {
    let mut all = vec![page("transactions", "", "true", NEWEST_FIRST)];
    all.extend(filters(payments));
    all.extend([
        page("transactions by amount", "sort_by=amount", "true", "amount DESC, id DESC"),
        page("transactions by amount, smallest first", "sort_by=amount&order=asc", "true", "amount, id"),
        page(
            "transactions by updated_at",
            "sort_by=updated_at",
            "true",
            "COALESCE(updated_at, created_at) DESC, id DESC",
        ),
        page("transactions, oldest first", "order=asc", "true", "created_at, id"),
    ]);
    all.push(deep_pages(web, payments).await);
    all.extend(searches(payments));
    let ids = (0..QUERIES).map(|query| format!("/api/v1/transactions/{}", payments.id(number_of(payments, query))));
    let ids: Vec<String> = ids.collect();
    all.push(Endpoint {
        name: "transactions/{id}".to_owned(),
        limits: None,
        recent: ids[..1].to_vec(),
        paths: ids,
        plain: None,
        count_in: CountIn::Nowhere,
        compared_with: None,
    });
    all.extend(explanations(payments));
    all
}

/// Explanations of stored payments, by id and by key, and of a key that does not exist, for which similar ones are looked up.
fn explanations(payments: &Payments) -> Vec<Endpoint> {
    let key = |payment: Transaction| payment.client_operation_id.or(payment.order_id);
    let keys: Vec<String> =
        (0..QUERIES).filter_map(|query| key(payments.payment(number_of(payments, query)))).collect();
    let reference = |key: &str| format!("/api/v1/explain/payment?reference={key}");
    [
        (
            "transactions/{id}/explain",
            (0..QUERIES)
                .map(|query| format!("/api/v1/transactions/{}/explain", payments.id(number_of(payments, query))))
                .collect::<Vec<_>>(),
        ),
        ("explain/payment, stored", keys.iter().map(|key| reference(key)).collect()),
        ("explain/payment, unknown", (0..QUERIES).map(|query| reference(&format!("90071992547{query:06}"))).collect()),
    ]
    .into_iter()
    .map(|(name, paths)| Endpoint {
        name: name.to_owned(),
        limits: Some(EXPLANATIONS),
        recent: paths[..1].to_vec(),
        paths,
        plain: None,
        count_in: CountIn::Nowhere,
        compared_with: None,
    })
    .collect()
}

fn page(name: &str, query: &str, filter: &str, order: &str) -> Endpoint {
    let path = format!("/api/v1/transactions?{query}");
    let path = path.trim_end_matches('?').to_owned();
    Endpoint {
        name: name.to_owned(),
        limits: PAGES,
        recent: vec![path.clone()],
        paths: vec![path; QUERIES.try_into().unwrap_or_default()],
        plain: Some(PlainSql::listing(filter, order, 0)),
        count_in: CountIn::Total,
        compared_with: None,
    }
}

/// One filter at a time.
fn filters(payments: &Payments) -> Vec<Endpoint> {
    let by = |column: &str, value: &str| {
        let filter = format!("{column} = '{value}'");
        page(&format!("transactions, {column} {value}"), &format!("{column}={value}"), &filter, NEWEST_FIRST)
    };
    let rare_project = format!("project-{PROJECTS}");
    let (common, rare) = (COUNTRIES[0].0, COUNTRIES[COUNTRIES.len() - 1].0);
    let (day, zone) = (payments.until.date_naive() - Days::new(40), Tz::UTC);
    let (from, until) = DayRange::single(day, zone).instants();
    vec![
        by("source", "vima"),
        by("kind", "payout"),
        by("project", "project-7"),
        by("project", &rare_project),
        by("project", "unknown-project"),
        by("status", Status::Success.as_str()),
        by("status", Status::Pending.as_str()),
        by("status", Status::Unknown.as_str()),
        by("currency", "INR"),
        by("currency", OTHER_CURRENCY),
        by("country", common),
        by("country", rare),
        by("payment_method", METHODS[0].0),
        by("payment_method", METHODS[METHODS.len() - 1].0),
        by("merchant_id", "merchant-7-3"),
        by("merchant_id", &format!("merchant-{PROJECTS}-1")),
        page("transactions, min_amount common", "min_amount=1000", "amount >= 1000", NEWEST_FIRST),
        page("transactions, min_amount rare", "min_amount=149990", "amount >= 149990", NEWEST_FIRST),
        page("transactions, max_amount rare", "max_amount=100.50", "amount <= 100.50", NEWEST_FIRST),
        page(
            "transactions, one day",
            &format!("from_date={day}&to_date={day}&timezone={zone}"),
            &format!("created_at >= '{from}' AND created_at < '{until}'"),
            NEWEST_FIRST,
        ),
    ]
}

/// Consecutive pages by cursor, far from the first.
async fn deep_pages(web: &Web, payments: &Payments) -> Endpoint {
    let depth = DEEP.min(payments.count / 2);
    let mut path = format!("/api/v1/transactions?page={}", depth / PAGE);
    let mut paths = vec![];
    for _ in 0..QUERIES {
        let response = web.request(Method::GET, &path, Some(ADMIN), None).await.expect("the web process responds");
        let Some(cursor) = response.json()["next_cursor"].as_str().map(str::to_owned) else { break };
        path = format!("/api/v1/transactions?cursor={cursor}");
        paths.push(path.clone());
    }
    assert!(!paths.is_empty(), "there is no next cursor at row {depth}");
    Endpoint {
        name: format!("transactions, by cursor from row {depth} on"),
        limits: PAGES,
        recent: paths[..1].to_vec(),
        paths,
        plain: Some(PlainSql::listing("true", NEWEST_FIRST, depth)),
        count_in: CountIn::Total,
        compared_with: Some(("transactions", 1.5)),
    }
}

/// Searches for parts of existing values, each of another payment; for a text in most payments, and for one in none.
fn searches(payments: &Payments) -> Vec<Endpoint> {
    let part = |of: &dyn Fn(u64) -> Option<String>| -> Vec<String> {
        (0..).filter_map(|query| of(number_of(payments, query))).take(QUERIES.try_into().unwrap_or_default()).collect()
    };
    // The name without its first letter and without the domain, the last digits of an id, the middle ones of a UTR.
    let email = |number| Some(payments.payment(number).user_email?.split('@').next()?[1..].to_owned());
    let id = |number| Some(payments.payment(number).key.source_id[10..].to_owned());
    let utr = |number| Some(payments.payment(number).utr?[3..11].to_owned());
    vec![
        search("part of an e-mail", &part(&email)),
        search("part of an id", &part(&id)),
        search("part of a UTR", &part(&utr)),
        search("a common text", &vec!["example.com".to_owned(); 20]),
        search("an unknown text", &vec!["no-match-at-all".to_owned(); 20]),
    ]
}

fn search(what: &str, patterns: &[String]) -> Endpoint {
    let anywhere = SEARCHED.map(|column| format!("{column} ILIKE '%{}%'", patterns[0])).join(" OR ");
    let paths: Vec<String> = patterns.iter().map(|pattern| format!("/api/v1/transactions?search={pattern}")).collect();
    Endpoint {
        name: format!("transactions, search for {what}"),
        limits: SEARCHES,
        recent: paths[..1].to_vec(),
        paths,
        plain: Some(PlainSql::listing(&format!("({anywhere})"), NEWEST_FIRST, 0)),
        count_in: CountIn::Total,
        compared_with: None,
    }
}

/// The number of a payment, different for each query, spread over all of them.
fn number_of(payments: &Payments, query: u64) -> u64 {
    // The step has no common factor with any usual number of payments.
    (query * 7_919 * 104_729 + 12_345) % payments.count
}
