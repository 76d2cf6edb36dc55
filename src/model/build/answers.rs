//! What a finished build answers to those who explain it: where settings were written that are
//! merged by now. Looked up when it is asked for, so that a route carries nothing for it.

use std::sync::Arc;

use super::Build;
use super::environment::{Context, Environment};
use crate::model::key::ObjectKey;
use crate::model::object::{Content, Object};
use crate::model::written::{GatewayDefaults, HostSpec, PemSource, TlsSpec};

/// Where the TLS of a Host was written.
#[derive(Debug, Clone)]
pub struct TlsOrigin<'a> {
    /// Where its certificate is kept.
    pub certificate: Option<PemSource>,
    /// Its other settings, where there are any.
    pub settings: Option<&'a TlsSpec>,
    /// The TLSContext that has them, as `namespace/name`; `None` is the Host itself.
    pub context: Option<String>,
}

impl Build {
    /// An object that speaks to this gateway.
    pub fn object(&self, key: &ObjectKey) -> Option<&Arc<Object>> {
        Some(&self.reports.get(key)?.object)
    }

    /// The Module that is in force, with what it says.
    pub fn module(&self) -> Option<(&ObjectKey, &GatewayDefaults)> {
        let mut accepted = self.reports.iter().filter(|report| report.is_accepted());
        accepted.find_map(|report| match &report.object.content {
            Content::Defaults(defaults) => Some((&*report.object.key, &**defaults)),
            _ => None,
        })
    }

    /// The TLSContext that an object in `namespace` means by a name: its `namespace/name`, and
    /// what it says.
    pub fn context(&self, name: &Arc<str>, namespace: &str) -> Option<(String, &TlsSpec)> {
        let Context { namespace, spec, .. } = self.environment()?.context(name, namespace).ok()?;
        Some((format!("{namespace}/{name}"), spec))
    }

    /// Where the TLS of a TCPMapping was written whose name is no Host's: in the TLSContext that
    /// lists it.
    pub fn tls_of_name(&self, name: &str) -> Option<TlsOrigin<'_>> {
        let (context, found) = self.environment()?.context_of_host(name)?;
        Some(TlsOrigin {
            certificate: found.spec.certificate.clone(),
            settings: Some(&found.spec),
            context: Some(format!("{}/{context}", found.namespace)),
        })
    }

    fn environment(&self) -> Option<&Environment> {
        Some(&self.kept.as_deref()?.around.environment)
    }

    /// Where the TLS of a Host was written.
    pub fn tls_of_host<'a>(&'a self, key: &ObjectKey, spec: &'a HostSpec) -> TlsOrigin<'a> {
        let context = spec.context.as_ref().and_then(|name| self.context(name, &key.namespace));
        let environment = self.environment();
        let read = |own: &'a TlsSpec| environment?.undivided(own);
        let own = spec.tls.as_ref().map(|own| read(own).map_or(own, |read| &**read));
        let (context, shared) = context.unzip();
        let settings = own.or(shared);
        let secret = spec.certificate.clone().map(PemSource::Secret);
        let named = || settings.and_then(|settings| settings.certificate.clone());
        TlsOrigin {
            certificate: secret.or_else(named),
            settings,
            context: context.filter(|_| own.is_none()),
        }
    }
}
