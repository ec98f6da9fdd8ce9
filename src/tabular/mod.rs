//! Files for people and their programs: CSV, NDJSON, and workbooks for spreadsheets.
//!
//! A column is defined once ([`columns`]: name, type, value) and every format makes of it what it can: exact decimals in
//! text, numbers and dates in cells. The room knows neither where rows come from nor where bytes go, so it serves a
//! request and a job alike. Nothing here holds more than a row: files have no greatest length.

pub mod columns;
mod csv;
pub mod file_name;
pub mod lines;
mod ndjson;
pub mod xlsx;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::domain::string_enum::string_enum;

/// How a file is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileOptions {
    /// Its kind.
    pub format: Format,
    /// The names of its columns, in their order; all of them where none is named.
    pub columns: Vec<String>,
    /// The zone that times are told in.
    pub zone: Tz,
    /// Whether CSV begins with a byte order mark, by which Excel knows that it is UTF-8.
    pub excel: bool,
}

string_enum! {
    /// What kind of file.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum Format {
        /// Text by commas, as RFC 4180 has it.
        #[default]
        Csv = "csv",
        /// A workbook.
        Xlsx = "xlsx",
        /// A JSON object a line.
        Ndjson = "ndjson",
    }
}

impl Format {
    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}
