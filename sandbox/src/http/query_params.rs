//! Query parameters of a request. An empty value counts as absent.

use std::{collections::HashMap, str::FromStr};

use poem::Request;

use crate::timestamp::Day;

pub(crate) struct QueryParams(HashMap<String, String>);

impl QueryParams {
    pub(crate) fn from_request(request: &Request) -> Self {
        Self(request.params().unwrap_or_default())
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    pub(crate) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        self.parse(name, "a number", |text| text.parse().ok())
    }

    pub(crate) fn day(&self, name: &str) -> Result<Option<Day>, String> {
        self.parse(name, "a day such as 2026-01-15", Day::parse)
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, String> {
        let flag = self.parse(name, "true or false", |text| match text.to_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        });
        Ok(flag?.unwrap_or_default())
    }

    fn parse<T>(&self, name: &str, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, String> {
        let Some(text) = self.text(name) else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| format!("{name} must be {expected}"))
    }
}
