//! How days are reconciled.

use std::str::FromStr;

use chrono_tz::Tz;
use rust_decimal::Decimal;

use super::{EnvVars, Setting};
use crate::domain::money::parse_decimal;
use crate::domain::reconciliation::{Parameters, Projects};
use crate::domain::schedule::{Cron, CronExpression};

/// When the night's reconciliation begins, where nothing is said.
const USUAL_CRON: &str = "30 1 * * *";

/// How and when days are reconciled.
#[derive(Debug, Clone, PartialEq)]
pub struct ReconciliationConfig {
    /// The zone whose days they are.
    pub zone: Tz,
    /// When the day that has ended is reconciled, by the clocks of the zone.
    pub nightly: Cron,
    /// The rules.
    pub parameters: Parameters,
    /// How many of the last days are reconciled again as long as anything of them is pending or open.
    pub revisit_days: u32,
}

impl ReconciliationConfig {
    /// Reads `RECONCILIATION_CRON`, `RECONCILIATION_TIMEZONE`, `RECONCILED_PROJECTS` and `RECON_*`.
    pub fn read(environment: &mut EnvVars) -> Option<Self> {
        let usual = Parameters::default();
        let cron = environment.text("RECONCILIATION_CRON").unwrap_or_else(|| USUAL_CRON.to_owned());
        let cron = environment.parse::<CronExpression>(Setting::open("RECONCILIATION_CRON", USUAL_CRON), &cron);
        let zone = environment.optional(Setting::open("RECONCILIATION_TIMEZONE", "Asia/Kolkata"), Tz::UTC);
        let projects = environment.optional(Setting::open("RECONCILED_PROJECTS", "91game"), Names(usual.projects));
        let window_hours = whole(environment, Setting::open("RECON_WINDOW_HOURS", "24"), usual.window_hours, 1..=168);
        let tolerance = NotNegative(usual.amount_tolerance);
        let tolerance = environment.optional(Setting::open("RECON_AMOUNT_TOLERANCE", "0.01"), tolerance);
        let percent = NotNegative(usual.amount_tolerance_percent);
        let percent = environment.optional(Setting::open("RECON_AMOUNT_TOLERANCE_PERCENT", "0"), percent);
        let grace = Setting::open("RECON_PENDING_GRACE_MINUTES", "120");
        let grace = whole(environment, grace, usual.pending_grace_minutes, 0..=MOST_MINUTES);
        let settle = Setting::open("RECON_SETTLE_MINUTES", "30");
        let settle = whole(environment, settle, usual.settle_minutes, 0..=MOST_MINUTES);
        let revisit_days = whole(environment, Setting::open("RECON_REVISIT_DAYS", "3"), 3, 0..=92);
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

/// A month: who waits longer for a payment to settle does not reconcile days.
const MOST_MINUTES: u32 = 31 * 24 * 60;

fn whole(
    environment: &mut EnvVars,
    setting: Setting,
    default: u32,
    allowed: std::ops::RangeInclusive<u32>,
) -> Option<u32> {
    let value = environment.optional(setting, default)?;
    if allowed.contains(&value) {
        return Some(value);
    }
    let problem = format!("must be from {} to {}", allowed.start(), allowed.end());
    environment.fault(setting, Some(&value.to_string()), &problem);
    None
}

/// Names by commas, or `*` for all.
struct Names(Projects);

impl FromStr for Names {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names: Vec<String> =
            text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        if names.is_empty() { Err("must name projects by commas, or be *") } else { Ok(Self(names.into())) }
    }
}

/// An exact decimal that is not negative.
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
    fn what_is_not_set_is_as_agreed() {
        let mut environment = EnvVars::from_pairs([("RECONCILED_PROJECTS", " monetix , 91game ")]);
        let read = ReconciliationConfig::read(&mut environment);
        let config = environment.finish(read).expect("nothing is amiss");
        let projects = Projects::Named(vec!["monetix".to_owned(), "91game".to_owned()]);
        assert_eq!(config.parameters, Parameters { projects, ..Parameters::default() });
        assert_eq!((config.zone, config.revisit_days), (Tz::UTC, 3));
        assert_eq!((config.nightly.expression.to_string(), config.nightly.zone), (USUAL_CRON.to_owned(), Tz::UTC));
    }

    #[test]
    fn every_fault_is_told() {
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
        let mut environment = EnvVars::from_pairs(faulty);
        let read = ReconciliationConfig::read(&mut environment);
        let told = environment.finish(read).expect_err("nine faults").to_string();
        for (name, _) in faulty {
            assert!(told.contains(name), "{name}: {told}");
        }
    }
}
