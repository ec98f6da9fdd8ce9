//! Requests of reconciliations: by the API, by the command, and every night.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::DbError;
use psp_dashboard::domain::job::{Claim, JobId, NewJob, Trigger};
use psp_dashboard::domain::money::parse_decimal;
use psp_dashboard::domain::reconciliation::ReconcileArgs;
use psp_dashboard::operations::enqueue_job::enqueue_job;
use psp_dashboard::operations::request_reconciliation::enqueue_nightly;
use psp_dashboard::redis::Redis;
use reqwest::Method;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::eventually;
use crate::harness::programs::{Output, Program, run};
use crate::harness::run_fixture::RunFixture;
use crate::harness::test_system::{ApiResponse, OPERATOR, TestSystem, VIEWER, Web};

const RUN: &str = "/api/v1/reconciliation/run";

async fn post(web: &Web, body: &Value) -> ApiResponse {
    post_as(web, body, OPERATOR).await
}

async fn post_as(web: &Web, body: &Value, key: &str) -> ApiResponse {
    web.request(Method::POST, RUN, Some(key), Some(&body.to_string())).await.expect("the web process responds")
}

/// The response of a request that must be accepted.
async fn started(web: &Web, body: &Value) -> Value {
    let response = post(web, body).await;
    assert_eq!(response.status, 202, "{body}: {response:?}");
    let started = response.json();
    let first = &started["runs"][0];
    for field in ["date", "run_id", "job_id"] {
        assert_eq!(started[field], first[field], "{started}");
    }
    assert_eq!((&started["run_id"], &started["status"]), (&started["job_id"], &json!("started")));
    let location = format!("/api/v1/jobs/{}", started["job_id"].as_str().expect("an id"));
    assert_eq!(response.headers["location"], location);
    started
}

fn dates(started: &Value) -> Vec<&str> {
    let runs = started["runs"].as_array().expect("runs").iter();
    runs.map(|run| run["date"].as_str().expect("a day")).collect()
}

async fn jobs(system: &TestSystem) -> i64 {
    system.number("SELECT count(*) FROM jobs").await
}

fn day(text: &str) -> NaiveDate {
    text.parse().expect(text)
}

#[tokio::test]
async fn request_enqueues_one_job_per_day() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let one = started(&web, &json!({"date": "2025-01-15"})).await;
    assert_eq!((dates(&one), &one["message"]), (vec!["2025-01-15"], &json!("1 day: queued")));
    let job = web.get(&format!("/api/v1/jobs/{}", one["job_id"].as_str().expect("an id"))).await;
    let actual = ["kind", "queue", "args", "trigger", "requested_by", "priority"].map(|field| job[field].clone());
    let args = json!({"date": "2025-01-15"});
    assert_eq!(actual, [json!("reconcile"), json!("reconciliation"), args, json!("api"), json!("otto"), json!(0)]);

    let range = started(&web, &json!({"from_date": "2025-01-14", "to_date": "2025-01-16"})).await;
    assert_eq!(dates(&range), ["2025-01-14", "2025-01-15", "2025-01-16"]);
    assert_eq!(range["message"], "2 days: queued; 1 day: joined a run that was queued or running");
    assert_eq!(range["runs"][1]["run_id"], one["run_id"], "the live one is joined");
    assert_eq!(jobs(&system).await, 3);

    let forced = started(&web, &json!({"date": "2025-01-15", "force": true})).await;
    assert_ne!(forced["run_id"], one["run_id"]);
    assert_eq!(jobs(&system).await, 4, "one more is queued behind it");
    let today = SystemClock.now().date_naive();
    assert_eq!(dates(&started(&web, &json!({"date": today})).await), [today.to_string()], "today may be reconciled");
}

#[tokio::test]
async fn invalid_requests_are_rejected_by_field() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let later = SystemClock.now().date_naive() + Days::new(2);
    for (body, field, expected) in [
        (json!({}), "date", "is required, or from_date and to_date"),
        (json!({"date": null}), "date", "is required"),
        (json!({"day": "2025-01-15"}), "day", "is not known here; known are date, from_date, to_date, force"),
        (json!({"date": "2025-1-15"}), "date", "must be a day from 2000-01-01 to 2200-01-01"),
        (json!({"date": ["2025-01-15"]}), "date", "must be a single value"),
        (
            json!({"date": "2025-01-15", "to_date": "2025-01-16"}),
            "date",
            "cannot be combined with from_date and to_date",
        ),
        (json!({"from_date": "2025-01-15"}), "to_date", "is required if the other end is given"),
        (json!({"to_date": "2025-01-15"}), "from_date", "is required if the other end is given"),
        (json!({"from_date": "2025-01-16", "to_date": "2025-01-15"}), "from_date", "swap them"),
        (json!({"from_date": "2025-01-01", "to_date": "2025-04-03"}), "from_date", "more than 92 days"),
        (json!({"date": later}), "date", "has not begun"),
        (json!({"from_date": "2025-01-15", "to_date": later}), "to_date", "has not begun"),
        (json!({"date": "1970-01-01"}), "date", "must be a day from 2000-01-01 to 2200-01-01"),
        (json!({"date": "2025-01-15", "force": "perhaps"}), "force", "must be true or false"),
    ] {
        let response = post(&web, &body).await;
        assert_eq!(response.status, 422, "{body}: {response:?}");
        let errors = response.json()["errors"].clone();
        let message = errors[0]["message"].as_str().expect("a message");
        assert!(errors[0]["field"] == field && message.contains(expected), "{body}: {errors}");
    }
    assert_eq!(post_as(&web, &json!({"date": "2025-01-15"}), VIEWER).await.status, 403);
    assert_eq!(jobs(&system).await, 0, "nothing was enqueued");
    let whole = json!({"from_date": "2025-01-01", "to_date": "2025-04-02"});
    assert_eq!(dates(&started(&web, &whole).await).len(), 92);
}

#[tokio::test]
async fn idempotency_key_starts_runs_once() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let headers = [("x-api-key", OPERATOR), ("content-type", "application/json"), ("idempotency-key", "night-1")];
    let body = r#"{"from_date":"2025-01-15","to_date":"2025-01-16","force":true}"#;
    let first = web.post_with(RUN, &headers, body).await;
    let again = web.post_with(RUN, &headers, body).await;
    assert_eq!((first.status, again.status), (202, 202), "{first:?} {again:?}");
    assert_eq!((first.json(), &first.headers["location"]), (again.json(), &again.headers["location"]));
    assert_eq!(jobs(&system).await, 2);
    assert_eq!(web.post_with(RUN, &headers, r#"{"date":"2025-01-15"}"#).await.status, 409);
}

#[tokio::test]
async fn command_reconciles_days() {
    let system = TestSystem::start(&[]).await;
    let enqueue = |arguments: &[&str]| -> Output {
        let arguments: Vec<&str> = ["enqueue", "reconcile"].iter().chain(arguments).copied().collect();
        run(Program::Jobs, &arguments, system.jobs_settings())
    };
    let later = SystemClock.now().date_naive() + Days::new(2);
    for (args, message) in [
        (json!({"date": later}), "has not begun"),
        (json!({"from_date": "2025-01-16", "to_date": "2025-01-15"}), "swap them"),
        (json!({"from_date": "2025-01-01", "to_date": "2025-04-03"}), "more than 92 days"),
        (json!({"date": "yesterday"}), "are invalid"),
        (json!({"nightly": "2025-01-15"}), "unknown field"),
    ] {
        let ended = enqueue(&[&args.to_string()]);
        assert_eq!(ended.status.code(), Some(1), "{args}: {ended:?}");
        assert!(ended.stderr.contains(message), "{args}: {ended:?}");
    }
    assert_eq!(jobs(&system).await, 0, "nothing was enqueued");

    let range = enqueue(&[r#"{"from_date":"2025-01-14","to_date":"2025-01-16"}"#]);
    assert!(range.status.success(), "{range:?}");
    let ids: Vec<Uuid> = range.stdout.lines().map(|line| line.parse().expect("an id a line")).collect();
    let args =
        sqlx::query_scalar!(r#"SELECT args ->> 'date' AS "date!" FROM jobs WHERE id = ANY($1) ORDER BY id"#, &ids);
    let args = args.fetch_all(&system.pool).await.expect("the jobs table responds");
    assert_eq!(args, ["2025-01-14", "2025-01-15", "2025-01-16"]);
    assert_eq!(enqueue(&[r#"{"date":"2025-01-15"}"#]).stdout.trim(), ids[1].to_string(), "the live one is joined");
    assert_ne!(enqueue(&[r#"{"date":"2025-01-15"}"#, "--force"]).stdout.trim(), ids[1].to_string());

    let before = SystemClock.now().date_naive();
    let by_habit = system.enqueue("reconcile", None);
    let args = sqlx::query_scalar!(r#"SELECT args ->> 'date' AS "date!" FROM jobs WHERE id = $1"#, by_habit);
    let yesterday = day(&args.fetch_one(&system.pool).await.expect("the jobs table responds")) + Days::new(1);
    assert!((before..=SystemClock.now().date_naive()).contains(&yesterday), "yesterday, where nothing is said");
}

/// The job of a night, claimed by a worker.
async fn claimed_night(system: &TestSystem, redis: &Redis, nightly: NaiveDate) -> Claim {
    let job = NewJob::reconcile(ReconcileArgs::for_night_after(nightly), Trigger::Schedule);
    let job_id = enqueue_job(&system.pool, redis, &job).await.expect("the job can be enqueued").job_id;
    sqlx::query!("UPDATE jobs SET state = 'running', epoch = 1 WHERE id = $1", job_id.0)
        .execute(&system.pool)
        .await
        .expect("the jobs table responds");
    Claim { job_id, epoch: 1 }
}

async fn insert_payment(system: &TestSystem, kind: &str, created_at: DateTime<Utc>) {
    sqlx::query!(
        r#"INSERT INTO transactions (id, source, kind, source_id, content_hash, amount, currency, status, created_at,
                                     ingested_at, raw_data)
           VALUES ($1, 'payshack', $2, $3, '', 100, 'INR', 'success', $4, $4, '{}')"#,
        Uuid::now_v7(),
        kind,
        Uuid::now_v7().to_string(),
        created_at
    )
    .execute(&system.pool)
    .await
    .expect("the database takes it");
}

async fn insert_case(system: &TestSystem, date: NaiveDate, stands: &str) {
    sqlx::query!(
        r#"INSERT INTO discrepancies (id, recon_date, key, occurrence, match_status, types, details, state, first_seen_at,
                                      first_run_id, created_at, resolved_at)
           VALUES ($1, $2, 'K', 1, 'missing_vima', ARRAY['missing'], '{}', $3, now(), $1, now(),
                   CASE WHEN $3 IN ('resolved', 'ignored', 'auto_resolved') THEN now() END)"#,
        Uuid::now_v7(),
        date,
        stands
    )
    .execute(&system.pool)
    .await
    .expect("the database takes it");
}

#[tokio::test]
async fn nightly_run_revisits_unsettled_days() {
    let system = TestSystem::start(&[]).await;
    let redis = system.servers.redis().await;
    let nightly = day("2025-01-20");
    let back = |days| nightly - Days::new(days);
    let zone = Tz::Asia__Kolkata;
    // Settled: a completed run that saw everything; a failed run after it does not matter.
    RunFixture::completed(back(1)).insert(&system.pool).await;
    RunFixture::failed(back(1)).insert(&system.pool).await;
    insert_case(&system, back(1), "resolved").await;
    // An acknowledged discrepancy.
    RunFixture::completed(back(2)).insert(&system.pool).await;
    insert_case(&system, back(2), "acknowledged").await;
    // Something is pending in the last run, but not in the previous one.
    RunFixture::completed(back(3)).insert(&system.pool).await;
    RunFixture::completed(back(3)).with_version(2).with_pending(1).insert(&system.pool).await;
    // A source was not read past the end of the day.
    let end = RunFixture::completed(back(4)).day_until();
    RunFixture::completed(back(4)).with_watermark(Some(end - TimeDelta::seconds(1))).insert(&system.pool).await;
    // Never run, with a payment at the last instant of the day in Kolkata.
    insert_payment(&system, "payin", "2025-01-15T18:29:59Z".parse().expect("a time")).await;
    // Never run, with only a pay-out.
    insert_payment(&system, "payout", "2025-01-14T10:00:00Z".parse().expect("a time")).await;
    // Pending, but too long ago.
    RunFixture::completed(back(7)).with_pending(1).insert(&system.pool).await;

    let night =
        async |claim: &Claim, revisit| enqueue_nightly(&system.pool, &redis, claim, nightly, revisit, zone).await;
    let claim = claimed_night(&system, &redis, nightly).await;
    let lost = Claim { epoch: 0, ..claim };
    assert!(matches!(night(&lost, 6).await, Err(DbError::ClaimLost)));
    assert_eq!(jobs(&system).await, 1, "a lost claim enqueues nothing");

    let requested = night(&claim, 6).await.expect("the jobs table takes them");
    let days: Vec<NaiveDate> = requested.iter().map(|requested| requested.date).collect();
    assert_eq!(days, [back(5), back(4), back(3), back(2), nightly]);
    let again = night(&claim, 1).await.expect("the jobs table takes them");
    let ids = |job: Option<JobId>| job.expect("a job").0;
    assert_eq!(ids(again.first().map(|day| day.job_id)), ids(requested.last().map(|day| day.job_id)), "joined");
    assert_eq!((again.len(), jobs(&system).await), (1, 6));
    let by_schedule = "SELECT count(*) FROM jobs WHERE kind = 'reconcile' AND trigger = 'schedule' AND priority = 10";
    assert_eq!(system.number(by_schedule).await, 6);
}

async fn scheduled(system: &TestSystem) -> Vec<String> {
    sqlx::query_scalar!(
        r#"SELECT DISTINCT args ->> 'nightly' AS "nightly!" FROM schedule_ticks JOIN jobs ON jobs.id = job_id
            WHERE schedule = 'reconcile' ORDER BY 1"#
    )
    .fetch_all(&system.pool)
    .await
    .expect("the jobs table responds")
}

#[tokio::test]
async fn each_night_is_one_job_and_missed_nights_are_made_up() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let now = SystemClock.now();
    let zone = Tz::Asia__Kolkata;
    let today = now.with_timezone(&zone).date_naive();
    // No scheduler ran for three nights; the next night is hours away.
    let noon = |day: NaiveDate| day.and_hms_opt(12, 0, 0).and_then(|time| time.and_local_timezone(zone).single());
    let last = noon(today - Days::new(4)).expect("a time").to_utc();
    sqlx::query!(
        "INSERT INTO schedule_ticks (schedule, tick_at, job_id) VALUES ('reconcile', $1, $2)",
        last,
        Uuid::nil()
    )
    .execute(&system.pool)
    .await
    .expect("the job can be enqueued");
    let hour = (now.with_timezone(&zone) + TimeDelta::hours(2)).format("0 %H * * *").to_string();
    let settings = [("RECONCILIATION_CRON", hour.as_str()), ("RECONCILIATION_TIMEZONE", zone.name())];
    let _schedulers =
        [system.start_jobs_with(&["scheduler"], &settings), system.start_jobs_with(&["scheduler"], &settings)];
    let entry = eventually("both schedulers to be at work, and the nights to be made up for", || async {
        let shown = web.get("/api/v1/schedule").await["items"].clone();
        let entry = shown.as_array()?.iter().find(|entry| entry["name"] == "reconcile")?.clone();
        let alive = system.number("SELECT count(*) FROM processes WHERE role = 'scheduler'").await;
        let recent = entry["last_tick_at"].as_str()?.parse::<DateTime<Utc>>().ok()? > now - TimeDelta::hours(24);
        (alive == 2 && recent).then_some(entry)
    })
    .await;
    let actual = ["kind", "expression", "timezone", "last_outcome"].map(|field| entry[field].clone());
    assert_eq!(actual, [json!("reconcile"), json!(hour), json!("Asia/Kolkata"), json!("queued")]);
    let next: DateTime<Utc> = entry["next_tick_at"].as_str().expect("a time").parse().expect("a time");
    assert!((now..now + TimeDelta::hours(3)).contains(&next), "{entry}");
    let nights = scheduled(&system).await;
    let ticks = system.number("SELECT count(*) FROM schedule_ticks WHERE schedule = 'reconcile'").await;
    let made = system.number("SELECT count(*) FROM jobs WHERE kind = 'reconcile'").await;
    assert_eq!((i64::try_from(nights.len()), made), (Ok(ticks - 1), ticks - 1), "{nights:?}");
    assert!((3..=4).contains(&nights.len()), "{nights:?}");
}

#[tokio::test]
async fn invalid_cron_expression_stops_the_start() {
    let system = TestSystem::start(&[]).await;
    let settings = system.settings().into_iter().chain([("RECONCILIATION_CRON", "at half past one".to_owned())]);
    let ended = run(Program::Jobs, &["scheduler"], settings);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    for message in ["RECONCILIATION_CRON: cannot be read", "five fields", "for example RECONCILIATION_CRON=30 1 * * *"]
    {
        assert!(ended.stderr.contains(message), "{message}: {ended:?}");
    }
}

#[tokio::test]
async fn requested_run_is_executed_and_listed() {
    let system = TestSystem::start(&["--per-day", "300", "--discrepancies", "0.1"]).await;
    let (web, worker) = (system.start_web().await, system.start_jobs(&["worker"]));
    system.sync_both().await;
    let date = SystemClock.now().date_naive() - Days::new(2);
    let run_id = started(&web, &json!({"date": date})).await["run_id"].as_str().expect("an id").to_owned();
    system.wait_until_idle().await;
    let path = format!("/api/v1/reconciliation/runs/{run_id}");
    let (shown, summed) = (web.get(&path).await, web.get(&format!("/api/v1/reconciliation/summary?date={date}")).await);
    let actual = ["status", "run_id", "provisional"].map(|field| summed[field].clone());
    assert_eq!(actual, [json!("completed"), json!(run_id), json!(false)], "{summed}");
    assert_eq!((&shown["status"], &shown["requested_by"]), (&json!("completed"), &json!("otto")), "{shown}");
    for field in ["total_transactions", "total_vima", "total_payshack", "duplicates", "unmatchable"] {
        assert_eq!(summed[field], shown["counts"][field], "{field}");
    }
    assert_eq!((&summed["amounts"], &summed["currency"]), (&shown["amounts"], &json!("INR")));
    let of = |path: &str| summed.pointer(path).and_then(Value::as_u64).expect(path);
    let found = ["/discrepancies/count", "/missing/count", "/duplicates/count"].map(of).iter().sum::<u64>();
    assert!(of("/matched/count") > 100 && found > 0, "the day is too quiet to say anything: {summed}");
    let findings = found + of("/pending/count") + of("/unmatchable/count");
    assert_eq!(web.get(&format!("{path}/results")).await["total"], findings);
    assert_eq!(summed["open_cases"]["count"], found, "each is a case");
    assert_risk_adds_up(&summed);

    // A nightly run: the previous day, and this one, which has open discrepancies.
    drop(worker);
    let redis = system.servers.redis().await;
    let night = NewJob::reconcile(ReconcileArgs::for_night_after(date + Days::new(1)), Trigger::Schedule);
    enqueue_job(&system.pool, &redis, &night).await.expect("the job can be enqueued");
    let _worker = system.start_jobs_with(&["worker"], &[("RECON_REVISIT_DAYS", "1")]);
    system.wait_until_idle().await;
    let runs = web.get("/api/v1/reconciliation/runs?trigger=schedule").await;
    let runs = runs["items"].as_array().expect("items").iter();
    let actual: Vec<[Value; 3]> =
        runs.map(|run| ["date", "version", "status"].map(|field| run[field].clone())).collect();
    let of_date = |date: NaiveDate, version: u32| [json!(date), json!(version), json!("completed")];
    assert_eq!(actual, [of_date(date + Days::new(1), 1), of_date(date, 2)]);
}

/// The amount at risk of the run is the total of its open discrepancies.
fn assert_risk_adds_up(summed: &Value) {
    let money = |value: &Value| parse_decimal(value.as_str().expect("an amount")).expect("a decimal");
    let at_risk = summed["amounts"][0]["at_risk"].as_object().expect("amounts").values();
    let of_cases = summed["open_cases"]["by_age"].as_array().expect("ages").iter().map(|aged| &aged["amount"]);
    assert_eq!(at_risk.map(money).sum::<Decimal>(), of_cases.map(money).sum::<Decimal>(), "{summed}");
}
