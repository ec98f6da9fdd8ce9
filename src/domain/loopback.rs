//! Whether a host is this machine.

use core::net::IpAddr;

/// `localhost`, the names below it, and the loopback addresses; an IPv6 address may be in brackets. Other names may resolve to
/// a loopback address too, but the owner of the name decides that.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&host);
    match address.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for (host, expected) in [
            ("localhost", true),
            ("LocalHost.", true),
            ("psp.localhost", true),
            ("127.0.0.1", true),
            ("127.8.9.10", true),
            ("::1", true),
            ("[::1]", true),
            ("::ffff:127.0.0.1", true),
            ("", false),
            ("0.0.0.0", false),
            ("10.0.0.1", false),
            ("notlocalhost", false),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com", false),
            ("[fe80::1]", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }
}
