//! Evaluates the rules, raises and resolves alerts, and announces them.
//!
//! Measuring takes no lock. What follows from it is decided under the lock of the rule, from the state that is stored then: if two
//! workers measure at the same time, the second finds the alert of the first. A rule that a person has changed meanwhile waits for
//! the next evaluation.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::measure::{Measurement, measure};
use crate::db::alerts::log::NewAlert;
use crate::db::alerts::notifications::NewNotification;
use crate::db::alerts::rules::AlertRule;
use crate::db::alerts::states::{OpenAlert, Topic, TopicState};
use crate::db::alerts::{figures, log, notifications, rules, states};
use crate::db::jobs::claims;
use crate::db::{DbError, events, jobs};
use crate::domain::alerts::hysteresis::{Phase, Transition};
use crate::domain::alerts::rule::{AlertState, Channel};
use crate::domain::event::Event;
use crate::domain::job::{Claim, DELIVER_NOTIFICATION, JobId, NewJob};
use crate::operations::enqueue_job::send_wakeup;
use crate::operations::publish_events::publish_events;
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

/// What one rule leads to, to be written in one transaction.
#[derive(Default)]
struct Effects {
    events: Vec<Event>,
    jobs: Vec<JobId>,
    fired: u64,
    resolved: u64,
}

impl AlertEvaluator<'_> {
    pub async fn evaluate(&self, claim: &Claim, now: DateTime<Utc>) -> Result<EvaluationReport, DbError> {
        let read_until = figures::get_as_of(self.pool).await?;
        let mut report = EvaluationReport::default();
        for rule in rules::list_enabled(self.pool).await? {
            let measured = measure(self.pool, &rule.properties, read_until, now).await?;
            let effects = self.apply(claim, &rule, measured, now).await?;
            report.rules += 1;
            report.fired += effects.fired;
            report.resolved += effects.resolved;
        }
        Ok(report)
    }

    async fn apply(
        &self,
        claim: &Claim,
        measured_rule: &AlertRule,
        measured: Vec<Measurement>,
        now: DateTime<Utc>,
    ) -> Result<Effects, DbError> {
        let mut transaction = self.pool.begin().await?;
        let rule = rules::lock(&mut transaction, measured_rule.id).await?;
        let Some(rule) = rule.filter(|rule| rule.properties == measured_rule.properties) else {
            return Ok(Effects::default());
        };
        let stored = states::list(&mut transaction, rule.id).await?;
        let mut stored: BTreeMap<Topic, TopicState> =
            stored.into_iter().map(|state| (state.topic.clone(), state)).collect();
        let mut effects = Effects::default();
        for measurement in measured {
            let state = stored.remove(&measurement.topic);
            self.step(&mut transaction, &rule, &measurement, state, &mut effects, now).await?;
        }
        for TopicState { topic, alert, .. } in stored.into_values() {
            if let Some(alert) = alert {
                self.resolve(&mut transaction, &rule, (&alert, &topic), NOT_WATCHED, &mut effects, now).await?;
            }
        }
        claims::verify_claim(&mut transaction, claim, &serde_json::json!({})).await?;
        // Last, because other events wait from here until the commit.
        let recorded = events::insert(&mut transaction, std::mem::take(&mut effects.events), now).await?;
        transaction.commit().await?;
        publish_events(self.redis, &recorded).await;
        for job_id in &effects.jobs {
            send_wakeup(self.redis, DELIVER_NOTIFICATION.queue, *job_id).await;
        }
        Ok(effects)
    }

    async fn step(
        &self,
        connection: &mut PgConnection,
        rule: &AlertRule,
        measurement: &Measurement,
        state: Option<TopicState>,
        effects: &mut Effects,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let Measurement { topic, reading, at } = measurement;
        let (phase, alert) = state.map_or((Phase::default(), None), |state| (state.phase, state.alert));
        let hold = rule.properties.hold_of(topic.reason);
        let (next, transition) = hold.step(phase, reading.level, *at);
        match (transition, alert) {
            (Some(Transition::Fire), _) => {
                let alert = NewAlert {
                    id: Uuid::now_v7(),
                    rule_id: rule.id,
                    rule: &rule.properties,
                    topic,
                    message: &reading.text,
                    value: reading.value,
                    judged_at: *at,
                };
                log::insert(connection, &alert, now).await?;
                effects.fired += 1;
                tracing::warn!(alert_id = %alert.id, rule_id = %rule.id, message = reading.text, "alert fired");
                self.announce_fired(connection, rule, (alert.id, topic, &reading.text), effects, now).await?;
            }
            (Some(Transition::Resolve), Some(alert)) => {
                self.resolve(connection, rule, (&alert, topic), &reading.text, effects, now).await?;
            }
            // The rule was muted when it fired.
            (None, Some(alert)) if !alert.is_notified && !alert.is_acknowledged => {
                self.announce_fired(connection, rule, (alert.id, topic, &alert.message), effects, now).await?;
            }
            (Some(Transition::Resolve), None) | (None, _) => {}
        }
        if next != phase {
            states::upsert(connection, rule.id, topic, next).await?;
        }
        Ok(())
    }

    async fn announce_fired(
        &self,
        connection: &mut PgConnection,
        rule: &AlertRule,
        (alert_id, topic, message): (Uuid, &Topic, &str),
        effects: &mut Effects,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        if rule.properties.is_muted(now) {
            return Ok(());
        }
        log::set_notified(connection, alert_id, now).await?;
        self.announce(connection, rule, (alert_id, topic, message), AlertState::Fired, effects, now).await
    }

    async fn resolve(
        &self,
        connection: &mut PgConnection,
        rule: &AlertRule,
        (alert, topic): (&OpenAlert, &Topic),
        message: &str,
        effects: &mut Effects,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        log::resolve(connection, alert.id, message, now).await?;
        effects.resolved += 1;
        tracing::info!(alert_id = %alert.id, rule_id = %rule.id, message, "alert resolved");
        if alert.is_notified && !rule.properties.is_muted(now) {
            self.announce(connection, rule, (alert.id, topic, message), AlertState::Resolved, effects, now).await?;
        }
        Ok(())
    }

    async fn announce(
        &self,
        connection: &mut PgConnection,
        rule: &AlertRule,
        (alert_id, topic, message): (Uuid, &Topic, &str),
        state: AlertState,
        effects: &mut Effects,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let properties = &rule.properties;
        let title = properties.title(state);
        let body = format!("{message}\n{} {}", state.as_str(), now.format("%Y-%m-%d %H:%M:%S UTC"));
        for &channel in self.channels {
            let id = Uuid::now_v7();
            let notification = NewNotification { id, alert_id, channel, state, title: &title, body: &body };
            if notifications::insert(connection, &notification, now).await? {
                let job = NewJob::deliver_notification(id);
                effects.jobs.push(jobs::insert_or_join(connection, &job).await?.job_id);
            }
        }
        effects.events.push(Event::Alert {
            name: properties.name.clone(),
            severity: properties.severity,
            message: message.to_owned(),
            alert_id,
            state,
            subject: topic.subject.clone(),
        });
        Ok(())
    }
}
