use std::sync::Arc;

use rust_decimal::Decimal;

use super::*;
use crate::clock::SystemClock;
use crate::providers::http::HttpSettings;
use crate::providers::rate_limit::Unlimited;
use crate::providers::retry::RetryPolicy;
use crate::providers::stub_server::{Answer, ReceivedRequest, StubServer};
use crate::providers::upstream::Upstream;

const KEY: &str = "0123456789abcdef01234567";

fn client(server: &StubServer, place: &str) -> ExchangeRatesClient {
    let settings = HttpSettings { retry: RetryPolicy::quick(), ..HttpSettings::default() };
    let clock = Arc::new(SystemClock);
    let http = HttpClient::new(Upstream::ExchangeRates, settings, Arc::new(Unlimited), clock).expect("a client");
    let url = server.url().join(place).expect("an address");
    ExchangeRatesClient::new(http, url.as_str().parse().expect("a feed's address"))
}

#[tokio::test]
async fn feed_is_requested_by_its_url_until_it_has_usd_rates() {
    let server = StubServer::start(|number, _| match number {
        0 => Answer::status(503),
        1 => Answer::ok("<html>please wait</html>"),
        2 => Answer::ok(r#"{"base":"EUR","rates":{"INR":90}}"#),
        _ => Answer::ok(r#"{"base":"USD","rates":{"INR":80}}"#),
    });
    let latest = client(&server, "/latest?base=USD").latest().await.expect("rates");
    assert_eq!(latest.usd.into_values().collect::<Vec<_>>(), [Decimal::new(125, 4)]);
    let requests: Vec<String> = server.requests().into_iter().map(|requests| requests.line).collect();
    assert_eq!(requests, vec!["GET /latest?base=USD HTTP/1.1"; 4]);
}

#[tokio::test]
async fn key_in_the_url_is_never_shown() {
    for place in [format!("/latest?app_id={KEY}&base=USD"), format!("/v6/{KEY}/latest/USD")] {
        let server = StubServer::start(|_, requests: &ReceivedRequest| {
            Answer::Full(404, "", format!("no such path: {}", requests.line))
        });
        let client = client(&server, &place);
        let error = client.latest().await.expect_err("no rates");
        let said = format!("{error} {error:?} {:?}", client.url);
        assert!(said.contains("latest") && said.contains("[redacted]") && !said.contains(KEY), "{said}");
    }
}

#[test]
fn only_http_urls_are_accepted() {
    for text in ["", "rates.example.com", "file:///etc/passwd", "ftp://rates.example.com"] {
        assert!(text.parse::<FeedUrl>().is_err(), "{text}");
    }
}
