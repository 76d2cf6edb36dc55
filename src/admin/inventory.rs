//! What is served beside routes, for the diagnostics: ports, Hosts, TLSContexts, certificates, TCP
//! and the Module's values. Of Secrets it knows names and certificates, never keys.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::certificate::facts;
use super::describe;
use super::values::{self, Effective, Origins, Process};
use crate::controller::rebuild::Built;
use crate::model::key::ObjectKey;
use crate::model::listener::{Listener, TcpGroup, VirtualHost};
use crate::model::object::Content;
use crate::model::report::Report;
use crate::model::secret::{SecretContents, SecretState};
use crate::model::sorted::Sorted;
use crate::model::written::{PemSource, TlsSpec};

/// Objects of a list that are shown: a page is for people and scripts, and many tenants write many
/// objects.
pub(super) const SHOWN: usize = 10_000;
/// Names of a TLSContext that are shown.
const SHOWN_NAMES: usize = 20;

/// All of it, by the keys of the page; and how many elements of which list were left out.
pub(super) fn build_inventory(built: &Built, process: Process, now: i64) -> Map<String, Json> {
    let origins = Origins { build: &built.build, process };
    let config = &built.build.config;
    let mut page = Map::new();
    let mut left_out = Map::new();
    let mut add = |name: &str, items: &mut dyn Iterator<Item = Json>| {
        let shown: Vec<Json> = items.take(SHOWN).collect();
        page.insert(name.to_owned(), shown.into());
        let rest = items.count();
        if rest > 0 {
            left_out.insert(name.to_owned(), rest.into());
        }
    };
    let reports = built.reports();
    add("listeners", &mut config.listeners.iter().map(|one| listener(one, reports, &origins)));
    let hosts = hosts(&config.listeners);
    add("hosts", &mut hosts.iter().map(|(key, found)| host(key, found, now, &origins)));
    add("tls_contexts", &mut reports.iter().filter_map(|report| tls_context(report)));
    let groups = config
        .listeners
        .iter()
        .flat_map(|listener| listener.tcp.iter().map(|group| tcp(listener, group)));
    add("tcp", &mut { groups });
    let files = built.pem_files.iter().map(|(source, state)| secret(source, state, now));
    let secrets = built.secrets.iter();
    let secrets = secrets.map(|(key, state)| secret(&PemSource::Secret(key.clone()), state, now));
    add("secrets", &mut secrets.chain(files));
    page.insert("module".to_owned(), module(&origins));
    page.insert("left_out".to_owned(), left_out.into());
    page
}

fn table(values: &[Effective]) -> Json {
    values.iter().map(|value| json!(value)).collect()
}

fn listener(listener: &Listener, reports: &Sorted<Arc<Report>>, origins: &Origins<'_>) -> Json {
    let key = listener.key.as_ref();
    let report = key.and_then(|key| reports.get(key));
    json!({
        "key": key.map(ToString::to_string),
        "port": listener.port,
        "address": listener.address.map(|address| address.to_string()),
        "stat_prefix": &*listener.stat_prefix,
        "hosts": listener.hosts.len(),
        "tcp": listener.tcp.len(),
        "problem": report.and_then(|report| report.failure.as_deref()),
        "values": table(&values::of_listener(listener, origins)),
    })
}

/// A Host, and the ports that serve it.
struct Found<'a> {
    host: &'a VirtualHost,
    ports: Vec<u16>,
}

fn hosts(listeners: &[Arc<Listener>]) -> BTreeMap<Option<&ObjectKey>, Found<'_>> {
    let mut hosts: BTreeMap<Option<&ObjectKey>, Found<'_>> = BTreeMap::new();
    for listener in listeners {
        for host in &listener.hosts {
            let found = hosts.entry(host.key.as_deref());
            found.or_insert_with(|| Found { host, ports: Vec::new() }).ports.push(listener.port);
        }
    }
    hosts
}

fn host(key: &Option<&ObjectKey>, found: &Found<'_>, now: i64, origins: &Origins<'_>) -> Json {
    let host = found.host;
    let origin = key.and_then(|key| match &origins.build.object(key)?.content {
        Content::Host(spec) => Some(origins.build.tls_of_host(key, spec)),
        _ => None,
    });
    let tls = host.tls.as_ref().map(|tls| {
        let source = origin.as_ref().and_then(|origin| origin.certificate.as_ref());
        let source = source.map(ToString::to_string).unwrap_or_default();
        let object = key.map(describe::object).unwrap_or_default();
        let protocols = values::HTTP_PROTOCOLS;
        json!({
            "certificate": facts(&tls.certificate, source, now),
            "values": table(&values::of_termination(tls, origin.as_ref(), &object, protocols)),
        })
    });
    json!({
        "key": key.map(ToString::to_string),
        "hostname": describe::host(&host.name),
        "state": if host.closed { "closed" } else { "served" },
        "ports": found.ports,
        "tls": tls,
        "values": table(&values::of_host(host, origins)),
    })
}

fn tls_context(report: &Report) -> Option<Json> {
    let Content::TlsContext(spec) = &report.object.content else { return None };
    let TlsSpec { hosts, certificate, authorities, revoked, required, .. } = &**spec;
    let [_, references, ..] = report.conditions();
    let source = |source: &Option<PemSource>| source.as_ref().map(ToString::to_string);
    let names = hosts.iter().take(SHOWN_NAMES).map(|name| &**name);
    Some(json!({
        "key": report.object.key.to_string(),
        "hosts": names.collect::<Json>(),
        "more_hosts": hosts.len().saturating_sub(SHOWN_NAMES),
        "certificate": source(certificate),
        "ca_secret": source(authorities),
        "crl_secret": source(revoked),
        "cert_required": required,
        "resolved": references.status,
        "message": references.message,
    }))
}

fn tcp(listener: &Listener, group: &TcpGroup) -> Json {
    let legs = group.legs.iter().map(|leg| {
        json!({
            "key": leg.key.to_string(),
            "service": &*leg.cluster.service,
            "cluster": leg.cluster.name.to_string(),
            "upstream": describe::upstream(&leg.cluster.upstream),
            "weight": leg.share.percent(),
        })
    });
    let tls = match (&group.sni, &group.tls) {
        (None, _) => "none",
        (Some(_), Some(_)) => "ended here",
        (Some(_), None) => "passed on",
    };
    json!({
        "port": listener.port,
        "address": listener.address.map(|address| address.to_string()),
        "host": group.sni.as_ref().map(describe::host),
        "tls": tls,
        "clusters": legs.collect::<Json>(),
    })
}

/// What is known of a Secret or of files: never a byte of what is in them, but for certificates.
fn secret(source: &PemSource, state: &SecretState, now: i64) -> Json {
    let (word, message, contents) = match state {
        SecretState::Missing => ("missing", None, None),
        SecretState::Unreadable(text) => ("unreadable", Some(text), None),
        SecretState::Forbidden(text) => ("forbidden", Some(text), None),
        SecretState::Present(contents) => ("read", None, Some(contents)),
    };
    json!({
        "name": source.to_string(),
        "state": word,
        "message": message.map(|text| &**text),
        "holds": contents.map(|contents| holds(contents, source, now)),
    })
}

fn holds(contents: &SecretContents, source: &PemSource, now: i64) -> Json {
    fn part<T>(part: &Result<Option<Arc<T>>, Arc<str>>, tell: impl Fn(&T) -> Json) -> Json {
        match part {
            Ok(None) => Json::Null,
            Ok(Some(value)) => tell(value),
            Err(problem) => json!({ "problem": &**problem }),
        }
    }
    let count = |count: usize| json!({ "count": count });
    json!({
        "certificate": part(&contents.certificate, |it| json!(facts(it, text(source), now))),
        "authorities": part(&contents.authorities, |it| count(it.0.len())),
        "revoked": part(&contents.revoked, |it| count(it.0.len())),
    })
}

fn text(source: &impl Display) -> String {
    source.to_string()
}

fn module(origins: &Origins<'_>) -> Json {
    let mut all = values::of_defaults(origins);
    all.extend(values::of_http(origins));
    json!({
        "key": origins.build.module().map(|(key, _)| key.to_string()),
        "values": table(&all),
    })
}

#[cfg(test)]
#[path = "inventory_tests.rs"]
mod tests;
