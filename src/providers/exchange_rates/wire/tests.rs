use super::*;

fn read(answer: &str) -> Result<LatestRates, String> {
    read_rates(answer).map_err(|rejection| match rejection {
        Rejection::Unreadable(why) | Rejection::Failed(why) => why,
        Rejection::Refused(why) | Rejection::Unauthenticated(why) => panic!("{why}: that would not be tried again"),
    })
}

fn latest(usd: &[(&str, &str)], skipped: &[&str]) -> LatestRates {
    let rate = |(code, rate): &(&str, &str)| (code.parse().expect(code), rate.parse().expect(rate));
    LatestRates {
        usd: usd.iter().map(rate).collect(),
        skipped: skipped.iter().map(|name| (*name).to_owned()).collect(),
    }
}

#[test]
fn rates_of_any_base_are_converted_to_usd() {
    for (answer, expected) in [
        (r#"{"base":"USD","rates":{"INR":83.2}}"#, &[("INR", "0.012019230769")][..]),
        // The base by its other name, a rate as a text, and times that are none of our business.
        (
            r#"{"result":"success","time_last_update_unix":1,"base_code":"usd","rates":{"USD":1,"INR":"80"}}"#,
            &[("INR", "0.0125")],
        ),
        (r#"{"date":"2026-01-15","base":"EUR","rates":{"INR":90,"USD":1.08}}"#, &[("EUR", "1.08"), ("INR", "0.012")]),
        // One unit of the base is one unit, whatever is said of it.
        (r#"{"base":"EUR","rates":{"EUR":7,"USD":1.08}}"#, &[("EUR", "1.08")]),
    ] {
        assert_eq!(read(answer), Ok(latest(expected, &[])), "{answer}");
    }
}

#[test]
fn unusable_rates_are_skipped_and_reported() {
    let answer = r#"{"base":"USD","rates":{"INR":80,"EUR":0,"JPY":-1,"GBP":null,"CHF":"many","A\u0000 very odd name indeed":1,
        "TINY":1e20,"DEEP":1e-40}}"#;
    let skipped = ["A very odd name inde", "CHF", "DEEP", "EUR", "GBP", "JPY", "TINY"];
    assert_eq!(read(answer), Ok(latest(&[("INR", "0.0125")], &skipped)));
    let answer = r#"{"base":"USD","note":"a","note":"b","rates":{"INR":80,"EUR":NaN,"JPY":007,"CHF":1,"chf":2}}"#;
    assert_eq!(read(answer), Ok(latest(&[("INR", "0.0125")], &["CHF", "EUR", "JPY"])));
}

#[test]
fn response_without_usd_is_rejected() {
    for (answer, reason) in [
        ("<html></html>", "expected value"),
        (r#"{"base":"USD","rates":{"INR":8"#, "EOF"),
        ("[]", "rates is missing"),
        (r#"{"base":"USD","rates":[83.2]}"#, "expected a map"),
        (r#"{"base":"USD","rates":{}}"#, "no usable rate"),
        (r#"{"base":"USD","rates":{"USD":1,"INR":0}}"#, "no usable rate"),
        (r#"{"base":"EUR","rates":{"INR":90}}"#, "no usable USD"),
        (r#"{"base":"EUR","rates":{"INR":90,"USD":0}}"#, "no usable USD"),
        (r#"{"rates":{"INR":83.2}}"#, "base is missing"),
        (r#"{"base":{},"rates":{"INR":83.2}}"#, "base should be a currency code"),
        (r#"{"error":true,"message":"invalid app id"}"#, "invalid app id"),
    ] {
        let why = read(answer).expect_err(answer);
        assert!(why.contains(reason), "{answer}: {why}");
    }
}
