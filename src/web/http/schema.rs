//! How the API writes money, times and zones, and the domain's enums as enums of the OpenAPI document.
//!
//! The domain does not know poem-openapi, so its enums get their schemas in `web`, under their own names, instead of a copy of
//! each enum that must be kept equal. An enum of one resource gets its schema there; here are those that several use.

use chrono::{DateTime, Datelike, SecondsFormat, Utc};
use chrono_tz::Tz;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;

use super::parse_field::ParseField;
use crate::domain::job::{JobState, Trigger};
use crate::domain::money::{Currency, format_decimal, parse_decimal};
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};

/// The part of [`Type`] that is the same for all simple types.
macro_rules! plain_type {
    ($name:literal, $schema:expr) => {
        const IS_REQUIRED: bool = true;
        type RawValueType = Self;
        type RawElementValueType = Self;

        fn name() -> ::std::borrow::Cow<'static, str> {
            $name.into()
        }

        fn schema_ref() -> ::poem_openapi::registry::MetaSchemaRef {
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
pub(in crate::web) use plain_type;

/// Gives an enum of the domain, with its values and their names by `as_str`, a schema of the document.
macro_rules! named_enum {
    ($type:ty, $name:literal, $values:expr, $description:literal) => {
        impl ::poem_openapi::types::Type for $type {
            $crate::web::http::schema::plain_type!(
                $name,
                ::poem_openapi::registry::MetaSchemaRef::Reference($name.to_owned())
            );

            fn register(registry: &mut ::poem_openapi::registry::Registry) {
                registry.create_schema::<Self, _>($name.to_owned(), |_| ::poem_openapi::registry::MetaSchema {
                    description: Some($description),
                    enum_items: $values.into_iter().map(|value| value.as_str().into()).collect(),
                    ..::poem_openapi::registry::MetaSchema::new("string")
                });
            }
        }

        impl ::poem_openapi::types::ToJSON for $type {
            fn to_json(&self) -> Option<::serde_json::Value> {
                Some(self.as_str().into())
            }
        }

        impl ::poem_openapi::types::ParseFromJSON for $type {
            fn parse_from_json(value: Option<::serde_json::Value>) -> ::poem_openapi::types::ParseResult<Self> {
                match value {
                    Some(::serde_json::Value::String(text)) => {
                        <Self as $crate::web::http::parse_field::ParseField>::parse_field(&text)
                            .map_err(::poem_openapi::types::ParseError::custom)
                    }
                    _ => Err(::poem_openapi::types::ParseError::expected_input()),
                }
            }
        }

        impl $crate::web::http::parse_field::ParseField for $type {
            fn parse_field(text: &str) -> Result<Self, String> {
                $values.into_iter().find(|value| value.as_str() == text).ok_or_else(|| {
                    let names: Vec<&str> = $values.into_iter().map(|value| value.as_str()).collect();
                    format!("must be one of {}", names.join(", "))
                })
            }
        }
    };
}
pub(in crate::web) use named_enum;

named_enum!(Source, "Source", Source::ALL, "The provider that reported a payment.");
named_enum!(Kind, "Kind", Kind::ALL, "The direction of the money, seen from the merchant.");
named_enum!(Status, "Status", Status::ALL, "The status of a payment, the same for every provider.");
named_enum!(Trigger, "Trigger", Trigger::ALL, "What created a job.");
named_enum!(JobState, "JobState", JobState::ALL, "The state of a job.");

/// An amount: an exact decimal as text, never a float.
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

impl ParseField for Money {
    fn parse_field(text: &str) -> Result<Self, String> {
        parse_decimal(text).map(Self).map_err(|_| "must be an exact decimal, for example 1542.50".to_owned())
    }
}

/// An amount in US dollars that follows from another currency: rounded to cents, as people read it. It is stored, added up and
/// exported exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) struct Usd(pub(in crate::web) Decimal);

impl Usd {
    fn rounded(self) -> Money {
        Money(self.0.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero))
    }
}

impl Type for Usd {
    plain_type!("string_decimal", Money::schema_ref());
}

impl ToJSON for Usd {
    fn to_json(&self) -> Option<Value> {
        self.rounded().to_json()
    }
}

impl ParseFromJSON for Usd {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        Money::parse_from_json(value).map(|Money(amount)| Self(amount)).map_err(ParseError::propagate)
    }
}

/// A number of the requested kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::web) enum Figure {
    Count(i64),
    /// In percent.
    Rate(f64),
    Money(Money),
    Usd(Usd),
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
            Self::Usd(amount) => amount.to_json(),
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

impl ParseField for Time {
    fn parse_field(text: &str) -> Result<Self, String> {
        let is_stored = |time: &DateTime<Utc>| (1970..=9999).contains(&time.year());
        let time = text.parse().ok().filter(is_stored);
        time.map(Self).ok_or_else(|| "must be a time, for example 2026-01-15T10:00:00Z".to_owned())
    }
}

/// A time zone, by its IANA name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) struct Zone(pub(in crate::web) Tz);

impl Type for Zone {
    plain_type!("string", MetaSchemaRef::Inline(Box::new(MetaSchema::new("string"))));
}

impl ToJSON for Zone {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.name().into())
    }
}

impl ParseFromJSON for Zone {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let name = String::parse_from_json(value).map_err(ParseError::propagate)?;
        Ok(Self(name.parse::<Tz>()?))
    }
}

impl ParseField for Zone {
    fn parse_field(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| "must be an IANA time zone, for example Asia/Kolkata".to_owned())
    }
}

impl Type for Currency {
    plain_type!("string", MetaSchemaRef::Inline(Box::new(MetaSchema::new("string"))));
}

impl ToJSON for Currency {
    fn to_json(&self) -> Option<Value> {
        Some(self.as_str().into())
    }
}

impl ParseFromJSON for Currency {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let code = String::parse_from_json(value).map_err(ParseError::propagate)?;
        Ok(code.parse::<Self>()?)
    }
}
