//! Fault injection: rates per provider, and which faults a request gets.
//!
//! Faults are drawn from a seeded random generator in the order of the requests. Faults of records are shares of the records
//! instead of rates of requests: the same records are affected in every response, so the ground truth counts them.

use std::{collections::BTreeMap, time::Duration};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    id_hash::{Salt, in_share},
    provider::Provider,
    response_form::{Compression, ResponseForm},
};

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
    TooManyRequestsSeconds,
    #[serde(rename = "503-retry-after")]
    UnavailableRetryAfter,
    #[serde(rename = "429-date")]
    TooManyRequestsDate,
    #[serde(rename = "401")]
    TokenRevoked,
    LoginRefused,
    SuccessFalse,
    Html,
    Truncated,
    Endless,
    Malformed,
    Nan,
    ControlChar,
    BadEscape,
    LeadingZero,
    StrayQuote,
    DuplicateKey,
    UnreadablePaidAmount,
    HugeAmount,
    OutlierId,
    Duplicate,
    Stale,
    Nul,
    FloatKey,
    InvisibleKey,
    RepeatedName,
    LeapSecond,
    Compressed,
    Utf16,
    Bom,
    LatencyMs,
    TimeoutSeconds,
}

/// A request gets at most one of these faults. They are drawn in this order.
const EXCLUSIVE: [Fault; 14] = [
    Fault::Timeout,
    Fault::Reset,
    Fault::InternalError,
    Fault::BadGateway,
    Fault::Unavailable,
    Fault::UnavailableRetryAfter,
    Fault::TooManyRequestsSeconds,
    Fault::TooManyRequestsDate,
    Fault::TokenRevoked,
    Fault::LoginRefused,
    Fault::SuccessFalse,
    Fault::Html,
    Fault::Truncated,
    Fault::Endless,
];

/// The faults that add a malformed companion next to a share of the records.
pub(crate) const COMPANIONS: [Fault; 10] = [
    Fault::Malformed,
    Fault::Nan,
    Fault::ControlChar,
    Fault::BadEscape,
    Fault::LeadingZero,
    Fault::StrayQuote,
    Fault::DuplicateKey,
    Fault::UnreadablePaidAmount,
    Fault::HugeAmount,
    Fault::OutlierId,
];

/// The faults that write a share of the records in another form.
const FORMS: [Fault; 5] = [Fault::Nul, Fault::FloatKey, Fault::InvisibleKey, Fault::RepeatedName, Fault::LeapSecond];

/// Overridden by `timeout-seconds`.
const DEFAULT_TIMEOUT_SECONDS: f64 = 60.0;

/// The properties of a request that decide which faults apply to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) provider: Provider,
    pub(crate) login: bool,
}

/// The faults of one request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestFaults {
    pub(crate) latency: Duration,
    /// The delay of `Fault::Timeout`.
    pub(crate) timeout: Duration,
    pub(crate) fault: Option<Fault>,
    pub(crate) page: PageFaults,
    pub(crate) form: ResponseForm,
}

/// The faults of one page of a list.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PageFaults {
    pub(crate) duplicate: bool,
    pub(crate) stale: bool,
    pub(crate) records: RecordFaults,
}

/// The shares of the records that are affected by each fault of [`COMPANIONS`] and [`FORMS`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RecordFaults {
    companions: [f64; COMPANIONS.len()],
    forms: [f64; FORMS.len()],
}

impl RecordFaults {
    fn new(rates: &Rates) -> Self {
        Self { companions: COMPANIONS.map(|fault| rate(rates, fault)), forms: FORMS.map(|fault| rate(rates, fault)) }
    }

    /// The faults that add a companion to the record with this id.
    pub(crate) fn companions(self, id: u128) -> impl Iterator<Item = Fault> {
        let shares = COMPANIONS.into_iter().zip(self.companions);
        shares.filter(move |(fault, share)| in_share(*share, id, salt(*fault))).map(|(fault, _)| fault)
    }

    /// Whether the record with this id has the form of a fault.
    pub(crate) fn has_form(self, fault: Fault, id: u128) -> bool {
        let share = FORMS.into_iter().zip(self.forms).find(|(other, _)| *other == fault).map(|(_, share)| share);
        share.is_some_and(|share| in_share(share, id, salt(fault)))
    }
}

fn salt(fault: Fault) -> Salt {
    match fault {
        Fault::Malformed => Salt::Malformed,
        fault => Salt::RecordFault(fault as u8),
    }
}

type Rates = BTreeMap<Fault, f64>;

#[derive(Debug)]
pub(crate) struct FaultInjector {
    vima: Rates,
    payshack: Rates,
    rng: ChaCha8Rng,
}

impl FaultInjector {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { vima: Rates::new(), payshack: Rates::new(), rng: ChaCha8Rng::seed_from_u64(seed ^ 0x000f_a017) }
    }

    /// Sets a rate by name: `500` for both providers, `vima.500` or `payshack.500` for one.
    pub(crate) fn set(&mut self, name: &str, value: f64) -> Result<(), String> {
        let (provider, kind) = match name.split_once('.') {
            Some(("vima", kind)) => (Some(Provider::Vima), kind),
            Some(("payshack", kind)) => (Some(Provider::PayShack), kind),
            _ => (None, name),
        };
        let fault: Fault = serde_json::from_value(kind.into()).map_err(|error| error.to_string())?;
        let max = if matches!(fault, Fault::LatencyMs | Fault::TimeoutSeconds) { 3_600_000.0 } else { 1.0 };
        if !(0.0..=max).contains(&value) {
            return Err(format!("{name} must be between 0 and {max}"));
        }
        if provider != Some(Provider::PayShack) {
            self.vima.insert(fault, value);
        }
        if provider != Some(Provider::Vima) {
            self.payshack.insert(fault, value);
        }
        Ok(())
    }

    /// Sets all rates, or none if one of them is invalid.
    pub(crate) fn set_all(&mut self, values: &Map<String, Value>) -> Result<(), String> {
        let before = (self.vima.clone(), self.payshack.clone());
        for (name, value) in values {
            let number = value.as_f64().ok_or_else(|| format!("{name} must be a number"));
            if let Err(reason) = number.and_then(|number| self.set(name, number)) {
                (self.vima, self.payshack) = before;
                return Err(reason);
            }
        }
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.vima.clear();
        self.payshack.clear();
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({ "vima": self.vima, "payshack": self.payshack })
    }

    /// The faults of a provider's records.
    pub(crate) fn of_records(&self, provider: Provider) -> RecordFaults {
        RecordFaults::new(self.rates(provider))
    }

    /// Draws the faults of the next request.
    pub(crate) fn draw(&mut self, target: Target) -> RequestFaults {
        let rates = self.rates(target.provider).clone();
        let mut happens = |fault| {
            let rate = rate(&rates, fault);
            rate > 0.0 && self.rng.random::<f64>() < rate
        };
        let fault = EXCLUSIVE.into_iter().filter(|fault| applies_to(*fault, target)).find(|fault| happens(*fault));
        let page = PageFaults {
            duplicate: happens(Fault::Duplicate),
            stale: happens(Fault::Stale),
            records: RecordFaults::new(&rates),
        };
        let form = ResponseForm {
            utf16: happens(Fault::Utf16),
            bom: happens(Fault::Bom),
            compression: happens(Fault::Compressed).then(|| Compression::random(&mut self.rng)),
        };
        let timeout = rates.get(&Fault::TimeoutSeconds).copied().unwrap_or(DEFAULT_TIMEOUT_SECONDS);
        let latency = Duration::from_secs_f64(rate(&rates, Fault::LatencyMs) / 1000.0);
        RequestFaults { latency, timeout: Duration::from_secs_f64(timeout), fault, page, form }
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

/// Vima has neither tokens nor a `success` flag.
fn applies_to(fault: Fault, target: Target) -> bool {
    match fault {
        Fault::TokenRevoked | Fault::SuccessFalse => target.provider == Provider::PayShack && !target.login,
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
    fn fault_rate_is_met_and_reproducible_with_the_same_seed() {
        let run = || {
            let mut faults = FaultInjector::seeded(7);
            faults.set("503", 0.2).unwrap();
            (0..2000).map(|_| faults.draw(VIMA).fault.is_some()).collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
        assert!((340..460).contains(&run().iter().filter(|hit| **hit).count()));
    }

    #[test]
    fn faults_can_be_set_for_one_provider() {
        let mut faults = FaultInjector::seeded(7);
        faults.set("payshack.401", 1.0).unwrap();
        faults.set("login-refused", 1.0).unwrap();
        assert_eq!(faults.draw(VIMA).fault, None);
        assert_eq!(faults.draw(PAYSHACK).fault, Some(Fault::TokenRevoked));
        assert_eq!(faults.draw(Target { login: true, ..PAYSHACK }).fault, Some(Fault::LoginRefused));
    }

    #[test]
    fn set_all_changes_nothing_if_one_rate_is_invalid() {
        let mut faults = FaultInjector::seeded(7);
        let rates = json!({"500": 0.5, "no-such": 0.1});
        assert!(faults.set_all(rates.as_object().unwrap()).unwrap_err().contains("no-such"));
        assert_eq!(faults.draw(VIMA).fault, None);
        assert!(faults.set("500", 1.5).is_err());
    }
}
