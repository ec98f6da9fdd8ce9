//! Reads exported files with independent CSV and XLSX libraries.

use std::collections::HashMap;
use std::io::Cursor;

use calamine::{Data, DataType, Reader, Xlsx};
use rust_decimal::Decimal;

/// The rows of a CSV file, each by column name.
pub(crate) fn csv_rows(bytes: &[u8]) -> Vec<HashMap<String, String>> {
    csv::Reader::from_reader(bytes).deserialize().collect::<Result<_, _>>().expect("valid CSV")
}

pub(crate) fn open_workbook(bytes: Vec<u8>) -> Xlsx<Cursor<Vec<u8>>> {
    Xlsx::new(Cursor::new(bytes)).expect("a valid workbook")
}

pub(crate) fn sheet_rows(workbook: &mut Xlsx<Cursor<Vec<u8>>>, name: &str) -> Vec<Vec<Data>> {
    workbook.worksheet_range(name).expect("the sheet exists").rows().map(<[Data]>::to_vec).collect()
}

/// The cells of one column, without its header.
pub(crate) fn column_cells(rows: &[Vec<Data>], name: &str) -> Vec<Data> {
    let index = rows[0].iter().position(|cell| cell.get_string() == Some(name)).expect(name);
    rows[1..].iter().map(|row| row[index].clone()).collect()
}

pub(crate) fn sum_amounts(amounts: impl Iterator<Item = String>) -> Decimal {
    amounts.map(|amount| amount.parse::<Decimal>().expect("a decimal")).sum()
}
