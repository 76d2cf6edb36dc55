//! The names of cipher suites and curves, as Envoy's users write them, and what becomes of each.

use crate::model::tls::{CURVES, SUITES};

/// What a name of a cipher suite or a curve means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// It is spoken, under this name.
    Spoken(&'static str),
    /// A suite of TLS 1.3, which no list chooses.
    Always,
    /// Envoy speaks it; this gateway doesn't, because it is weak or rare.
    NotSpoken,
    /// Nobody knows it.
    Unknown,
}

/// Suites of TLS 1.3.
const SUITES_1_3: &[&str] =
    &["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

/// Suites that BoringSSL knows beside those: without forward secrecy, or with CBC.
const WEAK_SUITES: &[(&str, &str)] = &[
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "ECDHE-ECDSA-AES128-SHA"),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "ECDHE-ECDSA-AES256-SHA"),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", "ECDHE-ECDSA-AES128-SHA256"),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", "ECDHE-ECDSA-AES256-SHA384"),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "ECDHE-RSA-AES128-SHA"),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "ECDHE-RSA-AES256-SHA"),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "ECDHE-RSA-AES128-SHA256"),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", "ECDHE-RSA-AES256-SHA384"),
    ("TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA", "ECDHE-PSK-AES128-CBC-SHA"),
    ("TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA", "ECDHE-PSK-AES256-CBC-SHA"),
    ("TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-PSK-CHACHA20-POLY1305"),
    ("TLS_RSA_WITH_AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
    ("TLS_RSA_WITH_AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
    ("TLS_RSA_WITH_AES_128_CBC_SHA", "AES128-SHA"),
    ("TLS_RSA_WITH_AES_256_CBC_SHA", "AES256-SHA"),
    ("TLS_RSA_WITH_AES_128_CBC_SHA256", "AES128-SHA256"),
    ("TLS_RSA_WITH_AES_256_CBC_SHA256", "AES256-SHA256"),
    ("TLS_RSA_WITH_3DES_EDE_CBC_SHA", "DES-CBC3-SHA"),
    ("TLS_PSK_WITH_AES_128_CBC_SHA", "PSK-AES128-CBC-SHA"),
    ("TLS_PSK_WITH_AES_256_CBC_SHA", "PSK-AES256-CBC-SHA"),
];

/// Groups that BoringSSL knows beside those.
const OTHER_CURVES: &[&str] =
    &["P-521", "secp521r1", "P-224", "secp224r1", "X25519Kyber768Draft00"];

/// What the name of a cipher suite means.
pub(super) fn cipher_suite(name: &str) -> Named {
    let is = |(iana, openssl): &&(&str, &str)| {
        iana.eq_ignore_ascii_case(name) || openssl.eq_ignore_ascii_case(name)
    };
    if let Some(suite) = SUITES.iter().find(|suite| is(&&(suite.name, suite.openssl))) {
        Named::Spoken(suite.name)
    } else if SUITES_1_3.iter().any(|suite| suite.eq_ignore_ascii_case(name)) {
        Named::Always
    } else if WEAK_SUITES.iter().any(|suite| is(&suite)) {
        Named::NotSpoken
    } else {
        Named::Unknown
    }
}

/// What the name of a curve means.
pub(super) fn curve(name: &str) -> Named {
    let same = |other: &&str| other.eq_ignore_ascii_case(name);
    let found = CURVES.iter().find(|one| same(&one.name) || one.others.iter().any(&same));
    match found {
        Some(one) => Named::Spoken(one.name),
        None if OTHER_CURVES.iter().any(same) => Named::NotSpoken,
        None => Named::Unknown,
    }
}

/// OpenSSL's names of the suites that are spoken.
pub(super) fn suite_names() -> impl Iterator<Item = &'static str> {
    SUITES.iter().map(|suite| suite.openssl)
}

/// The names of the curves that are spoken.
pub(super) fn curve_names() -> impl Iterator<Item = &'static str> {
    CURVES.iter().map(|one| one.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suites_are_those_of_the_library() {
        let mut library: Vec<String> = rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES
            .iter()
            .filter_map(|suite| suite.suite().as_str())
            .map(|name| name.replace("TLS13_", "TLS_"))
            .collect();
        let mut ours: Vec<String> = SUITES
            .iter()
            .map(|suite| suite.name)
            .chain(SUITES_1_3.iter().copied())
            .map(str::to_owned)
            .collect();
        library.sort();
        ours.sort();
        assert_eq!(ours, library);
    }

    #[test]
    fn names_have_one_meaning() {
        for (name, expected) in [
            ("ECDHE-RSA-AES128-GCM-SHA256", Named::Spoken("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")),
            ("ecdhe-rsa-aes128-gcm-sha256", Named::Spoken("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")),
            (
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                Named::Spoken("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
            ),
            ("TLS_AES_128_GCM_SHA256", Named::Always),
            ("AES128-SHA", Named::NotSpoken),
            ("RC4-MD5", Named::Unknown),
            ("", Named::Unknown),
        ] {
            assert_eq!(cipher_suite(name), expected, "{name}");
        }
        for (name, expected) in [
            ("X25519", Named::Spoken("X25519")),
            ("P-256", Named::Spoken("P-256")),
            ("prime256v1", Named::Spoken("P-256")),
            ("P-521", Named::NotSpoken),
            ("P-255", Named::Unknown),
        ] {
            assert_eq!(curve(name), expected, "{name}");
        }
    }
}
