//! Files of rows: CSV, NDJSON and XLSX workbooks.
//!
//! A column is defined once ([`columns`]: name, type, value), and each format writes it as precisely as it can: exact
//! decimals as text, numbers and dates as cells. This module knows neither where rows come from nor where the bytes go, so
//! requests and jobs share it. It holds one row at a time: the length of a file is not limited.

pub mod columns;
mod csv;
mod digits;
pub mod file_name;
pub mod lines;
mod ndjson;
pub mod xlsx;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::domain::string_enum::string_enum;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileOptions {
    pub format: Format,
    /// Names of columns, in order; empty means all columns.
    pub columns: Vec<String>,
    /// The zone in which times are written.
    pub zone: Tz,
    /// Whether CSV begins with a byte order mark, without which Excel does not detect UTF-8.
    pub excel: bool,
}

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum Format {
        /// RFC 4180.
        #[default]
        Csv = "csv",
        Xlsx = "xlsx",
        /// One JSON object per line.
        Ndjson = "ndjson",
    }
}

impl Format {
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}
