//! What was asked of the providers, for tests that measure pace and count logins.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::{faults::Fault, moment::Moment};

/// How many requests are remembered one by one.
const REMEMBERED: usize = 10_000;

/// One request.
#[derive(Debug, Serialize)]
struct Asked {
    number: u64,
    /// Milliseconds since 1970 by the wall clock.
    at_ms: i64,
    method: String,
    path: String,
    query: String,
    /// None while the request hangs, and for ever where its sender went away.
    status: Option<u16>,
    fault: Option<Fault>,
}

#[derive(Debug, Default, Serialize)]
struct Logins {
    accepted: u64,
    refused: u64,
}

/// The log of requests.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    newest: u64,
    arrived: BTreeMap<String, u64>,
    answered: BTreeMap<String, BTreeMap<u16, u64>>,
    logins: Logins,
    recent: VecDeque<Asked>,
}

impl Requests {
    /// Notes a request as it arrives and answers its number.
    pub(crate) fn arrive(&mut self, method: &str, path: &str, query: &str, fault: Option<Fault>) -> u64 {
        self.newest += 1;
        *self.arrived.entry(path.to_owned()).or_default() += 1;
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(Asked {
            number: self.newest,
            at_ms: Moment::on_the_wall().millis(),
            method: method.to_owned(),
            path: path.to_owned(),
            query: without_key(query),
            status: None,
            fault,
        });
        self.newest
    }

    pub(crate) fn answer(&mut self, number: u64, path: &str, status: u16) {
        *self.answered.entry(path.to_owned()).or_default().entry(status).or_default() += 1;
        let oldest = self.recent.front().map_or(number, |asked| asked.number);
        let place = number.checked_sub(oldest).and_then(|place| usize::try_from(place).ok());
        if let Some(asked) = place.and_then(|place| self.recent.get_mut(place)) {
            asked.status = Some(status);
        }
    }

    pub(crate) fn login(&mut self, accepted: bool) {
        *(if accepted { &mut self.logins.accepted } else { &mut self.logins.refused }) += 1;
    }

    /// Forgets everything but the numbering, so that a request under way is not taken for another.
    pub(crate) fn forget(&mut self) {
        *self = Self { newest: self.newest, ..Self::default() };
    }

    /// The counts and the last few requests, newest last.
    pub(crate) fn listing(&self, last: usize) -> serde_json::Value {
        let recent: Vec<&Asked> = self.recent.iter().skip(self.recent.len().saturating_sub(last)).collect();
        serde_json::json!({
            "total": self.arrived.values().sum::<u64>(),
            "arrived": self.arrived,
            "answered": self.answered,
            "logins": self.logins,
            "recent": recent,
        })
    }
}

/// The key is part of the URL and stays out of every log, this one too.
fn without_key(query: &str) -> String {
    let kept = query.split('&').filter(|pair| !pair.starts_with("apikey="));
    kept.collect::<Vec<_>>().join("&")
}
