//! Discrepancies are updated: state, assignee and note, one at a time and in bulk.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::fixture::{DiscrepanciesApi, Discrepancy, LIST, day};
use crate::harness::eventually;
use crate::harness::test_system::{ApiResponse, OPERATOR, VIEWER, items};

const STATES: [&str; 5] = ["open", "acknowledged", "resolved", "ignored", "auto_resolved"];

fn is_allowed(from: &str, to: &str) -> bool {
    let closed = ["resolved", "ignored"].contains(&to);
    from == to
        || match from {
            "open" => closed || to == "acknowledged",
            "acknowledged" => closed || to == "open",
            _ => to == "open",
        }
}

#[tokio::test]
async fn only_allowed_state_transitions_are_accepted() {
    let api = DiscrepanciesApi::start().await;
    for from in STATES {
        for to in &STATES[..4] {
            let key = format!("{from} {to}");
            let id = Discrepancy::in_state(day(5), &key, from).insert(api.pool(), Uuid::now_v7()).await;
            let response = api.patch(id, json!({"state": to})).await;
            if is_allowed(from, to) {
                let updated = response.json();
                assert_eq!((response.status, &updated["state"]), (200, &json!(to)), "{key}: {updated}");
                let closed = ["resolved", "ignored"].contains(to);
                assert_eq!(updated["resolved_at"].is_string(), closed, "{key}: {updated}");
                let changes: Vec<Value> = updated["history"].as_array().expect("a history").clone();
                assert_eq!(changes.len(), usize::from(from != *to), "{key}: {updated}");
                for change in changes {
                    let fields =
                        ["changed_by", "run_id", "from_state", "to_state", "note"].map(|name| change[name].clone());
                    assert_eq!(fields, [json!("otto"), Value::Null, json!(from), json!(to), Value::Null], "{key}");
                }
            } else {
                assert_eq!(response.status, 409, "{key}: {response:?}");
                let detail = format!("{id}: {from} cannot become {to}; it can become open; nothing was changed");
                assert_eq!(response.json()["detail"], detail);
            }
        }
    }
}

#[tokio::test]
async fn invalid_updates_are_rejected_and_change_nothing() {
    let api = DiscrepanciesApi::start().await;
    let id = Discrepancy::new(day(5), "a").insert(api.pool(), Uuid::now_v7()).await;
    let (one, note) = (format!("/{id}"), json!({"note": "so"}));
    let (unknown, no_id) = (format!("/{}", Uuid::nil()), "/17".to_owned());
    let many = |count: u128| json!({"ids": (0..count).map(Uuid::from_u128).collect::<Vec<_>>(), "note": "so"});
    let settable_states = "must be one of open, acknowledged, resolved, ignored\"";
    for (path, key, body, status, message) in [
        (&one, OPERATOR, json!({}), 422, "set at least one of state, assignee, note"),
        (&one, OPERATOR, json!({"state": null, "note": ""}), 422, "set at least one of state, assignee, note"),
        (&one, OPERATOR, json!({"state": "auto_resolved"}), 422, settable_states),
        (&one, OPERATOR, json!({"state": "closed"}), 422, settable_states),
        (&one, OPERATOR, json!({"asignee": null, "note": "so"}), 422, "asignee: is not known here"),
        (&one, OPERATOR, json!({"ids": [id], "note": "so"}), 422, "ids: is not known here"),
        (&one, OPERATOR, json!({"note": "é".repeat(2001)}), 422, "must have at most 2000 characters"),
        (&one, OPERATOR, json!({"assignee": "é".repeat(201)}), 422, "must have at most 200 characters"),
        (&one, OPERATOR, json!({"note": "a\0b"}), 422, "must not contain a NUL"),
        (&one, OPERATOR, json!({"note": ["so"]}), 422, "must be a single value"),
        (&one, VIEWER, note.clone(), 403, "operator"),
        (&unknown, OPERATOR, note.clone(), 404, "there is no such discrepancy"),
        (&no_id, OPERATOR, note.clone(), 422, "must be a UUID"),
        (&String::new(), VIEWER, json!({"ids": [id], "note": "so"}), 403, "operator"),
        (&String::new(), OPERATOR, note.clone(), 422, "ids: must be a list of 1 to 1000 values"),
        (&String::new(), OPERATOR, many(0), 422, "ids: must be a list of 1 to 1000 values, and has 0"),
        (&String::new(), OPERATOR, many(1001), 422, "ids: must be a list of 1 to 1000 values, and has 1001"),
        (&String::new(), OPERATOR, json!({"ids": [id, "17"], "note": "so"}), 422, "ids[1]: must be a UUID"),
        (&String::new(), OPERATOR, json!({"ids": [id]}), 422, "set at least one of state, assignee, note"),
    ] {
        let response = api.request(Method::PATCH, &format!("{LIST}{path}"), key, Some(body.clone())).await;
        assert_eq!(response.status, status, "{path} {body}: {response:?}");
        assert!(response.text.contains(message), "{path} {body}: {response:?}");
    }
    assert_eq!(api.count_changes().await, 0);
    let unchanged = api.web.get(&format!("{LIST}/{id}")).await;
    assert_eq!([&unchanged["state"], &unchanged["note"]], [&json!("open"), &Value::Null]);
}

#[tokio::test]
async fn assignee_is_set_kept_and_cleared() {
    let api = DiscrepanciesApi::start().await;
    let id = Discrepancy::new(day(5), "a").insert(api.pool(), Uuid::now_v7()).await;
    for (body, assignee) in [
        (json!({"assignee": " ada "}), json!("ada")),
        (json!({"note": "she knows the bank"}), json!("ada")),
        (json!({"assignee": ""}), Value::Null),
        (json!({"assignee": "otto", "state": "acknowledged"}), json!("otto")),
        (json!({"assignee": null}), Value::Null),
    ] {
        assert_eq!(api.update(id, body.clone()).await["assignee"], assignee, "{body}");
    }
    let history = api.web.get(&format!("{LIST}/{id}")).await["history"].clone();
    let assignees: Vec<(&Value, &Value)> = history
        .as_array()
        .expect("a history")
        .iter()
        .map(|change| (&change["from_assignee"], &change["to_assignee"]))
        .collect();
    let (ada, otto, none) = (json!("ada"), json!("otto"), Value::Null);
    let expected = [(&none, &ada), (&ada, &ada), (&ada, &none), (&none, &otto), (&otto, &none)];
    assert_eq!(assignees, expected, "{history}");
}

#[tokio::test]
async fn notes_are_kept_and_unchanged_values_are_not_recorded() {
    let api = DiscrepanciesApi::start().await;
    let id = Discrepancy::new(day(5), "a").insert(api.pool(), Uuid::now_v7()).await;
    let longest = "é".repeat(2000);
    for (body, note, changes) in [
        (json!({"note": "asked the bank"}), "asked the bank", 1),
        (json!({"note": "asked the bank"}), "asked the bank", 1),
        (json!({"state": "open", "assignee": null}), "asked the bank", 1),
        (json!({"state": "resolved", "note": longest}), &longest, 2),
        (json!({"state": "resolved"}), &longest, 2),
        (json!({"state": "open", "note": longest}), &longest, 3),
    ] {
        let updated = api.update(id, body).await;
        assert_eq!((&updated["note"], api.count_changes().await), (&json!(note), changes));
    }
    let history = api.web.get(&format!("{LIST}/{id}")).await["history"].clone();
    let notes: Vec<&Value> = history.as_array().expect("a history").iter().map(|change| &change["note"]).collect();
    assert_eq!(notes, [&json!("asked the bank"), &json!(longest), &json!(longest)]);
    assert!(history[0]["changed_at"].is_string(), "{history}");
}

#[tokio::test]
async fn resolved_at_is_kept_until_the_discrepancy_is_reopened() {
    let api = DiscrepanciesApi::start().await;
    let id = Discrepancy::in_state(day(5), "a", "resolved").insert(api.pool(), Uuid::now_v7()).await;
    let closed = api.web.get(&format!("{LIST}/{id}")).await["resolved_at"].clone();
    assert_eq!(api.update(id, json!({"note": "indeed"})).await["resolved_at"], closed);
    assert_eq!(api.update(id, json!({"state": "open"})).await["resolved_at"], Value::Null);
    assert_ne!(api.update(id, json!({"state": "resolved"})).await["resolved_at"], closed);
}

#[tokio::test]
async fn bulk_update_is_applied_to_all_or_none() {
    let api = DiscrepanciesApi::start().await;
    let (mut ids, run_id) = (vec![], Uuid::now_v7());
    for (key, state) in [("a", "open"), ("b", "acknowledged"), ("c", "resolved")] {
        ids.push(Discrepancy::in_state(day(5), key, state).insert(api.pool(), run_id).await);
    }
    let patch = |body: Value| api.request(Method::PATCH, LIST, OPERATOR, Some(body));

    let refused = patch(json!({"ids": ids, "state": "ignored"})).await;
    let detail = format!("{}: resolved cannot become ignored; it can become open; nothing was changed", ids[2]);
    assert_eq!((refused.status, &refused.json()["detail"]), (409, &json!(detail)));
    let unknown = Uuid::from_u128(7);
    let refused = patch(json!({"ids": [ids[0], unknown], "state": "ignored"})).await;
    let detail = format!("there is no such discrepancy: {unknown}; nothing was changed");
    assert_eq!((refused.status, &refused.json()["detail"]), (404, &json!(detail)));
    assert_eq!(api.count_changes().await, 0);
    assert_eq!(api.web.get(&format!("{LIST}?state=ignored")).await["total"], 0);

    let body = json!({"ids": [ids[2], ids[0], ids[1], ids[0]], "state": "resolved", "assignee": "ada", "note": "all"});
    let updated = patch(body.clone()).await.json();
    assert_eq!(updated["updated"], 3, "{updated}");
    let updated_ids: Vec<&Value> = items(&updated).iter().map(|item| &item["id"]).collect();
    assert_eq!(json!(updated_ids), json!(ids), "{updated}");
    for item in items(&updated) {
        let values = ["state", "assignee", "note"].map(|field| item[field].as_str().expect("a string"));
        assert_eq!(values, ["resolved", "ada", "all"], "{item}");
    }
    assert_eq!(api.count_changes().await, 3);
    assert_eq!(patch(body).await.json()["updated"], 0);
    assert_eq!(api.count_changes().await, 3, "nothing was to be changed");
}

#[tokio::test]
async fn bulk_update_accepts_a_thousand_ids() {
    let api = DiscrepanciesApi::start().await;
    let ids = sqlx::query_scalar!(
        r#"INSERT INTO discrepancies (id, recon_date, key, occurrence, match_status, types, vima_txn_id, details, state,
                                      first_seen_at, first_run_id, created_at)
           SELECT gen_random_uuid(), '2026-01-15', number::text, 1, 'missing_payshack', '{missing}', gen_random_uuid(), '{}',
                  'open', now(), gen_random_uuid(), now()
             FROM generate_series(1, 1000) AS number RETURNING id"#
    )
    .fetch_all(api.pool())
    .await
    .expect("the database accepts it");
    let updated =
        api.request(Method::PATCH, LIST, OPERATOR, Some(json!({"ids": ids, "state": "acknowledged"}))).await.json();
    assert_eq!((&updated["updated"], updated["items"].as_array().map(Vec::len)), (&json!(1000), Some(1000)));
    assert_eq!(api.web.get(&format!("{LIST}?state=acknowledged")).await["total"], 1000);
}

#[tokio::test]
async fn update_waits_for_a_run_and_is_checked_against_its_result() {
    let api = DiscrepanciesApi::start().await;
    let id = Discrepancy::new(day(5), "a").insert(api.pool(), Uuid::now_v7()).await;
    let mut run = api.pool().begin().await.expect("the database responds");
    sqlx::query!("UPDATE discrepancies SET state = 'auto_resolved', resolved_at = now()")
        .execute(&mut *run)
        .await
        .expect("the database accepts it");
    let waiting = async {
        wait_until_blocked(&api).await;
        run.commit().await.expect("the database accepts it");
    };
    let (response, ()) = tokio::join!(api.patch(id, json!({"state": "resolved"})), waiting);
    assert_eq!(response.status, 409, "{response:?}");
    assert!(response.text.contains("auto_resolved cannot become resolved"), "{response:?}");
}

/// Updates two discrepancies while a run changes them in the opposite order, which is a deadlock. `None` if PostgreSQL
/// aborted the run instead of the update.
async fn update_across_a_run(api: &DiscrepanciesApi, ids: [Uuid; 2], state: &str) -> Option<ApiResponse> {
    let mut run = api.pool().begin().await.expect("the database responds");
    let change = async |run: &mut sqlx::PgConnection, id: Uuid| {
        sqlx::query!("UPDATE discrepancies SET project = 'other' WHERE id = $1", id).execute(run).await
    };
    change(&mut run, ids[1]).await.expect("the row is not locked");
    let run_changes = async {
        wait_until_blocked(api).await;
        let changed = change(&mut run, ids[0]).await.is_ok();
        run.commit().await.expect("the database accepts it");
        changed
    };
    let body = json!({"ids": ids, "state": state});
    let (response, changed) = tokio::join!(api.request(Method::PATCH, LIST, OPERATOR, Some(body)), run_changes);
    changed.then_some(response)
}

#[tokio::test]
async fn update_aborted_by_a_deadlock_with_a_run_is_retried() {
    let api = DiscrepanciesApi::start().await;
    let mut ids = [Uuid::nil(); 2];
    for (id, key) in ids.iter_mut().zip(["a", "b"]) {
        *id = Discrepancy::new(day(5), key).insert(api.pool(), Uuid::now_v7()).await;
    }
    // PostgreSQL aborts the transaction that waits first, unless the machine stalls for a second.
    for state in ["acknowledged", "open"].into_iter().cycle().take(10) {
        if let Some(response) = update_across_a_run(&api, ids, state).await {
            assert_eq!((response.status, &response.json()["updated"]), (200, &json!(2)), "{response:?}");
            let both = "SELECT count(*) FROM discrepancies WHERE project = 'other'";
            assert_eq!(api.system.number(both).await, 2);
            return;
        }
    }
    panic!("PostgreSQL aborted the run ten times");
}

async fn wait_until_blocked(api: &DiscrepanciesApi) {
    eventually("the update to wait for a lock", || async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                        WHERE datname = current_database() AND wait_event_type = 'Lock'";
        (api.system.number(waiting).await > 0).then_some(())
    })
    .await;
}
