//! Workbooks: as many data sheets as the rows need, then a summary sheet. Data comes first because pandas and Power Query
//! read the first sheet by default.
//!
//! Rows go to a temporary file as they come (`constant_memory`), so a workbook may have as many as it likes; the library's
//! temporary files have no names and go with the process, however it ends. Everything blocks: whoever calls this from
//! async code does so in a thread for it.
//!
//! A cell of a workbook holds a float of 15 digits by its nature. An amount that needs more is written as text, so that
//! nothing is rounded in silence. Text is always a cell of text: a workbook, unlike CSV, can tell it from a formula.

use std::io::Write;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use rust_xlsxwriter::{DocProperties, Format, Workbook, Worksheet, XlsxError};

use super::columns::{Column, Value, told_in};
use crate::domain::money::format_decimal;

/// How many rows a sheet has below its header (Excel's limit).
pub const ROWS_OF_A_SHEET: u32 = 1_048_575;
/// The most significant digits that a number of a cell is sure to keep.
const DIGITS_OF_A_NUMBER: usize = 15;
/// The longest text of a cell, in UTF-16 units (Excel's limit).
const LONGEST_TEXT: usize = 32_767;
/// Stands at the end of a text that was too long for a cell.
const CUT: &str = "... (cut: a cell holds no more; CSV and NDJSON hold it whole)";
/// Past so many rows a sheet's XML may have more than the 4 GiB that a plain zip can tell the length of.
const ROWS_OF_A_PLAIN_ZIP: u64 = 250_000;

/// Why a workbook cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the workbook cannot be written ({0}): is there room where TMPDIR points to?")]
pub struct WorkbookError(#[from] XlsxError);

/// The sheet that says what the others hold: a table of its own, then what whoever opens it in a year has to know.
pub struct Summary<S: 'static> {
    /// The columns of the table; none for no table.
    pub columns: &'static [Column<S>],
    /// Its rows.
    pub rows: Vec<S>,
    /// When everything was as it is told.
    pub snapshot_at: DateTime<Utc>,
    /// The filters that were set, by their names, with their values.
    pub filters: Vec<(&'static str, String)>,
    /// What else is to be known.
    pub remarks: Vec<(&'static str, String)>,
}

/// A workbook that is being written.
pub struct Book<R: 'static> {
    workbook: Workbook,
    styles: Styles,
    title: &'static str,
    columns: Vec<&'static Column<R>>,
    rows_of_a_sheet: u32,
    sheets: Vec<Sheet>,
    rows: u64,
}

/// A sheet, and how many rows it has below its header.
struct Sheet {
    worksheet: Worksheet,
    rows: u32,
}

/// How cells of each type look.
struct Styles {
    zone: Tz,
    head: Format,
    plain: Format,
    count: Format,
    money: Format,
    percent: Format,
    day: Format,
    time: Format,
}

impl<R> Book<R> {
    /// A workbook whose sheets of rows are called `title`, `title 2` and so on, each with at most so many rows.
    ///
    /// # Errors
    /// [`WorkbookError`] where there is no room for its temporary file.
    pub fn begin(
        title: &'static str,
        columns: Vec<&'static Column<R>>,
        zone: Tz,
        rows_of_a_sheet: u32,
    ) -> Result<Self, WorkbookError> {
        let (workbook, styles, sheets) = (Workbook::new(), Styles::of(zone), vec![]);
        let mut book = Self { workbook, styles, title, columns, rows_of_a_sheet, sheets, rows: 0 };
        book.add_sheet()?;
        Ok(book)
    }

    /// Writes a row.
    ///
    /// # Errors
    /// [`WorkbookError`] where there is no room left.
    pub fn row(&mut self, row: &R) -> Result<(), WorkbookError> {
        if self.sheets.last().is_none_or(|sheet| sheet.rows == self.rows_of_a_sheet) {
            self.add_sheet()?;
        }
        let Some(sheet) = self.sheets.last_mut() else { return Ok(()) };
        sheet.rows += 1;
        self.rows += 1;
        for (column, place) in self.columns.iter().zip(0..) {
            self.styles.write(&mut sheet.worksheet, (sheet.rows, place), &column.value(row))?;
        }
        Ok(())
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes the workbook, with the summary sheet last.
    ///
    /// # Errors
    /// [`WorkbookError`] where there is no room left.
    pub fn finish<S>(mut self, summary: &Summary<S>, out: impl Write + Send) -> Result<(), WorkbookError> {
        for mut sheet in self.sheets.drain(..) {
            filtered(&mut sheet.worksheet, sheet.rows, self.columns.len())?;
            self.workbook.push_worksheet(sheet.worksheet);
        }
        let mut last = Worksheet::new();
        last.set_name("Summary")?;
        self.styles.summary(&mut last, summary, self.rows)?;
        self.workbook.push_worksheet(last);
        self.workbook.set_properties(&DocProperties::new().set_creation_datetime(&summary.snapshot_at));
        self.workbook.use_zip_large_file(self.rows > ROWS_OF_A_PLAIN_ZIP);
        Ok(self.workbook.save_to_writer(out)?)
    }

    fn add_sheet(&mut self) -> Result<(), WorkbookError> {
        let mut worksheet = self.workbook.new_worksheet_with_constant_memory()?;
        match self.sheets.len() {
            0 => worksheet.set_name(self.title)?,
            others => worksheet.set_name(format!("{} {}", self.title, others + 1))?,
        };
        self.styles.head(&mut worksheet, self.columns.iter().copied())?;
        self.sheets.push(Sheet { worksheet, rows: 0 });
        Ok(())
    }
}

/// Lets whoever reads it filter the rows.
fn filtered(sheet: &mut Worksheet, rows: u32, columns: usize) -> Result<(), XlsxError> {
    if let Some(last) = u16::try_from(columns).ok().and_then(|columns| columns.checked_sub(1)) {
        sheet.autofilter(0, 0, rows, last)?;
    }
    Ok(())
}

impl Styles {
    fn of(zone: Tz) -> Self {
        let shown = |format: &str| Format::new().set_num_format(format);
        Self {
            zone,
            head: Format::new().set_bold(),
            plain: Format::new(),
            count: shown("0"),
            // Two decimals, and what there is beyond them.
            money: shown("#,##0.00######"),
            percent: shown("0.00"),
            day: shown("yyyy-mm-dd"),
            time: shown("yyyy-mm-dd hh:mm:ss"),
        }
    }

    fn head<'a, R: 'a>(
        &self,
        sheet: &mut Worksheet,
        columns: impl Iterator<Item = &'a Column<R>>,
    ) -> Result<(), XlsxError> {
        sheet.set_freeze_panes(1, 0)?;
        for (column, place) in columns.zip(0..) {
            sheet.set_column_width(place, column.width())?;
            sheet.write_string_with_format(0, place, column.name, &self.head)?;
        }
        Ok(())
    }

    fn summary<S>(&self, sheet: &mut Worksheet, summary: &Summary<S>, rows: u64) -> Result<(), XlsxError> {
        self.head(sheet, summary.columns.iter())?;
        let mut at = 0;
        for row in &summary.rows {
            at += 1;
            for (column, place) in summary.columns.iter().zip(0..) {
                self.write(sheet, (at, place), &column.value(row))?;
            }
        }
        filtered(sheet, at, summary.columns.len())?;
        // A blank row, so that sorting the table leaves the notes alone.
        for (row, (name, value)) in (at + 2..).zip(self.notes(summary, rows)) {
            sheet.write_string_with_format(row, 0, name, &self.head)?;
            self.write(sheet, (row, 1), &value)?;
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
        notes.extend(summary.filters.iter().chain(&summary.remarks).map(|(name, value)| (*name, text(value))));
        notes
    }

    fn write(&self, sheet: &mut Worksheet, (row, place): (u32, u16), value: &Value<'_>) -> Result<(), XlsxError> {
        match value {
            Value::Empty => sheet,
            Value::Text(text) => sheet.write_string(row, place, fitting(text))?,
            Value::Id(id) => sheet.write_string(row, place, id.to_string())?,
            Value::Word(word) => sheet.write_string(row, place, *word)?,
            Value::Words(words) => sheet.write_string(row, place, words.join(","))?,
            Value::Json(json) => sheet.write_string(row, place, fitting(&json.to_string()))?,
            Value::Flag(flag) => sheet.write_boolean(row, place, *flag)?,
            Value::Count(count) => self.number(sheet, (row, place), (*count).into(), &self.count)?,
            Value::Money(amount) => self.number(sheet, (row, place), *amount, &self.money)?,
            Value::Percent(share) => self.number(sheet, (row, place), *share, &self.percent)?,
            Value::Day(day) if is_known_to_excel(*day) => {
                sheet.write_datetime_with_format(row, place, day, &self.day)?
            }
            Value::Day(day) => sheet.write_string(row, place, day.to_string())?,
            Value::Time(time) => match self.local(*time) {
                Some(local) => sheet.write_datetime_with_format(row, place, local, &self.time)?,
                None => sheet.write_string(row, place, told_in(self.zone, *time))?,
            },
        };
        Ok(())
    }

    /// A number where a cell holds it exactly, else its text.
    fn number<'a>(
        &self,
        sheet: &'a mut Worksheet,
        (row, place): (u32, u16),
        number: Decimal,
        format: &Format,
    ) -> Result<&'a mut Worksheet, XlsxError> {
        match exact_float(number) {
            Some(float) => sheet.write_number_with_format(row, place, float, format),
            None => sheet.write_string_with_format(row, place, format_decimal(number), &self.plain),
        }
    }

    /// What the clocks of the zone show, where Excel knows such a day.
    fn local(&self, time: DateTime<Utc>) -> Option<NaiveDateTime> {
        let local = time.with_timezone(&self.zone).naive_local();
        is_known_to_excel(local.date()).then_some(local)
    }
}

/// Excel's days begin in 1900, with one too many in that February.
fn is_known_to_excel(day: NaiveDate) -> bool {
    (1901..=9999).contains(&day.year())
}

/// The float nearest to a number, where the number has no more digits than every float keeps.
fn exact_float(number: Decimal) -> Option<f64> {
    let digits = number.normalize().mantissa().unsigned_abs().to_string();
    // The nearest float is asked of the text: a division on the way there might end beside it.
    (digits.trim_end_matches('0').len() <= DIGITS_OF_A_NUMBER).then(|| number.to_string().parse().ok()).flatten()
}

/// The text as far as a cell holds it. Where something is cut off, it says so.
fn fitting(text: &str) -> std::borrow::Cow<'_, str> {
    if text.encode_utf16().count() <= LONGEST_TEXT {
        return text.into();
    }
    let mut room = LONGEST_TEXT - CUT.len();
    let fits = |c: &char| {
        let left = room.checked_sub(c.len_utf16());
        room = left.unwrap_or(0);
        left.is_some()
    };
    let kept: String = text.chars().take_while(fits).collect();
    (kept + CUT).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_number_as_far_as_a_cell_keeps_it() {
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
    fn what_does_not_fit_is_cut_and_says_so() {
        for (text, whole) in [("x".repeat(32_767), true), ("x".repeat(32_768), false), ("𝒳".repeat(16_384), false)] {
            let fitted = fitting(&text);
            assert_eq!(*fitted == text, whole);
            assert!(fitted.encode_utf16().count() <= LONGEST_TEXT);
            assert!(whole || (fitted.ends_with(CUT) && fitted.encode_utf16().count() >= LONGEST_TEXT - 1));
        }
    }

    #[test]
    fn days_before_excel_are_told_as_text() {
        let day = |text: &str| text.parse::<NaiveDate>().expect(text);
        assert!(is_known_to_excel(day("2026-01-15")) && !is_known_to_excel(day("1899-12-31")));
    }
}
