//! Creates a report and hands it over to its destination.
//!
//! A message to a webhook is inserted in the transaction that ends the run, so it exists once. A mail or a file is sent before: a worker
//! that dies between the two sends it again, the mail with the same `Message-ID`, the file under the same name.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::digest::create_digest;
use super::{ReportDeliveryError, files};
use crate::clock::Clock;
use crate::config::ReportsConfig;
use crate::db::access::api_keys;
use crate::db::jobs::claims;
use crate::db::reports::runs::{self, ReportRun};
use crate::db::reports::schedules::{self, ReportSchedule};
use crate::db::webhooks::deliveries;
use crate::db::{DbError, webhooks};
use crate::domain::alerts::rule::Channel;
use crate::domain::day::day_before;
use crate::domain::job::{Claim, EXPORT, Trigger};
use crate::domain::reports::digest::Digest;
use crate::domain::reports::page::Page;
use crate::domain::reports::recipients::Address;
use crate::domain::reports::schedule::{Destination, ReportContent, ReportState, ScheduledExport};
use crate::domain::reports::text::{ReadyFile, digest_page, export_page};
use crate::domain::webhook::Message;
use crate::operations::alerts::DeliveryError;
use crate::operations::alerts::deliver::Channels;
use crate::operations::audit::AuditContext;
use crate::operations::enqueue_job::send_wakeup;
use crate::operations::export::exporter::Exporter;
use crate::operations::export::open::{ExportAccessError, OpenError, OpenedExport, open_export};
use crate::operations::export::request::insert_order;
use crate::operations::export::spec::ExportSpec;
use crate::operations::export::store::ExportStore;
use crate::operations::webhooks::new_delivery;
use crate::redis::Redis;

/// The type of the message to a webhook.
const MESSAGE: &str = "report_ready";

pub struct ReportDeliverer<'a> {
    pub pool: &'a PgPool,
    pub redis: &'a Redis,
    pub clock: &'a dyn Clock,
    pub exporter: &'a Exporter,
    pub store: &'a ExportStore,
    pub channels: &'a Channels,
    pub config: &'a ReportsConfig,
}

/// What is delivered.
enum Report {
    Digest(Box<Digest>),
    File(Box<OpenedExport>),
}

/// A run with its schedule.
struct Delivery {
    run: ReportRun,
    schedule: ReportSchedule,
}

impl ReportDeliverer<'_> {
    /// Creates and delivers a run, unless it was delivered. Of an export that is not finished, the job ends: the export enqueues it
    /// again.
    pub async fn deliver(&self, claim: &Claim, run_id: Uuid) -> Result<Value, ReportDeliveryError> {
        let Some(delivery) = self.find(run_id).await? else { return Ok(json!({"delivered": false})) };
        let Delivery { run, schedule } = &delivery;
        self.check_owner(&mut *self.pool.acquire().await.map_err(DbError::from)?, schedule).await?;
        let report = match (&schedule.properties.content, run.export_id) {
            (ReportContent::Digest, _) => Report::Digest(Box::new(self.digest(&delivery).await?)),
            (ReportContent::Export(export), None) => return self.order(claim, &delivery, export).await,
            (ReportContent::Export(_), Some(export_id)) => {
                match open_export(self.pool, &schedule.owner, export_id, self.clock.now()).await {
                    Ok(opened) => Report::File(Box::new(opened)),
                    Err(OpenError::NotReady) => return Ok(json!({"export_id": export_id})),
                    Err(OpenError::Access(ExportAccessError::Store(error))) => return Err(error.into()),
                    Err(error) => return Err(ReportDeliveryError::NoFile(error)),
                }
            }
        };
        let result = self.send(&delivery, &report).await?;
        self.finish(claim, &delivery, &report, result).await
    }

    /// `None` if there is nothing to do: it was delivered, or the schedule was deleted.
    async fn find(&self, run_id: Uuid) -> Result<Option<Delivery>, DbError> {
        let run = runs::find(self.pool, run_id).await?.filter(|run| run.state != ReportState::Delivered);
        let Some(run) = run else { return Ok(None) };
        let schedule = schedules::find(self.pool, run.schedule_id).await?;
        Ok(schedule.map(|schedule| Delivery { run, schedule }))
    }

    /// Keys of `API_KEYS` are not in the table, and valid as long as the web processes accept them.
    async fn check_owner(
        &self,
        connection: &mut PgConnection,
        schedule: &ReportSchedule,
    ) -> Result<(), ReportDeliveryError> {
        let end = api_keys::find_end(connection, schedule.owner.key_id, self.clock.now()).await?;
        end.map_or(Ok(()), |end| Err(ReportDeliveryError::OwnerEnded(end)))
    }

    async fn digest(&self, Delivery { run, schedule }: &Delivery) -> Result<Digest, DbError> {
        let zone = schedule.properties.cron.zone;
        let day = day_before(run.due_at, zone);
        create_digest(self.pool, day, zone, &schedule.owner.scope, self.clock.now()).await
    }

    async fn order(
        &self,
        claim: &Claim,
        Delivery { run, schedule }: &Delivery,
        export: &ScheduledExport,
    ) -> Result<Value, ReportDeliveryError> {
        let now = self.clock.now();
        let spec: ExportSpec = serde_json::from_value(export.spec.clone())?;
        let days = export.period.map(|period| period.days(run.due_at, schedule.properties.cron.zone));
        let spec = ExportSpec { requested_by: schedule.owner.clone(), ..spec.for_days(days, now) };
        let id = Uuid::now_v7();
        let mut transaction = self.pool.begin().await.map_err(DbError::from)?;
        // First, because an entry of the audit log must come last.
        claims::verify_claim(&mut transaction, claim, &json!({})).await?;
        self.check_owner(&mut transaction, schedule).await?;
        if !runs::set_export(&mut transaction, run.id, id).await? {
            return Ok(json!({"delivered": false}));
        }
        let audit = AuditContext::new(schedule.owner.clone(), "orderExport");
        let ordered =
            insert_order(&mut transaction, id, &spec, Trigger::Schedule, &audit, self.exporter.quota(), now).await?;
        transaction.commit().await.map_err(DbError::from)?;
        send_wakeup(self.redis, EXPORT.queue, ordered.job_id).await;
        Ok(json!({"export_id": id}))
    }

    /// Sends what cannot be a part of a transaction. Returns what the run records about it.
    async fn send(&self, delivery: &Delivery, report: &Report) -> Result<Value, ReportDeliveryError> {
        match &delivery.schedule.properties.destination {
            Destination::Webhook(_) => Ok(json!({})),
            Destination::Email(recipients) => self.send_mail(delivery, report, recipients).await,
            Destination::ObjectStore(folder) => {
                let Delivery { run, schedule } = delivery;
                let name = |file: &str| files::name(run.due_at, schedule.id, file);
                let file = match report {
                    Report::Digest(digest) => {
                        let content = self.page(delivery, report).to_html();
                        let name = name(&format!("digest_{}.html", digest.date));
                        files::write(self.store, folder, &name, content).await?
                    }
                    Report::File(opened) => {
                        files::copy(self.store, folder, &name(&opened.export.file_name), opened).await?
                    }
                };
                Ok(json!({"file": file}))
            }
        }
    }

    async fn send_mail(
        &self,
        delivery: &Delivery,
        report: &Report,
        recipients: &[Address],
    ) -> Result<Value, ReportDeliveryError> {
        if let Some(other) = recipients.iter().find(|address| !self.config.recipients.allow(address)) {
            return Err(ReportDeliveryError::NotAllowed(other.as_str().to_owned()));
        }
        let not_configured = || ReportDeliveryError::Sending(DeliveryError::NotConfigured(Channel::Email));
        let email = self.channels.email().ok_or_else(not_configured)?;
        let page = self.page(delivery, report);
        email.send_page(delivery.run.id, recipients, &page).await.map_err(|error| match error {
            DeliveryError::Db(error) => ReportDeliveryError::Db(error),
            error => ReportDeliveryError::Sending(error),
        })?;
        Ok(json!({"recipients": recipients.len()}))
    }

    fn page(&self, Delivery { schedule, .. }: &Delivery, report: &Report) -> Page {
        let properties = &schedule.properties;
        match report {
            Report::Digest(digest) => digest_page(digest, properties.language, &properties.name),
            Report::File(opened) => {
                let file = ReadyFile {
                    file_name: &opened.export.file_name,
                    rows: opened.rows,
                    link: &self.config.link(&download_path(opened)),
                    expires_at: opened.export.expires_at.unwrap_or_else(|| self.clock.now()),
                    zone: properties.cron.zone,
                };
                export_page(&file, properties.language, &properties.name)
            }
        }
    }

    /// Ends the run; the message to a webhook is a part of it.
    async fn finish(
        &self,
        claim: &Claim,
        delivery: &Delivery,
        report: &Report,
        mut result: Value,
    ) -> Result<Value, ReportDeliveryError> {
        let now = self.clock.now();
        let mut transaction = self.pool.begin().await.map_err(DbError::from)?;
        claims::verify_claim(&mut transaction, claim, &json!({})).await?;
        self.check_owner(&mut transaction, &delivery.schedule).await?;
        if let Destination::Webhook(webhook_id) = delivery.schedule.properties.destination {
            let message = message(delivery, report, now);
            result = json!({"delivery_id": insert_delivery(&mut transaction, webhook_id, &message, now).await?});
        }
        if let Report::Digest(digest) = report {
            result["provisional"] = json!(digest.provisional);
        }
        if !runs::deliver(&mut transaction, delivery.run.id, &result, now).await? {
            return Ok(json!({"delivered": false}));
        }
        transaction.commit().await.map_err(DbError::from)?;
        Ok(result)
    }
}

async fn insert_delivery(
    connection: &mut PgConnection,
    webhook_id: Uuid,
    message: &Message,
    now: DateTime<Utc>,
) -> Result<Uuid, ReportDeliveryError> {
    let webhook = webhooks::lock(connection, webhook_id).await?.ok_or(ReportDeliveryError::NoWebhook)?;
    if !webhook.properties.enabled {
        return Err(ReportDeliveryError::WebhookDisabled);
    }
    let delivery = new_delivery(webhook_id, message, None);
    let id = delivery.id;
    deliveries::insert(connection, &[delivery], now).await?;
    Ok(id)
}

fn download_path(opened: &OpenedExport) -> String {
    format!("/api/v1/exports/{}/download", opened.export.id)
}

/// The message to a webhook: the figures of a digest; of an export, where its file is.
fn message(Delivery { run, schedule }: &Delivery, report: &Report, now: DateTime<Utc>) -> Message {
    let mut data = json!({
        "schedule_id": schedule.id, "schedule": schedule.properties.name, "run_id": run.id, "due_at": run.due_at,
        "kind": schedule.properties.content.kind(),
    });
    match report {
        Report::Digest(digest) => data["digest"] = json!(digest),
        Report::File(opened) => {
            data["export"] = json!({
                "id": opened.export.id, "export": opened.export.name, "format": opened.export.format,
                "file_name": opened.export.file_name, "rows": opened.rows, "bytes": opened.bytes,
                "expires_at": opened.export.expires_at, "download": download_path(opened),
            });
        }
    }
    Message { kind: MESSAGE.to_owned(), timestamp: now, data }
}
