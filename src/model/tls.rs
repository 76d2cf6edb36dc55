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
    /// The DNS names it is for, in lower case.
    pub names: Vec<Arc<str>>,
    /// The second from which it is valid, since 1970.
    pub not_before: i64,
    /// The last second in which it is valid, since 1970.
    pub not_after: i64,
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
