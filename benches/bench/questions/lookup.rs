//! The lookup of 500 pasted ids, compared with plain SQL that reads the same payments by their primary key.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use sqlx::{PgPool, QueryBuilder};
use uuid::Uuid;

use crate::harness::test_system::{OPERATOR, Web};
use crate::payments::Payments;
use crate::report::{self, Durations, Target};

const IDS: u64 = 500;
/// How many different lists are looked up, after one for warm-up.
const LISTS: u64 = 40;

pub(super) async fn measure(pool: &PgPool, web: &Web, payments: &Payments) {
    let (mut lookups, mut plain) = (vec![], vec![]);
    for list in 0..=LISTS {
        let numbers: Vec<u64> = (0..IDS).map(|index| (list * IDS + index) * 7_919 % payments.count).collect();
        let (lookup, sql) = (look_up(web, payments, &numbers).await, read(pool, payments, &numbers).await);
        if list > 0 {
            lookups.push(lookup);
            plain.push(sql);
        }
    }
    let (lookups, plain) = (Durations::new(lookups), Durations::new(plain));
    for (name, durations, target) in [
        ("transactions/lookup of 500 ids", &lookups, Target::AtMost(50.0)),
        ("plain SQL by primary key", &plain, Target::None),
    ] {
        report::print_cell(name, "p50", durations.percentile_ms(50), "ms", target);
        report::print_cell(name, "p95", durations.percentile_ms(95), "ms", Target::None);
    }
}

/// Each kind of id in turn, as it could be pasted; each must be found.
async fn look_up(web: &Web, payments: &Payments, numbers: &[u64]) -> Duration {
    let pasted: Vec<String> = numbers
        .iter()
        .enumerate()
        .map(|(index, number)| {
            let payment = payments.payment(*number);
            let ids = [payment.reference_id, payment.client_operation_id, payment.order_id, payment.utr];
            let id = ids.into_iter().cycle().skip(index % 4).take(4).flatten().next();
            format!("'{}", id.unwrap_or(payment.key.source_id).to_lowercase())
        })
        .collect();
    let body = json!({"ids": pasted.join("\r\n")}).to_string();
    let started = Instant::now();
    let response = web.request(Method::POST, "/api/v1/transactions/lookup", Some(OPERATOR), Some(&body)).await;
    let (took, lookup) = (started.elapsed(), response.expect("a response").json());
    assert_eq!(lookup["counts"]["not_found"], 0, "{}", lookup["not_found"]);
    took
}

async fn read(pool: &PgPool, payments: &Payments, numbers: &[u64]) -> Duration {
    let ids: Vec<Uuid> = numbers.iter().map(|number| payments.id(*number)).collect();
    let mut query = QueryBuilder::new("SELECT * FROM transactions WHERE id = ANY(");
    query.push_bind(&ids).push(")");
    let started = Instant::now();
    let rows = query.build().fetch_all(pool).await;
    let (took, rows) = (started.elapsed(), rows.expect("the database responds"));
    assert_eq!(rows.len(), ids.len());
    took
}
