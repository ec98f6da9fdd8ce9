//! Follows the links of a response: each lists as many payments as what it stands for counts.

use serde_json::{Value, json};

use crate::harness::test_system::Web;

/// Follows the link of the response itself, whose payments are counted by currency.
pub(super) async fn assert_summary_link(web: &Web, path: &str, response: &Value) {
    let parts = response["by_currency"].as_array().unwrap_or_else(|| panic!("{path}: no by_currency"));
    let count: i64 = parts.iter().filter_map(|part| part["count"].as_i64()).sum();
    let counted = json!({"count": count, "rows_url": response["rows_url"]});
    assert_links(web, path, [&counted].into_iter()).await;
}

/// Follows the links of some rows.
pub(super) async fn assert_links(web: &Web, path: &str, rows: impl ExactSizeIterator<Item = &Value>) {
    // Others in each response, and always the first that counts something.
    let step = 1 + rows.len() / 3;
    for row in rows.filter(|row| count_of(row) > 0).step_by(step) {
        let url = row["rows_url"].as_str().or_else(|| row["totals"]["rows_url"].as_str());
        let url = url.unwrap_or_else(|| panic!("{path}: no link in {row}"));
        let list = web.get(&format!("{url}&limit=5")).await;
        assert_eq!(list["total"].as_i64(), Some(count_of(row)), "{path}: {url} lists other rows than {row}");
        let items = list["items"].as_array().expect("items").len();
        assert_eq!(i64::try_from(items), Ok(count_of(row).min(5)), "{path}: {url}");
    }
}

/// The number of payments of a row. Those whose time to the final status is unknown are counted apart.
fn count_of(row: &Value) -> i64 {
    let count = ["total_count", "count"].iter().find_map(|field| row[*field].as_i64());
    let count = count.or_else(|| row["totals"]["count"].as_i64()).unwrap_or_default();
    count + row["unknown_count"].as_i64().unwrap_or_default()
}
