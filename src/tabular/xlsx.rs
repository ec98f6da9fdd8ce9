//! XLSX workbooks: as many data sheets as the rows need, then a summary sheet. The data comes first because pandas and
//! Power Query read the first sheet by default.
//!
//! Rows go straight to a temporary file (`constant_memory`), so their number is not limited. The library's temporary files
//! have no names and disappear with the process, however it ends. Everything here blocks: async code must call it on a
//! thread of its own.
//!
//! A number in a cell is a float with 15 significant digits. An amount that needs more is written as text, so that nothing
//! is rounded silently. Text is always a text cell: unlike CSV, a workbook distinguishes text from formulas.

use std::io::Write;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use rust_xlsxwriter::{DocProperties, Format, Workbook, Worksheet, XlsxError};

use super::columns::{Column, Value, format_time};
use crate::domain::money::format_decimal;

/// The most rows of a sheet below its header (Excel's limit).
pub const MAX_SHEET_ROWS: u32 = 1_048_575;
/// The significant digits that a number in a cell preserves.
const NUMBER_DIGITS: usize = 15;
/// The longest text of a cell, in UTF-16 code units (Excel's limit).
const MAX_TEXT_LENGTH: usize = 32_767;
/// Replaces the end of a text that is too long for a cell.
const TRUNCATED: &str = "... (cut: a cell holds no more; CSV and NDJSON hold it whole)";
/// With more rows, the XML of a sheet may exceed the 4 GiB that the plain zip format supports.
const PLAIN_ZIP_ROWS: u64 = 250_000;

#[derive(Debug, thiserror::Error)]
#[error("cannot write the workbook ({0}): check the free space in TMPDIR")]
pub struct WorkbookError(#[from] XlsxError);

/// The content of the summary sheet: a table, then notes that describe the file.
pub struct Summary<S: 'static> {
    /// Empty if there is no table.
    pub columns: &'static [Column<S>],
    pub rows: Vec<S>,
    /// The time of the snapshot that the rows come from.
    pub snapshot_at: DateTime<Utc>,
    /// Names and values of the active filters.
    pub filters: Vec<(&'static str, String)>,
    pub notes: Vec<(&'static str, String)>,
}

pub struct WorkbookWriter<R: 'static> {
    workbook: Workbook,
    styles: Styles,
    title: &'static str,
    columns: Vec<&'static Column<R>>,
    max_sheet_rows: u32,
    sheets: Vec<Sheet>,
    rows: u64,
}

struct Sheet {
    worksheet: Worksheet,
    /// Without the header.
    rows: u32,
}

/// The formats of cells by type.
struct Styles {
    zone: Tz,
    header: Format,
    plain: Format,
    count: Format,
    money: Format,
    percent: Format,
    day: Format,
    time: Format,
}

impl<R> WorkbookWriter<R> {
    /// The data sheets are named `title`, `title 2` and so on.
    pub fn new(
        title: &'static str,
        columns: Vec<&'static Column<R>>,
        zone: Tz,
        max_sheet_rows: u32,
    ) -> Result<Self, WorkbookError> {
        let (workbook, styles, sheets) = (Workbook::new(), Styles::new(zone), vec![]);
        let mut writer = Self { workbook, styles, title, columns, max_sheet_rows, sheets, rows: 0 };
        writer.add_sheet()?;
        Ok(writer)
    }

    pub fn write_row(&mut self, row: &R) -> Result<(), WorkbookError> {
        if self.sheets.last().is_none_or(|sheet| sheet.rows == self.max_sheet_rows) {
            self.add_sheet()?;
        }
        let Some(sheet) = self.sheets.last_mut() else { return Ok(()) };
        sheet.rows += 1;
        self.rows += 1;
        for (column, index) in self.columns.iter().zip(0..) {
            self.styles.write_cell(&mut sheet.worksheet, (sheet.rows, index), &column.value(row))?;
        }
        Ok(())
    }

    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn finish<S>(mut self, summary: &Summary<S>, out: impl Write + Send) -> Result<(), WorkbookError> {
        let mut summary_sheet = Worksheet::new();
        summary_sheet.set_name("Summary")?;
        self.styles.write_summary(&mut summary_sheet, summary, self.rows)?;
        for mut sheet in self.sheets.drain(..) {
            add_filter(&mut sheet.worksheet, sheet.rows, self.columns.len())?;
            self.workbook.push_worksheet(sheet.worksheet);
        }
        self.workbook.push_worksheet(summary_sheet);
        self.workbook.set_properties(&DocProperties::new().set_creation_datetime(&summary.snapshot_at));
        self.workbook.use_zip_large_file(self.rows > PLAIN_ZIP_ROWS);
        Ok(self.workbook.save_to_writer(out)?)
    }

    fn add_sheet(&mut self) -> Result<(), WorkbookError> {
        let mut worksheet = self.workbook.new_worksheet_with_constant_memory()?;
        match self.sheets.len() {
            0 => worksheet.set_name(self.title)?,
            count => worksheet.set_name(format!("{} {}", self.title, count + 1))?,
        };
        self.styles.write_header(&mut worksheet, self.columns.iter().copied())?;
        self.sheets.push(Sheet { worksheet, rows: 0 });
        Ok(())
    }
}

/// Adds the filter buttons to the header.
fn add_filter(sheet: &mut Worksheet, rows: u32, columns: usize) -> Result<(), XlsxError> {
    if let Some(last) = u16::try_from(columns).ok().and_then(|columns| columns.checked_sub(1)) {
        sheet.autofilter(0, 0, rows, last)?;
    }
    Ok(())
}

impl Styles {
    fn new(zone: Tz) -> Self {
        let number = |format: &str| Format::new().set_num_format(format);
        Self {
            zone,
            header: Format::new().set_bold(),
            plain: Format::new(),
            count: number("0"),
            // At least two decimals, and more if there are any.
            money: number("#,##0.00######"),
            percent: number("0.00"),
            day: number("yyyy-mm-dd"),
            time: number("yyyy-mm-dd hh:mm:ss"),
        }
    }

    fn write_header<'a, R: 'a>(
        &self,
        sheet: &mut Worksheet,
        columns: impl Iterator<Item = &'a Column<R>>,
    ) -> Result<(), XlsxError> {
        sheet.set_freeze_panes(1, 0)?;
        for (column, index) in columns.zip(0..) {
            sheet.set_column_width(index, column.width())?;
            sheet.write_string_with_format(0, index, column.name, &self.header)?;
        }
        Ok(())
    }

    fn write_summary<S>(&self, sheet: &mut Worksheet, summary: &Summary<S>, rows: u64) -> Result<(), XlsxError> {
        self.write_header(sheet, summary.columns.iter())?;
        let mut last_row = 0;
        for row in &summary.rows {
            last_row += 1;
            for (column, index) in summary.columns.iter().zip(0..) {
                self.write_cell(sheet, (last_row, index), &column.value(row))?;
            }
        }
        add_filter(sheet, last_row, summary.columns.len())?;
        // After a blank row, so that sorting the table does not affect the notes.
        for (row, (name, value)) in (last_row + 2..).zip(self.notes(summary, rows)) {
            sheet.write_string_with_format(row, 0, name, &self.header)?;
            self.write_cell(sheet, (row, 1), &value)?;
        }
        Ok(())
    }

    fn notes<'a, S>(&self, summary: &'a Summary<S>, rows: u64) -> Vec<(&'static str, Value<'a>)> {
        let text = |text: &'a str| Value::Text(text.into());
        let mut notes = vec![
            ("rows", Value::Count(rows)),
            ("snapshot_at", Value::Time(summary.snapshot_at)),
            ("timezone", text(self.zone.name())),
        ];
        if summary.filters.is_empty() {
            notes.push(("filters", text("none")));
        }
        notes.extend(summary.filters.iter().chain(&summary.notes).map(|(name, value)| (*name, text(value))));
        notes
    }

    fn write_cell(&self, sheet: &mut Worksheet, (row, column): (u32, u16), value: &Value<'_>) -> Result<(), XlsxError> {
        match value {
            Value::Empty => sheet,
            Value::Text(text) => sheet.write_string(row, column, truncated(text))?,
            Value::Id(id) => sheet.write_string(row, column, id.to_string())?,
            Value::Keyword(keyword) => sheet.write_string(row, column, *keyword)?,
            Value::Keywords(keywords) => sheet.write_string(row, column, keywords.join(","))?,
            Value::Json(json) => sheet.write_string(row, column, truncated(&json.to_string()))?,
            Value::Flag(flag) => sheet.write_boolean(row, column, *flag)?,
            Value::Count(count) => self.write_number(sheet, (row, column), (*count).into(), &self.count)?,
            Value::Money(amount) => self.write_number(sheet, (row, column), *amount, &self.money)?,
            Value::Percent(percent) => self.write_number(sheet, (row, column), *percent, &self.percent)?,
            Value::Day(day) if excel_supports(*day) => sheet.write_datetime_with_format(row, column, day, &self.day)?,
            Value::Day(day) => sheet.write_string(row, column, day.to_string())?,
            Value::Time(time) => match self.local_time(*time) {
                Some(local) => sheet.write_datetime_with_format(row, column, local, &self.time)?,
                None => sheet.write_string(row, column, format_time(self.zone, *time))?,
            },
        };
        Ok(())
    }

    /// Writes a number, or its text if a cell cannot represent it exactly.
    fn write_number<'a>(
        &self,
        sheet: &'a mut Worksheet,
        (row, column): (u32, u16),
        number: Decimal,
        format: &Format,
    ) -> Result<&'a mut Worksheet, XlsxError> {
        match exact_float(number) {
            Some(float) => sheet.write_number_with_format(row, column, float, format),
            None => sheet.write_string_with_format(row, column, format_decimal(number), &self.plain),
        }
    }

    /// The local time in the zone, if Excel supports the day.
    fn local_time(&self, time: DateTime<Utc>) -> Option<NaiveDateTime> {
        let local = time.with_timezone(&self.zone).naive_local();
        excel_supports(local.date()).then_some(local)
    }
}

/// Excel's calendar begins in 1900, and that year wrongly has a February 29.
fn excel_supports(day: NaiveDate) -> bool {
    (1901..=9999).contains(&day.year())
}

/// The nearest float, if the number has no more digits than a float preserves.
fn exact_float(number: Decimal) -> Option<f64> {
    let digits = number.normalize().mantissa().unsigned_abs().to_string();
    // Parsing the text yields the nearest float; a division might miss it.
    (digits.trim_end_matches('0').len() <= NUMBER_DIGITS).then(|| number.to_string().parse().ok()).flatten()
}

/// The text, truncated with a notice if it is too long for a cell.
fn truncated(text: &str) -> std::borrow::Cow<'_, str> {
    if text.encode_utf16().count() <= MAX_TEXT_LENGTH {
        return text.into();
    }
    let mut room = MAX_TEXT_LENGTH - TRUNCATED.len();
    let fits = |c: &char| {
        let remaining = room.checked_sub(c.len_utf16());
        room = remaining.unwrap_or(0);
        remaining.is_some()
    };
    let start: String = text.chars().take_while(fits).collect();
    (start + TRUNCATED).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_floats_only_if_exact() {
        for (text, expected) in [
            ("0", Some(0.0)),
            ("0.10", Some(0.1)),
            ("-1542.50", Some(-1542.5)),
            ("9999999999999.99", Some(9_999_999_999_999.99)),
            ("123456789012345", Some(123_456_789_012_345.0)),
            ("12345678901234500000", Some(12_345_678_901_234_500_000.0)),
            ("1234567890123456", None),
            ("12345678901234.56", None),
            ("-0.1234567890123456", None),
        ] {
            assert_eq!(exact_float(text.parse().expect(text)), expected, "{text}");
        }
    }

    #[test]
    fn long_texts_are_truncated_with_a_notice() {
        for (text, whole) in [("x".repeat(32_767), true), ("x".repeat(32_768), false), ("𝒳".repeat(16_384), false)] {
            let cell = truncated(&text);
            assert_eq!(*cell == text, whole);
            assert!(cell.encode_utf16().count() <= MAX_TEXT_LENGTH);
            assert!(whole || (cell.ends_with(TRUNCATED) && cell.encode_utf16().count() >= MAX_TEXT_LENGTH - 1));
        }
    }

    #[test]
    fn days_before_1901_are_not_supported() {
        let day = |text: &str| text.parse::<NaiveDate>().expect(text);
        assert!(excel_supports(day("2026-01-15")) && !excel_supports(day("1899-12-31")));
    }
}
