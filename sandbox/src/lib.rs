//! A stateful model of both payment providers behind their documented HTTP.
//!
//! It fakes the providers' state, not their calls: payments are made up once, both sides' records follow from them, and
//! whatever is asked is answered from those records. So a client is tested by what it ends with, compared with the
//! truth below `/sandbox`, whatever it asked on the way.
//!
//! It knows only the providers' documents and none of the dashboard's code: a misreading made on one side shows.
//!
//! - `payment`, `history`, `live`, `state`: what happened, before it began and while it runs;
//! - `vima`, `payshack`: each provider's records, indexes, wire shapes and calls;
//! - `fx`: a feed of exchange rates beside them;
//! - `faults`, `switches`: what goes wrong, and how the providers behave where their documents leave it open;
//! - `truth`, `control`: what a correct reader must end with, and the API that tests use;
//! - `moment`, `money`, `status`, `people`, `chance`, `json`, `raw`: the words all of them speak.

mod broken;
mod chance;
mod config;
mod control;
mod faults;
mod fx;
mod history;
mod http;
mod json;
mod live;
mod moment;
mod money;
mod payment;
mod payshack;
mod people;
mod raw;
mod requests;
mod state;
mod status;
mod switches;
mod truth;
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
    faults::{Faults, Provider},
    fx::Feed,
    moment::{Clock, Moment},
    payshack::Sessions,
    requests::Requests,
    state::State,
    switches::Switches,
};

/// Both providers: their records, their moods, and what was asked of them.
#[derive(Debug)]
pub struct Sandbox {
    config: Config,
    clock: Clock,
    state: RwLock<State>,
    switches: RwLock<Switches>,
    faults: Mutex<Faults>,
    sessions: Mutex<Sessions>,
    requests: Mutex<Requests>,
    feed: RwLock<Feed>,
}

impl Sandbox {
    /// Makes up the history; this is where a large one takes its time.
    ///
    /// # Errors
    ///
    /// Where a fault or a switch does not exist or cannot have its value.
    pub fn new(config: Config) -> Result<Self, String> {
        let mut switches = Switches::default();
        for (name, value) in &config.switches {
            switches.set_text(name, value)?;
        }
        let mut faults = Faults::seeded(config.seed);
        for (kind, rate) in &config.faults {
            faults.set(kind, *rate)?;
        }
        let now = config.now.map_or_else(Moment::on_the_wall, Moment::of);
        let state = history::history(&config, &switches, now);
        Ok(Self {
            config,
            clock: Clock::starting_at(now),
            state: RwLock::new(state),
            switches: RwLock::new(switches),
            faults: Mutex::new(faults),
            sessions: Mutex::default(),
            requests: Mutex::default(),
            feed: RwLock::default(),
        })
    }

    /// What a correct reader of both providers must end with, as JSON.
    #[must_use]
    pub fn truth(&self) -> String {
        let mut out = String::new();
        let malformed = [Provider::Vima, Provider::PayShack].map(|provider| self.faults().malformed(provider));
        json::object(&mut out, |o| truth::summary(o, &self.state(), malformed));
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

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers on a listener, and moves the live stream on, until the future is dropped.
///
/// # Errors
///
/// Where the listener fails.
pub async fn serve(sandbox: Arc<Sandbox>, listener: TcpListener) -> io::Result<()> {
    let acceptor = TcpAcceptor::from_tokio(listener)?;
    let app = http::app(&sandbox);
    tokio::select! {
        served = poem::Server::new_with_acceptor(acceptor).run(app) => served,
        () = live::run(sandbox) => Ok(()),
    }
}
