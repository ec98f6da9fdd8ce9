//! The shapes of alert rules in requests and responses.

use poem_openapi::Object;
use poem_openapi::types::{Example, MaybeUndefined};
use uuid::Uuid;

use crate::db::alerts::rules;
use crate::domain::alerts::condition::{Condition, ConditionKind, PaymentCondition};
use crate::domain::alerts::hysteresis::HoldTimes;
use crate::domain::alerts::parameters::Parameters;
use crate::domain::alerts::reading::Threshold;
use crate::domain::alerts::rule::{AlertReason, RuleProperties, Severity};
use crate::domain::job::{JobKind, KINDS};
use crate::domain::money::Currency;
use crate::domain::transaction::Source;
use crate::web::http::entity_tag::Tagged;
use crate::web::http::fields::{Fields, request_fields};
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME};
use crate::web::http::problem::Problem;
use crate::web::http::schema::{Money, Time, named_enum};

named_enum!(ConditionKind, "AlertRuleKind", ConditionKind::ALL, "What an alert rule is about.");
named_enum!(Severity, "AlertSeverity", Severity::ALL, "How urgent an alert is.");
named_enum!(AlertReason, "AlertReason", AlertReason::ALL, "Whether the condition holds, or cannot be judged.");

const MAX_NAME: usize = 200;
const MAX_DESCRIPTION: usize = 2_000;
const MAX_PROJECTS: usize = 50;
const MAX_HOLD_MINUTES: u32 = 7 * 24 * 60;
const DEFAULT_LAG_MINUTES: u32 = 15;

/// A rule, from which alerts are raised.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct AlertRule {
    /// The id of the rule.
    id: Uuid,
    /// The name, which is the title of its alerts.
    name: String,
    /// What to do about it.
    description: String,
    /// How urgent its alerts are.
    severity: Severity,
    /// What it is about.
    kind: ConditionKind,
    /// The length of the window, in minutes; null if the kind has none.
    window_minutes: Option<u32>,
    /// The threshold of the kind; null if the kind has none.
    threshold: Option<Money>,
    /// An alert is resolved only beyond this value; null: beyond the threshold.
    resolve_threshold: Option<Money>,
    /// The least number of payments that are judged, or of failures; null if the kind has none.
    min_count: Option<u32>,
    /// The weeks of the baseline; null if the kind has none.
    weeks: Option<u32>,
    /// The age of a payment from which a change is late, in hours; null if the kind has none.
    hours: Option<u32>,
    /// The currency of the value; null if the kind has none.
    currency: Option<String>,
    /// The kind of job; null for any, or if the kind of rule has none.
    job_kind: Option<String>,
    /// The projects, each of which is judged separately; empty: all payments together.
    projects: Vec<String>,
    /// The source that it is about; null for all.
    source: Option<Source>,
    /// How long the condition must hold before an alert fires.
    for_minutes: u32,
    /// How long the condition must be over before an alert is resolved.
    clear_minutes: u32,
    /// A rule about payments is not judged if a source was read longer ago than this.
    max_lag_minutes: u32,
    /// Whether it is evaluated.
    enabled: bool,
    /// Until then its alerts are not announced; null if it is not muted.
    muted_until: Option<Time>,
    /// How many of its alerts are open.
    open_alerts: u64,
    /// When it was created.
    created_at: Time,
    /// The name of the key that created it.
    created_by: String,
    /// When a person last changed it.
    updated_at: Time,
    /// The version, for `If-Match` of a change: it changes when a person changes the rule, not with `open_alerts`.
    etag: String,
}

impl Tagged for AlertRule {
    fn etag(&self) -> Option<&str> {
        Some(&self.etag)
    }
}

impl From<rules::AlertRule> for AlertRule {
    fn from(rule: rules::AlertRule) -> Self {
        let etag = rule.etag().to_string();
        let properties = rule.properties;
        let parameters = properties.condition.parameters();
        Self {
            id: rule.id,
            name: properties.name,
            description: properties.description,
            severity: properties.severity,
            kind: properties.condition.kind(),
            window_minutes: parameters.window_minutes,
            threshold: parameters.threshold.map(Money),
            resolve_threshold: parameters.resolve_threshold.map(Money),
            min_count: parameters.min_count,
            weeks: parameters.weeks,
            hours: parameters.hours,
            currency: parameters.currency,
            job_kind: parameters.job_kind,
            projects: properties.projects,
            source: properties.source,
            for_minutes: properties.hold.for_minutes,
            clear_minutes: properties.hold.clear_minutes,
            max_lag_minutes: properties.max_lag_minutes,
            enabled: properties.enabled,
            muted_until: properties.muted_until.map(Time),
            open_alerts: rule.open_alerts,
            created_at: Time(rule.created_at),
            created_by: rule.created_by,
            updated_at: Time(rule.updated_at),
            etag,
        }
    }
}

impl Example for AlertRule {
    fn example() -> Self {
        let below = Threshold { fires: 80.into(), clears: Some(85.into()) };
        let condition = PaymentCondition::LowSuccessRate { window_minutes: 60, below, min_payments: 50 };
        rules::AlertRule {
            id: EXAMPLE_ID,
            properties: RuleProperties {
                name: "Success rate of acme".to_owned(),
                description: "Ask the acquirer whether a route is down.".to_owned(),
                severity: Severity::Critical,
                condition: Condition::Payments(condition),
                projects: vec!["acme".to_owned()],
                source: None,
                hold: HoldTimes { for_minutes: 15, clear_minutes: 30 },
                max_lag_minutes: DEFAULT_LAG_MINUTES,
                enabled: true,
                muted_until: None,
            },
            open_alerts: 1,
            created_at: EXAMPLE_TIME,
            created_by: "ada".to_owned(),
            updated_at: EXAMPLE_TIME,
            version: 3,
        }
        .into()
    }
}

request_fields! {
    /// A rule. A change needs only the fields that change; a new rule needs `name`, `kind` and the parameters of the kind.
    #[oai(example)]
    pub(super) struct AlertRuleRequest {
        /// The name, which is the title of its alerts, at most 200 characters.
        #[oai(validator(max_length = 200))]
        name: Option<String>,
        /// What to do about it, at most 2,000 characters.
        #[oai(validator(max_length = 2000))]
        description: Option<String>,
        /// How urgent its alerts are; default: `warning`.
        severity: Option<Severity>,
        /// What it is about. With another kind, all parameters of the old one are dropped.
        kind: Option<ConditionKind>,
        /// The length of the window, in minutes: a multiple of 15 up to a day for rates and failures; from 5 up to a week for
        /// `no_payments`; up to a week for `job_failed` and `late_changes`.
        window_minutes: Option<u32>,
        /// `low_success_rate`: percent. `success_rate_below_baseline`: percentage points below it. `failures_doubled`: the factor,
        /// default 2. `sync_lag`: minutes. `value_at_risk`: the amount. Otherwise the number, default 0. The condition holds beyond
        /// it.
        threshold: Option<Money>,
        /// An alert is resolved only beyond this value. Default: the threshold.
        resolve_threshold: Option<Money>,
        /// Rates: the least number of decided payments that are judged, default 20. `failures_doubled`: the least number of failures,
        /// default 10.
        min_count: Option<u32>,
        /// `success_rate_below_baseline`: 4 or 8, default 4.
        weeks: Option<u32>,
        /// `late_changes`: the age of a payment from which a change of its final status is late.
        hours: Option<u32>,
        /// `value_at_risk`: the currency.
        currency: Option<Currency>,
        /// `job_failed`: the kind of job; default: any.
        job_kind: Option<String>,
        /// At most 50 projects, each of which is judged separately; empty (the default): all payments together.
        projects: Option<Vec<String>>,
        /// The source that it is about; null for all.
        source: MaybeUndefined<Source>,
        /// How long the condition must hold before an alert fires, in minutes; default: 0.
        for_minutes: Option<u32>,
        /// How long the condition must be over before an alert is resolved, in minutes; default: 0.
        clear_minutes: Option<u32>,
        /// A rule about payments is not judged if a source was read longer ago than this, in minutes, from 1; default: 15.
        max_lag_minutes: Option<u32>,
        /// Whether it is evaluated; default: true. Disabling it resolves its open alerts.
        enabled: Option<bool>,
        /// Until then its alerts are raised, but not announced; null to announce them again.
        muted_until: MaybeUndefined<Time>,
    }
    check: AlertRuleRequest::check
}

impl AlertRuleRequest {
    fn check(&self, fields: &mut Fields) {
        for (name, text, most) in [("name", &self.name, MAX_NAME), ("description", &self.description, MAX_DESCRIPTION)]
        {
            if text.as_ref().is_some_and(|text| text.chars().count() > most) {
                fields.error(name, format!("must have at most {most} characters"));
            }
        }
        for (name, minutes) in [("for_minutes", self.for_minutes), ("clear_minutes", self.clear_minutes)] {
            if minutes.is_some_and(|minutes| minutes > MAX_HOLD_MINUTES) {
                fields.error(name, format!("must be at most {MAX_HOLD_MINUTES}"));
            }
        }
        if self.max_lag_minutes.is_some_and(|minutes| !(1..=MAX_HOLD_MINUTES).contains(&minutes)) {
            fields.error("max_lag_minutes", format!("must be from 1 to {MAX_HOLD_MINUTES}"));
        }
        if self.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
            fields.error("name", "must not be empty");
        }
        if let Some(projects) = &self.projects {
            if projects.len() > MAX_PROJECTS {
                fields.error("projects", format!("must be at most {MAX_PROJECTS}"));
            }
            if projects.iter().any(String::is_empty) {
                fields.error("projects", "must not contain an empty name");
            }
        }
        if self.job_kind.as_ref().is_some_and(|name| JobKind::from_name(name).is_none()) {
            fields.error("job_kind", format!("must be one of {}", KINDS.map(|kind| kind.name).join(", ")));
        }
    }

    fn parameters(&self) -> Parameters {
        let amount = |money: Option<Money>| money.map(|Money(amount)| amount);
        Parameters {
            window_minutes: self.window_minutes,
            threshold: amount(self.threshold),
            resolve_threshold: amount(self.resolve_threshold),
            min_count: self.min_count,
            weeks: self.weeks,
            hours: self.hours,
            currency: self.currency.as_ref().map(|currency| currency.as_str().to_owned()),
            job_kind: self.job_kind.clone(),
        }
    }

    /// A new rule.
    pub(super) fn into_rule(self) -> Result<RuleProperties, Problem> {
        let required = |field: &str| Problem::field(field, "is required");
        let kind = self.kind.ok_or_else(|| required("kind"))?;
        let condition = condition(kind, &self.parameters())?;
        let name = self.name.clone().ok_or_else(|| required("name"))?;
        let rule = RuleProperties {
            name,
            description: String::new(),
            severity: Severity::Warning,
            condition,
            projects: vec![],
            source: None,
            hold: HoldTimes::default(),
            max_lag_minutes: DEFAULT_LAG_MINUTES,
            enabled: true,
            muted_until: None,
        };
        self.change(rule)
    }

    /// `rule` with the given fields.
    pub(super) fn change(self, rule: RuleProperties) -> Result<RuleProperties, Problem> {
        let kind = self.kind.unwrap_or(rule.condition.kind());
        let parameters =
            if kind == rule.condition.kind() { rule.condition.parameters() } else { Parameters::default() };
        let condition = condition(kind, &parameters.updated(self.parameters()))?;
        let mut projects = self.projects.unwrap_or(rule.projects);
        projects.sort_unstable();
        projects.dedup();
        let source = undefined_or(self.source, rule.source);
        check_subjects(kind, &projects, source)?;
        Ok(RuleProperties {
            name: self.name.unwrap_or(rule.name),
            description: self.description.unwrap_or(rule.description),
            severity: self.severity.unwrap_or(rule.severity),
            condition,
            projects,
            source,
            hold: HoldTimes {
                for_minutes: self.for_minutes.unwrap_or(rule.hold.for_minutes),
                clear_minutes: self.clear_minutes.unwrap_or(rule.hold.clear_minutes),
            },
            max_lag_minutes: self.max_lag_minutes.unwrap_or(rule.max_lag_minutes),
            enabled: self.enabled.unwrap_or(rule.enabled),
            muted_until: undefined_or(self.muted_until, rule.muted_until.map(Time)).map(|Time(until)| until),
        })
    }
}

fn undefined_or<T>(change: MaybeUndefined<T>, value: Option<T>) -> Option<T> {
    match change {
        MaybeUndefined::Undefined => value,
        MaybeUndefined::Null => None,
        MaybeUndefined::Value(value) => Some(value),
    }
}

/// A filter that the kind does not have would be ignored without a word.
fn check_subjects(kind: ConditionKind, projects: &[String], source: Option<Source>) -> Result<(), Problem> {
    use ConditionKind::{JobFailed, OpenDiscrepancies, Quarantine, SyncLag, ValueAtRisk};
    if !projects.is_empty() && matches!(kind, SyncLag | Quarantine | JobFailed) {
        return Err(Problem::field("projects", "must be empty: this kind is not about projects"));
    }
    if source.is_some() && matches!(kind, OpenDiscrepancies | ValueAtRisk | JobFailed) {
        return Err(Problem::field("source", "must be null: this kind is not about one source"));
    }
    Ok(())
}

fn condition(kind: ConditionKind, parameters: &Parameters) -> Result<Condition, Problem> {
    Condition::new(kind, parameters).map_err(|error| Problem::field(error.field, error.problem))
}

impl Example for AlertRuleRequest {
    fn example() -> Self {
        Self {
            name: Some("Success rate of acme".to_owned()),
            severity: Some(Severity::Critical),
            kind: Some(ConditionKind::LowSuccessRate),
            window_minutes: Some(60),
            threshold: Some(Money(80.into())),
            resolve_threshold: Some(Money(85.into())),
            min_count: Some(50),
            projects: Some(vec!["acme".to_owned()]),
            for_minutes: Some(15),
            clear_minutes: Some(30),
            ..Self::default()
        }
    }
}
