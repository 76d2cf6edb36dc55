//! Certificates that objects name: looked up in the snapshot, and put together to TLS.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Candidate;
use super::environment::Environment;
use crate::model::key::ObjectKey;
use crate::model::object::Content;
use crate::model::report::{Kept, Missing, SecretFault, Verdict};
use crate::model::secret::{LastGood, SecretContents, SecretState};
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

    fn last_good(&self, source: &PemSource) -> Option<&'a LastGood> {
        self.0.last_good.get(source)
    }

    fn certificate_now(&self, source: &PemSource) -> Result<Arc<Certificate>, Missing> {
        part(source, &self.contents(source)?.certificate, "certificate with its key")
    }

    fn authorities_now(&self, source: &PemSource) -> Result<Arc<Authorities>, Missing> {
        part(source, &self.contents(source)?.authorities, "CA certificate")
    }

    fn revoked_now(&self, source: &PemSource) -> Result<Arc<RevocationLists>, Missing> {
        part(source, &self.contents(source)?.revoked, "revocation list")
    }

    /// The certificate that is kept there, or else the last that was, until it expires.
    pub(super) fn certificate(&self, source: &PemSource) -> Result<Arc<Certificate>, Missing> {
        let is_valid = |kept: &Arc<Certificate>| self.0.now <= kept.not_after;
        let kept = || self.last_good(source)?.certificate.clone().filter(is_valid);
        self.certificate_now(source).or_else(|missing| kept().ok_or(missing))
    }

    /// The authorities, or else the last that were there: who was refused stays refused.
    fn authorities(&self, source: &PemSource) -> Result<Arc<Authorities>, Missing> {
        let kept = || self.last_good(source)?.authorities.clone();
        self.authorities_now(source).or_else(|missing| kept().ok_or(missing))
    }

    /// The same for revocation lists.
    fn revoked(&self, source: &PemSource) -> Result<Arc<RevocationLists>, Missing> {
        let kept = || self.last_good(source)?.revoked.clone();
        self.revoked_now(source).or_else(|missing| kept().ok_or(missing))
    }

    /// What can't be used any more of what TLS is made of, and what is used instead.
    pub(super) fn outdated(&self, parts: &Parts<'_>) -> Option<(Missing, Kept)> {
        let certificate = parts.certificate.as_ref().and_then(|source| {
            let missing = self.certificate_now(source).err()?;
            Some((missing, Kept::certificate(&*self.certificate(source).ok()?)))
        });
        let authorities = || {
            let source = parts.settings?.authorities.as_ref()?;
            let missing = self.authorities_now(source).err()?;
            self.authorities(source).ok().map(|_| (missing, Kept::Authorities))
        };
        let revoked = || {
            let source = parts.settings?.revoked.as_ref()?;
            let missing = self.revoked_now(source).err()?;
            self.revoked(source).ok().map(|_| (missing, Kept::Revoked))
        };
        certificate.or_else(authorities).or_else(revoked)
    }

    /// The certificate of the default host, where there is one. Nobody names it, so that deleting
    /// it is how to go without.
    pub(super) fn fallback(&self) -> Option<Arc<Certificate>> {
        let source = fallback(self.0);
        match self.state(&source) {
            Some(SecretState::Missing) => None,
            _ => self.certificate(&source).ok(),
        }
    }
}

/// Of what TLS is made.
#[derive(Debug, Clone)]
pub(super) struct Parts<'a> {
    /// Where its certificate is.
    pub(super) certificate: Option<PemSource>,
    /// All else, where anything is written.
    pub(super) settings: Option<&'a TlsSpec>,
}

impl<'a> Parts<'a> {
    /// Those that a TLSContext names.
    pub(super) fn of_context(spec: &'a TlsSpec) -> Self {
        Self { certificate: spec.certificate.clone(), settings: Some(spec) }
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

/// Of what a Host's TLS is made; without anything it is served in cleartext only.
///
/// Its certificate is that of its `tlsSecret`, of its `tls`, or of its TLSContext. Emissary looks
/// at the latter two only where there is a `tlsSecret`.
pub(super) fn host_parts<'a>(
    key: &ObjectKey,
    spec: &'a HostSpec,
    environment: &'a Environment,
) -> Result<Parts<'a>, Missing> {
    let context = match &spec.context {
        Some(name) => Some(&*environment.context(name, &key.namespace)?.spec),
        None => None,
    };
    let own = spec.tls.as_ref();
    let own = own.map(|own| environment.undivided(own).map_or(own, |read| &**read));
    let settings = own.or(context);
    let secret = spec.certificate.clone().map(PemSource::Secret);
    let named = settings.and_then(|settings| settings.certificate.clone());
    match (secret, named) {
        (Some(own), Some(other)) if own != other => Err(Missing::OneCertificate(own, other)),
        (own, other) => Ok(Parts { certificate: own.or(other), settings }),
    }
}

/// How TLS is ended with these parts; `None` where there are none.
pub(super) fn host_termination(
    parts: &Parts<'_>,
    secrets: &Secrets<'_>,
) -> Result<Option<Arc<Termination>>, Missing> {
    match (&parts.certificate, parts.settings) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Missing::Certificate),
        (Some(source), settings) => {
            let default = TlsSpec::default();
            termination(source, settings.unwrap_or(&default), secrets).map(Some)
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
