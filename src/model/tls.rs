//! TLS: what is shown to clients, what is asked of them, and the same towards upstreams.

use std::fmt;
use std::sync::Arc;

/// The identity of a Kubernetes Secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretKey {
    /// The Secret's namespace.
    pub namespace: Arc<str>,
    /// The Secret's name.
    pub name: Arc<str>,
}

impl fmt::Display for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Bytes that nobody may read in a log, a dump or a status. Compared in whole.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Private(Arc<[u8]>);

impl Private {
    /// Hides bytes.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for who has to use them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A certificate with its chain and its key, checked to belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of the leaf, which tells certificates apart.
    pub fingerprint: [u8; 32],
    /// The certificates in DER, the leaf first.
    pub chain: Vec<Arc<[u8]>>,
    /// The key in DER (PKCS#8, PKCS#1 or SEC1).
    pub key: Private,
    /// Of which kind the key is.
    pub key_kind: KeyKind,
    /// The DNS names it is for, in lower case.
    pub names: Vec<Arc<str>>,
    /// The second from which it is valid, since 1970.
    pub not_before: i64,
    /// The last second in which it is valid, since 1970.
    pub not_after: i64,
}

/// The kinds of keys that cipher suites of TLS 1.2 tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// RSA.
    Rsa,
    /// ECDSA, and Ed25519, which its suites take as well.
    Ecdsa,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa => "RSA",
            Self::Ecdsa => "ECDSA",
        })
    }
}

/// Authorities that are trusted, each in DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorities(pub Vec<Arc<[u8]>>);

/// Revoked certificates: CRLs, each in DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationLists(pub Vec<Arc<[u8]>>);

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// `v1.2`, the oldest that is spoken.
    V1_2,
    /// `v1.3`.
    V1_3,
}

/// What both directions have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsParameters {
    /// The oldest version; `None` is 1.2.
    pub min_version: Option<TlsVersion>,
    /// The newest version; `None` is 1.3.
    pub max_version: Option<TlsVersion>,
    /// Cipher suites by their IANA names (`TLS_…`); empty is the library's choice. Those of TLS
    /// 1.3 are not chosen by this list, as in Envoy.
    pub cipher_suites: Vec<Arc<str>>,
    /// Key exchange groups by their names (`X25519`, `P-256`); empty is the library's choice.
    pub curves: Vec<Arc<str>>,
    /// Application protocols in the order of preference; empty is the default of its use.
    pub alpn: Vec<Arc<str>>,
}

/// A cipher suite of TLS 1.2 that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite {
    /// IANA's name, which [`TlsParameters`] has.
    pub name: &'static str,
    /// OpenSSL's name, which Envoy's users write.
    pub openssl: &'static str,
    /// The key that the server's certificate has to have.
    pub key: KeyKind,
}

const fn suite(name: &'static str, openssl: &'static str, key: KeyKind) -> Suite {
    Suite { name, openssl, key }
}

/// All of them.
pub const SUITES: [Suite; 6] = [
    suite(
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        KeyKind::Ecdsa,
    ),
    suite(
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        KeyKind::Ecdsa,
    ),
    suite(
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        KeyKind::Ecdsa,
    ),
    suite("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256", KeyKind::Rsa),
    suite("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384", KeyKind::Rsa),
    suite(
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
        KeyKind::Rsa,
    ),
];

/// A key exchange group that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Curve {
    /// Our name, which [`TlsParameters`] has.
    pub name: &'static str,
    /// The others in use.
    pub others: &'static [&'static str],
    /// TLS 1.2 has it, too.
    pub is_old: bool,
}

/// All of them.
pub const CURVES: [Curve; 4] = [
    Curve { name: "X25519", others: &[], is_old: true },
    Curve { name: "P-256", others: &["prime256v1", "secp256r1"], is_old: true },
    Curve { name: "P-384", others: &["secp384r1"], is_old: true },
    Curve { name: "X25519MLKEM768", others: &[], is_old: false },
];

/// Why settings of TLS leave nothing that could be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFault {
    /// The oldest version is newer than the newest.
    Versions,
    /// Only TLS 1.2 may be spoken, and none of its suites is for the certificate's key.
    Suites(KeyKind),
    /// Only TLS 1.2 may be spoken, and it has none of the curves.
    Curves,
}

impl TlsParameters {
    /// Why nothing can be spoken, if so. `key` is that of the certificate that is shown to clients;
    /// towards upstreams theirs decides, and nobody knows it before. What parsing lets pass and has
    /// no fault here is served by the proxy.
    pub fn fault(&self, key: Option<KeyKind>) -> Option<TlsFault> {
        let least = self.min_version.unwrap_or(TlsVersion::V1_2);
        let most = self.max_version.unwrap_or(TlsVersion::V1_3);
        if least > most {
            return Some(TlsFault::Versions);
        }
        if most == TlsVersion::V1_3 {
            return None;
        }
        let is_old = |name: &Arc<str>| CURVES.iter().any(|one| one.is_old && one.name == &**name);
        if !self.curves.is_empty() && !self.curves.iter().any(is_old) {
            return Some(TlsFault::Curves);
        }
        let fits =
            |name: &Arc<str>, key| SUITES.iter().any(|it| it.name == &**name && it.key == key);
        let unfit = |key| !self.cipher_suites.iter().any(|name| fits(name, key));
        key.filter(|key| !self.cipher_suites.is_empty() && unfit(*key)).map(TlsFault::Suites)
    }
}

/// How TLS is ended towards clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    /// What is shown.
    pub certificate: Arc<Certificate>,
    /// Whether and how clients' certificates are checked.
    pub clients: Option<ClientValidation>,
    /// Versions, suites, protocols.
    pub parameters: TlsParameters,
}

/// How clients' certificates are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientValidation {
    /// Who may have signed them.
    pub authorities: Arc<Authorities>,
    /// Which are revoked.
    pub revoked: Option<Arc<RevocationLists>>,
    /// Whether a client without one is refused.
    pub required: bool,
}

/// How TLS is begun towards an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origination {
    /// The TLSContext's name, which tells clusters apart for people.
    pub context: Option<Arc<str>>,
    /// What is shown to an upstream that asks.
    pub certificate: Option<Arc<Certificate>>,
    /// Who may have signed the upstream's certificate; `None` takes any.
    pub authorities: Option<Arc<Authorities>>,
    /// Which are revoked.
    pub revoked: Option<Arc<RevocationLists>>,
    /// The name that is asked for and, where the certificate is checked, that it has to be for.
    pub sni: Option<Arc<str>>,
    /// Versions, suites, protocols.
    pub parameters: TlsParameters,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_what_leaves_nothing() {
        let parameters = |max, suites: &[&str], curves: &[&str]| TlsParameters {
            max_version: max,
            cipher_suites: suites.iter().map(|name| Arc::from(*name)).collect(),
            curves: curves.iter().map(|name| Arc::from(*name)).collect(),
            ..TlsParameters::default()
        };
        let (old, new) = (Some(TlsVersion::V1_2), Some(TlsVersion::V1_3));
        let rsa = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"];
        let mixed = [rsa[0], "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"];
        let (ecdsa, hybrid) = (Some(KeyKind::Ecdsa), ["X25519MLKEM768"]);
        for (parameters, key, expected) in [
            (parameters(None, &[], &[]), ecdsa, None),
            (parameters(old, &[], &[]), ecdsa, None),
            (parameters(old, &rsa, &[]), Some(KeyKind::Rsa), None),
            (parameters(old, &rsa, &[]), ecdsa, Some(TlsFault::Suites(KeyKind::Ecdsa))),
            (parameters(old, &rsa, &[]), None, None),
            (parameters(old, &mixed, &[]), ecdsa, None),
            // TLS 1.3 needs none of them.
            (parameters(None, &rsa, &[]), ecdsa, None),
            (parameters(old, &[], &hybrid), None, Some(TlsFault::Curves)),
            (parameters(old, &[], &["X25519MLKEM768", "P-256"]), None, None),
            (parameters(new, &[], &hybrid), None, None),
            (
                TlsParameters { min_version: new, ..parameters(old, &[], &[]) },
                None,
                Some(TlsFault::Versions),
            ),
        ] {
            assert_eq!(parameters.fault(key), expected, "{parameters:?} {key:?}");
        }
    }
}
