//! The words that answers are made of: how the contract writes money, times and rates, and the domain's enums as the
//! document's enums.
//!
//! The domain knows nothing of documents, so its enums get their schemas here, by their own names, rather than a twin
//! each that would have to be kept alike.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use rust_decimal::Decimal;
use serde_json::Value;

use super::fields::ParseField;
use crate::db::transactions::search::{SortBy, SortOrder};
use crate::domain::access::Role;
use crate::domain::discrepancy::DiscrepancyState;
use crate::domain::exchange_rate::RateOrigin;
use crate::domain::job::attempt::AttemptOutcome;
use crate::domain::job::{JobKind, JobState, KINDS, Trigger};
use crate::domain::metadata::{BalanceKind, OwnerKind};
use crate::domain::metrics::comparison::ComparisonType;
use crate::domain::metrics::granularity::Granularity;
use crate::domain::money::{format_decimal, parse_decimal};
use crate::domain::reconciliation::{AgeBucket, DiscrepancyType, MatchStatus, RunStatus as ReconciliationRunStatus};
use crate::domain::status::Status;
use crate::domain::sync::{RunStatus, SyncMode};
use crate::domain::transaction::{Kind, Source};
use crate::tabular::Format;
use crate::web::export::ExportName;
use crate::web::metrics::{HeatmapDimension, HeatmapMetric, MerchantSort};

/// What every simple type says of itself to poem-openapi.
macro_rules! plain_type {
    ($name:literal, $schema:expr) => {
        const IS_REQUIRED: bool = true;
        type RawValueType = Self;
        type RawElementValueType = Self;

        fn name() -> Cow<'static, str> {
            $name.into()
        }

        fn schema_ref() -> MetaSchemaRef {
            $schema
        }

        fn as_raw_value(&self) -> Option<&Self> {
            Some(self)
        }

        fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
            Box::new(std::iter::once(self))
        }
    };
}

/// An enum of the domain as an enum of the document.
macro_rules! named_enum {
    ($type:ty, $name:literal, $values:expr, $description:literal) => {
        impl Type for $type {
            plain_type!($name, MetaSchemaRef::Reference($name.to_owned()));

            fn register(registry: &mut Registry) {
                registry.create_schema::<Self, _>($name.to_owned(), |_| MetaSchema {
                    description: Some($description),
                    enum_items: $values.iter().map(|value| value.as_str().into()).collect(),
                    ..MetaSchema::new("string")
                });
            }
        }

        impl ToJSON for $type {
            fn to_json(&self) -> Option<Value> {
                Some(self.as_str().into())
            }
        }

        impl ParseFromJSON for $type {
            fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
                match value {
                    Some(Value::String(text)) => Self::parse_field(&text).map_err(ParseError::custom),
                    _ => Err(ParseError::expected_input()),
                }
            }
        }

        impl ParseField for $type {
            fn parse_field(text: &str) -> Result<Self, String> {
                Self::from_name(text).ok_or_else(|| {
                    let names: Vec<&str> = $values.iter().map(|value| value.as_str()).collect();
                    format!("must be one of {}", names.join(", "))
                })
            }
        }
    };
}

named_enum!(Source, "Source", Source::ALL, "The provider that told of a payment.");
named_enum!(Kind, "Kind", Kind::ALL, "Which way the money goes, seen from the merchant.");
named_enum!(Status, "Status", Status::ALL, "The state of a payment, the same for every provider.");
named_enum!(ExportName, "ExportName", ExportName::ALL, "What can be exported.");
named_enum!(Granularity, "Granularity", Granularity::ALL, "How long a bucket of time is.");
named_enum!(ComparisonType, "ComparisonType", ComparisonType::ALL, "Which periods are compared.");
named_enum!(HeatmapDimension, "HeatmapDimension", HeatmapDimension::ALL, "What the sides of a heatmap are.");
named_enum!(HeatmapMetric, "HeatmapMetric", HeatmapMetric::ALL, "What is shown in the cells of a heatmap.");
named_enum!(MerchantSort, "MerchantSort", MerchantSort::ALL, "What a listing of merchants is sorted by.");
named_enum!(Role, "Role", Role::ALL, "What a key may do; each role may do what the one before may.");
named_enum!(SyncMode, "SyncMode", SyncMode::ALL, "What a sync reads.");
named_enum!(RunStatus, "RunStatus", RunStatus::ALL, "How a run of a sync stands.");
named_enum!(Trigger, "Trigger", Trigger::ALL, "What made a job.");
named_enum!(JobState, "JobState", JobState::ALL, "Where a job stands.");
named_enum!(AttemptOutcome, "AttemptOutcome", AttemptOutcome::ALL, "How an attempt of a job ended.");
named_enum!(KindName, "JobKind", KindName::all(), "A kind of job of this release.");
named_enum!(QueueName, "QueueName", QueueName::all(), "A queue in which kinds of job of this release wait.");
named_enum!(OwnerKind, "OwnerKind", OwnerKind::ALL, "Whose balance it is.");
named_enum!(BalanceKind, "BalanceKind", BalanceKind::ALL, "Which of an owner's balances.");
named_enum!(RateOriginName, "RateOrigin", RateOriginName::all(), "Whose word an exchange rate is.");
named_enum!(MatchStatus, "MatchStatus", MatchStatus::ALL, "What a reconciliation found of a payment.");
named_enum!(CaseStatus, "CaseMatchStatus", CaseStatus::all(), "What a case is about.");
named_enum!(DiscrepancyType, "DiscrepancyType", DiscrepancyType::ALL, "In what two providers disagree.");
named_enum!(CaseWord, "CaseType", CaseWord::all(), "What a case is about, or in what two providers disagree.");
named_enum!(DiscrepancyState, "CaseState", DiscrepancyState::ALL, "Where a case stands.");
named_enum!(CaseTarget, "CaseTarget", CaseTarget::all(), "Where a person may move a case.");
named_enum!(FindingStatus, "FindingStatus", FindingStatus::all(), "What a reconciliation found that is not matched.");
named_enum!(AgeBucket, "AgeBucket", AgeBucket::ALL, "How many days ago the day of a case was.");
named_enum!(
    ReconciliationRunStatus,
    "ReconciliationRunStatus",
    ReconciliationRunStatus::ALL,
    "How a reconciliation stands."
);
named_enum!(Format, "ExportFormat", Format::ALL, "What kind of file.");
named_enum!(SortBy, "SortBy", SortBy::ALL, "What a listing of payments is sorted by.");
named_enum!(SortOrder, "Order", SortOrder::ALL, "Which end of a listing comes first.");

/// The name of a kind of job that this release knows. Rows may bear other names: kinds outlive releases both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) struct KindName(&'static str);

impl KindName {
    fn all() -> Vec<Self> {
        KINDS.into_iter().map(|kind| Self(kind.name)).collect()
    }

    /// The name itself.
    pub(in crate::web) fn as_str(self) -> &'static str {
        self.0
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|known| known.0 == name)
    }
}

/// The name of a queue in which kinds of this release wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) struct QueueName(&'static str);

impl QueueName {
    fn all() -> Vec<Self> {
        JobKind::queues().into_iter().map(Self).collect()
    }

    /// The name itself.
    pub(in crate::web) fn as_str(self) -> &'static str {
        self.0
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|known| known.0 == name)
    }
}

/// What a case is about: of everything that may be found, what somebody has to look into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) struct CaseStatus(pub(in crate::web) MatchStatus);

impl CaseStatus {
    fn all() -> [Self; 4] {
        MatchStatus::DISCREPANCIES.map(Self)
    }

    fn as_str(self) -> &'static str {
        self.0.as_str()
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|known| known.as_str() == name)
    }
}

/// What a run writes down: everything that may be found, but for what is simply matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) struct FindingStatus(pub(in crate::web) MatchStatus);

impl FindingStatus {
    fn all() -> Vec<Self> {
        MatchStatus::ALL.into_iter().filter(|status| *status != MatchStatus::Matched).map(Self).collect()
    }

    fn as_str(self) -> &'static str {
        self.0.as_str()
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|known| known.as_str() == name)
    }
}

/// The name of what a case is about, or of a type of discrepancy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) struct CaseWord(&'static str);

impl CaseWord {
    fn all() -> Vec<Self> {
        let mut words = MatchStatus::DISCREPANCIES.map(MatchStatus::as_str).to_vec();
        words.extend(DiscrepancyType::ALL.map(DiscrepancyType::as_str));
        // A row too many is called the same in both.
        words.sort_unstable();
        words.dedup();
        words.into_iter().map(Self).collect()
    }

    /// The name itself.
    pub(in crate::web) fn as_str(self) -> &'static str {
        self.0
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|known| known.0 == name)
    }
}

/// Where a person may move a case: not to where runs alone do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) struct CaseTarget(pub(in crate::web) DiscrepancyState);

impl CaseTarget {
    fn all() -> [Self; 4] {
        DiscrepancyState::MANUAL.map(Self)
    }

    fn as_str(self) -> &'static str {
        self.0.as_str()
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|known| known.as_str() == name)
    }
}

/// The name of an origin of rates: beside a stored rate the document has its time, in a field of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) struct RateOriginName(&'static str);

impl RateOriginName {
    fn all() -> [Self; 2] {
        RateOrigin::NAMES.map(Self)
    }

    fn as_str(self) -> &'static str {
        self.0
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|known| known.0 == name)
    }
}

impl From<RateOrigin> for RateOriginName {
    fn from(origin: RateOrigin) -> Self {
        Self(origin.as_str())
    }
}

/// An amount: text with an exact decimal, never a float.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) struct Money(pub(in crate::web) Decimal);

impl Type for Money {
    plain_type!(
        "string_decimal",
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            pattern: Some(r"^-?\d+(\.\d+)?$".to_owned()),
            example: Some("1542.50".into()),
            ..MetaSchema::new_with_format("string", "decimal")
        }))
    );
}

impl ToJSON for Money {
    fn to_json(&self) -> Option<Value> {
        Some(format_decimal(self.0).into())
    }
}

impl ParseFromJSON for Money {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::String(text)) => parse_decimal(&text).map(Self).map_err(ParseError::custom),
            _ => Err(ParseError::expected_input()),
        }
    }
}

/// A figure of whichever kind was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::web) enum Figure {
    /// How many.
    Count(i64),
    /// In percent.
    Rate(f64),
    /// An amount.
    Money(Money),
}

impl Type for Figure {
    plain_type!(
        "figure",
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            one_of: vec![MetaSchemaRef::Inline(Box::new(MetaSchema::new("number"))), Money::schema_ref()],
            ..MetaSchema::ANY
        }))
    );
}

impl ToJSON for Figure {
    fn to_json(&self) -> Option<Value> {
        match self {
            Self::Count(count) => count.to_json(),
            Self::Rate(rate) => rate.to_json(),
            Self::Money(amount) => amount.to_json(),
        }
    }
}

impl ParseFromJSON for Figure {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::Number(number)) => match number.as_i64() {
                Some(count) => Ok(Self::Count(count)),
                None => number.as_f64().map(Self::Rate).ok_or_else(ParseError::expected_input),
            },
            text => Money::parse_from_json(text).map(Self::Money).map_err(ParseError::propagate),
        }
    }
}

/// A time: RFC 3339 in UTC, with `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) struct Time(pub(in crate::web) DateTime<Utc>);

impl Type for Time {
    plain_type!(
        "string_date-time",
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            example: Some("2026-01-15T10:00:00Z".into()),
            ..MetaSchema::new_with_format("string", "date-time")
        }))
    );
}

impl ToJSON for Time {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true).into())
    }
}

impl ParseFromJSON for Time {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::String(text)) => Ok(Self(text.parse::<DateTime<Utc>>()?)),
            _ => Err(ParseError::expected_input()),
        }
    }
}
