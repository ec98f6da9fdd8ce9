//! The two providers and the feed of exchange rates: where they are, and how often and how far they are read.

use std::str::FromStr;
use std::time::Duration;

use super::{EnvVars, Setting, seconds};
use crate::domain::secret::Secret;
use crate::providers::exchange_rates::FeedUrl;
use crate::providers::payshack::{PayshackSettings, Projects};
use crate::providers::vima::{Credentials, VimaSettings};

/// The address may hold a key.
const FX_RATES_URL: Setting = Setting::secret("FX_RATES_URL", "https://rates.example.com/latest?base=USD");

/// How often and how far syncs read.
#[derive(Debug, Clone)]
pub struct SyncConfig {
    /// How often Vima is read.
    pub vima_interval: Duration,
    /// How often `PayShack` is read.
    pub payshack_interval: Duration,
    /// How often it is read who takes part at `PayShack`.
    pub payshack_metadata_interval: Duration,
    /// How many days the first run fetches.
    pub initial_days: u32,
    /// How far behind its cursor a Vima run begins: ids become visible late.
    pub vima_overlap: Duration,
    /// How many days behind its watermark a `PayShack` run begins.
    pub payshack_overlap_days: u32,
    /// Whether exchange rates are fetched: somebody said where from.
    pub fetches_rates: bool,
}

impl SyncConfig {
    /// Reads the intervals, `INITIAL_SYNC_DAYS` and the overlaps, and whether there is an `FX_RATES_URL`.
    pub fn read(environment: &mut EnvVars) -> Option<Self> {
        let vima_interval = seconds(environment, "VIMA_SYNC_INTERVAL_SECONDS", "60", 60);
        let payshack_interval = seconds(environment, "PAYSHACK_SYNC_INTERVAL_SECONDS", "300", 300);
        let payshack_metadata_interval = seconds(environment, "PAYSHACK_METADATA_SYNC_INTERVAL_SECONDS", "1800", 1800);
        let initial_days = environment.optional(Setting::open("INITIAL_SYNC_DAYS", "7"), 7_u32);
        let vima_overlap = environment.optional(Setting::open("VIMA_OVERLAP_MINUTES", "15"), 15_u64);
        let payshack_overlap_days = environment.optional(Setting::open("PAYSHACK_OVERLAP_DAYS", "2"), 2_u32);
        Some(Self {
            vima_interval: vima_interval?,
            payshack_interval: payshack_interval?,
            payshack_metadata_interval: payshack_metadata_interval?,
            initial_days: initial_days?.max(1),
            vima_overlap: Duration::from_secs(vima_overlap? * 60),
            payshack_overlap_days: payshack_overlap_days?,
            fetches_rates: environment.text(FX_RATES_URL.name).is_some(),
        })
    }
}

/// The two providers, and the feed of exchange rates.
#[derive(Debug, Clone)]
pub struct ProvidersConfig {
    /// Where Vima is, and how it knows us.
    pub vima: VimaSettings,
    /// The time between two requests to Vima, by all processes together; zero for none.
    pub vima_interval: Duration,
    /// Where `PayShack` is, and how it knows us.
    pub payshack: PayshackSettings,
    /// The time between two requests to `PayShack`, by all processes together; zero for none.
    pub payshack_interval: Duration,
    /// Where exchange rates are fetched, where they are.
    pub exchange_rates: Option<FeedUrl>,
    /// The most bytes of one answer.
    pub max_response_bytes: usize,
    /// The longest that one attempt at a request may take.
    pub request_timeout: Duration,
}

impl ProvidersConfig {
    /// Reads the addresses, the credentials and the paces.
    pub fn read(environment: &mut EnvVars) -> Option<Self> {
        let vima = read_vima(environment);
        let requests_per_second = environment.optional(Setting::open("VIMA_REQUESTS_PER_SECOND", "2"), Rate(2.0));
        let payshack = read_payshack(environment);
        let interval_ms = environment.optional(Setting::open("PAYSHACK_REQUEST_INTERVAL_MS", "300"), 300_u64);
        let exchange_rates = read_feed(environment);
        let bytes = environment.optional(Setting::open("PROVIDER_MAX_RESPONSE_BYTES", "33554432"), 32 << 20_usize);
        let timeout = seconds(environment, "PROVIDER_TIMEOUT_SECONDS", "60", 60);
        Some(Self {
            vima: vima?,
            vima_interval: requests_per_second?.interval(),
            payshack: payshack?,
            payshack_interval: Duration::from_millis(interval_ms?),
            exchange_rates,
            max_response_bytes: bytes?,
            request_timeout: timeout?,
        })
    }
}

fn read_vima(environment: &mut EnvVars) -> Option<VimaSettings> {
    let base_url = environment.required(Setting::open("VIMA_BASE_URL", "https://sandbox.finmar.tech/collector/api/v3"));
    let basic = environment.text("VIMA_USERNAME").zip(environment.text("VIMA_PASSWORD"));
    let credentials = match basic {
        Some((username, password)) => Some(Credentials::Basic { username, password: Secret::new(password) }),
        None => environment
            .required::<String>(Setting::secret("VIMA_API_KEY", "the-key-of-your-account"))
            .map(|key| Credentials::ApiKey(Secret::new(key))),
    };
    Some(VimaSettings { base_url: base_url?, credentials: credentials? })
}

fn read_payshack(environment: &mut EnvVars) -> Option<PayshackSettings> {
    let setting = Setting::open("PAYSHACK_API_URL", "https://api.payshack.in");
    let address = environment.text(setting.name).unwrap_or_else(|| setting.example.to_owned());
    let base_url = environment.parse(setting, &address);
    let email = environment.required(Setting::open("PAYSHACK_EMAIL", "reseller@example.com"));
    let password = environment.required::<String>(Setting::secret("PAYSHACK_PASSWORD", "the-password-of-your-account"));
    let setting = Setting::open("PAYSHACK_PROJECTS", r#"{"91G_TECH_PVT_LTD":"91game"}"#);
    let projects = match environment.text(setting.name) {
        None => Some(Projects::default()),
        Some(text) => match serde_json::from_str(&text) {
            Ok(by_client) => Some(Projects::new(by_client)),
            Err(problem) => {
                environment.fault(setting, Some(&text), &format!("is no JSON object of texts, {problem}"));
                None
            }
        },
    };
    let pause = seconds(environment, "PAYSHACK_LOGIN_PAUSE_SECONDS", "60", 60);
    Some(PayshackSettings {
        base_url: base_url?,
        email: email?,
        password: Secret::new(password?),
        projects: projects?,
        pause_after_refusal: pause?,
    })
}

/// Where the feed is; that there is none is no fault.
fn read_feed(environment: &mut EnvVars) -> Option<FeedUrl> {
    let text = environment.text(FX_RATES_URL.name)?;
    environment.parse(FX_RATES_URL, &text)
}

/// Requests a second; none of them limited where it is zero.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rate(f64);

impl Rate {
    fn interval(self) -> Duration {
        if self.0 > 0.0 { Duration::from_secs_f64(1.0 / self.0) } else { Duration::ZERO }
    }
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<f64>() {
            Ok(rate) if rate == 0.0 || (0.001..=100_000.0).contains(&rate) => Ok(Self(rate)),
            _ => Err("must be 0 for no limit, or a number of requests a second"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_credential_is_named() {
        let mut environment =
            EnvVars::from_pairs([("VIMA_REQUESTS_PER_SECOND", "fast"), ("FX_RATES_URL", "my-key@rates")]);
        let read = ProvidersConfig::read(&mut environment);
        let message = environment.finish(read).expect_err("nothing is set").to_string();
        for name in [
            "VIMA_BASE_URL",
            "VIMA_API_KEY",
            "PAYSHACK_EMAIL",
            "PAYSHACK_PASSWORD",
            "VIMA_REQUESTS_PER_SECOND",
            "FX_RATES_URL",
        ] {
            assert!(message.contains(name), "{name}: {message}");
        }
        assert!(!message.contains("my-key"), "{message}");
    }

    #[test]
    fn rates_are_fetched_where_somebody_says_where_from() {
        for (url, fetched) in [("", false), ("https://rates.example.com/latest", true)] {
            let mut environment = EnvVars::from_pairs([("FX_RATES_URL", url)]);
            let sync = SyncConfig::read(&mut environment).expect("defaults");
            assert_eq!(sync.fetches_rates, fetched, "{url}");
            assert_eq!(read_feed(&mut environment).is_some(), fetched, "{url}");
        }
    }

    #[test]
    fn a_rate_is_an_interval() {
        for (text, expected) in [("0", 0), ("2", 500), ("0.5", 2000)] {
            let rate: Rate = text.parse().expect(text);
            assert_eq!(rate.interval(), Duration::from_millis(expected), "{text}");
        }
        assert!("-1".parse::<Rate>().is_err());
    }
}
