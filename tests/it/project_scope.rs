//! A key that is limited to a project sees what a filter by that project selects, and nothing else.
//!
//! The access policy lists the operations: one that is limited by scope must be covered here.

mod fixture;

use psp_dashboard::web::http::auth::policy::{POLICIES, Policy, ScopeRule};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor;

use self::fixture::{HIDDEN, OWN, TwoProjects, assert_nothing_hidden, item_count};
use crate::harness::exports::{EXPORTS, create_export, export_path, wait_for_export};
use crate::harness::socket::Socket;
use crate::harness::test_system::{ADMIN, VIEWER, items};
use crate::harness::{TIMEOUT, eventually};

/// How an operation is limited to the projects of the key.
enum Coverage {
    /// It has a filter by project; with each of these queries the response must equal that of the filter.
    Filter(&'static [&'static str]),
    /// It has no such filter, and lists something of both projects. The part of the path that is not in the policy.
    List(String),
    /// It returns one object: of the own project, and of the hidden one.
    Object([String; 2]),
    /// Another test covers it: of this file, of `bulk_actions`, of `explanations`, or of `reports`.
    Elsewhere,
}

async fn coverage(test: &TwoProjects, policy: &Policy) -> Coverage {
    let object = async |table: &str| {
        let [own, hidden] = [OWN, HIDDEN].map(|project| format!("project = '{project}'"));
        Coverage::Object([test.id(table, &own).await.to_string(), test.id(table, &hidden).await.to_string()])
    };
    match policy.operation {
        "listTransactions" => {
            Coverage::Filter(&["", "sort_by=amount&order=asc", "search=-op-1", "min_amount=300", "country=IN"])
        }
        "getMetricsHeatmap" => {
            Coverage::Filter(&["", "dimension=merchant_hour&metric=amount", "dimension=merchant_day"])
        }
        "getMetricsByMerchant" => Coverage::Filter(&["", "search=merchant-1"]),
        "getMetricsComparison" => Coverage::Filter(&["", "comparison_type=week"]),
        "listDiscrepancies" => Coverage::Filter(&["", "state=open", "min_diff=1"]),
        "exportTransactions" | "exportReconciliation" => Coverage::Filter(&["", "format=ndjson"]),
        "exportMetricsSummary" => Coverage::Filter(&[""]),
        operation if operation.starts_with("getMetrics") => Coverage::Filter(&["", "source=vima&status=success"]),
        "getFilters" => Coverage::List(String::new()),
        "listReconciliationResults" => Coverage::List(test.run_id.to_string()),
        "getTransaction" | "explainTransaction" => object("transactions").await,
        "getMerchant" => Coverage::Object([OWN, HIDDEN].map(|project| format!("{project}/{project}-merchant-1"))),
        "getDiscrepancy" => object("discrepancies").await,
        "explainPayment"
        | "getExport"
        | "downloadExport"
        | "streamEvents"
        | "openWebSocket"
        | "openWebSocketAlias"
        | "listBulkActions"
        | "getBulkAction"
        | "listSkippedItems"
        | "listReportSchedules"
        | "getReportSchedule"
        | "listReportRuns" => Coverage::Elsewhere,
        other => panic!("{other} is limited by project scope: say here how, so that this is tested"),
    }
}

fn path_of(policy: &Policy, id: &str) -> String {
    policy.path.replace("{id}", id).replace("{project}/{merchant_id}", id)
}

/// Some responses depend on the current minute: the scoped one is compared with an equal one before and after it.
async fn assert_equals_filter(test: &TwoProjects, path: &str, query: &str) -> String {
    let filtered = format!("{path}?{query}&project={OWN}");
    let current = format!("{path}?{query}");
    for _ in 0..20 {
        let before = test.unscoped(&filtered).await;
        let scoped = test.scoped(&current).await;
        let named = test.scoped(&filtered).await;
        let after = test.unscoped(&filtered).await;
        assert_eq!((before.status, scoped.status, named.status), (200, 200, 200), "{current}: {scoped:?}");
        if comparable(&before.text) == comparable(&after.text) {
            assert_eq!(comparable(&scoped.text), comparable(&before.text), "{current}");
            assert_eq!(comparable(&named.text), comparable(&before.text), "{filtered}");
            return scoped.text;
        }
    }
    panic!("{path} never returns the same twice");
}

/// Without what is of the request or of its scope: cursors, its instant, and the project and the second of links.
fn comparable(text: &str) -> String {
    let text = match serde_json::from_str::<Value>(text) {
        Ok(mut page @ Value::Object(_)) => {
            page["next_cursor"] = page["next_cursor"].is_null().into();
            // The instant of the answer.
            page.as_object_mut().and_then(|page| page.remove("at"));
            page.to_string()
        }
        _ => text.to_owned(),
    };
    let text = text.replace(&format!("project={OWN}&"), "");
    let mut parts = text.split("&as_of=");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| kept + part.split_once('Z').map_or(part, |(_, rest)| rest))
}

#[tokio::test]
async fn scoped_key_sees_exactly_what_the_filter_by_project_selects() {
    let test = TwoProjects::start().await;
    let hidden_ids = test.hidden_ids().await;
    let limited = POLICIES.iter().filter(|policy| policy.scope == ScopeRule::Filtered && policy.method == "GET");
    for policy in limited {
        match coverage(&test, policy).await {
            Coverage::Filter(queries) => {
                let path = policy.path.replace("{type}", "merchant");
                for query in queries {
                    let found = assert_equals_filter(&test, &path, query).await;
                    assert_nothing_hidden(&found, &hidden_ids, policy.path);
                }
                let everything = test.unscoped(&path).await.text;
                assert!(!everything.is_empty(), "{}", policy.path);
                for named in [format!("project={HIDDEN}"), format!("project={OWN},{HIDDEN}")] {
                    let refused = test.scoped(&format!("{path}?{named}")).await;
                    assert_eq!(refused.status, 403, "{} {named}: {refused:?}", policy.path);
                    assert!(
                        refused.json()["detail"].as_str().is_some_and(|detail| detail.contains(OWN)),
                        "{refused:?}"
                    );
                }
            }
            Coverage::List(id) => {
                let path = path_of(policy, &id);
                let scoped = test.scoped(&path).await;
                assert_eq!(scoped.status, 200, "{path}: {scoped:?}");
                assert!(scoped.text.contains(OWN), "{path}: {scoped:?}");
                assert_nothing_hidden(&scoped.text, &hidden_ids, &path);
                assert!(test.unscoped(&path).await.text.contains(HIDDEN), "{path} has something to hide");
            }
            Coverage::Object([own, hidden]) => {
                let (own, hidden) = (path_of(policy, &own), path_of(policy, &hidden));
                let (scoped, unscoped) = (test.scoped(&own).await, test.unscoped(&own).await);
                assert_eq!((scoped.status, unscoped.status), (200, 200), "{own}: {scoped:?}");
                assert_nothing_hidden(&scoped.text, &hidden_ids, &own);
                assert_eq!(
                    (test.scoped(&hidden).await.status, test.unscoped(&hidden).await.status),
                    (404, 200),
                    "{hidden}"
                );
            }
            Coverage::Elsewhere => {}
        }
    }
    let counted = test.scoped("/api/v1/transactions").await.json();
    assert_eq!((&counted["total"], &counted["total_relation"]), (&80.into(), &"exact".into()));
    assert_eq!(test.scoped("/api/v1/metrics/overview").await.json()["total_count"], 80);
    let refused = test.scoped("/api/v1/reconciliation/summary").await;
    assert_eq!(refused.status, 403, "figures of all projects: {refused:?}");
}

#[tokio::test]
async fn payments_of_two_projects_are_compared_only_for_keys_that_cover_both() {
    let test = TwoProjects::start().await;
    let list = "/api/v1/reconciliation/discrepancies";
    let (before, results) =
        (test.scoped(list).await.json(), format!("/api/v1/reconciliation/runs/{}/results", test.run_id));
    let mixed = "
        UPDATE transactions SET project = 'zenith' WHERE source = 'payshack' AND order_id IN (
            SELECT key FROM discrepancies WHERE project = 'acme' ORDER BY key LIMIT 1)";
    test.system.pool.execute(mixed).await.expect("the payment exists");
    let condition = "vima_txn_id IN (SELECT vima.id FROM transactions AS vima JOIN transactions AS payshack
                         ON payshack.order_id = vima.client_operation_id WHERE vima.project <> payshack.project)";
    let id = test.id("discrepancies", condition).await;
    let after = test.scoped(list).await.json();
    assert_eq!((item_count(&before), item_count(&after)), (10, 9));
    assert_eq!((&before["total"], &after["total"]), (&10.into(), &9.into()));
    assert_eq!(test.scoped(&results).await.json()["total"], 9);
    let one = format!("{list}/{id}");
    assert_eq!((test.scoped(&one).await.status, test.unscoped(&one).await.status), (404, 200));
    let vima =
        test.id("transactions", &format!("id = (SELECT vima_txn_id FROM discrepancies WHERE id = '{id}')")).await;
    let path = format!("/api/v1/transactions/{vima}");
    let (scoped, unscoped) = (test.scoped(&path).await.json(), test.unscoped(&path).await.json());
    assert!(!unscoped["counterpart"].is_null(), "{unscoped}");
    assert!(scoped["counterpart"].is_null() && scoped["reconciliation"].is_null(), "{scoped}");
    assert_nothing_hidden(&scoped.to_string(), &test.hidden_ids().await, &path);
}

#[tokio::test]
async fn scoped_key_moves_only_discrepancies_of_its_projects() {
    let test = TwoProjects::start().await;
    let list = "/api/v1/reconciliation/discrepancies";
    let own = test.id("discrepancies", "project = 'acme'").await;
    let hidden = test.id("discrepancies", "project = 'zenith'").await;
    let moved = async || test.system.number("SELECT count(*) FROM discrepancies WHERE state <> 'open'").await;
    let both = json!({"ids": [own, hidden], "state": "resolved"}).to_string();
    let refused = test.send(&test.key, Method::PATCH, list, Some(&both)).await;
    let detail = refused.json()["detail"].as_str().expect("a detail").to_owned();
    assert_eq!((refused.status, moved().await), (404, 0), "{detail}");
    assert!(detail.contains(&hidden.to_string()) && !detail.contains(&own.to_string()), "{detail}");
    let one = format!("{list}/{hidden}");
    let refused = test.send(&test.key, Method::PATCH, &one, Some(r#"{"note": "mine"}"#)).await;
    assert_eq!((refused.status, moved().await), (404, 0), "{refused:?}");
    let only = json!({"ids": [own], "state": "resolved"}).to_string();
    let accepted = test.send(&test.key, Method::PATCH, list, Some(&only)).await;
    assert_eq!((accepted.status, moved().await), (200, 1), "{accepted:?}");
}

#[tokio::test]
async fn cursor_of_another_scope_is_refused() {
    let test = TwoProjects::start().await;
    for path in [
        "/api/v1/transactions?limit=2",
        "/api/v1/metrics/by-merchant?limit=1",
        "/api/v1/reconciliation/discrepancies?limit=2",
        &format!("/api/v1/reconciliation/runs/{}/results?limit=2", test.run_id),
    ] {
        let next = async |key: &str| {
            let page = test.send(key, Method::GET, path, None).await.json();
            format!("{path}&cursor={}", page["next_cursor"].as_str().expect("a next page"))
        };
        let (of_all, of_own) = (next(ADMIN).await, next(&test.key).await);
        assert_eq!(test.scoped(&of_all).await.status, 422, "{path}");
        assert_eq!(test.unscoped(&of_own).await.status, 422, "{path}");
        assert_eq!(test.scoped(&of_own).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn exports_and_events_obey_the_scope() {
    let test = TwoProjects::start().await;
    let _worker = test.system.start_jobs(&["worker"]);
    let mut socket = Socket::connect_with_key(&test.web.socket(), &test.key).await;
    let everything = create_export(&test.web, VIEWER, "format=csv").await;
    wait_for_export(&test.web, &everything, TIMEOUT).await;
    let own = create_export(&test.web, &test.key, "format=csv").await;
    wait_for_export(&test.web, &own, TIMEOUT).await;
    assert_eq!(socket.receive("export_ready").await["id"], own["id"], "not the one of all projects");
    let strange = socket.received.iter().find(|event| {
        let kind = event["type"].as_str().unwrap_or_default();
        !["connected", "metrics_updated", "export_ready"].contains(&kind)
    });
    assert_eq!(strange, None);

    let (of_all, of_own) = (export_path(&everything), export_path(&own));
    let file = test.scoped(&format!("{of_own}/download")).await;
    assert_eq!((file.status, file.text.lines().count()), (200, 81));
    assert_nothing_hidden(&file.text, &test.hidden_ids().await, &of_own);
    for path in [&of_all, &format!("{of_all}/download")] {
        assert_eq!(test.scoped(path).await.status, 404, "{path}");
    }
    assert_eq!(test.send(&test.key, Method::DELETE, &of_all, None).await.status, 404);
    assert_eq!(test.unscoped(&of_own).await.status, 200);
    assert_eq!(test.send(VIEWER, Method::GET, &of_own, None).await.status, 403, "a viewer sees less than an operator");

    for body in [
        json!({"export": "transactions", "query": format!("project={HIDDEN}")}),
        json!({"export": "metrics-summary", "filters": {"project": [HIDDEN]}}),
        json!({"export": "payshack-clients"}),
    ] {
        let refused = test.send(&test.key, Method::POST, EXPORTS, Some(&body.to_string())).await;
        assert_eq!(refused.status, 403, "{body}: {refused:?}");
    }
    // A viewer removes only exports of the same key, whatever the keys are called.
    let namesake = crate::harness::keys::create_key(&test.system, "viewer", &[]);
    let removed = async |key: &str| test.send(key, Method::DELETE, &of_all, None).await.status;
    sqlx::query!("UPDATE api_keys SET name = 'vera'").execute(&test.system.pool).await.expect("there are keys");
    eventually("the new key to be known", || async { (removed(&namesake).await != 401).then_some(()) }).await;
    assert_eq!((removed(&namesake).await, removed(VIEWER).await), (403, 200));
    assert!(items(&test.unscoped("/api/v1/jobs?kind=export").await.json()).len() >= 2);
}
