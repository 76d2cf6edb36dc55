//! What keeps a client at one endpoint, and the cookie that it is given for that.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, header};

use super::balance::hash_of;
use crate::model::policy::{Affinity, HashSource};

/// What is hashed of a request, and the cookie that the answer has to set.
#[derive(Debug, Default)]
pub(crate) struct Sticky {
    /// The hash; `None` where the request has nothing to hash.
    pub(crate) hash: Option<u64>,
    /// `set-cookie` for a client without one.
    pub(crate) cookie: Option<HeaderValue>,
}

/// What `affinity` makes of a request from `client`, who is whom the trusted proxies before us
/// name: a load balancer is not one client, but all of them.
pub(crate) fn build_sticky(affinity: &Affinity, headers: &HeaderMap, client: IpAddr) -> Sticky {
    match &affinity.source {
        HashSource::SourceIp => Sticky { hash: Some(hash_address(client)), cookie: None },
        HashSource::Header(name) => {
            let hash = headers.get(name).map(|value| hash_of(value.as_bytes()));
            Sticky { hash, cookie: None }
        }
        HashSource::Cookie { name, path, ttl } => {
            if let Some(value) = find_cookie(headers, name) {
                return Sticky { hash: Some(hash_of(value)), cookie: None };
            }
            let Some(ttl) = ttl else { return Sticky::default() };
            let value = format!("{:016x}", fastrand::u64(..));
            // Envoy's attributes.
            let mut text = format!("{name}=\"{value}\"");
            if !ttl.is_zero() {
                text.push_str(&format!("; Max-Age={}", ttl.as_secs()));
            }
            if let Some(path) = path {
                text.push_str(&format!("; Path={path}"));
            }
            text.push_str("; HttpOnly");
            Sticky {
                hash: Some(hash_of(value.as_bytes())),
                cookie: HeaderValue::from_str(&text).ok(),
            }
        }
    }
}

/// An IPv4 address has one hash, in whichever way it is written.
fn hash_address(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(ip) => hash_of(&ip.octets()),
        IpAddr::V6(ip) => hash_of(&ip.octets()),
    }
}

/// The value of a cookie, without the quotes that it may have.
fn find_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    headers.get_all(header::COOKIE).iter().find_map(|line| {
        line.as_bytes().split(|byte| *byte == b';').find_map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=')?;
            let (key, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
            let bare = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
            let value = bare.unwrap_or(value);
            (key == name.as_bytes() && !value.is_empty()).then_some(value)
        })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn cookie(ttl: Option<u64>) -> Affinity {
        let ttl = ttl.map(Duration::from_secs);
        Affinity { source: HashSource::Cookie { name: "s".into(), path: Some("/".into()), ttl } }
    }

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn an_address_is_hashed_and_not_its_text() {
        let affinity = Affinity { source: HashSource::SourceIp };
        let hash = |text: &str| {
            let client = text.parse().expect("an address");
            build_sticky(&affinity, &HeaderMap::new(), client).hash
        };
        assert!(hash("10.0.0.1").is_some());
        assert_eq!(hash("10.0.0.1"), hash("::ffff:10.0.0.1"));
        assert_eq!(hash("2001:db8::1"), hash("2001:db8:0::0:1"));
        assert_ne!(hash("10.0.0.1"), hash("10.0.0.2"));
    }

    #[test]
    fn a_cookie_is_set_once_and_found_again() {
        let none = HeaderMap::new();
        let first = build_sticky(&cookie(Some(60)), &none, CLIENT);
        let set = first.cookie.expect("set");
        let set = set.to_str().expect("text");
        assert!(set.ends_with("; Max-Age=60; Path=/; HttpOnly"), "{set}");
        let pair = set.split(';').next().expect("a pair");
        for line in [pair.to_owned(), format!("a=b; {pair}"), pair.replace('"', "")] {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_str(&line).expect("fits"));
            let again = build_sticky(&cookie(Some(60)), &headers, CLIENT);
            assert_eq!((again.hash, again.cookie), (first.hash, None), "{line}");
        }
        let session = build_sticky(&cookie(Some(0)), &none, CLIENT).cookie.expect("set");
        assert!(!session.to_str().expect("text").contains("Max-Age"));
        let passive = build_sticky(&cookie(None), &none, CLIENT);
        assert_eq!((passive.hash, passive.cookie), (None, None));
    }
}
