//! A stateful mock server of both payment providers' HTTP APIs.
//!
//! It models the providers' state instead of single calls: payments are generated once, both providers' records are
//! derived from them, and every request is served from those records. Tests compare the final state of a client with
//! the ground truth below `/sandbox`, whatever requests the client sent.
//!
//! It is written from the providers' documents and shares no code with the dashboard, so a misreading on either side
//! makes tests fail.
//!
//! - `payment`, `history`, `live_stream`, `state`: the generated payments, before the start and while it runs
//! - `vima`, `payshack`: each provider's records, indexes, JSON shapes and endpoints
//! - `fx`: an exchange rate feed
//! - `faults`, `switches`, `scripted`: fault injection, behaviour that the providers' documents leave open, and exact
//!   responses
//! - `response_form`: compression, charsets and byte order marks of responses
//! - `ground_truth`, `control`: the state that a correct client ends with, and the API that tests use
//! - `timestamp`, `money`, `status`, `person`, `id_hash`, `json_writer`, `raw_json`: shared building blocks

mod config;
mod control;
mod faults;
mod fx;
mod ground_truth;
mod history;
mod http;
mod id_hash;
mod json_writer;
mod key_form;
mod live_stream;
mod malformed;
mod money;
mod payment;
mod payshack;
mod person;
mod provider;
mod raw_json;
mod request_log;
mod response_form;
mod scripted;
mod state;
mod status;
mod switches;
mod timestamp;
mod vima;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use poem::listener::TcpAcceptor;
use serde_json::{Map, Value};
use tokio::net::TcpListener;

pub use crate::config::Config;

use crate::{
    faults::FaultInjector,
    fx::FxResponse,
    payshack::Sessions,
    provider::Provider,
    request_log::RequestLog,
    scripted::Script,
    state::State,
    switches::Switches,
    timestamp::{Clock, Timestamp},
};

/// Both providers: their records, settings, injected faults and request log.
#[derive(Debug)]
pub struct Sandbox {
    config: Config,
    clock: Clock,
    state: RwLock<State>,
    switches: RwLock<Switches>,
    faults: Mutex<FaultInjector>,
    sessions: Mutex<Sessions>,
    requests: Mutex<RequestLog>,
    fx_response: RwLock<FxResponse>,
    script: Mutex<Script>,
}

impl Sandbox {
    /// Generates the history, which takes seconds if it is large.
    ///
    /// # Errors
    ///
    /// If a fault or a switch does not exist or has an invalid value.
    pub fn new(config: Config) -> Result<Self, String> {
        let mut switches = Switches::default();
        for (name, value) in &config.switches {
            switches.set_from_text(name, value)?;
        }
        let mut faults = FaultInjector::seeded(config.seed);
        for (kind, rate) in &config.faults {
            faults.set(kind, *rate)?;
        }
        let now = config.now.map_or_else(Timestamp::system_now, Timestamp::from_utc);
        let state = history::generate(&config, &switches, now);
        Ok(Self {
            config,
            clock: Clock::starting_at(now),
            state: RwLock::new(state),
            switches: RwLock::new(switches),
            faults: Mutex::new(faults),
            sessions: Mutex::default(),
            requests: Mutex::default(),
            fx_response: RwLock::default(),
            script: Mutex::default(),
        })
    }

    /// The totals and discrepancies that a correct client of both providers ends with, as JSON.
    #[must_use]
    pub fn ground_truth(&self) -> String {
        let mut out = String::new();
        let faults = [Provider::Vima, Provider::PayShack].map(|provider| self.faults().of_records(provider));
        json_writer::object(&mut out, |o| ground_truth::write_summary(o, &self.state(), faults));
        out
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn switches(&self) -> Switches {
        self.switches.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_switches(&self, values: &Map<String, Value>) -> Result<(), String> {
        let mut switches = self.switches.write().unwrap_or_else(PoisonError::into_inner);
        switches.set(values)?;
        self.state_mut().operations.use_wide_ids(switches.vima_wide_ids);
        Ok(())
    }

    fn faults(&self) -> MutexGuard<'_, FaultInjector> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn requests(&self) -> MutexGuard<'_, RequestLog> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves requests and advances the live stream until the future is dropped.
///
/// # Errors
///
/// If the listener fails.
pub async fn serve(sandbox: Arc<Sandbox>, listener: TcpListener) -> io::Result<()> {
    let acceptor = TcpAcceptor::from_tokio(listener)?;
    let app = http::app(&sandbox);
    tokio::select! {
        served = poem::Server::new_with_acceptor(acceptor).run(app) => served,
        () = live_stream::run(sandbox) => Ok(()),
    }
}
