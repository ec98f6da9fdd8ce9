//! Announces that alerts have fired or are resolved: by an event, from which webhooks are made, and by a message per channel.
//!
//! Jobs announce what they measure, and web processes that a person has ended a rule. Only jobs know the channels of the operator,
//! so a message about the end of an alert goes where its beginning was announced.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, Transaction};
use uuid::Uuid;

use crate::db::alerts::notifications::NewNotification;
use crate::db::alerts::rules::AlertRule;
use crate::db::alerts::states::{OpenAlert, Topic};
use crate::db::alerts::{log, notifications, states};
use crate::db::{DbError, events, jobs};
use crate::domain::alerts::rule::{AlertState, Channel};
use crate::domain::event::Event;
use crate::domain::job::{DELIVER_NOTIFICATION, JobId, NewJob};
use crate::operations::enqueue_job::send_wakeup;
use crate::operations::publish_events::publish_events;
use crate::redis::Redis;

/// An alert, and what is said about it now.
#[derive(Clone, Copy)]
pub(super) struct Statement<'a> {
    pub(super) alert_id: Uuid,
    pub(super) topic: &'a Topic,
    pub(super) message: &'a str,
}

/// What one transaction announces about the alerts of a rule.
pub(super) struct Announcements<'a> {
    rule: &'a AlertRule,
    now: DateTime<Utc>,
    events: Vec<Event>,
    jobs: Vec<JobId>,
}

impl<'a> Announcements<'a> {
    pub(super) fn new(rule: &'a AlertRule, now: DateTime<Utc>) -> Self {
        Self { rule, now, events: vec![], jobs: vec![] }
    }

    /// Announces in `channels` that an alert has fired, unless the rule is muted.
    pub(super) async fn fire(
        &mut self,
        connection: &mut PgConnection,
        statement: Statement<'_>,
        channels: &[Channel],
    ) -> Result<(), DbError> {
        if self.rule.properties.is_muted(self.now) {
            return Ok(());
        }
        log::set_notified(connection, statement.alert_id, self.now).await?;
        self.announce(connection, statement, AlertState::Fired, channels).await
    }

    /// Resolves an alert, and announces it if its beginning was announced.
    pub(super) async fn resolve(
        &mut self,
        connection: &mut PgConnection,
        (alert, topic): (&OpenAlert, &Topic),
        message: &str,
    ) -> Result<(), DbError> {
        log::resolve(connection, alert.id, message, self.now).await?;
        tracing::info!(alert_id = %alert.id, rule_id = %self.rule.id, message, "alert resolved");
        if alert.is_notified && !self.rule.properties.is_muted(self.now) {
            let channels = notifications::list_channels(connection, alert.id).await?;
            let statement = Statement { alert_id: alert.id, topic, message };
            self.announce(connection, statement, AlertState::Resolved, &channels).await?;
        }
        Ok(())
    }

    /// Resolves every open alert of the rule.
    pub(super) async fn resolve_all(&mut self, connection: &mut PgConnection, message: &str) -> Result<(), DbError> {
        for state in states::list(connection, self.rule.id).await? {
            if let Some(alert) = &state.alert {
                self.resolve(connection, (alert, &state.topic), message).await?;
            }
        }
        Ok(())
    }

    async fn announce(
        &mut self,
        connection: &mut PgConnection,
        Statement { alert_id, topic, message }: Statement<'_>,
        state: AlertState,
        channels: &[Channel],
    ) -> Result<(), DbError> {
        let (properties, now) = (&self.rule.properties, self.now);
        let title = properties.title(state);
        let body = format!("{message}\n{} {}", state.as_str(), now.format("%Y-%m-%d %H:%M:%S UTC"));
        for &channel in channels {
            let id = Uuid::now_v7();
            let notification = NewNotification { id, alert_id, channel, state, title: &title, body: &body };
            if notifications::insert(connection, &notification, now).await? {
                let job = NewJob::deliver_notification(id);
                self.jobs.push(jobs::insert_or_join(connection, &job).await?.job_id);
            }
        }
        self.events.push(Event::Alert {
            name: properties.name.clone(),
            severity: properties.severity,
            message: message.to_owned(),
            alert_id,
            state,
            subject: topic.subject.clone(),
        });
        Ok(())
    }

    /// Commits the transaction, and notifies those who wait for what it announces.
    pub(super) async fn commit(self, mut transaction: Transaction<'_, Postgres>, redis: &Redis) -> Result<(), DbError> {
        // Last, because other events wait from here until the commit.
        let recorded = events::insert(&mut transaction, self.events, self.now).await?;
        transaction.commit().await?;
        publish_events(redis, &recorded).await;
        for job_id in self.jobs {
            send_wakeup(redis, DELIVER_NOTIFICATION.queue, job_id).await;
        }
        Ok(())
    }
}
