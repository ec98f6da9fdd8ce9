//! Log of the requests to the providers, for tests that measure request rates and count logins.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::{faults::Fault, timestamp::Timestamp};

/// Older requests remain only in the counts.
const MAX_RECENT: usize = 10_000;

#[derive(Debug, Serialize)]
struct LoggedRequest {
    number: u64,
    /// Milliseconds since the Unix epoch by the system clock.
    at_ms: i64,
    method: String,
    path: String,
    query: String,
    /// `None` while the request is in progress or if the client disconnected.
    status: Option<u16>,
    fault: Option<Fault>,
}

#[derive(Debug, Default, Serialize)]
struct Logins {
    accepted: u64,
    refused: u64,
}

#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    newest: u64,
    arrived: BTreeMap<String, u64>,
    answered: BTreeMap<String, BTreeMap<u16, u64>>,
    logins: Logins,
    recent: VecDeque<LoggedRequest>,
}

impl RequestLog {
    /// Logs a new request and returns its number.
    pub(crate) fn record_request(&mut self, method: &str, path: &str, query: &str, fault: Option<Fault>) -> u64 {
        self.newest += 1;
        *self.arrived.entry(path.to_owned()).or_default() += 1;
        if self.recent.len() == MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(LoggedRequest {
            number: self.newest,
            at_ms: Timestamp::system_now().millis(),
            method: method.to_owned(),
            path: path.to_owned(),
            query: without_api_key(query),
            status: None,
            fault,
        });
        self.newest
    }

    pub(crate) fn record_response(&mut self, number: u64, path: &str, status: u16) {
        *self.answered.entry(path.to_owned()).or_default().entry(status).or_default() += 1;
        let oldest = self.recent.front().map_or(number, |request| request.number);
        let index = number.checked_sub(oldest).and_then(|index| usize::try_from(index).ok());
        if let Some(request) = index.and_then(|index| self.recent.get_mut(index)) {
            request.status = Some(status);
        }
    }

    pub(crate) fn record_login(&mut self, accepted: bool) {
        *(if accepted { &mut self.logins.accepted } else { &mut self.logins.refused }) += 1;
    }

    /// Continues the numbering, so that the response of a request in progress is not assigned to a newer request.
    pub(crate) fn clear(&mut self) {
        *self = Self { newest: self.newest, ..Self::default() };
    }

    /// The counts and the last requests, newest last.
    pub(crate) fn to_json(&self, last: usize) -> serde_json::Value {
        let recent: Vec<&LoggedRequest> = self.recent.iter().skip(self.recent.len().saturating_sub(last)).collect();
        serde_json::json!({
            "total": self.arrived.values().sum::<u64>(),
            "arrived": self.arrived,
            "answered": self.answered,
            "logins": self.logins,
            "recent": recent,
        })
    }
}

fn without_api_key(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.starts_with("apikey="));
    pairs.collect::<Vec<_>>().join("&")
}
