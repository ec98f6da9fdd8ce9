//! Whole days and more: the export of all payments, and the reconciliation of a day.

use std::time::{Duration, Instant};

use chrono::{DateTime, Days, NaiveDate, Utc};
use serde_json::{Value, json};

use super::agreement::{difference, difference_of_files};
use super::server::{Client, FastApi};
use crate::harness::eventually_within;
use crate::harness::test_system::TestSystem;
use crate::payments::Payments;
use crate::report::Durations;

/// Twenty columns that both services have.
const COLUMNS: &str = "id,source,kind,source_id,reference_id,client_operation_id,order_id,project,merchant_id,amount,currency,\
                       amount_usd,fee,status,user_email,country,utr,payment_method,created_at,updated_at";
/// The days that are reconciled, and the day whose export is compared: long settled.
const DAYS_AGO: [u64; 3] = [40, 41, 42];
const RUN_TIMEOUT: Duration = Duration::from_mins(30);

fn days(payments: &Payments) -> [NaiveDate; 3] {
    DAYS_AGO.map(|ago| payments.until.date_naive() - Days::new(ago))
}

/// Downloads all payments as CSV, and returns the duration in seconds.
pub(super) async fn export(client: &Client, payments: &Payments) -> f64 {
    let started = Instant::now();
    let mut response = client.open(&format!("/api/v1/export/transactions?format=csv&columns={COLUMNS}")).await;
    let mut lines = 0;
    while let Some(chunk) = response.chunk().await.expect("the rest of the file") {
        lines += chunk.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
    }
    assert_eq!(lines, payments.count + 1, "lines of the file");
    started.elapsed().as_secs_f64()
}

/// Where the exports of a day differ, if they do.
pub(super) async fn difference_of_exports(ours: &Client, theirs: &Client, payments: &Payments) -> Option<String> {
    let [day, ..] = days(payments);
    let path = format!("/api/v1/export/transactions?format=csv&columns={COLUMNS}&from_date={day}&to_date={day}");
    difference_of_files(&ours.read(&path).await, &theirs.read(&path).await)
}

/// Reconciles days by a worker of ours, and returns how long each took. The web process reports the runs.
pub(super) async fn reconcile(system: &TestSystem, client: &Client, payments: &Payments) -> Durations {
    let mut durations = vec![];
    for day in days(payments) {
        system.run_job("reconcile", Some(&json!({"date": day}).to_string()));
        let runs = client.get("/api/v1/reconciliation/runs?limit=1").await;
        durations.push(duration_of(&runs["items"][0]).expect("the run is finished"));
    }
    Durations::new(durations)
}

/// Reconciles the same days by the replaced service.
pub(super) async fn reconcile_by(service: &FastApi, payments: &Payments) -> Durations {
    let mut durations = vec![];
    for day in days(payments) {
        service.client.post("/api/v1/reconciliation/run", &json!({"date": day})).await;
        let duration = eventually_within(RUN_TIMEOUT, "the run to be finished", || async {
            duration_of(&summary(&service.client, day).await)
        });
        durations.push(duration.await);
    }
    Durations::new(durations)
}

/// Where the results of the days differ, if they do.
pub(super) async fn difference_of_results(ours: &Client, theirs: &Client, payments: &Payments) -> Option<String> {
    for day in days(payments) {
        let (ours, theirs) = (summary(ours, day).await, summary(theirs, day).await);
        assert_ne!(theirs["matched"]["count"], 0, "nothing of {day} was matched: {theirs}");
        for counts in
            ["total_transactions", "matched", "discrepancies", "missing", "pending", "duplicates", "unmatchable"]
        {
            let difference = difference(&format!("{day}/{counts}"), &ours[counts], &theirs[counts]);
            if difference.is_some() {
                return difference;
            }
        }
    }
    None
}

async fn summary(client: &Client, day: NaiveDate) -> Value {
    client.get(&format!("/api/v1/reconciliation/summary?date={day}")).await
}

/// How long a run took; `None` while it is running.
fn duration_of(run: &Value) -> Option<Duration> {
    let time = |name: &str| -> Option<DateTime<Utc>> { run[name].as_str()?.parse().ok() };
    (time("finished_at")? - time("started_at")?).to_std().ok()
}
