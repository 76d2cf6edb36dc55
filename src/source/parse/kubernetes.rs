//! Kubernetes' own objects, reduced to what routing needs. Each comes whole, as JSON.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::model::common::Common;
use crate::model::key::ServiceKey;
use crate::model::service::{EndpointSlice, Service, ServicePort};

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

/// Parses a discovery.k8s.io/v1 EndpointSlice; `None` if it belongs to no Service.
pub fn parse_endpoint_slice(raw: &Json) -> Option<EndpointSlice> {
    let name = raw["metadata"]["labels"][SERVICE_NAME_LABEL].as_str()?;
    let addresses = |which: fn(&Json) -> bool| {
        raw["endpoints"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|endpoint| which(&endpoint["conditions"]))
            .flat_map(|endpoint| endpoint["addresses"].as_array().into_iter().flatten())
            // Slices of names (addressType FQDN) are of no use to routing.
            .filter_map(|address| address.as_str()?.parse::<IpAddr>().ok())
            .collect()
    };
    Some(EndpointSlice {
        service: ServiceKey { namespace: namespace_of(raw), name: name.into() },
        ports: parse_ports(&raw["ports"]),
        ready: addresses(is_ready),
        ending: addresses(is_ending),
    })
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
        }))
        .expect("of a Service");
        let ready: Vec<String> = slice.ready.iter().map(ToString::to_string).collect();
        assert_eq!(ready, ["10.0.0.1", "10.0.0.3", "10.0.0.4"]);
        assert_eq!(slice.ending, ["10.0.0.6".parse::<IpAddr>().expect("an address")]);
        assert_eq!(slice.ports, [ServicePort { name: "".into(), port: 8080 }]);
        assert_eq!(parse_endpoint_slice(&json!({"metadata": {}})), None);
    }

    #[test]
    fn time_is_seconds() {
        let created = |text: &str| created_of(&json!({"creationTimestamp": text}));
        assert_eq!(created("1970-01-02T00:00:00Z"), Some(86_400));
        assert_eq!(created("yesterday"), None);
    }
}
