//! One JSON object per line, for programs: values are written as in responses of the API, without CSV's protection against
//! formulas.

use chrono_tz::Tz;
use serde_json::{Map, Value as Json};

use super::columns::{Column, Value, format_time};
use crate::domain::money::format_decimal;

pub(super) fn write_row<R>(columns: &[&Column<R>], zone: Tz, row: &R, out: &mut Vec<u8>) {
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
        Value::Keyword(keyword) => keyword.into(),
        Value::Keywords(keywords) => keywords.into(),
        Value::Count(count) => count.into(),
        Value::Flag(flag) => flag.into(),
        Value::Money(amount) => format_decimal(amount).into(),
        // Two decimals, which a float represents well enough.
        Value::Percent(percent) => percent.to_string().parse::<f64>().map_or(Json::Null, Json::from),
        Value::Day(day) => day.to_string().into(),
        Value::Time(time) => format_time(zone, time).into(),
        Value::Json(json) => json.clone(),
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::*;

    static COLUMNS: [Column<&'static str>; 5] = [
        Column::text("text", |row| Some(row)),
        Column::keywords("types", |_| vec!["amount"]),
        Column::keyword("state", |_| Some("open")),
        Column::money("amount", |_| Some(5.into())),
        Column::percent("share", |_| Some(Decimal::new(3334, 2))),
    ];

    #[test]
    fn values_are_written_as_in_responses() {
        let mut out = vec![];
        write_row(&COLUMNS.iter().collect::<Vec<_>>(), Tz::UTC, &"=1\n", &mut out);
        let expected = r#"{"text":"=1\n","types":["amount"],"state":"open","amount":"5.00","share":33.34}"#;
        assert_eq!(String::from_utf8(out).expect("text"), format!("{expected}\n"));
    }
}
