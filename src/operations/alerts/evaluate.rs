//! Evaluates the rules, raises and resolves alerts, and announces them.
//!
//! Measuring takes no lock. What follows from it is decided under the lock of the rule, from the state that is stored then: if two
//! workers measure at the same time, the second finds the alert of the first. A rule that a person has changed meanwhile waits for
//! the next evaluation.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::announce::{Announcements, Statement};
use super::measure::{Measurement, ReadUntil, measure};
use crate::db::DbError;
use crate::db::alerts::log::NewAlert;
use crate::db::alerts::rules::AlertRule;
use crate::db::alerts::states::{Topic, TopicState};
use crate::db::alerts::{figures, log, rules, states};
use crate::db::jobs::claims;
use crate::domain::alerts::hysteresis::{Phase, Transition};
use crate::domain::alerts::rule::Channel;
use crate::domain::job::Claim;
use crate::redis::Redis;

const NOT_WATCHED: &str = "the rule no longer watches this";

pub struct AlertEvaluator<'a> {
    pub pool: &'a PgPool,
    pub redis: &'a Redis,
    /// The channels that are configured.
    pub channels: &'a [Channel],
}

/// The result of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct EvaluationReport {
    pub rules: u64,
    pub fired: u64,
    pub resolved: u64,
}

impl EvaluationReport {
    fn count(&mut self, transition: Option<Transition>) {
        match transition {
            Some(Transition::Fire) => self.fired += 1,
            Some(Transition::Resolve) => self.resolved += 1,
            None => {}
        }
    }
}

impl AlertEvaluator<'_> {
    /// A rule that cannot be measured does not keep the others from being evaluated. It fails the job when they are done.
    pub async fn evaluate(&self, claim: &Claim, now: DateTime<Utc>) -> Result<EvaluationReport, DbError> {
        let read_until = figures::get_as_of(self.pool).await?;
        let (mut report, mut failure) = (EvaluationReport::default(), None);
        for rule in rules::list_enabled(self.pool).await? {
            match self.evaluate_rule(claim, &rule, read_until, now, &mut report).await {
                Ok(()) => report.rules += 1,
                Err(error @ (DbError::Unavailable(_) | DbError::ClaimLost)) => return Err(error),
                Err(error) => {
                    tracing::error!(%error, rule_id = %rule.id, "failed to evaluate an alert rule");
                    failure = Some(error);
                }
            }
        }
        failure.map_or(Ok(report), Err)
    }

    async fn evaluate_rule(
        &self,
        claim: &Claim,
        rule: &AlertRule,
        read_until: ReadUntil,
        now: DateTime<Utc>,
        report: &mut EvaluationReport,
    ) -> Result<(), DbError> {
        let measured = measure(self.pool, &rule.properties, read_until, now).await?;
        self.apply(claim, rule, measured, now, report).await
    }

    async fn apply(
        &self,
        claim: &Claim,
        measured_rule: &AlertRule,
        measured: Vec<Measurement>,
        now: DateTime<Utc>,
        report: &mut EvaluationReport,
    ) -> Result<(), DbError> {
        let mut transaction = self.pool.begin().await?;
        let rule = rules::lock(&mut transaction, measured_rule.id).await?;
        let Some(rule) = rule.filter(|rule| rule.properties == measured_rule.properties) else {
            return Ok(());
        };
        let stored = states::list(&mut transaction, rule.id).await?;
        let mut stored: BTreeMap<Topic, TopicState> =
            stored.into_iter().map(|state| (state.topic.clone(), state)).collect();
        let mut announcements = Announcements::new(&rule, now);
        for measurement in measured {
            let state = stored.remove(&measurement.topic);
            let transition = self.step(&mut transaction, &rule, &measurement, state, &mut announcements, now).await?;
            report.count(transition);
        }
        for TopicState { topic, alert, .. } in stored.into_values() {
            if let Some(alert) = alert {
                announcements.resolve(&mut transaction, (&alert, &topic), NOT_WATCHED).await?;
                report.count(Some(Transition::Resolve));
            }
        }
        claims::verify_claim(&mut transaction, claim, &serde_json::json!({})).await?;
        announcements.commit(transaction, self.redis).await
    }

    async fn step(
        &self,
        connection: &mut PgConnection,
        rule: &AlertRule,
        measurement: &Measurement,
        state: Option<TopicState>,
        announcements: &mut Announcements<'_>,
        now: DateTime<Utc>,
    ) -> Result<Option<Transition>, DbError> {
        let Measurement { topic, reading, at } = measurement;
        let (phase, alert) = state.map_or((Phase::default(), None), |state| (state.phase, state.alert));
        let hold = rule.properties.hold_of(topic.reason);
        let (next, transition) = hold.step(phase, reading.level, *at);
        match (transition, alert) {
            (Some(Transition::Fire), _) => {
                let alert_id = raise(connection, rule, measurement, now).await?;
                let statement = Statement { alert_id, topic, message: &reading.text };
                announcements.fire(connection, statement, self.channels).await?;
            }
            (Some(Transition::Resolve), Some(alert)) => {
                announcements.resolve(connection, (&alert, topic), &reading.text).await?;
            }
            // The rule was muted when it fired.
            (None, Some(alert)) if !alert.is_notified && !alert.is_acknowledged => {
                let statement = Statement { alert_id: alert.id, topic, message: &alert.message };
                announcements.fire(connection, statement, self.channels).await?;
            }
            (Some(Transition::Resolve), None) | (None, _) => {}
        }
        if next != phase {
            states::upsert(connection, rule.id, topic, next).await?;
        }
        Ok(transition)
    }
}

async fn raise(
    connection: &mut PgConnection,
    rule: &AlertRule,
    Measurement { topic, reading, at }: &Measurement,
    now: DateTime<Utc>,
) -> Result<Uuid, DbError> {
    let id = Uuid::now_v7();
    let alert = NewAlert {
        id,
        rule_id: rule.id,
        rule: &rule.properties,
        topic,
        message: &reading.text,
        value: reading.value,
        judged_at: *at,
    };
    log::insert(connection, &alert, now).await?;
    tracing::warn!(alert_id = %id, rule_id = %rule.id, message = reading.text, "alert fired");
    Ok(id)
}
