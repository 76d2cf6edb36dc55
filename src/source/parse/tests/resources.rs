//! Resources as the API gives them.

use serde_json::json;

use super::super::parse_resource;
use super::*;
use crate::model::key::{Kind, Origin};
use crate::model::route::ValueMatch;

#[test]
fn resources_are_parsed_from_json() {
    let raw = json!({
        "metadata": {
            "name": "m", "namespace": "shop", "generation": 3, "labels": {"a": "b"},
            "creationTimestamp": "1970-01-01T00:01:00Z", "uid": "x"
        },
        "spec": {
            "hostname": "example.com", "prefix": "/a/", "service": "quote", "weight": 20,
            "ambassador_id": ["one", "two"], "headers": {"x-a": "true"}, "prefix_exact": true,
            "whatever": 1, "timeout_ms": "soon",
        }
    });
    let object = parse_resource(Kind::Mapping, &raw, &settings());
    assert_eq!(object.key.to_string(), "Mapping shop/m");
    assert_eq!(object.key.origin, Origin::Resource);
    assert_eq!((object.generation, object.created), (Some(3), Some(60)));
    assert_eq!(*object.ambassador_id, ["one".to_owned(), "two".to_owned()]);
    assert!(object.location.is_none() && object.document.is_none());
    let route = route(&object);
    assert_eq!(route.weight, Some(20));
    assert_eq!(route.matches.headers[0].value, ValueMatch::Exact("true".into()));
    assert_eq!(cluster(&object).upstream.authority(), "quote.shop:80");
    assert_eq!(problems(&object), ["Warning timeout_ms"]);

    // A v2 object of a cluster with the webhook, and things that are no Mappings.
    let mut old = raw.clone();
    old["apiVersion"] = json!("getambassador.io/v2");
    old["spec"] = json!({"prefix": "/a/", "service": "q", "ambassador_id": "one",
                         "headers": {"x-a": true}});
    let object = parse_resource(Kind::Mapping, &old, &settings());
    assert_eq!(super::route(&object).matches.host, Some(HostMatch::Any));
    assert_eq!(super::route(&object).matches.headers[0].value, ValueMatch::Present);
    let missing = ["Error prefix", "Error service"];
    for raw in [json!(null), json!({}), json!({"metadata": {"name": "x"}})] {
        assert_eq!(problems(&parse_resource(Kind::Mapping, &raw, &settings())), missing);
    }
    let raw = json!({"metadata": {"name": "x"}, "spec": [1]});
    let object = parse_resource(Kind::Mapping, &raw, &settings());
    assert_eq!(problems(&object), ["Error spec", "Error prefix", "Error service"]);
}
