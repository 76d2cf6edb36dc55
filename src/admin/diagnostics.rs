//! The diagnostics as JSON: what is served, and what was found of each object. Sorted and
//! stable; keys that Emissary's readers know keep their names. Never holds secrets.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Admin, Identity, SourceState, seconds_now};
use super::{describe, inventory, overload, replication};
use crate::controller::rebuild::Built;
use crate::model::cluster::Upstream;
use crate::model::config::{GatewayConfig, Leg, RouteGroup};
use crate::model::object::{Location, Severity};
use crate::model::report::{Condition, Report, Verdict};
use crate::model::route::HeaderMatch;
use crate::model::service::Endpoints;

/// What is to be said about objects: their keys, each with a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Objects that aren't served, or not as they were written.
    pub(super) errors: Vec<(String, String)>,
    /// Objects that are, but whose author should know something.
    pub(super) notices: Vec<(String, String)>,
}

/// All findings, in key order.
pub(super) fn findings(built: &Built) -> Findings {
    let mut findings = Findings::default();
    for report in built.reports().iter() {
        let [accepted, references, ..] = report.conditions();
        let key = report.object.key.to_string();
        if report.has_errors() {
            findings.errors.push((key.clone(), accepted.message));
        } else if accepted.reason != "Accepted" {
            findings.notices.push((key.clone(), accepted.message));
        }
        if !references.status && report.is_accepted() {
            findings.notices.push((key, references.message));
        }
    }
    findings
}

/// The whole page.
pub(super) fn build_page(admin: &Admin) -> Value {
    let built = admin.built.borrow().clone();
    let findings = findings(&built);
    let pairs = |pairs: &[(String, String)]| -> Value {
        pairs.iter().map(|(key, message)| json!([key, message])).collect()
    };
    let mut page = json!({
        "system": system(&admin.identity),
        "envoy_status": { "alive": true, "ready": admin.health.is_ready() },
        "ready": readiness(admin),
        "loginfo": { "all": admin.log_level.get().as_str() },
        "errors": pairs(&findings.errors),
        "notices": pairs(&findings.notices),
        "sources": (admin.sources)().iter().map(source).collect::<Value>(),
        "replication": replication::describe(&admin.replication),
        "memory": overload::describe(&admin.overload),
        "generation": built.generation,
        "route_info": routes(&built.build.config),
        "cluster_info": clusters(&built.build.config, &built.endpoints),
        "objects": built.reports().iter().map(|report| object(report)).collect::<Value>(),
    });
    if let Value::Object(page) = &mut page {
        page.extend(inventory::build_inventory(&built, admin.process, seconds_now()));
    }
    page
}

fn system(identity: &Identity) -> Value {
    json!({
        "version": identity.version,
        "ambassador_id": identity.ambassador_id,
        "ambassador_namespace": identity.namespace,
        "cluster_id": identity.cluster_id,
        "single_namespace": identity.single_namespace,
        "hostname": identity.hostname,
    })
}

fn readiness(admin: &Admin) -> Value {
    match admin.health.readiness() {
        Ok(()) => json!({ "ready": true }),
        Err(reason) => json!({ "ready": false, "reason": reason.as_str() }),
    }
}

fn source(state: &SourceState) -> Value {
    json!({ "name": state.name, "state": state.state })
}

fn routes(config: &GatewayConfig) -> Value {
    config.groups.iter().map(|group| route(group)).collect()
}

fn route(group: &RouteGroup) -> Value {
    let first = group.first();
    let matches = group.matches();
    let header = |header: &HeaderMatch| json!({ "name": &*header.name, "value": describe::named_value(&header.name, &header.value) });
    json!({
        "key": first.key.to_string(),
        "prefix": matches.path.text(),
        "rewrite": describe::rewrite(&first.route.action),
        "method": matches.method.as_ref().map_or("*".to_owned(), describe::value),
        "host": matches.host.as_ref().map(describe::host),
        "headers": matches.headers.iter().map(header).collect::<Value>(),
        "match": describe::route_match(matches),
        "precedence": group.precedence,
        "diag_class": "private",
        "clusters": group.legs.iter().chain(group.mirror()).map(leg).collect::<Value>(),
    })
}

fn leg(leg: &Arc<Leg>) -> Value {
    json!({
        "key": leg.key.to_string(),
        "service": describe::target(&leg.route.action),
        "weight": leg.share.percent(),
        "type_label": "",
    })
}

fn clusters(config: &GatewayConfig, endpoints: &Endpoints) -> Value {
    let cluster = |(name, cluster): (_, Arc<crate::model::cluster::Cluster>)| {
        let addresses: Option<Vec<String>> = match &cluster.upstream {
            Upstream::Service(reference) => {
                Some(endpoints.get(reference).iter().map(ToString::to_string).collect())
            }
            Upstream::Address(address) => Some(vec![address.to_string()]),
            // Each worker asks DNS for itself.
            Upstream::Name { .. } => None,
        };
        let name: crate::model::cluster::ClusterName = name;
        (
            name.to_string(),
            json!({
                "service": &*cluster.service,
                "upstream": describe::upstream(&cluster.upstream),
                "endpoints": addresses,
            }),
        )
    };
    Value::Object(config.clusters().into_iter().map(cluster).collect())
}

/// One object with everything that was found of it. `nuncio check` prints it too.
pub fn object(report: &Report) -> Value {
    let object = &report.object;
    let problems = object.problems.iter().map(|problem| {
        json!({
            "severity": severity(problem.severity),
            "field": problem.field.as_deref(),
            "message": problem.message,
            "location": problem.location.map(location),
        })
    });
    json!({
        "key": object.key.to_string(),
        "kind": object.key.kind.as_str(),
        "namespace": &*object.key.namespace,
        "name": &*object.key.name,
        "origin": describe::origin(&object.key.origin),
        "location": object.location.map(location),
        "verdict": verdict(&report.verdict),
        "conditions": report
            .conditions()
            .into_iter()
            .chain(report.occasional())
            .map(|one| condition(&one))
            .collect::<Value>(),
        "problems": problems.collect::<Value>(),
    })
}

fn location(location: Location) -> Value {
    json!({ "line": location.line, "column": location.column })
}

/// How much a problem matters, in a word.
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error | Severity::Unsupported => "error",
        Severity::Warning => "warning",
        Severity::NoEffect => "note",
    }
}

/// A verdict in a word.
pub fn verdict(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted => "accepted",
        Verdict::Rejected => "rejected",
        Verdict::Shadowed { .. } => "shadowed",
        Verdict::Conflicted { .. } => "conflicted",
        Verdict::NotAttached(_) => "not attached",
        Verdict::Unresolved(_) => "unresolved",
        Verdict::NothingToCopy => "nothing to copy",
    }
}

fn condition(condition: &Condition) -> Value {
    json!({
        "type": condition.kind.as_str(),
        "status": if condition.status { "True" } else { "False" },
        "reason": condition.reason,
        "message": condition.message,
    })
}
