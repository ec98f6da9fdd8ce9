//! A JSON object a line, for programs: the values are those of the API's answers, and nothing is neutralised.

use chrono_tz::Tz;
use serde_json::{Map, Value as Json};

use super::columns::{Column, Value, told_in};
use crate::domain::money::format_decimal;

/// Writes a row.
pub(super) fn row<R>(columns: &[&Column<R>], zone: Tz, row: &R, out: &mut Vec<u8>) {
    let object: Map<String, Json> =
        columns.iter().map(|column| (column.name.to_owned(), json(column, row, zone))).collect();
    out.extend_from_slice(Json::Object(object).to_string().as_bytes());
    out.push(b'\n');
}

fn json<R>(column: &Column<R>, row: &R, zone: Tz) -> Json {
    match column.value(row) {
        Value::Empty => Json::Null,
        Value::Text(text) => text.into(),
        Value::Id(id) => id.to_string().into(),
        Value::Word(word) => word.into(),
        Value::Words(words) => words.into(),
        Value::Count(count) => count.into(),
        Value::Flag(flag) => flag.into(),
        Value::Money(amount) => format_decimal(amount).into(),
        // A share has two decimals, which every reader of JSON holds.
        Value::Percent(share) => share.to_string().parse::<f64>().map_or(Json::Null, Json::from),
        Value::Day(day) => day.to_string().into(),
        Value::Time(time) => told_in(zone, time).into(),
        Value::Json(json) => json.clone(),
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::*;

    static COLUMNS: [Column<&'static str>; 5] = [
        Column::text("text", |row| Some(row)),
        Column::words("types", |_| vec!["amount"]),
        Column::word("state", |_| Some("open")),
        Column::money("amount", |_| Some(5.into())),
        Column::percent("share", |_| Some(Decimal::new(3334, 2))),
    ];

    #[test]
    fn values_are_those_of_the_answers() {
        let mut out = vec![];
        row(&COLUMNS.iter().collect::<Vec<_>>(), Tz::UTC, &"=1\n", &mut out);
        let expected = r#"{"text":"=1\n","types":["amount"],"state":"open","amount":"5.00","share":33.34}"#;
        assert_eq!(String::from_utf8(out).expect("text"), format!("{expected}\n"));
    }
}
