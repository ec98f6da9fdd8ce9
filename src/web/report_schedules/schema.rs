//! The shape of a schedule in responses.

use std::collections::BTreeMap;

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::reports::schedules;
use crate::domain::entity_tag::EntityTag;
use crate::domain::reports::period::Period;
use crate::domain::reports::schedule::{Destination, DestinationKind, Language, ReportContent, ReportKind};
use crate::tabular::Format;
use crate::web::filters::export::request_body::ExportName;
use crate::web::http::entity_tag::Tagged;
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME};
use crate::web::http::schema::{Time, named_enum};

named_enum!(ReportKind, "ReportKind", ReportKind::ALL, "What a report is.");
named_enum!(DestinationKind, "ReportDestination", DestinationKind::ALL, "Where reports are sent.");
named_enum!(Language, "ReportLanguage", Language::ALL, "The language of a report.");
named_enum!(Period, "ReportPeriod", Period::ALL, "The days that an export covers, relative to the time of its run.");

/// What a person asked to export, as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredExport {
    pub(super) export: ExportName,
    #[serde(default)]
    pub(super) filters: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) format: Format,
    #[serde(default)]
    pub(super) columns: Vec<String>,
    #[serde(default)]
    pub(super) excel: bool,
}

impl StoredExport {
    /// `None` if another release stored it in another form.
    pub(super) fn read(request: &Value) -> Option<Self> {
        serde_json::from_value(request.clone()).ok()
    }
}

/// A schedule of reports.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct ReportSchedule {
    /// The id of the schedule.
    id: Uuid,
    /// The name.
    name: String,
    /// What is sent.
    kind: ReportKind,
    /// What is exported; null for a digest.
    export: Option<ExportName>,
    /// The filters of the export; null for a digest.
    filters: Option<BTreeMap<String, Value>>,
    /// The format of the export; null for a digest.
    format: Option<Format>,
    /// The columns of the export, empty for all; null for a digest.
    columns: Option<Vec<String>>,
    /// Whether CSV starts with a byte order mark; null for a digest.
    excel: Option<bool>,
    /// The days of the export; null if it has none.
    period: Option<Period>,
    /// The language of digests and messages.
    language: Language,
    /// When it runs: minute, hour, day, month, weekday.
    cron: String,
    /// The time zone of `cron`, of the days and of the times in files.
    timezone: String,
    /// Where reports are sent.
    destination: DestinationKind,
    /// The webhook; null for other destinations.
    webhook_id: Option<Uuid>,
    /// The e-mail addresses; null for other destinations.
    recipients: Option<Vec<String>>,
    /// The folder in the object store; null for other destinations.
    folder: Option<String>,
    /// Whether it runs.
    enabled: bool,
    /// Why the service has stopped it; null if it did not.
    stopped_reason: Option<String>,
    /// When it runs next; null if it is not enabled.
    next_run_at: Option<Time>,
    /// The name of the key whose rights the reports have.
    owner: String,
    /// The projects that the reports contain; null for all.
    projects: Option<Vec<String>>,
    /// When it was created.
    created_at: Time,
    /// When it was last changed.
    updated_at: Time,
    /// The version, for `If-Match` of a change: it changes when the schedule is changed, not when it runs.
    etag: String,
}

impl Tagged for ReportSchedule {
    fn etag(&self) -> Option<&str> {
        Some(&self.etag)
    }
}

impl From<schedules::ReportSchedule> for ReportSchedule {
    fn from(schedule: schedules::ReportSchedule) -> Self {
        let etag = schedule.etag().to_string();
        let properties = schedule.properties;
        let (kind, destination) = (properties.content.kind(), properties.destination.kind());
        let (export, period) = match &properties.content {
            ReportContent::Digest => (None, None),
            ReportContent::Export(export) => (StoredExport::read(&export.request), export.period),
        };
        let (webhook_id, recipients, folder) = match properties.destination {
            Destination::Webhook(id) => (Some(id), None, None),
            Destination::Email(to) => {
                (None, Some(to.iter().map(|address| address.as_str().to_owned()).collect()), None)
            }
            Destination::ObjectStore(folder) => (None, None, Some(folder.as_str().to_owned())),
        };
        Self {
            id: schedule.id,
            name: properties.name,
            kind,
            export: export.as_ref().map(|export| export.export),
            filters: export.as_ref().map(|export| export.filters.clone()),
            format: export.as_ref().map(|export| export.format),
            excel: export.as_ref().map(|export| export.excel),
            columns: export.map(|export| export.columns),
            period,
            language: properties.language,
            cron: properties.cron.expression.to_string(),
            timezone: properties.cron.zone.name().to_owned(),
            destination,
            webhook_id,
            recipients,
            folder,
            enabled: properties.enabled,
            stopped_reason: schedule.stopped_reason,
            next_run_at: schedule.next_run_at.map(Time),
            owner: schedule.owner.name,
            projects: schedule.owner.scope.projects().map(<[String]>::to_vec),
            created_at: Time(schedule.created_at),
            updated_at: Time(schedule.updated_at),
            etag,
        }
    }
}

impl Example for ReportSchedule {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID,
            name: "Successful payments of yesterday".to_owned(),
            kind: ReportKind::Export,
            export: Some(ExportName::Transactions),
            filters: Some([("status".to_owned(), json!(["success", "refunded"]))].into()),
            format: Some(Format::Xlsx),
            columns: Some(vec![]),
            excel: Some(false),
            period: Some(Period::Yesterday),
            language: Language::English,
            cron: "0 7 * * *".to_owned(),
            timezone: "Asia/Kolkata".to_owned(),
            destination: DestinationKind::Email,
            webhook_id: None,
            recipients: Some(vec!["finance@example.com".to_owned()]),
            folder: None,
            enabled: true,
            stopped_reason: None,
            next_run_at: Some(Time(EXAMPLE_TIME)),
            owner: "finance".to_owned(),
            projects: None,
            created_at: Time(EXAMPLE_TIME),
            updated_at: Time(EXAMPLE_TIME),
            etag: EntityTag::of_version(3).to_string(),
        }
    }
}
