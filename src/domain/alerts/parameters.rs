//! The parameters of all kinds of rule side by side, as they are stored and as the API shows them, and which of them a kind has.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::condition::{Condition, ConditionKind, PaymentCondition, SystemCondition};
use super::reading::Threshold;

const DAY: u32 = 24 * 60;
const QUARTER: u32 = 15;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_minutes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolve_threshold: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weeks: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_kind: Option<String>,
}

/// What is wrong with a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct ParameterError {
    pub field: &'static str,
    pub problem: String,
}

fn error<T>(field: &'static str, problem: impl Into<String>) -> Result<T, ParameterError> {
    Err(ParameterError { field, problem: problem.into() })
}

impl Parameters {
    /// `later` with what it does not say from `self`.
    #[must_use]
    pub fn updated(self, later: Self) -> Self {
        Self {
            window_minutes: later.window_minutes.or(self.window_minutes),
            threshold: later.threshold.or(self.threshold),
            resolve_threshold: later.resolve_threshold.or(self.resolve_threshold),
            min_count: later.min_count.or(self.min_count),
            weeks: later.weeks.or(self.weeks),
            hours: later.hours.or(self.hours),
            currency: later.currency.or(self.currency),
            job_kind: later.job_kind.or(self.job_kind),
        }
    }

    /// The names of those that are set.
    fn names(&self) -> Vec<&'static str> {
        let set = [
            ("window_minutes", self.window_minutes.is_some()),
            ("threshold", self.threshold.is_some()),
            ("resolve_threshold", self.resolve_threshold.is_some()),
            ("min_count", self.min_count.is_some()),
            ("weeks", self.weeks.is_some()),
            ("hours", self.hours.is_some()),
            ("currency", self.currency.is_some()),
            ("job_kind", self.job_kind.is_some()),
        ];
        set.into_iter().filter_map(|(name, is_set)| is_set.then_some(name)).collect()
    }

    fn window(&self, range: std::ops::RangeInclusive<u32>, step: u32) -> Result<u32, ParameterError> {
        match self.window_minutes {
            Some(minutes) if range.contains(&minutes) && minutes % step == 0 => Ok(minutes),
            _ if step == 1 => error("window_minutes", format!("must be from {} to {}", range.start(), range.end())),
            _ => error(
                "window_minutes",
                format!("must be a multiple of {step} from {} to {}", range.start(), range.end()),
            ),
        }
    }

    /// A window of whole rollup cells, of at most a day.
    fn quarters(&self) -> Result<u32, ParameterError> {
        self.window(QUARTER..=DAY, QUARTER)
    }

    fn amount(&self, least: Decimal, most: Decimal, default: Option<Decimal>) -> Result<Decimal, ParameterError> {
        match self.threshold.or(default) {
            Some(value) if (least..=most).contains(&value) => Ok(value),
            _ => error("threshold", format!("must be from {least} to {most}")),
        }
    }

    fn above(&self, most: Decimal, default: Option<Decimal>) -> Result<Threshold, ParameterError> {
        let fires = self.amount(Decimal::ZERO, most, default)?;
        match self.resolve_threshold {
            Some(clears) if clears > fires || clears < Decimal::ZERO => {
                error("resolve_threshold", format!("must be from 0 to the threshold, {fires}"))
            }
            clears => Ok(Threshold { fires, clears }),
        }
    }

    fn below_percent(&self) -> Result<Threshold, ParameterError> {
        let fires = self.amount(Decimal::ZERO, Decimal::ONE_HUNDRED, None)?;
        match self.resolve_threshold {
            Some(clears) if clears < fires || clears > Decimal::ONE_HUNDRED => {
                error("resolve_threshold", format!("must be from the threshold, {fires}, to 100"))
            }
            clears => Ok(Threshold { fires, clears }),
        }
    }

    fn min_count(&self, default: u32) -> Result<u32, ParameterError> {
        match self.min_count.unwrap_or(default) {
            0 => error("min_count", "must be at least 1"),
            count => Ok(count),
        }
    }
}

/// The parameters that a kind has.
fn known(kind: ConditionKind) -> &'static [&'static str] {
    match kind {
        ConditionKind::NoPayments => &["window_minutes"],
        ConditionKind::LowSuccessRate => &["window_minutes", "threshold", "resolve_threshold", "min_count"],
        ConditionKind::BelowBaseline => &["window_minutes", "threshold", "resolve_threshold", "min_count", "weeks"],
        ConditionKind::FailuresDoubled => &["window_minutes", "threshold", "min_count"],
        ConditionKind::OpenDiscrepancies | ConditionKind::SyncLag | ConditionKind::Quarantine => {
            &["threshold", "resolve_threshold"]
        }
        ConditionKind::ValueAtRisk => &["threshold", "resolve_threshold", "currency"],
        ConditionKind::JobFailed => &["window_minutes", "job_kind"],
        ConditionKind::LateChanges => &["window_minutes", "threshold", "resolve_threshold", "hours"],
    }
}

impl Condition {
    /// The condition of a kind with these parameters.
    pub fn new(kind: ConditionKind, parameters: &Parameters) -> Result<Self, ParameterError> {
        if let Some(field) = parameters.names().into_iter().find(|name| !known(kind).contains(name)) {
            return error(field, format!("does not belong to {}, which has {}", kind.as_str(), known(kind).join(", ")));
        }
        let (zero, max) = (Some(Decimal::ZERO), Decimal::from(1_000_000_000_000_u64));
        Ok(match kind {
            ConditionKind::NoPayments => {
                Self::Payments(PaymentCondition::NoPayments { minutes: parameters.window(5..=7 * DAY, 1)? })
            }
            ConditionKind::LowSuccessRate => Self::Payments(PaymentCondition::LowSuccessRate {
                window_minutes: parameters.quarters()?,
                below: parameters.below_percent()?,
                min_payments: parameters.min_count(20)?,
            }),
            ConditionKind::BelowBaseline => Self::Payments(PaymentCondition::BelowBaseline {
                window_minutes: parameters.quarters()?,
                weeks: match parameters.weeks.unwrap_or(4) {
                    weeks @ (4 | 8) => weeks,
                    _ => return error("weeks", "must be 4 or 8"),
                },
                drop: parameters.above(Decimal::ONE_HUNDRED, None)?,
                min_payments: parameters.min_count(20)?,
            }),
            ConditionKind::FailuresDoubled => Self::Payments(PaymentCondition::FailuresDoubled {
                window_minutes: parameters.quarters()?,
                factor: parameters.amount(Decimal::ONE, Decimal::ONE_HUNDRED, Some(Decimal::TWO))?,
                min_failures: parameters.min_count(10)?,
            }),
            ConditionKind::OpenDiscrepancies => {
                Self::System(SystemCondition::OpenDiscrepancies { above: parameters.above(max, zero)? })
            }
            ConditionKind::ValueAtRisk => Self::System(SystemCondition::ValueAtRisk {
                currency: match &parameters.currency {
                    Some(currency) => currency.clone(),
                    None => return error("currency", "is required: amounts of different currencies are never added"),
                },
                above: parameters.above(max, None)?,
            }),
            ConditionKind::SyncLag => {
                Self::System(SystemCondition::SyncLag { above_minutes: parameters.above(max, None)? })
            }
            ConditionKind::Quarantine => {
                Self::System(SystemCondition::Quarantine { above: parameters.above(max, zero)? })
            }
            ConditionKind::JobFailed => Self::System(SystemCondition::JobFailed {
                job_kind: parameters.job_kind.clone(),
                window_minutes: parameters.window(1..=7 * DAY, 1)?,
            }),
            ConditionKind::LateChanges => Self::System(SystemCondition::LateChanges {
                hours: match parameters.hours {
                    Some(hours @ 1..=8_784) => hours,
                    _ => return error("hours", "must be from 1 to 8784"),
                },
                window_minutes: parameters.window(1..=7 * DAY, 1)?,
                above: parameters.above(max, zero)?,
            }),
        })
    }

    #[must_use]
    pub fn parameters(&self) -> Parameters {
        let empty = Parameters::default;
        let at = |threshold: Threshold| Parameters {
            threshold: Some(threshold.fires),
            resolve_threshold: threshold.clears,
            ..empty()
        };
        match self.clone() {
            Self::Payments(PaymentCondition::NoPayments { minutes }) => {
                Parameters { window_minutes: Some(minutes), ..empty() }
            }
            Self::Payments(PaymentCondition::LowSuccessRate { window_minutes, below, min_payments }) => {
                Parameters { window_minutes: Some(window_minutes), min_count: Some(min_payments), ..at(below) }
            }
            Self::Payments(PaymentCondition::BelowBaseline { window_minutes, weeks, drop, min_payments }) => {
                Parameters {
                    window_minutes: Some(window_minutes),
                    weeks: Some(weeks),
                    min_count: Some(min_payments),
                    ..at(drop)
                }
            }
            Self::Payments(PaymentCondition::FailuresDoubled { window_minutes, factor, min_failures }) => Parameters {
                window_minutes: Some(window_minutes),
                threshold: Some(factor),
                min_count: Some(min_failures),
                ..empty()
            },
            Self::System(
                SystemCondition::OpenDiscrepancies { above }
                | SystemCondition::SyncLag { above_minutes: above }
                | SystemCondition::Quarantine { above },
            ) => at(above),
            Self::System(SystemCondition::ValueAtRisk { currency, above }) => {
                Parameters { currency: Some(currency), ..at(above) }
            }
            Self::System(SystemCondition::JobFailed { job_kind, window_minutes }) => {
                Parameters { window_minutes: Some(window_minutes), job_kind, ..empty() }
            }
            Self::System(SystemCondition::LateChanges { hours, window_minutes, above }) => {
                Parameters { window_minutes: Some(window_minutes), hours: Some(hours), ..at(above) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn condition(kind: &str, parameters: Value) -> Result<Condition, &'static str> {
        let kind = ConditionKind::from_name(kind).expect("a kind");
        let parameters: Parameters = serde_json::from_value(parameters).expect("parameters");
        Condition::new(kind, &parameters).map_err(|error| error.field)
    }

    #[test]
    fn every_kind_round_trips() {
        for (kind, parameters) in [
            ("no_payments", json!({"window_minutes": 20})),
            (
                "low_success_rate",
                json!({"window_minutes": 60, "threshold": "80", "resolve_threshold": "85", "min_count": 5}),
            ),
            (
                "success_rate_below_baseline",
                json!({"window_minutes": 60, "threshold": "10", "min_count": 5, "weeks": 8}),
            ),
            ("failures_doubled", json!({"window_minutes": 60, "threshold": "2", "min_count": 5})),
            ("open_discrepancies", json!({"threshold": "0"})),
            ("value_at_risk", json!({"threshold": "1000.50", "currency": "INR"})),
            ("sync_lag", json!({"threshold": "10", "resolve_threshold": "5"})),
            ("quarantine", json!({"threshold": "0"})),
            ("job_failed", json!({"window_minutes": 60, "job_kind": "export"})),
            ("late_changes", json!({"window_minutes": 60, "threshold": "3", "hours": 24})),
        ] {
            let condition = condition(kind, parameters.clone()).unwrap_or_else(|field| panic!("{kind} {field}"));
            assert_eq!((condition.kind().as_str(), json!(condition.parameters())), (kind, parameters));
        }
    }

    #[test]
    fn invalid_parameters_are_named() {
        for (kind, parameters, field) in [
            ("no_payments", json!({}), "window_minutes"),
            ("no_payments", json!({"window_minutes": 4}), "window_minutes"),
            ("no_payments", json!({"window_minutes": 30, "threshold": "1"}), "threshold"),
            ("low_success_rate", json!({"window_minutes": 20, "threshold": "80"}), "window_minutes"),
            ("low_success_rate", json!({"window_minutes": 15, "threshold": "101"}), "threshold"),
            (
                "low_success_rate",
                json!({"window_minutes": 15, "threshold": "80", "resolve_threshold": "79"}),
                "resolve_threshold",
            ),
            ("low_success_rate", json!({"window_minutes": 15, "threshold": "80", "min_count": 0}), "min_count"),
            ("success_rate_below_baseline", json!({"window_minutes": 15, "threshold": "5", "weeks": 5}), "weeks"),
            ("failures_doubled", json!({"window_minutes": 15, "threshold": "0.5"}), "threshold"),
            ("quarantine", json!({"threshold": "5", "resolve_threshold": "6"}), "resolve_threshold"),
            ("value_at_risk", json!({"threshold": "5"}), "currency"),
            ("late_changes", json!({"window_minutes": 60}), "hours"),
            ("job_failed", json!({"weeks": 4, "window_minutes": 60}), "weeks"),
        ] {
            assert_eq!(condition(kind, parameters.clone()), Err(field), "{kind} {parameters}");
        }
    }
}
