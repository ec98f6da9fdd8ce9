//! The body of `POST /exports`.

use poem_openapi::types::Example;
use serde_json::json;

use super::from_query;
use super::query::{FileQuery, FileZoneQuery};
use crate::domain::string_enum::string_enum;
use crate::operations::export::sources::lookup::LookupExport;
use crate::operations::export::spec::{ExportKind, ExportSpec};
use crate::tabular::{FileOptions, Format};
use crate::web::filters::pasted_ids::PastedIds;
use crate::web::http::auth::Caller;
use crate::web::http::fields::{Fields, FromFields, Object, request_fields};
use crate::web::http::parameters;
use crate::web::http::problem::{Problem, ProblemCode};
use crate::web::http::query::Query;
use crate::web::http::schema::{Zone, named_enum};
use crate::web::state::State;

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub(in crate::web) enum ExportName {
        #[default]
        Transactions = "transactions",
        Reconciliation = "reconciliation",
        MetricsSummary = "metrics-summary",
        PayshackClients = "payshack-clients",
    }
}

named_enum!(ExportName, "ExportName", ExportName::ALL, "What is exported, as in the path of `GET /export/{export}`.");

request_fields! {
    /// An export to create. The filters and the options of the file are either separate fields, or together in `query`.
    #[oai(example)]
    pub(in crate::web) struct ExportRequest {
        /// What is exported.
        export: ExportName,
        /// The query string of `GET /export/{export}`, for example `format=xlsx&status=success&from_date=2026-01-01`.
        /// Cannot be combined with the fields below.
        #[oai(skip_serializing_if_is_none)]
        query: Option<String>,
        /// The filters by the names of the query parameters of `GET /export/{export}`. A value is a string, a number or
        /// a boolean; where the parameter takes several values, also an array of them.
        #[oai(skip_serializing_if_is_none)]
        filters: Option<Object>,
        /// Instead of filters, the ids of transactions as in `POST /transactions/lookup`: a row for each transaction in the order of
        /// the ids, with the columns `input` and `found` before the others, and a row for each id that was not found.
        #[oai(skip_serializing_if_is_none)]
        ids: Option<PastedIds>,
        /// The format; default: `csv`.
        format: Option<Format>,
        /// The columns, in this order; default: all columns.
        #[oai(default)]
        columns: Vec<String>,
        /// The time zone of the times in the file and of the days in `filters` (IANA name); default: `REPORT_TIMEZONE`,
        /// for discrepancies `RECONCILIATION_TIMEZONE`. Days of discrepancies are always in `RECONCILIATION_TIMEZONE`.
        timezone: Option<Zone>,
        /// Whether CSV starts with a byte order mark, so that Excel reads it as UTF-8; default: `false`.
        #[oai(skip_serializing_if_is_none)]
        excel: Option<bool>,
    }
    check: ExportRequest::check
}

impl Example for ExportRequest {
    fn example() -> Self {
        let filters = [("status", json!(["success", "refunded"])), ("from_date", json!("2026-01-01"))];
        Self {
            filters: Some(filters.map(|(name, value)| (name.to_owned(), value)).into()),
            format: Some(Format::Xlsx),
            columns: ["source_id", "created_at", "amount", "currency"].map(str::to_owned).into(),
            timezone: Some(Zone(chrono_tz::Asia::Kolkata)),
            ..Self::default()
        }
    }
}

impl ExportRequest {
    /// The export of a schedule. Its days follow from the period of the schedule.
    pub(in crate::web) fn of_schedule(export: ExportName, filters: Object, file: FileQuery, zone: Zone) -> Self {
        let FileQuery { format, columns, excel } = file;
        let filters = Some(filters);
        Self { export, query: None, filters, ids: None, format, columns, timezone: Some(zone), excel }
    }

    fn check(&self, fields: &mut Fields) {
        let others = ["filters", "ids", "format", "columns", "timezone", "excel"];
        if fields.has_value("query") && others.iter().any(|name| fields.has_value(name)) {
            fields.error("query", format!("cannot be combined with {}", others.join(", ")));
        }
        if self.ids.is_some() && fields.has_value("filters") {
            fields.error("ids", "cannot be combined with filters");
        }
        if self.ids.is_some() && self.export != ExportName::Transactions {
            fields.error("ids", "can only be combined with the export transactions");
        }
    }

    pub(in crate::web) fn spec(self, state: &State, caller: &Caller) -> Result<ExportSpec, Problem> {
        let read = self.read(state, caller);
        let (kind, options) =
            if self.query.is_some() { read? } else { read.map_err(|problem| problem.within("filters"))? };
        let spec = ExportSpec { kind, options, requested_by: caller.0.clone() };
        spec.check_columns().map_err(|error| Problem::field("columns", error.to_string()))?;
        Ok(spec)
    }

    fn read(&self, state: &State, caller: &Caller) -> Result<(ExportKind, FileOptions), Problem> {
        let (file, file_zone) = self.file()?;
        if let Some(PastedIds(ids)) = self.ids.clone() {
            let projects = caller.projects(&[])?;
            let source = LookupExport { ids, projects, pii_access: caller.pii_access() };
            return Ok((ExportKind::Lookup(source), file.options(file_zone.zone(state.report_timezone))));
        }
        Ok(match self.export {
            ExportName::Transactions => {
                let (source, options) = from_query::transactions(state, caller, self.list_query(state)?, file)?;
                (ExportKind::Transactions(source), options)
            }
            ExportName::Reconciliation => {
                let (source, options) =
                    from_query::reconciliation(state, caller, &self.list_query(state)?, file, &file_zone)?;
                (ExportKind::Reconciliation(source), options)
            }
            ExportName::MetricsSummary => {
                let (source, options) = from_query::metrics_summary(state, caller, &self.list_query(state)?, file)?;
                (ExportKind::MetricsSummary(source), options)
            }
            ExportName::PayshackClients => {
                all_projects(caller)?;
                let (source, options) =
                    from_query::payshack_clients(state, caller, self.list_query(state)?, file, &file_zone);
                (ExportKind::PayshackClients(source), options)
            }
        })
    }

    fn file(&self) -> Result<(FileQuery, FileZoneQuery), Problem> {
        if let Some(query) = &self.query {
            return Ok((Query::from_text(query)?.0, Query::from_text(query)?.0));
        }
        let file = FileQuery { format: self.format, columns: self.columns.clone(), excel: self.excel };
        Ok((file, FileZoneQuery { timezone: self.timezone }))
    }

    /// Reads the filters of a list. Unknown ones are errors; in a query string only if they are in that of a request too.
    fn list_query<T: FromFields>(&self, state: &State) -> Result<T, Problem> {
        if let Some(query) = &self.query {
            let known = [T::names(), FileQuery::names(), FileZoneQuery::names()].concat();
            parameters::check(query.trim_start_matches('?'), &known, state.lenient_parameters)?;
            return Ok(Query::from_text(query)?.0);
        }
        let names = T::names();
        let mut fields = Fields::from_object(self.filters.clone().unwrap_or_default());
        if let Some(Zone(zone)) = self.timezone
            && names.contains(&"timezone")
        {
            fields.add("timezone".to_owned(), zone.name());
        }
        fields.refuse_others(&names);
        let read = T::read(&mut fields);
        fields.finish(read)
    }
}

/// The access policy of `POST /exports` cannot know which export is requested.
fn all_projects(caller: &Caller) -> Result<(), Problem> {
    let scope = &caller.0.scope;
    if scope.is_all() {
        return Ok(());
    }
    let detail = format!(
        "PayShack's clients are not divided by project, and the key is limited to {scope}: use a key without a project scope"
    );
    Err(Problem::new(ProblemCode::Forbidden, detail))
}
