//! A rule that is tried on the past.

use std::sync::Arc;

use chrono::TimeDelta;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::schema::AlertRuleRequest;
use crate::domain::alerts::condition::Condition;
use crate::domain::metrics::cell::Width;
use crate::domain::time_range::TimeRange;
use crate::operations::alerts::try_rule::{Tried, try_rule};
use crate::web::http::body::Body;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::problem::Problem;
use crate::web::http::schema::Time;
use crate::web::state::State;

const DAYS: u32 = 30;
/// How many alerts are shown.
const MAX_SHOWN: usize = 500;

/// An alert that would have been raised.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct BacktestAlert {
    /// The project; empty for all payments.
    subject: String,
    /// When it would have fired.
    fired_at: Time,
    /// When it would have been resolved; null if it would be open.
    resolved_at: Option<Time>,
    /// What it would have said.
    message: String,
}

impl From<Tried> for BacktestAlert {
    fn from(tried: Tried) -> Self {
        Self {
            subject: tried.subject,
            fired_at: Time(tried.episode.fired_at),
            resolved_at: tried.episode.resolved_at.map(Time),
            message: tried.episode.message,
        }
    }
}

impl Example for BacktestAlert {
    fn example() -> Self {
        Self {
            subject: "acme".to_owned(),
            fired_at: Time(EXAMPLE_TIME),
            resolved_at: Some(Time(EXAMPLE_TIME + TimeDelta::hours(1))),
            message: "success rate of acme 71.43 % (50 of 70 decided payments) in the 60 minutes until 2026-01-15 10:00 UTC; \
                      threshold 80 %"
                .to_owned(),
        }
    }
}

/// How often a rule would have fired.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Backtest {
    /// The beginning of the period.
    from: Time,
    /// The end of the period.
    until: Time,
    /// How many alerts it would have raised.
    fired: u64,
    /// The same as a sentence.
    summary: String,
    /// The newest 500 of them, the newest first.
    alerts: Vec<BacktestAlert>,
}

impl Backtest {
    fn new(period: TimeRange, found: Vec<Tried>) -> Self {
        let fired = found.len() as u64;
        let times = if fired == 1 { "time" } else { "times" };
        Self {
            from: Time(period.from),
            until: Time(period.until),
            fired,
            summary: format!("would have fired {fired} {times} in the last {DAYS} days"),
            alerts: found.into_iter().take(MAX_SHOWN).map(BacktestAlert::from).collect(),
        }
    }
}

impl Example for Backtest {
    fn example() -> Self {
        Self {
            from: Time(EXAMPLE_TIME - TimeDelta::days(i64::from(DAYS))),
            until: Time(EXAMPLE_TIME),
            fired: 1,
            summary: format!("would have fired 1 time in the last {DAYS} days"),
            alerts: vec![BacktestAlert::example()],
        }
    }
}

pub(in crate::web) struct BacktestApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Alerts")]
impl BacktestApi {
    /// Backtest an alert rule
    ///
    /// Tries a rule about payments on the last 30 days without saving it: whether it would have fired at the end of each quarter of
    /// an hour, as if the sources had been read up to then. Times that are not multiples of 15 minutes are rounded up. Other kinds
    /// of rules have no past to be tried on: 422. Requires the role operator.
    #[oai(path = "/alert-rules/backtest", method = "post", operation_id = "backtestAlertRule")]
    async fn backtest(&self, state: Data<&Arc<State>>, body: Body<AlertRuleRequest>) -> Result<Json<Backtest>, Fails> {
        let rule = body.value.into_rule()?;
        let Condition::Payments(condition) = rule.condition else {
            let kinds = "no_payments, low_success_rate, success_rate_below_baseline, failures_doubled";
            return Err(Problem::field("kind", format!("cannot be tried on the past; these can: {kinds}")).into());
        };
        let until = Width::Quarter.start(state.clock.now());
        let period = TimeRange { from: until - TimeDelta::days(i64::from(DAYS)), until };
        let found = try_rule(&state.pool, &rule, condition, period).await?;
        Ok(Json(Backtest::new(period, found)))
    }
}
