//! Cases are moved: along the legal ways, with a note, to somebody, and many at once.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::seed::{Case, Desk, LIST, day};
use crate::harness::eventually;
use crate::harness::test_system::{ApiResponse, OPERATOR, VIEWER};

const STATES: [&str; 5] = ["open", "acknowledged", "resolved", "ignored", "auto_resolved"];

fn legal(from: &str, to: &str) -> bool {
    let closed = ["resolved", "ignored"].contains(&to);
    from == to
        || match from {
            "open" => closed || to == "acknowledged",
            "acknowledged" => closed || to == "open",
            _ => to == "open",
        }
}

#[tokio::test]
async fn people_move_cases_along_the_legal_ways_alone() {
    let desk = Desk::open().await;
    for from in STATES {
        for to in &STATES[..4] {
            let key = format!("{from} {to}");
            let id = Case::in_state(day(5), &key, from).open(desk.pool(), Uuid::now_v7()).await;
            let answer = desk.moves(id, json!({"state": to})).await;
            if legal(from, to) {
                let moved = answer.json();
                assert_eq!((answer.status, &moved["state"]), (200, &json!(to)), "{key}: {moved}");
                let closed = ["resolved", "ignored"].contains(to);
                assert_eq!(moved["resolved_at"].is_string(), closed, "{key}: {moved}");
                let changes: Vec<Value> = moved["history"].as_array().expect("a history").clone();
                assert_eq!(changes.len(), usize::from(from != *to), "{key}: {moved}");
                for change in changes {
                    let told = ["changed_by", "run_id", "from_state", "to_state", "note"].map(|it| change[it].clone());
                    assert_eq!(told, [json!("otto"), Value::Null, json!(from), json!(to), Value::Null], "{key}");
                }
            } else {
                assert_eq!(answer.status, 409, "{key}: {answer:?}");
                let told = format!("{id}: {from} cannot become {to}; it can become open; nothing was changed");
                assert_eq!(answer.json()["detail"], told);
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_and_changes_nothing() {
    let desk = Desk::open().await;
    let id = Case::new(day(5), "a").open(desk.pool(), Uuid::now_v7()).await;
    let (one, note) = (format!("/{id}"), json!({"note": "so"}));
    let (nobody, no_id) = (format!("/{}", Uuid::nil()), "/17".to_owned());
    let many = |count: u128| json!({"ids": (0..count).map(Uuid::from_u128).collect::<Vec<_>>(), "note": "so"});
    let by_hand = "must be one of open, acknowledged, resolved, ignored\"";
    for (path, key, body, status, told) in [
        (&one, OPERATOR, json!({}), 422, "say at least one of state, assignee, note"),
        (&one, OPERATOR, json!({"state": null, "note": ""}), 422, "say at least one of state, assignee, note"),
        (&one, OPERATOR, json!({"state": "auto_resolved"}), 422, by_hand),
        (&one, OPERATOR, json!({"state": "closed"}), 422, by_hand),
        (&one, OPERATOR, json!({"asignee": null, "note": "so"}), 422, "asignee: is not known here"),
        (&one, OPERATOR, json!({"ids": [id], "note": "so"}), 422, "ids: is not known here"),
        (&one, OPERATOR, json!({"note": "é".repeat(2001)}), 422, "must have at most 2000 characters"),
        (&one, OPERATOR, json!({"assignee": "é".repeat(201)}), 422, "must have at most 200 characters"),
        (&one, OPERATOR, json!({"note": "a\0b"}), 422, "must not hold a NUL"),
        (&one, OPERATOR, json!({"note": ["so"]}), 422, "must be a single value"),
        (&one, VIEWER, note.clone(), 403, "operator"),
        (&nobody, OPERATOR, note.clone(), 404, "there is no such discrepancy"),
        (&no_id, OPERATOR, note.clone(), 422, "must be a UUID"),
        (&String::new(), VIEWER, json!({"ids": [id], "note": "so"}), 403, "operator"),
        (&String::new(), OPERATOR, note.clone(), 422, "ids: must be a list of 1 to 1000 values"),
        (&String::new(), OPERATOR, many(0), 422, "ids: must be a list of 1 to 1000 values, and has 0"),
        (&String::new(), OPERATOR, many(1001), 422, "ids: must be a list of 1 to 1000 values, and has 1001"),
        (&String::new(), OPERATOR, json!({"ids": [id, "17"], "note": "so"}), 422, "ids[1]: must be a UUID"),
        (&String::new(), OPERATOR, json!({"ids": [id]}), 422, "say at least one of state, assignee, note"),
    ] {
        let answer = desk.asked(Method::PATCH, &format!("{LIST}{path}"), key, Some(body.clone())).await;
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
        assert!(answer.text.contains(told), "{path} {body}: {answer:?}");
    }
    assert_eq!(desk.changes().await, 0);
    let kept = desk.web.get(&format!("{LIST}/{id}")).await;
    assert_eq!([&kept["state"], &kept["note"]], [&json!("open"), &Value::Null]);
}

#[tokio::test]
async fn a_case_is_given_to_somebody_and_taken_away_again() {
    let desk = Desk::open().await;
    let id = Case::new(day(5), "a").open(desk.pool(), Uuid::now_v7()).await;
    for (body, assignee) in [
        (json!({"assignee": " ada "}), json!("ada")),
        (json!({"note": "she knows the bank"}), json!("ada")),
        (json!({"assignee": ""}), Value::Null),
        (json!({"assignee": "otto", "state": "acknowledged"}), json!("otto")),
        (json!({"assignee": null}), Value::Null),
    ] {
        assert_eq!(desk.moved(id, body.clone()).await["assignee"], assignee, "{body}");
    }
    let history = desk.web.get(&format!("{LIST}/{id}")).await["history"].clone();
    let told: Vec<(&Value, &Value)> = history
        .as_array()
        .expect("a history")
        .iter()
        .map(|change| (&change["from_assignee"], &change["to_assignee"]))
        .collect();
    let (ada, otto, nobody) = (json!("ada"), json!("otto"), Value::Null);
    let expected = [(&nobody, &ada), (&ada, &ada), (&ada, &nobody), (&nobody, &otto), (&otto, &nobody)];
    assert_eq!(told, expected, "{history}");
}

#[tokio::test]
async fn notes_are_kept_and_what_is_so_already_is_not_written() {
    let desk = Desk::open().await;
    let id = Case::new(day(5), "a").open(desk.pool(), Uuid::now_v7()).await;
    let longest = "é".repeat(2000);
    for (body, note, changes) in [
        (json!({"note": "asked the bank"}), "asked the bank", 1),
        (json!({"note": "asked the bank"}), "asked the bank", 1),
        (json!({"state": "open", "assignee": null}), "asked the bank", 1),
        (json!({"state": "resolved", "note": longest}), &longest, 2),
        (json!({"state": "resolved"}), &longest, 2),
        (json!({"state": "open", "note": longest}), &longest, 3),
    ] {
        let moved = desk.moved(id, body).await;
        assert_eq!((&moved["note"], desk.changes().await), (&json!(note), changes));
    }
    let history = desk.web.get(&format!("{LIST}/{id}")).await["history"].clone();
    let notes: Vec<&Value> = history.as_array().expect("a history").iter().map(|change| &change["note"]).collect();
    assert_eq!(notes, [&json!("asked the bank"), &json!(longest), &json!(longest)]);
    assert!(history[0]["changed_at"].is_string(), "{history}");
}

#[tokio::test]
async fn when_a_case_was_closed_stays_while_it_is() {
    let desk = Desk::open().await;
    let id = Case::in_state(day(5), "a", "resolved").open(desk.pool(), Uuid::now_v7()).await;
    let closed = desk.web.get(&format!("{LIST}/{id}")).await["resolved_at"].clone();
    assert_eq!(desk.moved(id, json!({"note": "indeed"})).await["resolved_at"], closed);
    assert_eq!(desk.moved(id, json!({"state": "open"})).await["resolved_at"], Value::Null);
    assert_ne!(desk.moved(id, json!({"state": "resolved"})).await["resolved_at"], closed);
}

#[tokio::test]
async fn many_are_moved_or_none() {
    let desk = Desk::open().await;
    let (mut ids, run_id) = (vec![], Uuid::now_v7());
    for (key, state) in [("a", "open"), ("b", "acknowledged"), ("c", "resolved")] {
        ids.push(Case::in_state(day(5), key, state).open(desk.pool(), run_id).await);
    }
    let patch = |body: Value| desk.asked(Method::PATCH, LIST, OPERATOR, Some(body));

    let refused = patch(json!({"ids": ids, "state": "ignored"})).await;
    let told = format!("{}: resolved cannot become ignored; it can become open; nothing was changed", ids[2]);
    assert_eq!((refused.status, &refused.json()["detail"]), (409, &json!(told)));
    let unknown = Uuid::from_u128(7);
    let refused = patch(json!({"ids": [ids[0], unknown], "state": "ignored"})).await;
    let told = format!("there is no such discrepancy: {unknown}; nothing was changed");
    assert_eq!((refused.status, &refused.json()["detail"]), (404, &json!(told)));
    assert_eq!(desk.changes().await, 0);
    assert_eq!(desk.web.get(&format!("{LIST}?state=ignored")).await["total"], 0);

    let body = json!({"ids": [ids[2], ids[0], ids[1], ids[0]], "state": "resolved", "assignee": "ada", "note": "all"});
    let moved = patch(body.clone()).await.json();
    assert_eq!(moved["updated"], 3, "{moved}");
    let items = moved["items"].as_array().expect("items");
    let named: Vec<Value> = items.iter().map(|item| item["id"].clone()).collect();
    assert_eq!(json!(named), json!(ids), "{moved}");
    for item in items {
        let told = ["state", "assignee", "note"].map(|field| item[field].as_str().expect("a text"));
        assert_eq!(told, ["resolved", "ada", "all"], "{item}");
    }
    assert_eq!(desk.changes().await, 3);
    assert_eq!(patch(body).await.json()["updated"], 0);
    assert_eq!(desk.changes().await, 3, "it was so already");
}

#[tokio::test]
async fn a_thousand_are_moved_at_once() {
    let desk = Desk::open().await;
    let ids = sqlx::query_scalar!(
        r#"INSERT INTO discrepancies (id, recon_date, key, occurrence, match_status, types, vima_txn_id, details, state,
                                      first_seen_at, first_run_id, created_at)
           SELECT gen_random_uuid(), '2026-01-15', number::text, 1, 'missing_payshack', '{missing}', gen_random_uuid(), '{}',
                  'open', now(), gen_random_uuid(), now()
             FROM generate_series(1, 1000) AS number RETURNING id"#
    )
    .fetch_all(desk.pool())
    .await
    .expect("the database takes it");
    let moved =
        desk.asked(Method::PATCH, LIST, OPERATOR, Some(json!({"ids": ids, "state": "acknowledged"}))).await.json();
    assert_eq!((&moved["updated"], moved["items"].as_array().map(Vec::len)), (&json!(1000), Some(1000)));
    assert_eq!(desk.web.get(&format!("{LIST}?state=acknowledged")).await["total"], 1000);
}

#[tokio::test]
async fn a_move_is_judged_by_what_a_run_left_that_was_at_it() {
    let desk = Desk::open().await;
    let id = Case::new(day(5), "a").open(desk.pool(), Uuid::now_v7()).await;
    let mut run = desk.pool().begin().await.expect("the database answers");
    sqlx::query!("UPDATE discrepancies SET state = 'auto_resolved', resolved_at = now()")
        .execute(&mut *run)
        .await
        .expect("the database takes it");
    let waiting = async {
        until_something_waits(&desk).await;
        run.commit().await.expect("the database takes it");
    };
    let (answer, ()) = tokio::join!(desk.moves(id, json!({"state": "resolved"})), waiting);
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(answer.text.contains("auto_resolved cannot become resolved"), "{answer:?}");
}

/// Moves both cases across a run that takes them the other way round; none where the run was given up, and not the move.
async fn crossed(desk: &Desk, ids: [Uuid; 2], state: &str) -> Option<ApiResponse> {
    let mut run = desk.pool().begin().await.expect("the database answers");
    let change = async |run: &mut sqlx::PgConnection, id: Uuid| {
        sqlx::query!("UPDATE discrepancies SET project = 'other' WHERE id = $1", id).execute(run).await
    };
    change(&mut run, ids[1]).await.expect("nobody holds it");
    let crossing = async {
        until_something_waits(desk).await;
        let changed = change(&mut run, ids[0]).await.is_ok();
        run.commit().await.expect("the database takes it");
        changed
    };
    let body = json!({"ids": ids, "state": state});
    let (answer, changed) = tokio::join!(desk.asked(Method::PATCH, LIST, OPERATOR, Some(body)), crossing);
    changed.then_some(answer)
}

#[tokio::test]
async fn a_move_that_is_given_up_for_a_run_is_made_after_it() {
    let desk = Desk::open().await;
    let mut ids = [Uuid::nil(); 2];
    for (id, key) in ids.iter_mut().zip(["a", "b"]) {
        *id = Case::new(day(5), key).open(desk.pool(), Uuid::now_v7()).await;
    }
    // Whoever waits first is given up, but on a machine that stood still for a second.
    for state in ["acknowledged", "open"].into_iter().cycle().take(10) {
        if let Some(answer) = crossed(&desk, ids, state).await {
            assert_eq!((answer.status, &answer.json()["updated"]), (200, &json!(2)), "{answer:?}");
            let both = "SELECT count(*) FROM discrepancies WHERE project = 'other'";
            assert_eq!(desk.system.number(both).await, 2);
            return;
        }
    }
    panic!("the run was given up ten times");
}

async fn until_something_waits(desk: &Desk) {
    eventually("the move to wait", || async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                        WHERE datname = current_database() AND wait_event_type = 'Lock'";
        (desk.system.number(waiting).await > 0).then_some(())
    })
    .await;
}
