//! Responses that a test has scripted: any status, header and bytes, in place of the provider's own.
//!
//! Faults are drawn at random and change a response that the provider would have sent. A scripted response is exact: it
//! answers the requests that it matches, so many times, whatever their credentials, and no fault applies to it.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use poem::{
    Response,
    http::{HeaderName, HeaderValue, StatusCode, header},
};
use serde::{Deserialize, Serialize};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScriptedResponse {
    /// A part of the path of the requests that it answers; empty for every path.
    #[serde(default)]
    path: String,
    /// Pairs of the query, such as `page=2`, all of which a request must have.
    #[serde(default)]
    query: Vec<String>,
    /// How many matching requests are answered as usual before.
    #[serde(default)]
    after: u32,
    /// How many requests it answers; without it, all until it is deleted.
    times: Option<u32>,
    #[serde(default = "ok")]
    status: u16,
    /// Without a `content-type`, `application/json`.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    /// The body as base64, in place of `body`.
    body_base64: Option<String>,
}

fn ok() -> u16 {
    200
}

impl ScriptedResponse {
    /// Why it cannot be sent, if so.
    fn check(&self) -> Result<(), String> {
        self.response().map(drop)
    }

    fn matches(&self, path: &str, query: &str) -> bool {
        path.contains(&self.path) && self.query.iter().all(|pair| query.split('&').any(|given| given == pair))
    }

    /// Counts a matching request; returns whether it is answered.
    fn take_turn(&mut self) -> bool {
        if self.after > 0 {
            self.after -= 1;
            return false;
        }
        if let Some(times) = &mut self.times {
            *times -= 1;
        }
        true
    }

    fn response(&self) -> Result<Response, String> {
        let status = StatusCode::from_u16(self.status).map_err(|error| format!("status: {error}"))?;
        let body = match &self.body_base64 {
            Some(encoded) => STANDARD.decode(encoded).map_err(|error| format!("body_base64: {error}"))?,
            None => self.body.clone().into_bytes(),
        };
        let mut response = Response::builder().status(status).body(body);
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
        for (name, value) in &self.headers {
            let invalid = |error: &dyn std::error::Error| format!("header {name}: {error}");
            let header = HeaderName::try_from(name).map_err(|error| invalid(&error))?;
            let value = HeaderValue::try_from(value).map_err(|error| invalid(&error))?;
            response.headers_mut().insert(header, value);
        }
        Ok(response)
    }
}

/// In the order in which they were added: the first that matches answers.
#[derive(Debug, Default)]
pub(crate) struct Script(Vec<ScriptedResponse>);

impl Script {
    /// Adds responses, or none if one of them cannot be sent.
    pub(crate) fn add(&mut self, responses: Vec<ScriptedResponse>) -> Result<(), String> {
        responses.iter().try_for_each(ScriptedResponse::check)?;
        self.0.extend(responses);
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The response to a request, if one is scripted.
    pub(crate) fn next(&mut self, path: &str, query: &str) -> Option<Response> {
        let index = self.0.iter_mut().position(|scripted| scripted.matches(path, query) && scripted.take_turn())?;
        let response = self.0[index].response().ok();
        if self.0[index].times == Some(0) {
            self.0.remove(index);
        }
        response
    }

    /// What is still to be sent.
    pub(crate) fn remaining(&self) -> &[ScriptedResponse] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(responses: &str) -> Script {
        let mut script = Script::default();
        script.add(serde_json::from_str(responses).unwrap()).unwrap();
        script
    }

    #[test]
    fn response_answers_the_requests_that_it_matches_so_many_times() {
        let mut script = script(
            r#"[{"path": "operation", "query": ["page=2"], "after": 1, "times": 2, "status": 404},
                {"path": "login", "headers": {"retry-after": "5"}, "body_base64": "/w=="}]"#,
        );
        assert!(script.next("/vima/operation", "page=1").is_none());
        assert!(script.next("/vima/operation", "page=20").is_none());
        let mut answered = || script.next("/vima/operation", "a=b&page=2").map(|response| response.status().as_u16());
        assert_eq!([answered(), answered(), answered(), answered()], [None, Some(404), Some(404), None]);
        let login = script.next("/payshack/auth/login", "").unwrap();
        assert_eq!(login.headers()["retry-after"], "5");
        assert!(script.next("/payshack/auth/login", "").is_some(), "without times it stays");
    }

    #[test]
    fn response_that_cannot_be_sent_is_rejected() {
        for invalid in [r#"[{"status": 99}]"#, r#"[{"headers": {"a b": "c"}}]"#, r#"[{"body_base64": "?"}]"#] {
            assert!(Script::default().add(serde_json::from_str(invalid).unwrap()).is_err(), "{invalid}");
        }
    }
}
