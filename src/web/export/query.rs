//! Which file is wanted: its format, and what stands in it.

use chrono_tz::Tz;
use poem_openapi::Object;

use crate::tabular::{FileOptions, Format};
use crate::web::http::fields::{Fields, FromFields};

/// Which file is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Object)]
pub(in crate::web) struct FileQuery {
    /// The format; `csv` where nothing is said.
    format: Option<Format>,
    /// The columns, in this order; all of them where nothing is said.
    columns: Vec<String>,
    /// The zone in which times are told (IANA name); that of the days where nothing is said.
    timezone: Option<String>,
    /// Whether CSV begins with a byte order mark, by which Excel knows that it is UTF-8.
    excel: Option<bool>,
}

impl FromFields for FileQuery {
    fn read(fields: &mut Fields) -> Option<Self> {
        let format = fields.optional("format");
        let columns = fields.list("columns");
        let zone = fields.optional::<Tz>("timezone");
        let excel = fields.optional("excel");
        let timezone = zone?.map(|zone| zone.name().to_owned());
        Some(Self { format: format?, columns: columns?, timezone, excel: excel? })
    }
}

impl FileQuery {
    /// `zone` is the time zone of the file if the query names none.
    pub(in crate::web) fn options(self, zone: Tz) -> FileOptions {
        FileOptions {
            format: self.format.unwrap_or_default(),
            columns: self.columns,
            zone: self.timezone.and_then(|name| name.parse().ok()).unwrap_or(zone),
            excel: self.excel.unwrap_or_default(),
        }
    }
}
