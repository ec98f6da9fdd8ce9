//! The summary of a day: its last completed run, its status, and its open discrepancies.

use super::*;

#[tokio::test]
async fn summary_uses_the_last_completed_run_of_the_day() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let date = day("2025-01-15");
    let none = summary(&web, date).await;
    let actual = ["run_id", "run_at", "status", "provisional", "currency"].map(|field| none[field].clone());
    assert_eq!(actual, [Value::Null, Value::Null, json!("not_run"), json!(true), Value::Null], "{none}");
    assert_eq!(none["matched"], json!({"count": 0, "percentage": 0.0, "amount": "0.00"}));
    assert_eq!(none["data_as_of"], json!({"vima": null, "payshack": null}));

    RunFixture::completed(date).insert(&system.pool).await;
    let settled = summary(&web, date).await;
    let actual = ["status", "provisional", "total_transactions"].map(|field| settled[field].clone());
    assert_eq!(actual, [json!("completed"), json!(false), json!(3)], "{settled}");

    let last = RunFixture::completed(date)
        .with_version(2)
        .with_tally(some_of_everything())
        .with_amounts(rupees())
        .insert(&system.pool)
        .await;
    let summed = summary(&web, date).await;
    let expected = json!({
        "date": "2025-01-15", "timezone": "UTC", "run_id": last, "run_at": "2025-01-16T02:00:00Z", "status": "completed",
        "provisional": true, "total_transactions": 12, "total_vima": 14, "total_payshack": 12, "currency": "INR",
        "matched": {"count": 4, "percentage": 33.33, "amount": "400.00"},
        "discrepancies": {"count": 3, "percentage": 25.0, "amount": "201.50", "by_type": {"amount": 1, "status": 2}},
        "missing": {"count": 3, "percentage": 25.0, "missing_vima": 1, "missing_payshack": 2},
        "pending": {"count": 2, "percentage": 16.67},
        "duplicates": {"count": 3, "vima": 2, "payshack": 1}, "unmatchable": {"count": 3, "vima": 1, "payshack": 2},
        "amounts": run(&web, last).await["amounts"], "open_cases": none["open_cases"], "data_as_of": none["data_as_of"],
        "rows_urls": rows_urls(last),
    });
    assert_eq!(summed, expected);

    // Runs after a completed one change the status of the day, but not its counts.
    let standing = async |expected: &str| {
        let summed = summary(&web, date).await;
        assert_eq!((&summed["status"], &summed["run_id"]), (&json!(expected), &json!(last)), "{summed}");
    };
    RunFixture::failed(date).insert(&system.pool).await;
    standing("failed").await;
    RunFixture::cancelled(date).insert(&system.pool).await;
    standing("failed").await;
    let waiting = job_in(&system, "2025-01-15", "retrying", 0).await;
    RunFixture::running(date).with_id(waiting).insert(&system.pool).await;
    standing("failed").await;
    let held = job_in(&system, "2025-01-14", "running", 60).await;
    RunFixture::running(date).with_id(held).insert(&system.pool).await;
    standing("running").await;
}

#[tokio::test]
async fn day_is_provisional_until_both_sources_are_read_past_it() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let end = |date: NaiveDate| RunFixture::completed(date).day_until();
    for (number, watermark, pending, expected) in [
        (1, Some(TimeDelta::zero()), 0, false),
        (2, Some(TimeDelta::seconds(-1)), 0, true),
        (3, None, 0, true),
        (4, Some(TimeDelta::zero()), 1, true),
    ] {
        let date = day("2025-01-01") + Days::new(number);
        let watermark = watermark.map(|late| end(date) + late);
        RunFixture::completed(date).with_watermark(watermark).with_pending(pending).insert(&system.pool).await;
        assert_eq!(summary(&web, date).await["provisional"], expected, "{date}");
    }
    // Two currencies are never added up.
    let date = day("2025-01-20");
    let amounts = json!({"INR": {"matched": "100", "amount": "5"}, "USD": {"matched": "7.25"}});
    RunFixture::completed(date).with_amounts(amounts).insert(&system.pool).await;
    let summed = summary(&web, date).await;
    let actual = [&summed["currency"], &summed["matched"]["amount"], &summed["discrepancies"]["amount"]];
    assert_eq!(actual, [&Value::Null; 3], "{summed}");
    let each: Vec<_> = summed["amounts"].as_array().expect("amounts").iter().map(|of| &of["matched"]).collect();
    assert_eq!(each, [&json!("100.00"), &json!("7.25")]);

    let (before, nothing_said) =
        (SystemClock.now().date_naive(), web.get("/api/v1/reconciliation/summary").await["date"].clone());
    let next = day(nothing_said.as_str().expect("a day")) + Days::new(1);
    assert!((before..=SystemClock.now().date_naive()).contains(&next), "yesterday, where nothing is said");
    assert_eq!(ask(&web, "/api/v1/reconciliation/summary?date=2025-02-30").await.status, 422);
}

struct Case<'a> {
    date: NaiveDate,
    types: &'a [&'a str],
    amounts: (Option<i32>, Option<i32>),
    currency: &'a str,
    state: &'a str,
}

async fn insert_case(system: &TestSystem, case: Case<'_>) {
    let (vima, payshack) = case.amounts;
    sqlx::query!(
        r#"INSERT INTO discrepancies (id, recon_date, key, occurrence, match_status, types, vima_amount, payshack_amount,
                                      amount_diff, vima_currency, payshack_currency, details, state, first_seen_at,
                                      first_run_id, created_at, resolved_at)
           VALUES ($1, $2, gen_random_uuid()::text, 1, 'discrepancy', $3, $4::int, $5::int, $4::int - $5::int,
                   CASE WHEN $4::int IS NOT NULL THEN $6 END, $6, '{}', $7, now(), $1, now(),
                   CASE WHEN $7 NOT IN ('open', 'acknowledged') THEN now() END)"#,
        Uuid::now_v7(),
        case.date,
        case.types as &[&str],
        vima,
        payshack,
        case.currency,
        case.state
    )
    .execute(&system.pool)
    .await
    .expect("the database takes it");
}

/// The counts of all and of each age.
fn without_links(open: &Value) -> Value {
    let ages = open["by_age"].as_array().expect("ages").iter().map(|aged| {
        json!({"bucket": aged["bucket"], "count": aged["count"], "amount": aged["amount"], "currency": aged["currency"]})
    });
    json!({"count": open["count"], "by_age": ages.collect::<Value>()})
}

#[tokio::test]
async fn open_discrepancies_are_grouped_by_age() {
    let system = TestSystem::start(&[]).await;
    // Midday in the zone, so that the day does not change during the test.
    let now = SystemClock.now();
    let hours = i32::try_from(12 - i64::from(chrono::Timelike::hour(&now))).expect("a small number");
    let zone = if hours >= 0 { format!("Etc/GMT-{hours}") } else { format!("Etc/GMT+{}", -hours) };
    let web = system.start_web_with(&[("RECONCILIATION_TIMEZONE", &zone)]).await;
    let today = now.date_naive();
    let case = |days: u64, types, amounts, currency, state| Case {
        date: today - Days::new(days),
        types,
        amounts,
        currency,
        state,
    };
    for case in [
        case(0, &["status"][..], (Some(100), Some(100)), "INR", "open"),
        case(1, &["amount"], (Some(100), Some(103)), "INR", "acknowledged"),
        case(1, &["amount", "status"], (Some(10), Some(7)), "INR", "open"),
        case(1, &["amount"], (Some(100), Some(1)), "INR", "resolved"),
        case(3, &["missing"], (None, Some(40)), "INR", "open"),
        case(7, &["missing"], (None, Some(50)), "INR", "open"),
        case(4, &["missing"], (Some(60), None), "USD", "open"),
        case(8, &["missing"], (Some(70), None), "INR", "ignored"),
        case(40, &["missing"], (Some(80), None), "INR", "open"),
    ] {
        insert_case(&system, case).await;
    }
    let bucket = |bucket: &str, count: u64, amount: Option<&str>, currency: Option<&str>| json!({"bucket": bucket, "count": count, "amount": amount, "currency": currency});
    let of_today = summary(&web, today).await["open_cases"].clone();
    let by_age = json!([
        // Vima's whole amount, except for amount discrepancies, which count their difference: 100, 3 and 10.
        bucket("0-1", 3, Some("113.00"), Some("INR")),
        bucket("2-3", 1, Some("40.00"), Some("INR")),
        bucket("4-7", 2, None, None),
        bucket("8+", 1, Some("80.00"), Some("INR")),
    ]);
    assert_eq!(without_links(&of_today), json!({"count": 7, "by_age": by_age}));
    let week = &of_today["by_age"][2]["by_currency"];
    assert_eq!(
        week,
        &json!([{"currency": "INR", "count": 1, "amount": "50.00"}, {"currency": "USD", "count": 1, "amount": "60.00"}])
    );
    let mut followed = 0;
    for days in [0, 2, 7, 50] {
        let open = summary(&web, today - Days::new(days)).await["open_cases"].clone();
        for counted in open["by_age"].as_array().expect("ages").iter().chain([&open]) {
            match counted["rows_url"].as_str() {
                Some(url) => assert_eq!(web.get(url).await["total"], counted["count"], "{url}"),
                None => assert_eq!(counted["count"], 0, "{counted}"),
            }
            followed += usize::from(counted["rows_url"].is_string());
        }
    }
    assert_eq!(followed, 5 + 4 + 3, "of today, of two days ago, and of a week ago");
    let of_last_week = summary(&web, today - Days::new(7)).await["open_cases"].clone();
    let aged = |place: usize| of_last_week["by_age"][place]["count"].clone();
    assert_eq!((&of_last_week["count"], aged(0), aged(2), aged(3)), (&json!(2), json!(0), json!(1), json!(1)));
}
