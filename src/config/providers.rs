//! The providers and the exchange rate feed: addresses, credentials, intervals and limits.

use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;

use super::{EnvVars, Setting, number_in, outbound, published, seconds};
use crate::domain::secret::Secret;
use crate::outbound::Outbound;
use crate::providers::exchange_rates::FeedUrl;
use crate::providers::payshack::{PayshackSettings, Projects};
use crate::providers::vima::{Credentials, VimaSettings};

/// The URL may contain a key.
const FX_RATES_URL: Setting = Setting::secret("FX_RATES_URL", "https://rates.example.com/latest?base=USD");

/// Ten years: with more, days before the first one that a job accepts would be read.
const MAX_DAYS: u32 = 3_650;

#[derive(Debug, Clone)]
pub struct SyncConfig {
    pub vima_interval: Duration,
    pub payshack_interval: Duration,
    pub payshack_metadata_interval: Duration,
    /// The number of days that the first sync reads.
    pub initial_days: u32,
    /// How far before its cursor a Vima sync starts, because ids become visible late.
    pub vima_overlap: Duration,
    /// How many days before its watermark a PayShack sync starts.
    pub payshack_overlap_days: u32,
    /// Whether `FX_RATES_URL` is set.
    pub has_rates_url: bool,
}

impl SyncConfig {
    pub fn read(env: &mut EnvVars) -> Option<Self> {
        let vima_interval = seconds(env, "VIMA_SYNC_INTERVAL_SECONDS", "60", 60);
        let payshack_interval = seconds(env, "PAYSHACK_SYNC_INTERVAL_SECONDS", "300", 300);
        let payshack_metadata_interval = seconds(env, "PAYSHACK_METADATA_SYNC_INTERVAL_SECONDS", "1800", 1800);
        let initial_days = number_in(env, Setting::open("INITIAL_SYNC_DAYS", "7"), 7, 0..=MAX_DAYS);
        let vima_overlap = number_in(env, Setting::open("VIMA_OVERLAP_MINUTES", "15"), 15, 0..=MAX_DAYS * 24 * 60);
        let payshack_overlap_days = number_in(env, Setting::open("PAYSHACK_OVERLAP_DAYS", "2"), 2, 0..=MAX_DAYS);
        Some(Self {
            vima_interval: vima_interval?,
            payshack_interval: payshack_interval?,
            payshack_metadata_interval: payshack_metadata_interval?,
            initial_days: initial_days?.max(1),
            vima_overlap: Duration::from_secs(u64::from(vima_overlap?) * 60),
            payshack_overlap_days: payshack_overlap_days?,
            has_rates_url: env.text(FX_RATES_URL.name).is_some(),
        })
    }
}

#[derive(Debug, Clone)]
pub struct ProvidersConfig {
    pub vima: VimaSettings,
    /// The minimum time between two requests of all processes; zero for no limit.
    pub vima_interval: Duration,
    pub payshack: PayshackSettings,
    /// The minimum time between two requests of all processes; zero for no limit.
    pub payshack_interval: Duration,
    pub exchange_rates: Option<FeedUrl>,
    /// The maximum size of a response, decompressed.
    pub max_response_bytes: usize,
    /// The time limit of one attempt of a request.
    pub request_timeout: Duration,
    pub outbound: Outbound,
}

impl ProvidersConfig {
    pub fn read(env: &mut EnvVars) -> Option<Self> {
        let vima = read_vima(env);
        let requests_per_second = env.optional(Setting::open("VIMA_REQUESTS_PER_SECOND", "2"), Rate(2.0));
        let payshack = read_payshack(env);
        let interval_ms = env.optional(Setting::open("PAYSHACK_REQUEST_INTERVAL_MS", "300"), 300_u64);
        let exchange_rates = read_feed(env);
        let bytes = env.optional(Setting::open("PROVIDER_MAX_RESPONSE_BYTES", "33554432"), 32 << 20_usize);
        let timeout = seconds(env, "PROVIDER_TIMEOUT_SECONDS", "60", 60);
        let outbound = outbound::read(env);
        Some(Self {
            vima: vima?,
            vima_interval: requests_per_second?.interval(),
            payshack: payshack?,
            payshack_interval: Duration::from_millis(interval_ms?),
            exchange_rates,
            max_response_bytes: bytes?,
            request_timeout: timeout?,
            outbound: outbound?,
        })
    }
}

fn read_vima(env: &mut EnvVars) -> Option<VimaSettings> {
    let setting = Setting::open("VIMA_BASE_URL", "https://sandbox.finmar.tech/collector/api/v3");
    let base_url = env.required(setting);
    let is_safe = base_url.as_ref().and_then(|url| outbound::check_provider(env, setting, url));
    let credentials = if let Some((username, password)) = env.text("VIMA_USERNAME").zip(env.text("VIMA_PASSWORD")) {
        check_secret(env, Setting::secret("VIMA_PASSWORD", "(as Vima gave it)"), base_url.as_ref(), &password)
            .map(|()| Credentials::Basic { username, password: Secret::new(password) })
    } else {
        let setting = Setting::secret("VIMA_API_KEY", "the-key-of-your-account");
        let key = env.required::<String>(setting);
        key.and_then(|key| {
            check_secret(env, setting, base_url.as_ref(), &key)?;
            Some(Credentials::ApiKey(Secret::new(key)))
        })
    };
    is_safe?;
    Some(VimaSettings { base_url: base_url?, credentials: credentials? })
}

/// The sandbox has published credentials. It is on this machine or in a network of its own, never behind TLS.
fn check_secret(env: &mut EnvVars, setting: Setting, url: Option<&Url>, secret: &str) -> Option<()> {
    match url {
        Some(url) if url.scheme() == "https" => published::refuse_published(env, setting, secret),
        _ => Some(()),
    }
}

fn read_payshack(env: &mut EnvVars) -> Option<PayshackSettings> {
    let setting = Setting::open("PAYSHACK_API_URL", "https://api.payshack.in");
    let address = env.text(setting.name).unwrap_or_else(|| setting.example.to_owned());
    let base_url = env.parse(setting, &address);
    let is_safe = base_url.as_ref().and_then(|url| outbound::check_provider(env, setting, url));
    let email = env.required(Setting::open("PAYSHACK_EMAIL", "reseller@example.com"));
    let setting = Setting::secret("PAYSHACK_PASSWORD", "the-password-of-your-account");
    let password = env.required::<String>(setting);
    let is_own = password.as_ref().and_then(|password| check_secret(env, setting, base_url.as_ref(), password));
    let setting = Setting::open("PAYSHACK_PROJECTS", r#"{"91G_TECH_PVT_LTD":"91game"}"#);
    let projects = match env.text(setting.name) {
        None => Some(Projects::default()),
        Some(text) => match serde_json::from_str(&text) {
            Ok(by_client) => Some(Projects::new(by_client)),
            Err(problem) => {
                env.error(setting, Some(&text), &format!("is not a JSON object of strings, {problem}"));
                None
            }
        },
    };
    let pause = seconds(env, "PAYSHACK_LOGIN_PAUSE_SECONDS", "60", 60);
    is_safe.and(is_own)?;
    Some(PayshackSettings {
        base_url: base_url?,
        email: email?,
        password: Secret::new(password?),
        projects: projects?,
        pause_after_refusal: pause?,
    })
}

/// A missing URL is not an error.
fn read_feed(env: &mut EnvVars) -> Option<FeedUrl> {
    let text = env.text(FX_RATES_URL.name)?;
    let feed: FeedUrl = env.parse(FX_RATES_URL, &text)?;
    outbound::check_provider(env, FX_RATES_URL, feed.url())?;
    Some(feed)
}

/// Requests per second; zero means no limit.
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
            _ => Err("must be 0 for no limit, or the number of requests per second"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_missing_credentials_are_reported() {
        let mut env = EnvVars::from_pairs([("VIMA_REQUESTS_PER_SECOND", "fast"), ("FX_RATES_URL", "my-key@rates")]);
        let read = ProvidersConfig::read(&mut env);
        let message = env.finish(read).expect_err("nothing is set").to_string();
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

    /// The errors of settings that are complete apart from these.
    fn errors_with(pairs: &[(&str, &str)]) -> String {
        let complete = [
            ("VIMA_BASE_URL", "https://vima.example.com"),
            ("VIMA_API_KEY", "k"),
            ("PAYSHACK_EMAIL", "reseller@example.com"),
            ("PAYSHACK_PASSWORD", "p"),
        ];
        let mut env = EnvVars::from_pairs(complete.into_iter().chain(pairs.iter().copied()));
        let read = ProvidersConfig::read(&mut env);
        env.finish(read).map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn addresses_beyond_this_machine_need_tls() {
        for name in ["VIMA_BASE_URL", "PAYSHACK_API_URL", "FX_RATES_URL"] {
            for (url, is_accepted, is_accepted_if_allowed) in [
                ("https://provider.example.com", true, true),
                ("http://127.0.0.1:9100/vima", true, true),
                ("http://localhost:9100/vima", true, true),
                ("http://[::1]:9100/vima", true, true),
                ("http://sandbox:9100/vima", false, true),
                ("http://127.0.0.1.example.com/", false, true),
                ("ftp://provider.example.com/", false, false),
            ] {
                let errors = errors_with(&[(name, url)]);
                assert_eq!(errors.is_empty(), is_accepted, "{name}={url}: {errors}");
                assert!(is_accepted || errors.contains(name), "{name}={url}: {errors}");
                let errors = errors_with(&[(name, url), ("ALLOW_INSECURE_PROVIDER_URLS", "true")]);
                assert_eq!(errors.is_empty(), is_accepted_if_allowed, "{name}={url}: {errors}");
            }
        }
    }

    #[test]
    fn published_credentials_are_only_for_the_sandbox() {
        for (name, url, secret) in [
            ("VIMA_API_KEY", "VIMA_BASE_URL", "sandbox-vima-key"),
            ("PAYSHACK_PASSWORD", "PAYSHACK_API_URL", "sandbox-password"),
            ("PAYSHACK_PASSWORD", "PAYSHACK_API_URL", "the-password-of-your-account"),
        ] {
            let errors = errors_with(&[(name, secret), (url, "https://provider.example.com")]);
            assert!(errors.contains(name) && errors.contains("hidden"), "{errors}");
            assert_eq!(errors_with(&[(name, secret), (url, "http://127.0.0.1:9100")]), "");
        }
        let basic = [("VIMA_USERNAME", "me"), ("VIMA_PASSWORD", "made-up-password")];
        assert!(errors_with(&basic).contains("VIMA_PASSWORD"));
    }

    #[test]
    fn rates_are_fetched_if_a_url_is_set() {
        for (url, fetched) in [("", false), ("https://rates.example.com/latest", true)] {
            let mut env = EnvVars::from_pairs([("FX_RATES_URL", url)]);
            let sync = SyncConfig::read(&mut env).expect("defaults");
            assert_eq!(sync.has_rates_url, fetched, "{url}");
            assert_eq!(read_feed(&mut env).is_some(), fetched, "{url}");
        }
    }

    #[test]
    fn rate_converts_to_interval() {
        for (text, expected) in [("0", 0), ("2", 500), ("0.5", 2000)] {
            let rate: Rate = text.parse().expect(text);
            assert_eq!(rate.interval(), Duration::from_millis(expected), "{text}");
        }
        assert!("-1".parse::<Rate>().is_err());
    }
}
