//! Which file is wanted: its format, and what stands in it.

use chrono_tz::Tz;

use crate::tabular::{FileOptions, Format};
use crate::web::http::fields::request_fields;
use crate::web::http::schema::{Zone, named_enum};

request_fields! {
    /// Which file is wanted.
    pub(in crate::web) struct FileQuery {
        /// The format; `csv` where nothing is said.
        format: Option<Format>,
        /// The columns, in this order; all of them where nothing is said.
        columns: Vec<String>,
        /// Whether CSV begins with a byte order mark, by which Excel knows that it is UTF-8.
        excel: Option<bool>,
    }
}

request_fields! {
    /// The time zone of a file whose filters have none.
    pub(in crate::web) struct FileZoneQuery {
        /// The time zone of times in the file (IANA name); default: the server's time zone for reports.
        timezone: Option<Zone>,
    }
}

impl FileZoneQuery {
    pub(in crate::web) fn zone(&self, default: Tz) -> Tz {
        self.timezone.map_or(default, |Zone(zone)| zone)
    }
}

impl FileQuery {
    /// Times in the file are in `zone`.
    pub(in crate::web) fn options(self, zone: Tz) -> FileOptions {
        FileOptions {
            format: self.format.unwrap_or_default(),
            columns: self.columns,
            zone,
            excel: self.excel.unwrap_or_default(),
        }
    }
}

named_enum!(Format, "ExportFormat", Format::ALL, "The kind of file.");
