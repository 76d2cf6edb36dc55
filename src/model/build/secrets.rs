//! Certificates that objects name: looked up in the snapshot, and put together to TLS.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Candidate;
use super::environment::Environment;
use crate::model::key::ObjectKey;
use crate::model::object::Content;
use crate::model::report::{Missing, SecretFault, Verdict};
use crate::model::secret::{SecretContents, SecretState};
use crate::model::snapshot::Snapshot;
use crate::model::tls::{
    Authorities, Certificate, ClientValidation, KeyKind, Origination, RevocationLists, SecretKey,
    Termination,
};
use crate::model::written::{HostSpec, PemSource, TlsSpec};

/// The Secret in the gateway's namespace that serves the host that is there where nobody asks for
/// one (Emissary).
const FALLBACK: &str = "fallback-self-signed-cert";

/// What is known of Secrets and files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Secrets<'a>(&'a Snapshot);

impl<'a> Secrets<'a> {
    /// Those of a snapshot.
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        Self(snapshot)
    }

    fn state(&self, source: &PemSource) -> Option<&'a SecretState> {
        match source {
            PemSource::Secret(key) => self.0.secrets.get(key),
            PemSource::Files { .. } => self.0.pem_files.get(source),
        }
    }

    fn contents(&self, source: &PemSource) -> Result<&'a SecretContents, Missing> {
        let fault = match self.state(source) {
            None => SecretFault::NotRead,
            Some(SecretState::Missing) => SecretFault::NotFound,
            Some(SecretState::Forbidden(text)) => SecretFault::Forbidden(Arc::clone(text)),
            Some(SecretState::Unreadable(text)) => SecretFault::Invalid(Arc::clone(text)),
            Some(SecretState::Present(contents)) => return Ok(contents),
        };
        Err(Missing::Secret(source.clone(), fault))
    }

    /// The certificate that is kept there.
    pub(super) fn certificate(&self, source: &PemSource) -> Result<Arc<Certificate>, Missing> {
        part(source, &self.contents(source)?.certificate, "certificate with its key")
    }

    fn authorities(&self, source: &PemSource) -> Result<Arc<Authorities>, Missing> {
        part(source, &self.contents(source)?.authorities, "CA certificate")
    }

    fn revoked(&self, source: &PemSource) -> Result<Arc<RevocationLists>, Missing> {
        part(source, &self.contents(source)?.revoked, "revocation list")
    }

    /// The certificate of the default host, where there is one.
    pub(super) fn fallback(&self) -> Option<Arc<Certificate>> {
        self.certificate(&fallback(self.0)).ok()
    }
}

fn fallback(snapshot: &Snapshot) -> PemSource {
    PemSource::Secret(SecretKey {
        namespace: snapshot.defaults.namespace.as_str().into(),
        name: FALLBACK.into(),
    })
}

fn part<T>(
    source: &PemSource,
    part: &Result<Option<Arc<T>>, Arc<str>>,
    name: &'static str,
) -> Result<Arc<T>, Missing> {
    let fault = match part {
        Ok(Some(part)) => return Ok(Arc::clone(part)),
        Ok(None) => SecretFault::Empty(name),
        Err(text) => SecretFault::Invalid(Arc::clone(text)),
    };
    Err(Missing::Secret(source.clone(), fault))
}

/// How a TLSContext begins TLS towards upstreams.
pub(super) fn origination(
    name: &Arc<str>,
    spec: &TlsSpec,
    secrets: &Secrets<'_>,
) -> Result<Origination, Missing> {
    let TlsSpec { certificate, authorities, revoked, .. } = spec;
    may_be_spoken(spec, None)?;
    let authorities = authorities.as_ref().map(|source| secrets.authorities(source));
    Ok(Origination {
        context: Some(Arc::clone(name)),
        certificate: certificate.as_ref().map(|it| secrets.certificate(it)).transpose()?,
        authorities: authorities.transpose()?,
        revoked: revoked.as_ref().map(|source| secrets.revoked(source)).transpose()?,
        sni: spec.sni.clone(),
        parameters: spec.parameters.clone(),
    })
}

/// What is wrong with a TLSContext, or else its certificate.
pub(super) fn context_faults(
    spec: &TlsSpec,
    secrets: &Secrets<'_>,
) -> Result<Option<Arc<Certificate>>, Missing> {
    if spec.required && spec.authorities.is_none() {
        return Err(Missing::Authorities);
    }
    origination(&Arc::default(), spec, secrets).map(|origination| origination.certificate)
}

/// How a Host ends TLS; `None` serves it in cleartext only.
///
/// Its certificate is that of its `tlsSecret`, of its `tls`, or of its TLSContext. Emissary looks
/// at the latter two only where there is a `tlsSecret`.
pub(super) fn host_termination(
    key: &ObjectKey,
    spec: &HostSpec,
    environment: &Environment,
    secrets: &Secrets<'_>,
) -> Result<Option<Arc<Termination>>, Missing> {
    let context = match &spec.context {
        Some(name) => Some(Arc::clone(&environment.context(name, &key.namespace)?.spec)),
        None => None,
    };
    let own = spec.tls.as_ref();
    let own = own.map(|own| environment.undivided(own).map_or(own, |read| &**read));
    let settings = own.or(context.as_deref());
    let secret = spec.certificate.clone().map(PemSource::Secret);
    let named = settings.and_then(|settings| settings.certificate.clone());
    if let (Some(own), Some(other)) = (&secret, &named)
        && own != other
    {
        return Err(Missing::OneCertificate(own.clone(), other.clone()));
    }
    match (secret.or(named), settings) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Missing::Certificate),
        (Some(source), settings) => {
            let default = TlsSpec::default();
            termination(&source, settings.unwrap_or(&default), secrets).map(Some)
        }
    }
}

/// How TLS is ended with what a TLSContext says.
pub(super) fn context_termination(
    spec: &TlsSpec,
    secrets: &Secrets<'_>,
) -> Result<Arc<Termination>, Missing> {
    termination(spec.certificate.as_ref().ok_or(Missing::Certificate)?, spec, secrets)
}

fn termination(
    source: &PemSource,
    settings: &TlsSpec,
    secrets: &Secrets<'_>,
) -> Result<Arc<Termination>, Missing> {
    let revoked = settings.revoked.as_ref().map(|source| secrets.revoked(source)).transpose()?;
    let clients = match &settings.authorities {
        Some(source) => Some(ClientValidation {
            authorities: secrets.authorities(source)?,
            revoked,
            required: settings.required,
        }),
        // Without authorities nobody could tell a client's certificate from one made at home.
        None if settings.required || revoked.is_some() => return Err(Missing::Authorities),
        None => None,
    };
    let certificate = secrets.certificate(source)?;
    may_be_spoken(settings, Some(certificate.key_kind))?;
    Ok(Arc::new(Termination { certificate, clients, parameters: settings.parameters.clone() }))
}

fn may_be_spoken(settings: &TlsSpec, key: Option<KeyKind>) -> Result<(), Missing> {
    settings.parameters.fault(key).map_or(Ok(()), |fault| Err(Missing::Unspoken(fault)))
}

/// Everything that objects want to be read.
pub(super) fn wanted(
    snapshot: &Snapshot,
    candidates: &[Candidate<'_>],
    environment: &Environment,
) -> BTreeSet<PemSource> {
    let mut wanted = BTreeSet::new();
    let mut add = |spec: &TlsSpec| {
        let spec = environment.undivided(spec).map_or(spec, |read| &**read);
        let sources = [&spec.certificate, &spec.authorities, &spec.revoked];
        wanted.extend(sources.into_iter().flatten().cloned());
    };
    let mut hosts = Vec::new();
    for Candidate { object, verdict } in candidates {
        match (&object.content, verdict) {
            (_, Verdict::Shadowed { .. }) => {}
            (Content::TlsContext(spec), _) => add(spec),
            (Content::Host(spec), _) => {
                spec.tls.iter().for_each(&mut add);
                hosts.extend(spec.certificate.clone().map(PemSource::Secret));
            }
            _ => {}
        }
    }
    wanted.extend(hosts);
    wanted.insert(fallback(snapshot));
    wanted
}
