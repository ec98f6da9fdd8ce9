//! Scripted responses, and the forms of empty lists, unknown payments and encoded responses.

use serde_json::{Value, json};

use crate::harness::{PAYINS, TestSandbox};

#[tokio::test]
async fn scripted_response_is_sent_byte_for_byte() {
    let sandbox = TestSandbox::with(&[]).await;
    let script = json!([
        {"path": "vima/operation", "query": ["count=7"], "times": 1, "status": 418, "body_base64": "W//+AF0=",
         "headers": {"retry-after": "3", "content-type": "text/plain; charset=latin1"}},
        {"path": "/fx/latest", "times": 1, "body": "{}"},
    ]);
    sandbox.post("responses", &script).await;
    assert_eq!(sandbox.control("responses").await.as_array().unwrap().len(), 2);
    assert_eq!(sandbox.vima("count=3").await.status(), 200);
    let scripted = sandbox.vima("count=7").await;
    assert_eq!((scripted.status().as_u16(), &scripted.headers()["retry-after"]), (418, &"3".parse().unwrap()));
    assert_eq!(scripted.headers()["content-type"], "text/plain; charset=latin1");
    assert_eq!(&scripted.bytes().await.unwrap()[..], b"[\xff\xfe\0]");
    assert_eq!(sandbox.operations("count=7").await.len(), 7);
    let rates = sandbox.client.get(format!("{}/fx/latest", sandbox.url)).send().await.unwrap();
    assert_eq!(rates.text().await.unwrap(), "{}");
    sandbox.post("responses", &json!({"status": 500})).await;
    assert_eq!(sandbox.login_with("sandbox-password").await.status(), 500);
    let url = format!("{}/sandbox/responses", sandbox.url);
    sandbox.client.delete(&url).send().await.unwrap();
    assert_eq!(sandbox.login_with("sandbox-password").await.status(), 200);
    let invalid = sandbox.client.post(&url).json(&json!({"status": 1000})).send().await.unwrap();
    assert_eq!(invalid.status(), 400);
}

#[tokio::test]
async fn empty_lists_and_unknown_payments_have_the_form_of_the_switch() {
    let sandbox = TestSandbox::with(&[]).await;
    let beyond = "from_operation_create_id=99999999999999999999";
    for (form, expected) in
        [("null", "null"), ("operations-null", r#"{"operations":null}"#), ("data-list", r#"{"data":[]}"#), ("204", "")]
    {
        sandbox.put("switches", &json!({"vima_empty_list": form})).await;
        assert_eq!(sandbox.vima(beyond).await.text().await.unwrap(), expected, "{form}");
        assert!(!sandbox.operations("count=2").await.is_empty());
    }
    let session = sandbox.login().await;
    for (form, first, beyond) in
        [("data-null", 200, 200), ("204", 204, 204), ("404", 200, 404), ("400", 200, 400), ("success-false", 200, 200)]
    {
        sandbox.put("switches", &json!({"payshack_empty_list": form})).await;
        let page = async |page: u32| {
            let path = format!("{PAYINS}?page={page}&dateFrom=2020-01-01&dateTo=2020-01-01");
            sandbox.payshack(&session, &path).await.status().as_u16()
        };
        assert_eq!((page(1).await, page(2).await), (first, beyond), "{form}");
    }
    for (form, status) in [("list", 200), ("transaction-null", 200), ("404", 404), ("410", 410), ("422", 422)] {
        sandbox.put("switches", &json!({"payshack_unknown_payment": form})).await;
        let response = sandbox.payshack(&session, &format!("{PAYINS}?transactionId=nobody")).await;
        assert_eq!(response.status().as_u16(), status, "{form}");
    }
    sandbox.put("switches", &json!({"payshack_refusal_status": 200})).await;
    let refused = sandbox.payshack(&("no".into(), session.1), PAYINS).await;
    assert_eq!(refused.json::<Value>().await.unwrap()["success"], json!(false));
}

#[tokio::test]
async fn encoded_responses_have_the_same_text() {
    let sandbox = TestSandbox::with(&[]).await;
    let plain = sandbox.vima("count=3").await.text().await.unwrap();
    sandbox.put("faults?reset=true", &json!({"compressed": 1, "bom": 1, "utf16": 1})).await;
    let url = format!("{}/vima/operation?apikey=sandbox-vima-key&count=3", sandbox.url);
    let encoded = sandbox.client.get(&url).header("accept-encoding", "identity").send().await.unwrap();
    assert_eq!(encoded.headers()["content-type"], "application/json; charset=utf-16le");
    let units: Vec<u16> =
        encoded.bytes().await.unwrap().chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    assert_eq!(String::from_utf16(&units).unwrap(), format!("\u{feff}{plain}"));
    #[expect(clippy::disallowed_methods, reason = "a client that shows the encoding instead of decoding it")]
    let client = reqwest::Client::builder().no_gzip().no_deflate().no_brotli().no_zstd().build().unwrap();
    sandbox.put("faults?reset=true", &json!({"compressed": 1})).await;
    for name in ["gzip", "deflate", "br", "zstd"] {
        // The sandbox draws one of four, and sends it only if it is accepted.
        let encoded = async || client.get(&url).header("accept-encoding", name).send().await.unwrap();
        let mut found = false;
        for _ in 0..200 {
            found |= encoded().await.headers().get("content-encoding").is_some_and(|sent| sent == name);
            if found {
                break;
            }
        }
        assert!(found, "{name}");
    }
}
