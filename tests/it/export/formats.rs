//! The formats: CSV, NDJSON and workbooks.

use std::collections::HashMap;
use std::sync::Arc;

use calamine::{Data, DataType, Reader};
use chrono::NaiveDateTime;
use psp_dashboard::clock::SystemClock;
use psp_dashboard::db::reads::ReadPools;
use psp_dashboard::operations::export::exporter::{Exporter, RowCounter};
use psp_dashboard::operations::export::sources::reconciliation::DISCREPANCY_COLUMNS;
use psp_dashboard::tabular::Format;
use serde_json::{Value, json};

use super::{
    export_reconciliation, insert_discrepancies, insert_runs, problem, reconciliation_export, reconciliation_file,
    sum_of_differences, viewer,
};
use crate::harness::exported_files::{column_cells, csv_rows, open_workbook, sheet_rows, sum_amounts};
use crate::harness::test_system::{TestSystem, header};

#[tokio::test]
async fn every_format_holds_the_rows_of_the_database() {
    let system = TestSystem::start(&[]).await;
    insert_discrepancies(&system, 25).await;
    let (web, total) = (system.start_web().await, sum_of_differences(&system).await);

    let response = export_reconciliation(&web, "from_date=2026-01-10&to_date=2026-01-31&state=open&type=amount").await;
    assert_eq!(header(response.headers(), "content-type"), "text/csv; charset=utf-8");
    let name = "attachment; filename=\"reconciliation_2026-01-10_2026-01-31_amount_open.csv\"";
    assert_eq!(
        (header(response.headers(), "content-disposition"), header(response.headers(), "x-total-count")),
        (name, "25")
    );
    let bytes = response.bytes().await.expect("a complete file");
    let names: Vec<&str> = DISCREPANCY_COLUMNS.iter().map(|column| column.name).collect();
    assert!(bytes.starts_with(format!("{}\r\n", names.join(",")).as_bytes()));
    let rows = csv_rows(&bytes);
    assert_eq!((rows.len(), sum_amounts(rows.iter().map(|row| row["amount_diff"].clone()))), (25, total));
    assert!(rows.is_sorted_by_key(|row| (row["recon_date"].clone(), row["id"].clone())));
    assert_eq!((&*rows[0]["types"], &*rows[0]["last_seen_at"]), ("amount,status", "2026-01-15T20:00:00.500Z"));

    let lines = reconciliation_file(
        &web,
        "format=ndjson&columns=amount_diff,types,details,first_seen_at&timezone=Asia/Kolkata",
    )
    .await;
    let lines = String::from_utf8(lines).expect("text");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let sum = sum_amounts(lines.iter().map(|line| line["amount_diff"].as_str().expect("text").to_owned()));
    assert_eq!((lines.len(), sum), (25, total));
    assert_eq!(lines[0]["types"], json!(["amount", "status"]));
    assert_eq!(lines[0]["first_seen_at"], "2026-01-16T01:30:00.500+05:30");
    assert!(lines[0]["details"]["number"].is_number());

    let mut book = open_workbook(reconciliation_file(&web, "format=xlsx&timezone=Asia/Kolkata").await);
    let rows = sheet_rows(&mut book, "Discrepancies");
    let sum = column_cells(&rows, "amount_diff").iter().map(|cell| cell.get_float().expect("a number")).sum::<f64>();
    assert_eq!((rows.len(), format!("{sum:.2}")), (26, format!("{total:.2}")));
    let seen = column_cells(&rows, "first_seen_at")[0].as_datetime().expect("a time");
    assert_eq!(seen, "2026-01-16T01:30:00.5".parse::<NaiveDateTime>().expect("a time"));
    assert_eq!(column_cells(&rows, "recon_date")[0].as_date(), Some("2026-01-10".parse().expect("a day")));
}

#[tokio::test]
async fn summary_sheet_lists_the_runs_and_the_request() {
    let system = TestSystem::start(&[]).await;
    insert_discrepancies(&system, 3).await;
    insert_runs(&system).await;
    let web = system.start_web_with(&[("RECONCILIATION_TIMEZONE", "Asia/Kolkata")]).await;
    let response =
        export_reconciliation(&web, "format=xlsx&from_date=2026-01-10&project=91game,other&older_than_days=2").await;
    let name = "attachment; filename=\"reconciliation_from_2026-01-10.xlsx\"";
    assert_eq!(
        (header(response.headers(), "content-disposition"), header(response.headers(), "x-total-count")),
        (name, "3")
    );
    assert!(header(response.headers(), "content-length").parse::<u64>().is_ok_and(|bytes| bytes > 0));
    let mut book = open_workbook(response.bytes().await.expect("a complete file").to_vec());
    assert_eq!(book.sheet_names(), ["Discrepancies", "Summary"]);
    let rows = sheet_rows(&mut book, "Summary");
    let cells = |name: &str| column_cells(&rows, name)[..3].to_vec();
    let text = |text: &str| Data::String(text.to_owned());
    let (number, empty) = (Data::Float, Data::Empty);
    let run = |last: u8| text(&format!("00000000-0000-0000-0000-00000000000{last}"));
    assert_eq!(cells("run_id"), [run(2), empty.clone(), run(3)], "the last version of each day");
    assert_eq!(cells("matched"), [number(4.0), empty.clone(), number(1.0)]);
    assert_eq!(cells("matched_percentage"), [number(66.67), empty.clone(), number(25.0)]);
    assert_eq!(cells("discrepancies_percentage"), [number(33.33), empty.clone(), number(50.0)]);
    assert_eq!(cells("provisional"), [Data::Bool(false), empty.clone(), Data::Bool(true)]);
    assert_eq!(cells("currency"), [text("INR"), text("USD"), empty.clone()]);
    assert_eq!(cells("matched_amount"), [number(400.0), number(7.0), empty.clone()]);
    assert_eq!(cells("discrepancies_amount"), [number(3.25), number(0.0), empty]);
    let notes: HashMap<String, Data> =
        rows[4..].iter().map(|row| (row[0].get_string().unwrap_or_default().to_owned(), row[1].clone())).collect();
    assert_eq!(notes["rows"], number(3.0));
    assert_eq!(notes["timezone"], text("Asia/Kolkata"));
    assert_eq!(notes["from_date"], text("2026-01-10"));
    assert_eq!(notes["project"], text("91game,other"));
    assert!(notes["snapshot_at"].as_datetime().is_some() && notes.contains_key("older_than_days: before"), "{notes:?}");
}

#[tokio::test]
async fn entered_text_is_never_a_formula_and_stays_unchanged() {
    let system = TestSystem::start(&[]).await;
    insert_discrepancies(&system, 1).await;
    let note = "  =HYPERLINK(\"http://x\",\"y\")\r\nzweite Zeile, ₹";
    let written = sqlx::query!(
        "UPDATE discrepancies SET key = '@cmd', assignee = '+49', note = $1, vima_amount = 12345678901234567.89, amount_diff = -0.1, \
         state = 'resolved', resolved_at = '2026-01-14T12:00:00Z'",
        note
    );
    written.execute(&system.pool).await.expect("the database accepts it");
    let web = system.start_web().await;

    let bytes = reconciliation_file(&web, "excel=true").await;
    assert!(bytes.starts_with("\u{feff}id,".as_bytes()));
    let row = csv_rows(&bytes[3..]).remove(0);
    assert_eq!(
        (&*row["recon_date"], &*row["age_days"]),
        ("2026-01-11", "3"),
        "the age of a closed discrepancy is fixed"
    );
    let values =
        ["client_operation_id", "assignee", "note", "vima_amount", "amount_diff"].map(|name| row[name].clone());
    assert_eq!(values, ["'@cmd", "'+49", &format!("'{note}"), "12345678901234567.89", "-0.10"]);

    let lines = reconciliation_file(&web, "format=ndjson").await;
    let line: Value = serde_json::from_slice(&lines).expect("JSON");
    assert_eq!((&line["note"], &line["vima_amount"]), (&json!(note), &json!("12345678901234567.89")));

    let mut book = open_workbook(reconciliation_file(&web, "format=xlsx").await);
    assert!(book.worksheet_formula("Discrepancies").expect("the sheet").is_empty(), "no cell is a formula");
    let rows = sheet_rows(&mut book, "Discrepancies");
    let cell = |name: &str| column_cells(&rows, name).remove(0);
    assert_eq!(cell("client_operation_id"), Data::String("@cmd".to_owned()));
    assert_eq!(cell("note").get_string().map(|text| text.replace("_x000D_", "\r")).as_deref(), Some(note));
    assert_eq!(
        cell("vima_amount"),
        Data::String("12345678901234567.89".to_owned()),
        "it has more digits than a number can hold"
    );
    assert_eq!(cell("amount_diff"), Data::Float(-0.1));
}

#[tokio::test]
async fn invalid_requests_are_rejected_and_empty_exports_are_valid_files() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    for (query, field, message) in [
        ("columns=id,colour", "columns", "there is no column \"colour\"; there are id, recon_date, run_id"),
        ("columns=id,id", "columns", "named twice"),
        ("format=pdf", "format", "csv, xlsx, ndjson"),
        ("timezone=Asia/Nowhere", "timezone", "IANA"),
        ("state=shut", "state", "open, acknowledged"),
        ("from_date=2026-01-02&to_date=2026-01-01", "from_date", "swap"),
    ] {
        let response = export_reconciliation(&web, query).await;
        assert_eq!(
            (response.status().as_u16(), header(response.headers(), "content-type")),
            (422, "application/problem+json")
        );
        let problem = problem(response).await;
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
        assert!(problem["errors"][0]["message"].as_str().is_some_and(|text| text.contains(message)), "{problem}");
    }
    assert_eq!(reconciliation_file(&web, "columns=state,id&excel=false").await, b"state,id\r\n");
    assert!(reconciliation_file(&web, "format=ndjson").await.is_empty());
    let response = export_reconciliation(&web, "format=xlsx").await;
    assert_eq!(header(response.headers(), "content-disposition"), "attachment; filename=\"reconciliation_all.xlsx\"");
    let mut book = open_workbook(response.bytes().await.expect("a complete file").to_vec());
    assert_eq!(sheet_rows(&mut book, "Discrepancies").len(), 1, "only the header");
}

#[tokio::test]
async fn rows_beyond_the_sheet_limit_continue_in_further_sheets() {
    let system = TestSystem::start(&[]).await;
    insert_discrepancies(&system, 25).await;
    let exporter = Exporter::new(ReadPools::only(system.pool.clone()), Arc::new(SystemClock));
    let (source, options) = reconciliation_export(Format::Xlsx);
    let written =
        exporter.write_workbook(&source, &options, &viewer(), 10, &RowCounter::default()).await.expect("a workbook");
    let mut bytes = vec![];
    std::io::Read::read_to_end(&mut &written.file, &mut bytes).expect("a readable file");
    assert_eq!((written.rows, written.bytes), (25, bytes.len() as u64));
    let mut book = open_workbook(bytes);
    assert_eq!(book.sheet_names(), ["Discrepancies", "Discrepancies 2", "Discrepancies 3", "Summary"]);
    let mut keys = vec![];
    for (name, rows) in [("Discrepancies", 10), ("Discrepancies 2", 10), ("Discrepancies 3", 5)] {
        let sheet = sheet_rows(&mut book, name);
        assert_eq!(sheet.len(), rows + 1, "{name}");
        keys.extend(column_cells(&sheet, "client_operation_id").into_iter().map(|key| key.to_string()));
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 25, "every row is in one sheet");
}
