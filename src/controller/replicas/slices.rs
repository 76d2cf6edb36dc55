//! PURE: the replicas that the EndpointSlices of the admin Service name.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

/// The name of the admin port in the Service.
const PORT_NAME: &str = "admin";

/// A replica by its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Its admin port.
    pub(super) address: SocketAddr,
    /// Whether Kubernetes sends it requests.
    pub(super) serving: bool,
}

/// All replicas by name: the pod's, or the address of an endpoint that names none. `own` is the
/// pod that asks. Those that are about to end are left out: they get no new requests.
pub(super) fn build_members<'a>(
    slices: impl IntoIterator<Item = &'a EndpointSlice>,
    own: &str,
) -> BTreeMap<Arc<str>, Member> {
    let mut members: BTreeMap<Arc<str>, Member> = BTreeMap::new();
    for slice in slices {
        let Some(port) = admin_port(slice) else { continue };
        for endpoint in &slice.endpoints {
            let Some((name, member)) = read(endpoint, port) else { continue };
            if *name == *own {
                continue;
            }
            // A pod with addresses of two families stands in two slices.
            match members.get(&name) {
                Some(known) if known.address <= member.address => {}
                _ => drop(members.insert(name, member)),
            }
        }
    }
    members
}

/// The port called `admin`, or the only one.
fn admin_port(slice: &EndpointSlice) -> Option<u16> {
    let ports = slice.ports.as_deref().unwrap_or_default();
    let named = ports.iter().find(|port| port.name.as_deref() == Some(PORT_NAME));
    let port = match ports {
        [only] => Some(only),
        _ => named,
    };
    u16::try_from(port?.port?).ok()
}

fn read(endpoint: &Endpoint, port: u16) -> Option<(Arc<str>, Member)> {
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    if conditions.terminating == Some(true) {
        return None;
    }
    let ip: IpAddr = endpoint.addresses.first()?.parse().ok()?;
    let address = SocketAddr::new(ip, port);
    let pod = endpoint.target_ref.as_ref().and_then(|target| target.name.clone());
    let name = pod.unwrap_or_else(|| address.to_string());
    // Unlike `ready` it doesn't pretend where a Service publishes addresses that aren't ready.
    let serving = conditions.serving.or(conditions.ready).unwrap_or(true);
    Some((name.into(), Member { address, serving }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn slice(ports: &Value, endpoints: &Value) -> EndpointSlice {
        serde_json::from_value(json!({
            "metadata": {"name": "s"}, "addressType": "IPv4", "ports": ports, "endpoints": endpoints,
        }))
        .unwrap()
    }

    #[test]
    fn endpoints_are_read_as_kubernetes_means_them() {
        let pod = |name: &str| json!({"kind": "Pod", "name": name});
        let one = slice(
            &json!([{"name": "http", "port": 8080}, {"name": "admin", "port": 8877}]),
            &json!([
                {"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "targetRef": pod("me")},
                {"addresses": ["10.0.0.3"], "conditions": {"ready": true}, "targetRef": pod("c")},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": true}, "targetRef": pod("c")},
                {"addresses": ["10.0.0.4"], "conditions": {"ready": true, "serving": false},
                 "targetRef": pod("starts")},
                {"addresses": ["10.0.0.5"], "conditions": {"terminating": true, "serving": true},
                 "targetRef": pod("ends")},
                {"addresses": ["not-an-address"]},
            ]),
        );
        let two = slice(&json!([{"port": 9000}]), &json!([{"addresses": ["10.0.0.9"]}]));
        let without = slice(
            &json!([{"name": "a", "port": 1}, {"name": "b", "port": 2}]),
            &json!([{"addresses": ["10.0.0.7"]}]),
        );
        let members = build_members([&one, &two, &without], "me");
        let shown: Vec<_> =
            members.iter().map(|(n, m)| (&**n, m.address.to_string(), m.serving)).collect();
        let expected = [
            ("10.0.0.9:9000", "10.0.0.9:9000".to_owned(), true),
            ("c", "10.0.0.2:8877".to_owned(), true),
            ("starts", "10.0.0.4:8877".to_owned(), false),
        ];
        assert_eq!(shown, expected);
    }
}
