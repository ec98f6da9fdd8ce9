//! A schedule as a person sends it.

use poem_openapi::types::{Example, MaybeUndefined};
use serde_json::{Value, json};
use uuid::Uuid;

use super::schema::StoredExport;
use crate::domain::access::Principal;
use crate::domain::reports::period::Period;
use crate::domain::reports::recipients::Address;
use crate::domain::reports::schedule::{
    Destination, DestinationKind, Language, ReportContent, ReportKind, ScheduleProperties, ScheduledExport,
    is_slow_enough,
};
use crate::domain::schedule::{Cron, CronExpression};
use crate::tabular::Format;
use crate::web::filters::export::query::FileQuery;
use crate::web::filters::export::request_body::{ExportName, ExportRequest};
use crate::web::http::auth::Caller;
use crate::web::http::fields::{Fields, Object, request_fields};
use crate::web::http::problem::Problem;
use crate::web::http::schema::Zone;
use crate::web::state::State;

const MAX_NAME: usize = 200;
const MAX_RECIPIENTS: usize = 20;
/// Filters that the period decides, or that would be those of the day on which the schedule was created.
const DAY_FILTERS: [&str; 4] = ["from_date", "to_date", "older_than_days", "timezone"];

request_fields! {
    /// A schedule. A change needs only the fields that change; a new one needs `name`, `cron`, `destination` and its address.
    #[oai(example)]
    pub(super) struct ReportScheduleRequest {
        /// The name, at most 200 characters.
        #[oai(validator(max_length = 200))]
        name: Option<String>,
        /// What is sent; default: `digest`.
        kind: Option<ReportKind>,
        /// What is exported. With another export, the old filters and columns are dropped.
        export: Option<ExportName>,
        /// The filters by the names of the query parameters of `GET /export/{export}`, without its days.
        #[oai(skip_serializing_if_is_none)]
        filters: Option<Object>,
        /// The format; default: `csv`.
        format: Option<Format>,
        /// The columns, in this order; default: all columns.
        columns: Option<Vec<String>>,
        /// Whether CSV starts with a byte order mark, so that Excel reads it as UTF-8; default: `false`.
        excel: Option<bool>,
        /// The days of an export. Required for `transactions` and `metrics-summary`; null for all days of `reconciliation`.
        period: MaybeUndefined<Period>,
        /// The language of digests and messages; default: `en`.
        language: Option<Language>,
        /// When it runs: minute, hour, day of the month, month, day of the week; at most every 15 minutes.
        cron: Option<String>,
        /// The time zone of `cron`, of the days and of the times in files (IANA name); default: the server's `REPORT_TIMEZONE`.
        timezone: Option<Zone>,
        /// Where reports are sent.
        destination: Option<DestinationKind>,
        /// `webhook`: the endpoint, which gets a message of type `report_ready`, whatever events it is for.
        webhook_id: Option<Uuid>,
        /// `email`: at most 20 addresses, which the setting `REPORT_EMAIL_ALLOWED` must allow.
        recipients: Option<Vec<String>>,
        /// `object_store`: a folder below `reports/` of `EXPORT_STORE`, for example `finance/daily`.
        folder: Option<String>,
        /// Whether it runs; default: true.
        enabled: Option<bool>,
        /// Only in a change: makes the caller the owner, so that the reports contain what the caller may see.
        take_over: Option<bool>,
    }
    check: ReportScheduleRequest::check
}

impl ReportScheduleRequest {
    fn check(&self, fields: &mut Fields) {
        let is_valid = |name: &String| {
            let name = name.trim();
            !name.is_empty() && name.chars().count() <= MAX_NAME && !name.chars().any(char::is_control)
        };
        if self.name.as_ref().is_some_and(|name| !is_valid(name)) {
            fields.error("name", format!("must have 1 to {MAX_NAME} characters and no control characters"));
        }
        if let Some(filters) = &self.filters {
            for name in DAY_FILTERS.iter().filter(|name| filters.contains_key(**name)) {
                fields.error(&format!("filters.{name}"), "cannot be set: the days follow from period and timezone");
            }
        }
        if self.recipients.as_ref().is_some_and(|recipients| !(1..=MAX_RECIPIENTS).contains(&recipients.len())) {
            fields.error("recipients", format!("must be 1 to {MAX_RECIPIENTS} addresses"));
        }
    }

    pub(super) fn takes_over(&self) -> bool {
        self.take_over == Some(true)
    }

    /// A new schedule, or `before` with the given fields. Filters are read with the rights of `owner`.
    pub(super) fn properties(
        self,
        state: &State,
        before: Option<&ScheduleProperties>,
        owner: &Principal,
    ) -> Result<ScheduleProperties, Problem> {
        if before.is_none() && self.take_over.is_some() {
            return Err(Problem::field("take_over", "is only for changes: the caller owns a new schedule"));
        }
        let cron = self.cron(state, before)?;
        let name = self.name.clone().or_else(|| before.map(|before| before.name.clone()));
        Ok(ScheduleProperties {
            name: name.ok_or_else(|| required("name"))?.trim().to_owned(),
            content: self.content(state, before.map(|before| &before.content), &cron, owner)?,
            language: self.language.or(before.map(|before| before.language)).unwrap_or_default(),
            destination: self.destination(state, before.map(|before| &before.destination))?,
            enabled: self.enabled.or(before.map(|before| before.enabled)).unwrap_or(true),
            cron,
        })
    }

    fn cron(&self, state: &State, before: Option<&ScheduleProperties>) -> Result<Cron, Problem> {
        let zone = self.timezone.map(|Zone(zone)| zone);
        let zone = zone.or(before.map(|before| before.cron.zone)).unwrap_or(state.report_timezone);
        let given = self.cron.as_ref().map(|text| text.parse::<CronExpression>());
        let given = given.transpose().map_err(|error| Problem::field("cron", error.to_string()))?;
        let expression = given.or_else(|| before.map(|before| before.cron.expression.clone()));
        let cron = Cron { expression: expression.ok_or_else(|| required("cron"))?, zone };
        if is_slow_enough(&cron, state.clock.now()) {
            return Ok(cron);
        }
        Err(Problem::field("cron", "must leave at least 15 minutes between two runs"))
    }

    fn content(
        &self,
        state: &State,
        before: Option<&ReportContent>,
        cron: &Cron,
        owner: &Principal,
    ) -> Result<ReportContent, Problem> {
        let kind = self.kind.or(before.map(ReportContent::kind)).unwrap_or_default();
        if kind == ReportKind::Digest {
            self.refuse_export_fields()?;
            return Ok(ReportContent::Digest);
        }
        let before = match before {
            Some(ReportContent::Export(export)) => Some(export),
            Some(ReportContent::Digest) | None => None,
        };
        let stored = self.stored_export(before)?;
        let period = self.period(stored.export, before.and_then(|export| export.period))?;
        let file =
            FileQuery { format: Some(stored.format), columns: stored.columns.clone(), excel: Some(stored.excel) };
        let request = ExportRequest::of_schedule(stored.export, stored.filters.clone(), file, Zone(cron.zone));
        let spec = request.spec(state, &Caller(owner.clone()))?;
        Ok(ReportContent::Export(ScheduledExport { request: json!(stored), spec: json!(spec), period }))
    }

    fn refuse_export_fields(&self) -> Result<(), Problem> {
        let given = [
            ("export", self.export.is_some()),
            ("filters", self.filters.is_some()),
            ("format", self.format.is_some()),
            ("columns", self.columns.is_some()),
            ("excel", self.excel.is_some()),
            ("period", matches!(self.period, MaybeUndefined::Value(_))),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((field, _)) => Err(Problem::field(field, "is only for the kind export: a digest has no options")),
            None => Ok(()),
        }
    }

    /// The export with the given fields.
    fn stored_export(&self, before: Option<&ScheduledExport>) -> Result<StoredExport, Problem> {
        let before = before.and_then(|export| StoredExport::read(&export.request));
        let export = self.export.or(before.as_ref().map(|before| before.export)).ok_or_else(|| required("export"))?;
        let before = before.unwrap_or_default();
        let is_same = before.export == export;
        let filters = self.filters.clone().unwrap_or(if is_same { before.filters } else { Object::new() });
        let columns = self.columns.clone().unwrap_or(if is_same { before.columns } else { vec![] });
        Ok(StoredExport {
            export,
            filters,
            columns,
            format: self.format.unwrap_or(before.format),
            excel: self.excel.unwrap_or(before.excel),
        })
    }

    fn period(&self, export: ExportName, before: Option<Period>) -> Result<Option<Period>, Problem> {
        let period = match self.period {
            MaybeUndefined::Undefined => before,
            MaybeUndefined::Null => None,
            MaybeUndefined::Value(period) => Some(period),
        };
        match (export, period) {
            (ExportName::Transactions | ExportName::MetricsSummary, None) => Err(required("period")),
            (ExportName::PayshackClients, Some(_)) => {
                Err(Problem::field("period", "must be null: clients are not of a day"))
            }
            (_, period) => Ok(period),
        }
    }

    fn destination(&self, state: &State, before: Option<&Destination>) -> Result<Destination, Problem> {
        let kind = self.destination.or(before.map(Destination::kind)).ok_or_else(|| required("destination"))?;
        self.refuse_other_addresses(kind)?;
        let before = before.filter(|before| before.kind() == kind).cloned();
        let destination = match kind {
            DestinationKind::Webhook => self.webhook_id.map(Destination::Webhook),
            DestinationKind::Email => self.recipients.as_ref().map(|to| recipients(state, to)).transpose()?,
            DestinationKind::ObjectStore => {
                self.folder.as_ref().map(|folder| object_store(state, folder)).transpose()?
            }
        };
        destination.or(before).ok_or_else(|| required(address_field(kind)))
    }

    fn refuse_other_addresses(&self, kind: DestinationKind) -> Result<(), Problem> {
        let given = [
            (DestinationKind::Webhook, self.webhook_id.is_some()),
            (DestinationKind::Email, self.recipients.is_some()),
            (DestinationKind::ObjectStore, self.folder.is_some()),
        ];
        match given.into_iter().find(|(of, is_given)| *is_given && *of != kind) {
            Some((of, _)) => {
                let message = format!("is only for the destination {}, and this is {}", of.as_str(), kind.as_str());
                Err(Problem::field(address_field(of), message))
            }
            None => Ok(()),
        }
    }
}

fn required(field: &str) -> Problem {
    Problem::field(field, "is required")
}

/// The field that has the address of a destination.
fn address_field(kind: DestinationKind) -> &'static str {
    match kind {
        DestinationKind::Webhook => "webhook_id",
        DestinationKind::Email => "recipients",
        DestinationKind::ObjectStore => "folder",
    }
}

fn recipients(state: &State, texts: &[String]) -> Result<Destination, Problem> {
    let address = |text: &String| {
        let address =
            text.parse::<Address>().map_err(|error| Problem::field("recipients", format!("{text} {error}")))?;
        if state.report_recipients.allow(&address) {
            return Ok(address);
        }
        let message = format!("{text} is not allowed: reports go to what the setting REPORT_EMAIL_ALLOWED lists");
        Err(Problem::field("recipients", message))
    };
    Ok(Destination::Email(texts.iter().map(address).collect::<Result<_, _>>()?))
}

fn object_store(state: &State, folder: &str) -> Result<Destination, Problem> {
    if !state.files.keeps_reports() {
        let message = "needs an object store: the setting EXPORT_STORE is database, which keeps files for a day";
        return Err(Problem::field("destination", message));
    }
    folder.parse().map(Destination::ObjectStore).map_err(|error: &str| Problem::field("folder", error))
}

impl Example for ReportScheduleRequest {
    fn example() -> Self {
        let status: Value = json!(["success", "refunded"]);
        Self {
            name: Some("Successful payments of yesterday".to_owned()),
            kind: Some(ReportKind::Export),
            export: Some(ExportName::Transactions),
            filters: Some([("status".to_owned(), status)].into()),
            format: Some(Format::Xlsx),
            period: MaybeUndefined::Value(Period::Yesterday),
            cron: Some("0 7 * * *".to_owned()),
            timezone: Some(Zone(chrono_tz::Asia::Kolkata)),
            destination: Some(DestinationKind::Email),
            recipients: Some(vec!["finance@example.com".to_owned()]),
            ..Self::default()
        }
    }
}
