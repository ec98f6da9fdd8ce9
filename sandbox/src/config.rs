//! Command-line settings: the generated history, the providers' behaviour, and accepted credentials.

use chrono::{DateTime, Utc};
use clap::Args;

use crate::{faults::FaultInjector, switches::Switches};

/// Every setting has a default; all credentials are invented.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Random seed of the history and the faults; the same seed and --now give byte-identical responses.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// Days of history before --now.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(0..=3650))]
    pub history_days: u16,

    /// Vima operations per day.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(0..=2_000_000))]
    pub per_day: u32,

    /// Share of 91game payments with a seeded discrepancy, from 0 to 1.
    #[arg(long, default_value_t = 0.02, value_parser = share)]
    pub discrepancies: f64,

    /// New payments per second; at 0 nothing changes.
    #[arg(long, default_value_t = 0.0, value_parser = rate_per_second)]
    pub live_per_second: f64,

    /// End of the history (default: the system clock).
    #[arg(long, value_name = "RFC3339")]
    pub now: Option<DateTime<Utc>>,

    /// Fault and its rate from 0 to 1, for both providers or one: 500=0.1, vima.429-seconds=0.05, latency-ms=200.
    #[arg(long = "fault", value_name = "KIND=RATE", value_parser = fault)]
    pub faults: Vec<(String, f64)>,

    /// Provider behaviour that its documents leave open: `vima_cursor=inclusive`.
    #[arg(long = "switch", value_name = "NAME=VALUE", value_parser = switch)]
    pub switches: Vec<(String, String)>,

    /// API key that Vima accepts.
    #[arg(long, default_value = "sandbox-vima-key")]
    pub vima_api_key: String,

    /// HTTP Basic user that Vima accepts.
    #[arg(long, default_value = "sandbox")]
    pub vima_username: String,

    /// HTTP Basic password that Vima accepts.
    #[arg(long, default_value = "sandbox-password")]
    pub vima_password: String,

    /// E-mail address that PayShack accepts.
    #[arg(long, default_value = "reseller@example.com")]
    pub payshack_email: String,

    /// Password that PayShack accepts.
    #[arg(long, default_value = "sandbox-password")]
    pub payshack_password: String,
}

fn share(text: &str) -> Result<f64, String> {
    let share = number(text)?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("must be between 0 and 1".into()) }
}

fn rate_per_second(text: &str) -> Result<f64, String> {
    checked_rate_per_second(number(text)?)
}

/// The limit bounds the work of one tick of the live stream.
pub(crate) fn checked_rate_per_second(rate: f64) -> Result<f64, String> {
    if (0.0..=10_000.0).contains(&rate) { Ok(rate) } else { Err("must be between 0 and 10000".into()) }
}

fn fault(text: &str) -> Result<(String, f64), String> {
    let (kind, rate) = split(text, "KIND=RATE")?;
    let rate = number(rate)?;
    FaultInjector::seeded(0).set(kind, rate)?;
    Ok((kind.to_owned(), rate))
}

fn switch(text: &str) -> Result<(String, String), String> {
    let (name, value) = split(text, "NAME=VALUE")?;
    Switches::default().set_from_text(name, value)?;
    Ok((name.to_owned(), value.to_owned()))
}

fn split<'a>(text: &'a str, form: &str) -> Result<(&'a str, &'a str), String> {
    text.split_once('=').ok_or_else(|| format!("expected {form}"))
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}
