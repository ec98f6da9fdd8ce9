//! Waits for a state of `/health`.

use reqwest::Method;
use serde_json::Value;

use super::eventually;
use super::test_system::Web;

/// Waits until `/health` responds with this code and status.
pub(crate) async fn wait_for_health(web: &Web, code: u16, status: &str) -> Value {
    eventually(&format!("the health to be {code} {status}"), || async {
        let response = web.request(Method::GET, "/health", None, None).await.ok()?;
        Some(response.json()).filter(|health| response.status == code && health["status"] == status)
    })
    .await
}

/// Waits until `/health` responds with this code and reports a problem that contains `text`.
pub(crate) async fn wait_for_problem(web: &Web, code: u16, text: &str) -> Value {
    eventually(&format!("the health to be {code} with \"{text}\""), || async {
        let response = web.request(Method::GET, "/health", None, None).await.ok()?;
        let health = response.json();
        let problems = health["problems"].as_array().expect("a list of problems");
        let named = problems.iter().any(|problem| problem.as_str().is_some_and(|problem| problem.contains(text)));
        Some(health).filter(|_| response.status == code && named)
    })
    .await
}
