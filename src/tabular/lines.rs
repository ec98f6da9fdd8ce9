//! Line formats, which can be sent while rows are read.

use chrono_tz::Tz;

use super::columns::Column;
use super::{csv, ndjson};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    Csv {
        /// Whether to begin with a byte order mark for Excel.
        excel: bool,
    },
    Ndjson,
}

/// Writes rows as lines.
pub struct LineWriter<R: 'static> {
    pub format: LineFormat,
    pub columns: Vec<&'static Column<R>>,
    /// The zone in which times are written.
    pub zone: Tz,
}

impl<R> LineWriter<R> {
    /// Writes what precedes the first row.
    pub fn write_header(&self, out: &mut Vec<u8>) {
        match self.format {
            LineFormat::Csv { excel } => csv::write_header(&self.columns, excel, out),
            LineFormat::Ndjson => {}
        }
    }

    pub fn write_row(&self, row: &R, out: &mut Vec<u8>) {
        match self.format {
            LineFormat::Csv { .. } => csv::write_row(&self.columns, self.zone, row, out),
            LineFormat::Ndjson => ndjson::write_row(&self.columns, self.zone, row, out),
        }
    }
}
