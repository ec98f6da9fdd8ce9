//! The disk of PostgreSQL becomes full: nothing acknowledged is lost, no attempt is used up, and work resumes by itself.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::harness::busy_system::BusySystem;
use crate::harness::exports::EXPORTS;
use crate::harness::health::wait_for_problem;
use crate::harness::outage;
use crate::harness::private_servers::PrivatePostgres;
use crate::harness::servers::Servers;
use crate::harness::test_system::{OPERATOR, Web};

const DISK_MIB: u32 = 192;
/// How many requests of the API must be enough to find no space for a row.
const MAX_REQUESTS: usize = 2_000;

#[tokio::test]
async fn full_disk_loses_nothing_acknowledged_and_work_resumes() {
    let Some(postgres) = PrivatePostgres::start_on_disk(DISK_MIB).await else { return };
    let busy = BusySystem::start(Servers::with_postgres(&postgres).await).await;
    let (system, web) = (&busy.system, &busy.web);

    postgres.fill_disk().await;
    let health = wait_for_problem(web, 503, "the disk of PostgreSQL is full").await;
    assert_eq!((&health["status"], &health["services"]["database"]), (&json!("unhealthy"), &json!("down")));
    let (acknowledged, refusal) = request_exports_until_refused(web).await;
    assert!(refusal.contains("PostgreSQL") || refusal.contains("the database is unavailable"), "{refusal}");
    outage(Duration::from_secs(3)).await;
    postgres.empty_disk();
    // Without space for its log, PostgreSQL has stopped; its host then starts it again.
    postgres.restart().await;

    busy.assert_recovers().await;
    for job_id in acknowledged {
        assert_eq!(system.job_state(job_id).await, "succeeded", "an acknowledged job is never lost");
    }
}

/// Requests exports until one is refused. Returns the accepted jobs, and the detail of the refusal.
async fn request_exports_until_refused(web: &Web) -> (Vec<Uuid>, String) {
    let body = json!({"export": "payshack-clients", "query": "format=csv"}).to_string();
    let mut accepted = vec![];
    for _ in 0..MAX_REQUESTS {
        let response = web.request(Method::POST, EXPORTS, Some(OPERATOR), Some(&body)).await.expect("a response");
        let answer = response.json();
        match response.status {
            202 => accepted.push(answer["job_id"].as_str().expect("an id").parse().expect("a UUID")),
            503 => return (accepted, answer["detail"].as_str().expect("a detail").to_owned()),
            other => panic!("{other}: {answer}"),
        }
    }
    panic!("{MAX_REQUESTS} requests were accepted although the disk is full");
}
