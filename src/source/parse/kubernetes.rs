//! Kubernetes' own objects, reduced to what routing needs. Each comes whole, as JSON.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value as Json;

use super::ParseSettings;
use crate::model::common::Common;
use crate::model::key::ServiceKey;
use crate::model::service::{EndpointSlice, Ready, Service, ServicePort};

/// The namespace of objects that name none, as `kubectl apply` has it.
pub(super) const DEFAULT_NAMESPACE: &str = "default";

/// The label by which an EndpointSlice belongs to a Service.
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// Parses a core/v1 Service; `None` if it has no name.
pub fn parse_service(raw: &Json) -> Option<Service> {
    let spec = &raw["spec"];
    Some(Service {
        key: ServiceKey {
            namespace: namespace_of(raw),
            name: raw["metadata"]["name"].as_str()?.into(),
        },
        ports: parse_ports(&spec["ports"]),
        external_name: spec["type"] == "ExternalName",
        has_selector: spec["selector"].as_object().is_some_and(|selector| !selector.is_empty()),
    })
}

/// Parses a discovery.k8s.io/v1 EndpointSlice; `None` if it belongs to no Service. What it says of
/// the gateway's own pod is believed in the gateway's namespace only.
pub fn parse_endpoint_slice(raw: &Json, settings: &ParseSettings) -> Option<EndpointSlice> {
    let name = raw["metadata"]["labels"][SERVICE_NAME_LABEL].as_str()?;
    let namespace = namespace_of(raw);
    let endpoints = || raw["endpoints"].as_array().into_iter().flatten();
    let is_own = |endpoint: &Json| {
        let target = &endpoint["targetRef"];
        target["kind"] == "Pod" && target["name"].as_str() == settings.pod.as_deref()
    };
    let own_zone = match settings.pod.is_some() && *namespace == *settings.namespace {
        true => endpoints().find(|it| is_own(it)).and_then(|it| it["zone"].as_str()),
        false => None,
    };
    let ready = endpoints().filter(|endpoint| is_ready(&endpoint["conditions"]));
    let ending = endpoints().filter(|endpoint| is_ending(&endpoint["conditions"]));
    Some(EndpointSlice {
        service: ServiceKey { namespace: Arc::clone(&namespace), name: name.into() },
        ports: parse_ports(&raw["ports"]),
        ready: ready.flat_map(parse_ready).collect(),
        ending: ending.flat_map(parse_addresses).collect(),
        own_zone: own_zone.filter(|zone| !zone.is_empty()).map(Into::into),
    })
}

/// Slices of names (addressType FQDN) are of no use to routing.
fn parse_addresses(endpoint: &Json) -> impl Iterator<Item = IpAddr> {
    let addresses = endpoint["addresses"].as_array().into_iter().flatten();
    addresses.filter_map(|address| address.as_str()?.parse().ok())
}

fn parse_ready(endpoint: &Json) -> impl Iterator<Item = Ready> {
    let zones = endpoint["hints"]["forZones"].as_array().into_iter().flatten();
    let zones: Vec<Arc<str>> =
        zones.filter_map(|zone| Some(zone["name"].as_str()?.into())).collect();
    parse_addresses(endpoint).map(move |address| Ready { address, zones: zones.clone() })
}

/// Kubernetes: a missing `ready` is to be taken as true.
fn is_ready(conditions: &Json) -> bool {
    conditions["ready"] != false && conditions["terminating"] != true
}

/// On its way out, and still able to answer. A missing `serving` is what `ready` would be, and
/// that is false for what terminates.
fn is_ending(conditions: &Json) -> bool {
    conditions["serving"] == true && conditions["terminating"] == true
}

/// Ports without a number (a slice may mean "all ports") are left out.
fn parse_ports(raw: &Json) -> Vec<ServicePort> {
    let port = |raw: &Json| {
        Some(ServicePort {
            name: raw["name"].as_str().unwrap_or_default().into(),
            port: u16::try_from(raw["port"].as_u64()?).ok()?,
        })
    };
    raw.as_array().into_iter().flatten().filter_map(port).collect()
}

pub(super) fn namespace_of(raw: &Json) -> Arc<str> {
    raw["metadata"]["namespace"].as_str().unwrap_or(DEFAULT_NAMESPACE).into()
}

/// The labels in some metadata.
pub(in crate::source) fn labels_of(metadata: &Json) -> Arc<BTreeMap<String, String>> {
    let labels = metadata["labels"].as_object().into_iter().flatten();
    let text = |(key, value): (&String, &Json)| Some((key.clone(), value.as_str()?.to_owned()));
    labels.filter_map(text).collect::<BTreeMap<_, _>>().share()
}

/// `metadata.creationTimestamp` in seconds since 1970.
pub(in crate::source) fn created_of(metadata: &Json) -> Option<i64> {
    let timestamp: jiff::Timestamp = metadata["creationTimestamp"].as_str()?.parse().ok()?;
    Some(timestamp.as_second())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_is_reduced() {
        let service = parse_service(&json!({
            "metadata": {"name": "quote", "namespace": "shop"},
            "spec": {
                "selector": {"app": "quote"},
                "ports": [{"port": 80, "name": "http", "targetPort": "web"}, {"port": 443}, {}]
            }
        }))
        .expect("named");
        assert_eq!(service.key.to_string(), "shop/quote");
        assert_eq!(
            service.ports.iter().map(|port| (&*port.name, port.port)).collect::<Vec<_>>(),
            [("http", 80), ("", 443)]
        );
        assert!(service.has_selector && !service.external_name);
        let external = json!({"metadata": {"name": "x"}, "spec": {"type": "ExternalName"}});
        let external = parse_service(&external).expect("named");
        assert!(external.external_name && !external.has_selector);
        assert_eq!(parse_service(&json!({"metadata": {}})), None);
    }

    #[test]
    fn only_ready_endpoints_count() {
        let endpoint = |address: &str, conditions: Json| json!({"addresses": [address], "conditions": conditions});
        let slice = parse_endpoint_slice(&json!({
            "metadata": {"namespace": "shop", "labels": {"kubernetes.io/service-name": "quote"}},
            "ports": [{"name": null, "port": 8080}, {"port": null}],
            "endpoints": [
                endpoint("10.0.0.1", json!({"ready": true})),
                endpoint("10.0.0.2", json!({"ready": false})),
                endpoint("10.0.0.3", json!({"ready": null})),
                endpoint("10.0.0.4", json!({})),
                endpoint("10.0.0.5", json!({"ready": true, "terminating": true})),
                endpoint("10.0.0.6", json!({"ready": false, "serving": true, "terminating": true})),
                endpoint("host.example", json!({})),
            ]
        }), &ParseSettings::default())
        .expect("of a Service");
        let ready: Vec<String> = slice.ready.iter().map(|one| one.address.to_string()).collect();
        assert_eq!(ready, ["10.0.0.1", "10.0.0.3", "10.0.0.4"]);
        assert_eq!(slice.ending, ["10.0.0.6".parse::<IpAddr>().expect("an address")]);
        assert_eq!(slice.ports, [ServicePort { name: "".into(), port: 8080 }]);
        assert_eq!(parse_endpoint_slice(&json!({"metadata": {}}), &ParseSettings::default()), None);
    }

    #[test]
    fn zones_are_hints_and_our_own_pod_knows_ours() {
        let raw = |namespace: &str| {
            json!({
                "metadata": {
                    "namespace": namespace, "labels": {"kubernetes.io/service-name": "nuncio"}
                },
                "endpoints": [
                    {"addresses": ["10.0.0.1"], "zone": "b",
                     "hints": {"forZones": [{"name": "a"}, {"name": "b"}, {}]}},
                    {"addresses": ["10.0.0.2"], "zone": "a", "conditions": {"ready": false},
                     "targetRef": {"kind": "Pod", "name": "nuncio-0"}},
                    {"addresses": ["10.0.0.3"], "zone": "c", "hints": null},
                ]
            })
        };
        let parse = |namespace: &str, pod: Option<&str>| {
            let settings = ParseSettings {
                namespace: "edge".into(),
                pod: pod.map(Into::into),
                ..ParseSettings::default()
            };
            parse_endpoint_slice(&raw(namespace), &settings).expect("of a Service")
        };
        let own = parse("edge", Some("nuncio-0"));
        assert_eq!(own.own_zone.as_deref(), Some("a"), "ready or not");
        let zones: Vec<Vec<&str>> =
            own.ready.iter().map(|one| one.zones.iter().map(|zone| &**zone).collect()).collect();
        assert_eq!(zones, [vec!["a", "b"], vec![]]);
        assert_eq!(parse("edge", Some("nuncio-1")).own_zone, None);
        assert_eq!(parse("edge", None).own_zone, None);
        assert_eq!(parse("tenant", Some("nuncio-0")).own_zone, None, "others may write anything");
    }

    #[test]
    fn time_is_seconds() {
        let created = |text: &str| created_of(&json!({"creationTimestamp": text}));
        assert_eq!(created("1970-01-02T00:00:00Z"), Some(86_400));
        assert_eq!(created("yesterday"), None);
    }
}
