//! The options of an exported file, as query parameters.

use chrono_tz::Tz;

use crate::tabular::{FileOptions, Format};
use crate::web::http::fields::request_fields;
use crate::web::http::schema::{Zone, named_enum};

request_fields! {
    /// The options of the file.
    pub(in crate::web) struct FileQuery {
        /// The format; default: `csv`.
        pub(in crate::web) format: Option<Format>,
        /// The columns, in this order; default: all columns.
        pub(in crate::web) columns: Vec<String>,
        /// Whether CSV starts with a byte order mark, so that Excel reads it as UTF-8; default: `false`.
        pub(in crate::web) excel: Option<bool>,
    }
}

impl FileQuery {
    /// `zone` is the time zone of the times in the file.
    pub(in crate::web) fn options(self, zone: Tz) -> FileOptions {
        FileOptions {
            format: self.format.unwrap_or_default(),
            columns: self.columns,
            zone,
            excel: self.excel.unwrap_or_default(),
        }
    }
}

request_fields! {
    /// The time zone of a file. For exports whose filters have no `timezone`.
    pub(in crate::web) struct FileZoneQuery {
        /// The time zone of the times in the file (IANA name); default: `RECONCILIATION_TIMEZONE` for discrepancies,
        /// otherwise `REPORT_TIMEZONE`.
        pub(in crate::web) timezone: Option<Zone>,
    }
}

impl FileZoneQuery {
    pub(in crate::web) fn zone(&self, default: Tz) -> Tz {
        self.timezone.map_or(default, |Zone(zone)| zone)
    }
}

named_enum!(Format, "ExportFormat", Format::ALL, "The format of a file.");
