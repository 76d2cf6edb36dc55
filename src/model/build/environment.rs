//! What all objects share: the Module's defaults, and what they name by its name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::hosts::age;
use super::secrets::Secrets;
use super::{Candidate, secrets};
use crate::model::key::{Kind, ObjectKey, Origin};
use crate::model::object::{Content, Object};
use crate::model::report::{Conflict, Missing, Verdict};
use crate::model::snapshot::Snapshot;
use crate::model::tls::Origination;
use crate::model::written::{GatewayDefaults, ResolverKind, TlsSpec, UpstreamSpec};

/// The resolver of who names none (Emissary).
const DEFAULT_RESOLVER: &str = "kubernetes-service";

/// Resolvers that are there without an object.
const BUILT_IN: [(&str, ResolverKind); 3] = [
    (DEFAULT_RESOLVER, ResolverKind::Dns),
    ("kubernetes-endpoint", ResolverKind::Endpoints),
    ("endpoint", ResolverKind::Endpoints),
];

/// What all objects share.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Environment {
    /// The gateway's own namespace.
    pub(super) namespace: Arc<str>,
    /// What the Module `ambassador` says.
    pub(super) defaults: Arc<GatewayDefaults>,
    /// Kinds of resolvers by name.
    resolvers: BTreeMap<Arc<str>, ResolverKind>,
    /// TLSContexts by name, those of one name in the order of their keys.
    contexts: BTreeMap<Arc<str>, Vec<Context>>,
}

/// A TLSContext.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Context {
    /// Its namespace.
    pub(super) namespace: Arc<str>,
    /// What it asks for.
    pub(super) spec: Arc<TlsSpec>,
    /// How it begins TLS.
    origination: Result<Arc<Origination>, Missing>,
}

impl Environment {
    /// Collects what objects share. Objects that lose their name to another are told so.
    pub(super) fn build(snapshot: &Snapshot, candidates: &mut [Candidate<'_>]) -> Self {
        let defaults = defaults(candidates, &snapshot.defaults.namespace);
        let mut environment = Self {
            namespace: snapshot.defaults.namespace.as_str().into(),
            defaults,
            resolvers: BUILT_IN.map(|(name, kind)| (Arc::from(name), kind)).into(),
            contexts: BTreeMap::new(),
        };
        environment.add_resolvers(candidates);
        environment.add_contexts(candidates, &Secrets::new(snapshot));
        environment
    }

    /// That of a gateway in a namespace, with nothing in it.
    #[cfg(test)]
    pub(super) fn with_namespace(namespace: &str) -> Self {
        let defaults = crate::model::snapshot::Defaults {
            namespace: namespace.to_owned(),
            ..Default::default()
        };
        Self::build(&Snapshot { defaults, ..Snapshot::default() }, &mut [])
    }

    fn add_resolvers(&mut self, candidates: &mut [Candidate<'_>]) {
        let mut owners: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for index in by_claim(candidates, &self.namespace) {
            let Candidate { object, verdict } = &candidates[index];
            let (Verdict::Accepted, Content::Resolver(kind)) = (verdict, &object.content) else {
                continue;
            };
            let name = Arc::clone(&object.key.name);
            if let Some(with) = taken_from_everybody(object, *kind, &self.namespace) {
                let (with, conflict) = (Arc::new(with), Conflict::BuiltIn);
                candidates[index].verdict = Verdict::Conflicted { with, conflict };
                continue;
            }
            if let Some(owner) = owners.get(&name) {
                let with = Arc::clone(&candidates[*owner].object.key);
                candidates[index].verdict = Verdict::Conflicted { with, conflict: Conflict::Name };
                continue;
            }
            self.resolvers.insert(Arc::clone(&name), *kind);
            owners.insert(name, index);
        }
    }

    fn add_contexts(&mut self, candidates: &[Candidate<'_>], secrets: &Secrets<'_>) {
        for Candidate { object, verdict } in candidates {
            let (Verdict::Accepted, Content::TlsContext(spec)) = (verdict, &object.content) else {
                continue;
            };
            let spec = self.names_read(spec);
            let context = Context {
                namespace: Arc::clone(&object.key.namespace),
                origination: secrets::origination(&object.key.name, &spec, secrets).map(Arc::new),
                spec,
            };
            self.contexts.entry(Arc::clone(&object.key.name)).or_default().push(context);
        }
    }

    /// TLS settings with their Secrets' names read as the Module says.
    fn names_read(&self, spec: &Arc<TlsSpec>) -> Arc<TlsSpec> {
        let undivided = self.undivided(spec);
        Arc::clone(undivided.unwrap_or(spec))
    }

    /// The reading of TLS settings that the Module asks for, where that is another one.
    pub(super) fn undivided<'a>(&self, spec: &'a TlsSpec) -> Option<&'a Arc<TlsSpec>> {
        spec.undivided.as_ref().filter(|_| self.defaults.secret_namespacing == Some(false))
    }

    /// The kind of a resolver by its name, `None` being the gateway's default.
    pub(super) fn resolver(&self, name: Option<&Arc<str>>) -> Result<ResolverKind, Missing> {
        let name = match name.or(self.defaults.resolver.as_ref()) {
            Some(name) => name,
            None => return Ok(ResolverKind::Dns),
        };
        let known = self.resolvers.get(name).copied();
        known.ok_or_else(|| Missing::Resolver(Arc::clone(name)))
    }

    /// A TLSContext by its name for an object in `namespace`. Of several with the name that of the
    /// own namespace comes first, then that of the gateway's, then the first by key.
    pub(super) fn context(&self, name: &Arc<str>, namespace: &str) -> Result<&Context, Missing> {
        let named = self.contexts.get(name).map_or(&[][..], Vec::as_slice);
        let of = |wanted: &str| named.iter().find(|context| *context.namespace == *wanted);
        of(namespace)
            .or_else(|| of(&self.namespace))
            .or_else(|| named.first())
            .ok_or_else(|| Missing::Context(Arc::clone(name)))
    }

    /// The TLSContext that lists a host by this very name, the first by name and key.
    pub(super) fn context_of_host(&self, host: &str) -> Option<(&Arc<str>, &Context)> {
        let mut contexts =
            self.contexts.iter().flat_map(|(name, all)| all.iter().map(move |one| (name, one)));
        contexts.find(|(_, context)| context.spec.hosts.iter().any(|listed| **listed == *host))
    }

    /// How a TLSContext begins TLS.
    pub(super) fn origination(
        &self,
        name: &Arc<str>,
        namespace: &str,
    ) -> Result<Arc<Origination>, Missing> {
        self.context(name, namespace)?.origination.clone()
    }

    /// The namespace in which the bare name of an upstream stands.
    pub(super) fn namespace_of<'a>(&'a self, spec: &'a UpstreamSpec) -> &'a str {
        match self.defaults.own_namespace_for_services {
            true => &self.namespace,
            false => &spec.namespace,
        }
    }
}

/// The built-in resolver that an object would replace by one of another kind. Emissary lets every
/// namespace do that; the gateway's own only may, because everybody uses it.
fn taken_from_everybody(object: &Object, kind: ResolverKind, namespace: &str) -> Option<ObjectKey> {
    let (name, built_in) = BUILT_IN.into_iter().find(|(name, _)| *name == &*object.key.name)?;
    let of = match built_in {
        ResolverKind::Dns => Kind::KubernetesServiceResolver,
        ResolverKind::Endpoints => Kind::KubernetesEndpointResolver,
    };
    (built_in != kind && *object.key.namespace != *namespace).then(|| ObjectKey {
        kind: of,
        namespace: Arc::default(),
        name: name.into(),
        origin: Origin::BuiltIn,
    })
}

/// The indices of all candidates in the order of their claims to what holds for everybody: those of
/// the gateway's own namespace first, so that no tenant takes it over, then the older.
fn by_claim(candidates: &[Candidate<'_>], namespace: &str) -> Vec<usize> {
    let shared = |candidate: &Candidate<'_>| {
        matches!(candidate.object.content, Content::Defaults(_) | Content::Resolver(_))
    };
    let mut indices: Vec<usize> =
        (0..candidates.len()).filter(|index| shared(&candidates[*index])).collect();
    indices.sort_by_key(|index| {
        let object = candidates[*index].object;
        (*object.key.namespace != *namespace, age(object))
    });
    indices
}

/// What the first Module says; the others are told that they aren't used.
fn defaults(candidates: &mut [Candidate<'_>], namespace: &str) -> Arc<GatewayDefaults> {
    let mut winner: Option<(usize, Arc<GatewayDefaults>)> = None;
    for index in by_claim(candidates, namespace) {
        let Candidate { object, verdict } = &candidates[index];
        let (Verdict::Accepted, Content::Defaults(defaults)) = (verdict, &object.content) else {
            continue;
        };
        match &winner {
            None => winner = Some((index, Arc::clone(defaults))),
            Some((first, _)) => {
                let with = Arc::clone(&candidates[*first].object.key);
                candidates[index].verdict = Verdict::Conflicted { with, conflict: Conflict::Name };
            }
        }
    }
    winner.map(|(_, defaults)| defaults).unwrap_or_default()
}
