//! Turns the times of schedules that have come into runs, every minute; also stops the schedules of keys that have ended, and ends
//! the runs whose jobs have failed.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::insert_run;
use crate::db::DbError;
use crate::db::jobs::claims;
use crate::db::reports::{runs, schedules};
use crate::domain::access::key::KeyEnd;
use crate::domain::job::{Claim, DELIVER_REPORT};
use crate::operations::audit::{AuditContext, AuditRecord};
use crate::operations::enqueue_job::send_wakeup;
use crate::redis::Redis;

pub struct ReportPlanner<'a> {
    pub pool: &'a PgPool,
    pub redis: &'a Redis,
}

/// The result of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct PlanReport {
    pub enqueued: u64,
    /// Schedules whose owners' keys have ended.
    pub stopped: u64,
    /// Runs whose jobs have failed.
    pub failed: u64,
}

impl ReportPlanner<'_> {
    pub async fn plan(&self, claim: &Claim, now: DateTime<Utc>) -> Result<PlanReport, DbError> {
        let mut report = PlanReport { failed: runs::fail_abandoned(self.pool, now).await?, ..PlanReport::default() };
        for (id, end) in schedules::list_ended(self.pool, now).await? {
            report.stopped += u64::from(self.stop(claim, id, &end, now).await?);
        }
        for id in schedules::list_due(self.pool, now).await? {
            report.enqueued += self.enqueue_due(claim, id, now).await?;
        }
        Ok(report)
    }

    async fn stop(&self, claim: &Claim, id: Uuid, end: &KeyEnd, now: DateTime<Utc>) -> Result<bool, DbError> {
        let reason = format!("{end}: the reports had the rights of this key");
        let mut transaction = self.pool.begin().await?;
        // First, because an entry of the audit log must come last.
        claims::verify_claim(&mut transaction, claim, &json!({})).await?;
        if !schedules::stop(&mut transaction, id, &reason, now).await? {
            return Ok(false);
        }
        tracing::warn!(schedule_id = %id, reason, "report schedule stopped");
        let record = AuditRecord::succeeded(json!({"schedule_id": id, "reason": reason}))
            .with_change(json!({"enabled": true}), json!({"enabled": false}));
        AuditContext::of_system("stopReportSchedule").append(&mut transaction, &record, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Enqueues the times of one schedule that have come. Under its lock, so that two processes at the same time do it once. A schedule
    /// that this release cannot read, because a newer one wrote it, waits for that release.
    async fn enqueue_due(&self, claim: &Claim, id: Uuid, now: DateTime<Utc>) -> Result<u64, DbError> {
        let mut transaction = self.pool.begin().await?;
        claims::verify_claim(&mut transaction, claim, &json!({})).await?;
        let schedule = match schedules::lock(&mut transaction, id).await {
            Ok(schedule) => schedule,
            Err(error @ DbError::Impossible { .. }) => {
                tracing::warn!(%error, schedule_id = %id, "skipped a report schedule that cannot be read");
                return Ok(0);
            }
            Err(error) => return Err(error),
        };
        let due = schedule.and_then(|schedule| Some((schedule.next_run_at.filter(|next| *next <= now)?, schedule)));
        let Some((next_run_at, schedule)) = due else { return Ok(0) };
        let mut job_ids = vec![];
        for due_at in schedule.properties.due_since(next_run_at, now) {
            if !runs::exists(&mut transaction, id, due_at).await? {
                job_ids.push(insert_run(&mut transaction, id, due_at, None, now).await?.1);
            }
        }
        schedules::set_next_run(&mut transaction, id, schedule.properties.next_run_at(now)).await?;
        transaction.commit().await?;
        for job_id in &job_ids {
            send_wakeup(self.redis, DELIVER_REPORT.queue, *job_id).await;
        }
        Ok(job_ids.len() as u64)
    }
}
