//! Rules and schedule of reconciliations.

use std::str::FromStr;

use chrono_tz::Tz;
use rust_decimal::Decimal;

use super::{EnvVars, Setting, number_in};
use crate::domain::money::parse_decimal;
use crate::domain::reconciliation::{Parameters, Projects};
use crate::domain::schedule::{Cron, CronExpression};

const DEFAULT_CRON: &str = "30 1 * * *";

#[derive(Debug, Clone, PartialEq)]
pub struct ReconciliationConfig {
    /// The time zone of the days.
    pub zone: Tz,
    /// When the previous day is reconciled, in `zone`.
    pub nightly: Cron,
    pub parameters: Parameters,
    /// How many previous days are reconciled again while any of their results is pending or open.
    pub revisit_days: u32,
}

impl ReconciliationConfig {
    /// Reads `RECONCILIATION_CRON`, `RECONCILIATION_TIMEZONE`, `RECONCILED_PROJECTS` and `RECON_*`.
    pub fn read(env: &mut EnvVars) -> Option<Self> {
        let default = Parameters::default();
        let cron = env.text("RECONCILIATION_CRON").unwrap_or_else(|| DEFAULT_CRON.to_owned());
        let cron = env.parse::<CronExpression>(Setting::open("RECONCILIATION_CRON", DEFAULT_CRON), &cron);
        let zone = env.optional(Setting::open("RECONCILIATION_TIMEZONE", "Asia/Kolkata"), Tz::UTC);
        let projects = env.optional(Setting::open("RECONCILED_PROJECTS", "91game"), Names(default.projects));
        let window_hours = number_in(env, Setting::open("RECON_WINDOW_HOURS", "24"), default.window_hours, 1..=168);
        let tolerance = NotNegative(default.amount_tolerance);
        let tolerance = env.optional(Setting::open("RECON_AMOUNT_TOLERANCE", "0.01"), tolerance);
        let percent = NotNegative(default.amount_tolerance_percent);
        let percent = env.optional(Setting::open("RECON_AMOUNT_TOLERANCE_PERCENT", "0"), percent);
        let grace = Setting::open("RECON_PENDING_GRACE_MINUTES", "120");
        let grace = number_in(env, grace, default.pending_grace_minutes, 0..=MAX_MINUTES);
        let settle = Setting::open("RECON_SETTLE_MINUTES", "30");
        let settle = number_in(env, settle, default.settle_minutes, 0..=MAX_MINUTES);
        let revisit_days = number_in(env, Setting::open("RECON_REVISIT_DAYS", "3"), 3, 0..=92);
        let zone = zone?;
        Some(Self {
            zone,
            nightly: Cron { expression: cron?, zone },
            parameters: Parameters {
                timezone: zone.name().to_owned(),
                projects: projects?.0,
                window_hours: window_hours?,
                amount_tolerance: tolerance?.0,
                amount_tolerance_percent: percent?.0,
                pending_grace_minutes: grace?,
                settle_minutes: settle?,
            },
            revisit_days: revisit_days?,
        })
    }
}

/// A month: longer waits for a settlement make no sense for daily reconciliation.
const MAX_MINUTES: u32 = 31 * 24 * 60;

/// Comma-separated names, or `*` for all.
struct Names(Projects);

impl FromStr for Names {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names: Vec<String> =
            text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        if names.is_empty() { Err("must be comma-separated project names, or *") } else { Ok(Self(names.into())) }
    }
}

struct NotNegative(Decimal);

impl FromStr for NotNegative {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match parse_decimal(text) {
            Ok(value) if !value.is_sign_negative() => Ok(Self(value)),
            Ok(_) => Err("must not be negative".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_variables_have_their_defaults() {
        let mut env = EnvVars::from_pairs([("RECONCILED_PROJECTS", " monetix , 91game ")]);
        let read = ReconciliationConfig::read(&mut env);
        let config = env.finish(read).expect("a valid configuration");
        let projects = Projects::Named(vec!["monetix".to_owned(), "91game".to_owned()]);
        assert_eq!(config.parameters, Parameters { projects, ..Parameters::default() });
        assert_eq!((config.zone, config.revisit_days), (Tz::UTC, 3));
        assert_eq!((config.nightly.expression.to_string(), config.nightly.zone), (DEFAULT_CRON.to_owned(), Tz::UTC));
    }

    #[test]
    fn all_errors_are_reported() {
        let faulty = [
            ("RECONCILIATION_CRON", "half past one"),
            ("RECONCILIATION_TIMEZONE", "Asia/Nowhere"),
            ("RECONCILED_PROJECTS", ","),
            ("RECON_WINDOW_HOURS", "0"),
            ("RECON_AMOUNT_TOLERANCE", "-0.01"),
            ("RECON_AMOUNT_TOLERANCE_PERCENT", "a little"),
            ("RECON_PENDING_GRACE_MINUTES", "-1"),
            ("RECON_SETTLE_MINUTES", "half an hour"),
            ("RECON_REVISIT_DAYS", "365"),
        ];
        let mut env = EnvVars::from_pairs(faulty);
        let read = ReconciliationConfig::read(&mut env);
        let message = env.finish(read).expect_err("nine errors").to_string();
        for (name, _) in faulty {
            assert!(message.contains(name), "{name}: {message}");
        }
    }
}
