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

/// What kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text by commas, as RFC 4180 has it.
    #[default]
    Csv,
    /// A workbook.
    Xlsx,
    /// A JSON object a line.
    Ndjson,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Csv, Self::Xlsx, Self::Ndjson];

    /// The name in the contract, and the ending of the file's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
            Self::Ndjson => "ndjson",
        }
    }

    /// The format of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }

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
