//! What reports say, in words for the authors of objects.

use std::fmt;

use super::{Conflict, Detached, Missing, SecretFault, ShadowRule};
use crate::model::key::ObjectKey;
use crate::model::tls::{SUITES, TlsFault};

impl ShadowRule {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::ResourceFirst => "a resource comes before an annotation",
            Self::OwnNamespaceFirst => {
                "a document in its carrier's own namespace comes before one that names another"
            }
            Self::OlderFirst => "the older comes first",
            Self::KeyOrder => "both are of the same age, and it comes first by name",
        }
    }
}

impl Detached {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Unnamed => {
                "Nothing attaches this object because it names no host: set spec.hostname, to \"*\" for every host"
            }
            Self::NoHost => {
                "No Host serves the host that this object names: add a Host of that name, or set spec.hostname to one that there is"
            }
            Self::NotSelected => {
                "The Hosts of this name select objects by labels that this one doesn't have: see the mappingSelector of the Host"
            }
            Self::NoListener => {
                "No Listener takes this Host: see the hostBinding of the Listeners, its namespace and its labels"
            }
        }
    }
}

impl Missing {
    /// A word for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Resolver(_) => "ResolverNotFound",
            Self::Context(_) => "TLSContextNotFound",
            Self::Secret(_, SecretFault::NotRead) => "SecretNotRead",
            Self::Secret(_, SecretFault::NotFound) => "SecretNotFound",
            Self::Secret(_, SecretFault::Forbidden(_)) => "SecretForbidden",
            Self::Secret(_, SecretFault::Invalid(_) | SecretFault::Empty(_)) => "SecretInvalid",
            Self::Certificate
            | Self::OneCertificate(..)
            | Self::Authorities
            | Self::Unspoken(_) => "TLSInvalid",
            Self::Termination => "TLSContextNotFound",
        }
    }
}

/// As a sentence without its final full stop.
impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolver(name) => write!(
                f,
                "there is no resolver \"{name}\"; write kubernetes-service, kubernetes-endpoint, or the name of a resolver object"
            ),
            Self::Context(name) => write!(f, "there is no TLSContext \"{name}\""),
            Self::Secret(source, fault) => match fault {
                SecretFault::NotRead => write!(f, "{source} hasn't been read yet"),
                SecretFault::NotFound => write!(f, "there is no {source}"),
                SecretFault::Forbidden(text) => write!(f, "{source} may not be read: {text}"),
                SecretFault::Invalid(text) => write!(f, "{source} can't be used: {text}"),
                SecretFault::Empty(part) => write!(f, "{source} holds no {part}"),
            },
            Self::Certificate => f.write_str(
                "its TLS settings name no certificate; set tlsSecret, or secret in the TLSContext",
            ),
            Self::OneCertificate(one, other) => write!(
                f,
                "its certificate is that of {one} and of {other} at once; name it in one place only"
            ),
            Self::Authorities => f.write_str(
                "clients' certificates are asked for, but nothing says who may have signed them; set ca_secret",
            ),
            Self::Unspoken(TlsFault::Versions) => f.write_str(
                "its min_tls_version is newer than its max_tls_version, so that no version is left; write v1.2 and v1.3",
            ),
            Self::Unspoken(TlsFault::Curves) => f.write_str(
                "its ecdh_curves are of TLS 1.3 only, which its max_tls_version forbids; add X25519 or P-256",
            ),
            Self::Unspoken(TlsFault::Suites(key)) => {
                let suite = SUITES.iter().find(|suite| suite.key == *key);
                let suite = suite.map_or("one", |suite| suite.openssl);
                write!(
                    f,
                    "none of its cipher_suites is for the certificate's {key} key, and its max_tls_version forbids TLS 1.3, which needs none; add {suite}"
                )
            }
            Self::Termination => f.write_str(
                "its host has no certificate: add a Host with TLS of that name, or a TLSContext that lists it in hosts, or let TLS pass with tls_passthrough: true",
            ),
        }
    }
}

impl Conflict {
    pub(super) fn text(self, with: &ObjectKey) -> String {
        match self {
            Self::Name => format!(
                "{with} has the same name and is used instead: of this kind one is used in the whole cluster"
            ),
            Self::BuiltIn => format!(
                "{with} is built in, and who names it means that: only an object in the gateway's own namespace may replace it; give this one another name"
            ),
            Self::Port(port) => format!("{with} listens on port {port} already"),
            Self::Tls => format!("{with} is for the same host and has other TLS settings"),
            Self::Redirect => format!(
                "{with} has the same match: a match can have one redirect, or routes that forward, but not both"
            ),
            Self::Mirror => format!(
                "{with} has the same match and gets the copies already: a match can have one shadow"
            ),
            Self::Weight { own, left } => format!(
                "the weight {own} is more than the {left} that older objects with the same match leave of 100, the last of them {with}"
            ),
        }
    }
}
