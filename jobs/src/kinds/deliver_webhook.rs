//! `deliver-webhook`: delivers what is due for a webhook, or makes one test delivery.

use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::job::{DELIVER_WEBHOOK, JobKind, WebhookArgs};
use psp_dashboard::operations::webhooks::deliver::WebhookDeliverer;
use serde_json::json;

use crate::handler::{JobHandler, JobResult};
use crate::job_context::JobContext;

pub struct DeliverWebhook;

impl JobHandler for DeliverWebhook {
    const KIND: &'static JobKind = &DELIVER_WEBHOOK;
    type Args = WebhookArgs;

    async fn run(context: &JobContext, job: &ClaimedJob, args: WebhookArgs) -> JobResult {
        let JobContext { pool, clock, webhook_sender, webhook_keys, .. } = context;
        let deliverer = WebhookDeliverer { pool, clock: &**clock, sender: webhook_sender, keys: webhook_keys.as_ref() };
        let report = match args.delivery_id {
            Some(id) => deliverer.deliver_one(&job.claim, id).await?,
            None => deliverer.deliver_due(&job.claim, args.webhook_id).await?,
        };
        Ok(json!(report))
    }
}
