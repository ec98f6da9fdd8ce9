//! Bulk actions: what a preview has counted is changed by a job, once, unless it has changed since.

mod fixture;
mod jobs;
mod rights;

use reqwest::Method;
use serde_json::{Value, json};

use self::fixture::{BULK_ACTIONS, Fixture, PREVIEW_DISCREPANCIES};
use crate::harness::test_system::{ADMIN, OPERATOR, VIEWER, items};

/// More than `PATCH /reconciliation/discrepancies` accepts, and several batches.
const MANY: i32 = 2_345;

#[tokio::test]
async fn thousands_of_discrepancies_are_previewed_and_updated() {
    let fixture = Fixture::start(MANY).await;
    let _worker = fixture.system.start_jobs(&["worker"]);
    fixture.execute("UPDATE discrepancies SET state = 'ignored', resolved_at = now() WHERE key = 'order-1'").await;
    fixture.execute("UPDATE discrepancies SET types = '{amount}', vima_currency = 'EUR' WHERE key = 'order-250'").await;
    let body = json!({
        "filter": {"project": ["91game"], "discrepancy_type": "amount"}, "state": "resolved", "assignee": "ada", "note": "refunded",
    });
    let preview = fixture.preview(OPERATOR, PREVIEW_DISCREPANCIES, &body).await;
    // An ignored one cannot be resolved.
    assert_eq!((&preview["count"], items(&json!({"items": preview["samples"]})).len()), (&json!(MANY - 1), 10));
    let at_risk =
        "SELECT sum((100 + number / 100.0) * 100)::bigint FROM generate_series(2, 2345) AS number WHERE number <> 250";
    let [euros, rupees] = preview["amounts"].as_array().expect("sums").as_slice() else { panic!("{preview}") };
    assert_eq!(euros, &json!({"currency": "EUR", "count": 1, "amount_at_risk": "2.50"}));
    assert_eq!((&rupees["currency"], &rupees["count"]), (&json!("INR"), &json!(MANY - 2)));
    let cents = rupees["amount_at_risk"].as_str().expect("an amount").replace('.', "");
    assert_eq!(cents, fixture.system.number(at_risk).await.to_string());
    assert_eq!(fixture.system.number("SELECT count(*) FROM discrepancy_changes").await, 0, "only a preview");

    let path = fixture.confirm(OPERATOR, &preview).await;
    let finished = fixture.wait_for(&path, "finished").await;
    let counts = ["count", "applied", "skipped", "remaining"].map(|name| finished[name].as_i64().expect("a number"));
    assert_eq!(counts, [i64::from(MANY) - 1, i64::from(MANY) - 1, 0, 0], "{finished}");
    assert_eq!(finished["changes"], json!({"state": "resolved", "assignee": "ada", "note": "refunded"}));
    let changed = "SELECT count(DISTINCT discrepancy_id) FROM discrepancy_changes
                    WHERE changed_by = 'otto' AND to_state = 'resolved' AND to_assignee = 'ada' AND note = 'refunded'";
    assert_eq!(fixture.system.number(changed).await, i64::from(MANY) - 1);
    assert_eq!(fixture.system.number("SELECT count(*) FROM discrepancy_changes").await, i64::from(MANY) - 1);
    assert_eq!(fixture.system.number("SELECT count(*) FROM bulk_action_batches").await, 0);

    // The same token again is the same job.
    assert_eq!(fixture.confirm(OPERATOR, &preview).await, path);
    let jobs = fixture.web.get("/api/v1/jobs?kind=run-bulk-action").await;
    let [job] = items(&jobs).as_slice() else { panic!("{jobs}") };
    assert_eq!((&job["id"], &job["progress"]["progress"]), (&finished["job_id"], &json!(MANY - 1)), "{job}");
    let log = fixture.web.get("/api/v1/audit?operation=confirmBulkAction").await;
    let confirmed = items(&log).iter().find(|entry| entry["details"]["filter"].is_object()).expect("the confirmation");
    assert_eq!(confirmed["details"]["filter"], body["filter"], "{log}");
    assert_eq!((&confirmed["principal"], &confirmed["details"]["count"]), (&json!("otto"), &json!(MANY - 1)), "{log}");
    assert_eq!((&confirmed["outcome"], &confirmed["rows"]), (&json!("succeeded"), &json!(MANY - 1)), "{log}");
    let listed = fixture.web.get(BULK_ACTIONS).await;
    assert_eq!((&listed["total"], &items(&listed)[0]), (&json!(1), &fixture.web.get(&path).await));
}

#[tokio::test]
async fn what_has_changed_since_the_preview_is_skipped_and_reported() {
    let fixture = Fixture::start(6).await;
    fixture.execute("UPDATE discrepancies SET assignee = 'ada' WHERE key = 'order-1'").await;
    let body = json!({"filter": {"state": "open"}, "assignee": "ada"});
    let preview = fixture.preview(OPERATOR, PREVIEW_DISCREPANCIES, &body).await;
    assert_eq!(preview["count"], 6);
    let id = async |key: &str| {
        let id =
            sqlx::query_scalar!("SELECT id FROM discrepancies WHERE key = $1", key).fetch_one(&fixture.system.pool);
        id.await.expect("the discrepancy exists").to_string()
    };
    // A person has changed one, and changed it back; a run another one; a third one does not exist any more; one was opened.
    let path = format!("/api/v1/reconciliation/discrepancies/{}", id("order-2").await);
    for state in ["acknowledged", "open"] {
        let changed = fixture.send(ADMIN, Method::PATCH, &path, &json!({"state": state})).await;
        assert_eq!(changed.status, 200, "{changed:?}");
    }
    fixture.execute("UPDATE discrepancies SET amount_diff = 7 WHERE key = 'order-3'").await;
    let mut expected = vec![
        (id("order-1").await, "no_change".to_owned()),
        (id("order-2").await, "changed".to_owned()),
        (id("order-3").await, "changed".to_owned()),
        (id("order-4").await, "gone".to_owned()),
    ];
    expected.sort();
    fixture.execute("DELETE FROM discrepancies WHERE key = 'order-4'").await;
    let _worker = fixture.system.start_jobs(&["worker"]);
    let path = fixture.confirm(OPERATOR, &preview).await;
    let finished = fixture.wait_for(&path, "finished").await;
    assert_eq!((&finished["applied"], &finished["skipped"]), (&json!(2), &json!(4)), "{finished}");
    assert_eq!(fixture.skipped(&path).await, expected);
    let assigned =
        "SELECT count(*) FROM discrepancies WHERE assignee = 'ada' AND key IN ('order-1', 'order-5', 'order-6')";
    assert_eq!(fixture.system.number(assigned).await, 3);
    assert_eq!(fixture.system.number("SELECT count(*) FROM discrepancies WHERE assignee = 'ada'").await, 3);
}

#[tokio::test]
async fn killed_worker_is_continued_and_each_item_is_changed_once() {
    let fixture = Fixture::start(MANY).await;
    let mut first = fixture.system.start_jobs(&["worker"]);
    let locked = fixture.lock_discrepancy(1_200).await;
    let path = fixture.acknowledge_open(OPERATOR).await;
    fixture.wait_until_blocked().await;
    let running = fixture.wait_for(&path, "running").await;
    assert_eq!((&running["applied"], &running["remaining"]), (&json!(1_000), &json!(MANY - 1_000)), "{running}");
    first.kill();
    locked.rollback().await.expect("the database responds");
    let _second = fixture.system.start_jobs(&["worker"]);
    let finished = fixture.wait_for(&path, "finished").await;
    assert_eq!((&finished["applied"], &finished["skipped"]), (&json!(MANY), &json!(0)), "{finished}");
    for count in ["count(*)", "count(DISTINCT discrepancy_id)"] {
        let changes = format!("SELECT {count} FROM discrepancy_changes");
        assert_eq!(count_of(&fixture, &changes).await, i64::from(MANY), "{count}");
    }
    let attempts = "SELECT count(*) FROM job_attempts JOIN jobs ON jobs.id = job_id WHERE kind = 'run-bulk-action'";
    assert_eq!(fixture.system.number(attempts).await, 2);
}

#[expect(clippy::disallowed_methods, reason = "the statement is made by the test")]
async fn count_of(fixture: &Fixture, statement: &str) -> i64 {
    let count = sqlx::query_scalar(sqlx::AssertSqlSafe(statement.to_owned())).fetch_one(&fixture.system.pool);
    count.await.expect("a number")
}

#[tokio::test]
async fn stopped_bulk_action_leaves_the_rest_and_can_be_continued() {
    let fixture = Fixture::start(MANY).await;
    let _worker = fixture.system.start_jobs(&["worker"]);
    let locked = fixture.lock_discrepancy(600).await;
    let path = fixture.acknowledge_open(OPERATOR).await;
    fixture.wait_until_blocked().await;
    assert_eq!(fixture.send(VIEWER, Method::POST, &format!("{path}/stop"), &json!({})).await.status, 403);
    let stopping = fixture.send(OPERATOR, Method::POST, &format!("{path}/stop"), &json!({})).await;
    assert_eq!(stopping.status, 202, "{stopping:?}");
    let stopped = fixture.wait_for(&path, "cancelled").await;
    locked.rollback().await.expect("the database responds");
    assert_eq!((&stopped["applied"], &stopped["remaining"]), (&json!(500), &json!(MANY - 500)), "{stopped}");
    assert_eq!(stopped["error"], "cancelled by otto");
    let open = "SELECT count(*) FROM discrepancies WHERE state = 'open'";
    assert_eq!(fixture.system.number(open).await, i64::from(MANY) - 500);
    let again = fixture.send(OPERATOR, Method::POST, &format!("{path}/stop"), &json!({})).await;
    assert_eq!((again.status, &again.json()["code"]), (409, &json!("CONFLICT")), "{again:?}");

    let job = stopped["job_id"].as_str().expect("an id");
    let retried = fixture.send(OPERATOR, Method::POST, &format!("/api/v1/jobs/{job}/retry"), &json!({})).await;
    assert_eq!(retried.status, 202, "{retried:?}");
    let finished = fixture.wait_for(&path, "finished").await;
    assert_eq!((&finished["applied"], &finished["job_id"]), (&json!(MANY), &retried.json()["job_id"]), "{finished}");
    assert_eq!(fixture.system.number("SELECT count(*) FROM discrepancy_changes").await, i64::from(MANY));
}

#[tokio::test]
async fn tokens_work_for_their_key_until_they_expire() {
    let fixture = Fixture::start(3).await;
    let body = json!({"filter": {"state": "open"}, "note": "so"});
    let preview = fixture.preview(OPERATOR, PREVIEW_DISCREPANCIES, &body).await;
    let refused = async |key: &str, token: &Value| {
        let refused = fixture.try_confirm(key, &json!({"token": token})).await;
        (refused.status, refused.json()["code"].clone())
    };
    assert_eq!(refused(ADMIN, &preview["token"]).await, (404, json!("NOT_FOUND")), "of another key");
    assert_eq!(refused(OPERATOR, &json!("guessed")).await, (404, json!("NOT_FOUND")));
    assert_eq!(refused(OPERATOR, &Value::Null).await, (422, json!("VALIDATION_ERROR")));
    fixture.execute("UPDATE bulk_actions SET expires_at = now()").await;
    assert_eq!(refused(OPERATOR, &preview["token"]).await, (409, json!("CONFLICT")), "expired");
    let path = format!("{BULK_ACTIONS}/{}", preview["bulk_action_id"].as_str().expect("an id"));
    assert_eq!(fixture.web.get(&path).await["state"], "expired");
    assert_eq!(fixture.system.number("SELECT count(*) FROM jobs").await, 0);
    // One that was confirmed in time is joined later too.
    let preview = fixture.preview(OPERATOR, PREVIEW_DISCREPANCIES, &body).await;
    let both = tokio::join!(fixture.try_confirm(OPERATOR, &preview), fixture.try_confirm(OPERATOR, &preview));
    assert_eq!((both.0.status, both.1.status), (202, 202));
    fixture.execute("UPDATE bulk_actions SET expires_at = now()").await;
    fixture.confirm(OPERATOR, &preview).await;
    assert_eq!(fixture.system.number("SELECT count(*) FROM jobs").await, 1);
    // A key does not pile up previews.
    for _ in 0..12 {
        fixture.preview(OPERATOR, PREVIEW_DISCREPANCIES, &body).await;
    }
    assert_eq!(fixture.system.number("SELECT count(*) FROM bulk_actions WHERE confirmed_at IS NULL").await, 10);
}
