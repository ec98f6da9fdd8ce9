//! Files that are written a line at a time, and so can be sent while they are read.

use chrono_tz::Tz;

use super::columns::Column;
use super::{csv, ndjson};

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// Text by commas, with a line of names first.
    Csv {
        /// Whether Excel is to be told that it is UTF-8.
        excel: bool,
    },
    /// A JSON object a line.
    Ndjson,
}

/// Writes rows as lines.
pub struct Lines<R: 'static> {
    /// How.
    pub format: LineFormat,
    /// Of which columns.
    pub columns: Vec<&'static Column<R>>,
    /// In which zone instants are told.
    pub zone: Tz,
}

impl<R> Lines<R> {
    /// Writes what comes before the first row.
    pub fn head(&self, out: &mut Vec<u8>) {
        match self.format {
            LineFormat::Csv { excel } => csv::head(&self.columns, excel, out),
            LineFormat::Ndjson => {}
        }
    }

    /// Writes a row.
    pub fn row(&self, row: &R, out: &mut Vec<u8>) {
        match self.format {
            LineFormat::Csv { .. } => csv::row(&self.columns, self.zone, row, out),
            LineFormat::Ndjson => ndjson::row(&self.columns, self.zone, row, out),
        }
    }
}
