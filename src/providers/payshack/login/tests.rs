use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};

use super::*;

fn now() -> DateTime<Utc> {
    "2026-01-15T12:00:00Z".parse().expect("a time")
}

fn token(claims: &str) -> String {
    format!("header.{}.signature", URL_SAFE_NO_PAD.encode(claims))
}

#[test]
fn session_lifetime_is_the_tokens_or_half_an_hour() {
    let in_seconds = |seconds: i64| now().timestamp() + seconds;
    for (token, life) in [
        (token(&format!(r#"{{"exp": {}}}"#, in_seconds(600))), 600),
        (token(&format!(r#"{{"iat": 1, "exp": "{}"}}"#, in_seconds(600))), 600),
        (format!("h.{}.s", URL_SAFE.encode(format!(r#"{{"exp": {} }}"#, in_seconds(600)))), 600),
        (token(&format!(r#"{{"exp": {}}}"#, in_seconds(-5))), 1800),
        (token(&format!(r#"{{"exp": {}}}"#, in_seconds(600) * 1000)), 1800),
        (token(r#"{"exp": null}"#), 1800),
        (token("{}"), 1800),
        (token("no json"), 1800),
        ("opaque".to_owned(), 1800),
        ("a.%%%.c".to_owned(), 1800),
    ] {
        assert_eq!(lifetime(&token, now()).num_seconds(), life, "{token}");
    }
}

#[test]
fn session_is_renewed_a_minute_before_its_end_or_in_its_last_quarter() {
    for (life, renewed_after) in [(1800, 1740), (600, 540), (240, 180), (8, 6)] {
        let token = token(&format!(r#"{{"exp": {}}}"#, now().timestamp() + life));
        let answer = format!(r#"{{"success": true, "data": {{"clientId": "c", "userId": "u", "token": "{token}"}}}}"#);
        let session = parse_login(&answer, now()).ok().expect("a session");
        assert_eq!((session.client_id.as_str(), session.token.expose()), ("c", token.as_str()));
        assert_eq!((session.expires_at - now()).num_seconds(), life);
        assert_eq!((session.renew_at - now()).num_seconds(), renewed_after);
    }
}

#[test]
fn token_is_never_cut() {
    let token = "t".repeat(5000);
    let answer = format!(r#"{{"data": {{"clientId": "c", "token": "{token}"}}}}"#);
    assert_eq!(parse_login(&answer, now()).ok().expect("a session").token.expose(), token);
}

#[test]
fn login_without_token_or_client_is_unreadable() {
    for data in ["{}", "[]", "7", r#"{"token": "t"}"#, r#"{"clientId": "c"}"#, r#"{"clientId": {}, "token": ""}"#] {
        let answer = format!(r#"{{"success": true, "data": {data}}}"#);
        assert!(matches!(parse_login(&answer, now()), Err(Rejection::Unreadable(_))), "{data}");
    }
}
