//! `deliver-notification`: sends a message about an alert to one channel.

use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::job::{DELIVER_NOTIFICATION, JobKind, NotificationArgs};
use psp_dashboard::operations::alerts::deliver::deliver_notification;
use serde_json::json;

use crate::handler::{JobHandler, JobResult};
use crate::job_context::JobContext;

pub struct DeliverNotification;

impl JobHandler for DeliverNotification {
    const KIND: &'static JobKind = &DELIVER_NOTIFICATION;
    type Args = NotificationArgs;

    async fn run(context: &JobContext, job: &ClaimedJob, args: NotificationArgs) -> JobResult {
        let JobContext { pool, clock, channels, .. } = context;
        let sent = deliver_notification(pool, channels, &job.claim, args.notification_id, clock.now()).await?;
        Ok(json!({"sent": sent}))
    }
}
