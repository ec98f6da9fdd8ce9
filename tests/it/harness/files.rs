//! Files as an independent reader finds them.

use std::collections::HashMap;
use std::io::Cursor;

use calamine::{Data, DataType, Reader, Xlsx};
use rust_decimal::Decimal;

/// The rows of a CSV file by the names of its columns.
pub(crate) fn rows_of_csv(bytes: &[u8]) -> Vec<HashMap<String, String>> {
    csv::Reader::from_reader(bytes).deserialize().collect::<Result<_, _>>().expect("CSV")
}

/// A workbook.
pub(crate) fn workbook(bytes: Vec<u8>) -> Xlsx<Cursor<Vec<u8>>> {
    Xlsx::new(Cursor::new(bytes)).expect("a workbook")
}

/// The cells of a sheet, row by row.
pub(crate) fn sheet(workbook: &mut Xlsx<Cursor<Vec<u8>>>, name: &str) -> Vec<Vec<Data>> {
    workbook.worksheet_range(name).expect("the sheet").rows().map(<[Data]>::to_vec).collect()
}

/// The cells of one column below its header.
pub(crate) fn column(rows: &[Vec<Data>], name: &str) -> Vec<Data> {
    let place = rows[0].iter().position(|cell| cell.get_string() == Some(name)).expect(name);
    rows[1..].iter().map(|row| row[place].clone()).collect()
}

/// What amounts sum up to.
pub(crate) fn sum(amounts: impl Iterator<Item = String>) -> Decimal {
    amounts.map(|amount| amount.parse::<Decimal>().expect("an amount")).sum()
}
