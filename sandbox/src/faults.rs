//! What goes wrong, how often, and the draw that decides it for one request.
//!
//! Rates are drawn from a seeded generator in the order requests arrive. `malformed` and `nul` are no chance of a request
//! but shares of the records: asked again, the same records are broken, so that the truth can count them.

use std::{collections::BTreeMap, time::Duration};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// One way to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    Timeout,
    Reset,
    #[serde(rename = "500")]
    InternalError,
    #[serde(rename = "502")]
    BadGateway,
    #[serde(rename = "503")]
    Unavailable,
    #[serde(rename = "429-seconds")]
    TooManySeconds,
    #[serde(rename = "429-date")]
    TooManyDate,
    #[serde(rename = "401")]
    TokenDropped,
    LoginRefused,
    SuccessFalse,
    Html,
    Truncated,
    Endless,
    Malformed,
    Duplicate,
    Stale,
    Nul,
    LatencyMs,
    TimeoutSeconds,
}

/// The faults of which a request suffers at most one, in the order they are drawn.
const EXCLUSIVE: [Fault; 13] = [
    Fault::Timeout,
    Fault::Reset,
    Fault::InternalError,
    Fault::BadGateway,
    Fault::Unavailable,
    Fault::TooManySeconds,
    Fault::TooManyDate,
    Fault::TokenDropped,
    Fault::LoginRefused,
    Fault::SuccessFalse,
    Fault::Html,
    Fault::Truncated,
    Fault::Endless,
];

/// How long a request hangs unless `timeout-seconds` says otherwise.
const DEFAULT_TIMEOUT_SECONDS: f64 = 60.0;

/// The two providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    Vima,
    PayShack,
}

/// Where a request goes, as far as faults care.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) provider: Provider,
    pub(crate) login: bool,
}

/// What one request is to suffer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Draw {
    pub(crate) latency: Duration,
    /// How long `Timeout` hangs.
    pub(crate) hang: Duration,
    pub(crate) fault: Option<Fault>,
    pub(crate) page: PageFaults,
}

/// What the page of a list is to suffer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PageFaults {
    pub(crate) duplicate: bool,
    pub(crate) stale: bool,
    pub(crate) malformed: f64,
    pub(crate) nul: f64,
}

type Rates = BTreeMap<Fault, f64>;

/// The rates in force, for each provider, and the dice.
#[derive(Debug)]
pub(crate) struct Faults {
    vima: Rates,
    payshack: Rates,
    dice: ChaCha8Rng,
}

impl Faults {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { vima: Rates::new(), payshack: Rates::new(), dice: ChaCha8Rng::seed_from_u64(seed ^ 0x000f_a017) }
    }

    /// Sets a rate by name: `500` for both providers, `vima.500` or `payshack.500` for one.
    pub(crate) fn set(&mut self, name: &str, value: f64) -> Result<(), String> {
        let (provider, kind) = match name.split_once('.') {
            Some(("vima", kind)) => (Some(Provider::Vima), kind),
            Some(("payshack", kind)) => (Some(Provider::PayShack), kind),
            _ => (None, name),
        };
        let fault: Fault = serde_json::from_value(kind.into()).map_err(|error| error.to_string())?;
        let most = if matches!(fault, Fault::LatencyMs | Fault::TimeoutSeconds) { 3_600_000.0 } else { 1.0 };
        if !(0.0..=most).contains(&value) {
            return Err(format!("{name} must be between 0 and {most}"));
        }
        if provider != Some(Provider::PayShack) {
            self.vima.insert(fault, value);
        }
        if provider != Some(Provider::Vima) {
            self.payshack.insert(fault, value);
        }
        Ok(())
    }

    /// Sets all of them or, where one is refused, none.
    pub(crate) fn set_all(&mut self, values: &Map<String, Value>) -> Result<(), String> {
        let before = (self.vima.clone(), self.payshack.clone());
        for (name, value) in values {
            let number = value.as_f64().ok_or_else(|| format!("{name} must be a number"));
            if let Err(why) = number.and_then(|number| self.set(name, number)) {
                (self.vima, self.payshack) = before;
                return Err(why);
            }
        }
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.vima.clear();
        self.payshack.clear();
    }

    pub(crate) fn listing(&self) -> Value {
        json!({ "vima": self.vima, "payshack": self.payshack })
    }

    /// The share of records of a provider that have a broken one beside them.
    pub(crate) fn malformed(&self, provider: Provider) -> f64 {
        rate(self.rates(provider), Fault::Malformed)
    }

    /// Decides what the next request suffers.
    pub(crate) fn draw(&mut self, target: Target) -> Draw {
        let rates = self.rates(target.provider).clone();
        let mut happens = |fault| {
            let rate = rate(&rates, fault);
            rate > 0.0 && self.dice.random::<f64>() < rate
        };
        let fault = EXCLUSIVE.into_iter().filter(|fault| concerns(*fault, target)).find(|fault| happens(*fault));
        let page = PageFaults {
            duplicate: happens(Fault::Duplicate),
            stale: happens(Fault::Stale),
            malformed: rate(&rates, Fault::Malformed),
            nul: rate(&rates, Fault::Nul),
        };
        let hang = rates.get(&Fault::TimeoutSeconds).copied().unwrap_or(DEFAULT_TIMEOUT_SECONDS);
        let latency = Duration::from_secs_f64(rate(&rates, Fault::LatencyMs) / 1000.0);
        Draw { latency, hang: Duration::from_secs_f64(hang), fault, page }
    }

    fn rates(&self, provider: Provider) -> &Rates {
        match provider {
            Provider::Vima => &self.vima,
            Provider::PayShack => &self.payshack,
        }
    }
}

fn rate(rates: &Rates, fault: Fault) -> f64 {
    rates.get(&fault).copied().unwrap_or_default()
}

/// Vima has neither tokens nor a `success` flag, and only a login can be refused as one.
fn concerns(fault: Fault, target: Target) -> bool {
    match fault {
        Fault::TokenDropped | Fault::SuccessFalse => target.provider == Provider::PayShack && !target.login,
        Fault::LoginRefused => target.login,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIMA: Target = Target { provider: Provider::Vima, login: false };
    const PAYSHACK: Target = Target { provider: Provider::PayShack, login: false };

    #[test]
    fn a_rate_is_met_in_the_long_run_and_repeats_with_the_seed() {
        let run = || {
            let mut faults = Faults::seeded(7);
            faults.set("503", 0.2).unwrap();
            (0..2000).map(|_| faults.draw(VIMA).fault.is_some()).collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
        assert!((340..460).contains(&run().iter().filter(|hit| **hit).count()));
    }

    #[test]
    fn a_fault_can_be_one_providers_own() {
        let mut faults = Faults::seeded(7);
        faults.set("payshack.401", 1.0).unwrap();
        faults.set("login-refused", 1.0).unwrap();
        assert_eq!(faults.draw(VIMA).fault, None);
        assert_eq!(faults.draw(PAYSHACK).fault, Some(Fault::TokenDropped));
        assert_eq!(faults.draw(Target { login: true, ..PAYSHACK }).fault, Some(Fault::LoginRefused));
    }

    #[test]
    fn one_refused_rate_leaves_all_as_they_were() {
        let mut faults = Faults::seeded(7);
        let asked = json!({"500": 0.5, "no-such": 0.1});
        assert!(faults.set_all(asked.as_object().unwrap()).unwrap_err().contains("no-such"));
        assert_eq!(faults.draw(VIMA).fault, None);
        assert!(faults.set("500", 1.5).is_err());
    }
}
