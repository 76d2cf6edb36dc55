//! Nothing is lost in either direction, whatever an object says and whoever wrote its crumbs.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// A spec of some of these fields.
fn fields(of: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let each = of.into_iter().map(|(name, value)| {
        option::weighted(0.4, value).prop_map(move |value| (name, value)).boxed()
    });
    each.collect::<Vec<_>>()
        .prop_map(|fields| {
            let written = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
            written.map(|(name, value)| (name.to_owned(), value)).collect::<Fields>().into()
        })
        .boxed()
}

fn one_of(values: &[Value]) -> BoxedStrategy<Value> {
    select(values.to_vec()).boxed()
}

fn word() -> BoxedStrategy<Value> {
    select(vec!["a", "b", "a.io", "*", "", "x-a", ".*", "_skip_mapping_with_empty_host_"])
        .prop_map(Value::from)
        .boxed()
}

fn list(item: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    vec(item, 0..3).prop_map(Value::from).boxed()
}

fn map(value: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    btree_map("[ab]", value, 0..3).prop_map(|map| json!(map)).boxed()
}

fn text_or_list() -> BoxedStrategy<Value> {
    prop_oneof![word(), list(word())].boxed()
}

fn service() -> BoxedStrategy<Value> {
    one_of(&["a", "a:80", "http://a", "https://a:443", "HTTPS://a", "https://"].map(Value::from))
}

/// `ambassador_id` in either form.
fn ids(legacy: bool) -> BoxedStrategy<Value> {
    let id =
        one_of(&["default", "a", "_automatic_", "--apiVersion-v3alpha1-only--a"].map(Value::from));
    if legacy { prop_oneof![id.clone(), list(id)].boxed() } else { list(id) }
}

fn label(legacy: bool) -> BoxedStrategy<Value> {
    if legacy {
        one_of(&[
            json!("remote_address"),
            json!("words"),
            json!({"generic_key": "words"}),
            json!({"generic_key": "words", "v3Key": "k"}),
            json!({"user": {"header": "x-user", "omit_if_not_present": true}}),
        ])
    } else {
        one_of(&[
            json!({"remote_address": {"key": "remote_address"}}),
            json!({"source_cluster": {"key": "other"}}),
            json!({"generic_key": {"value": "words", "v2Shorthand": true}}),
            json!({"generic_key": {"value": "source_cluster", "v2Shorthand": true}}),
            json!({"generic_key": {"value": "words", "key": "k"}}),
            json!({"request_headers": {"key": "user", "header_name": "x-user"}}),
        ])
    }
}

fn legacy_mapping() -> BoxedStrategy<Value> {
    let condition = prop_oneof![word(), any::<bool>().prop_map(Value::from)].boxed();
    let added = prop_oneof![
        word(),
        Just(Value::Null),
        fields(vec![("value", word()), ("append", any::<bool>().prop_map(Value::from).boxed())])
    ]
    .boxed();
    let cors = fields(vec![
        (
            "origins",
            prop_oneof![one_of(&["a,b", "a, b", ""].map(Value::from)), list(word())].boxed(),
        ),
        ("methods", text_or_list()),
    ]);
    fields(vec![
        ("ambassador_id", ids(true)),
        ("prefix", word()),
        ("service", service()),
        ("tls", one_of(&[json!(true), json!(false), json!(""), json!("context"), json!(null)])),
        ("host", word()),
        ("host_regex", any::<bool>().prop_map(Value::from).boxed()),
        ("headers", map(condition.clone())),
        ("regex_headers", map(word())),
        ("query_parameters", map(condition)),
        ("regex_query_parameters", map(word())),
        ("add_request_headers", map(added)),
        ("remove_request_headers", text_or_list()),
        ("cors", cors),
        ("labels", map(list(map(list(label(true)))))),
        ("v3StatsName", word()),
        ("timeout_ms", any::<u16>().prop_map(Value::from).boxed()),
    ])
}

fn current_mapping() -> BoxedStrategy<Value> {
    let added = fields(vec![
        ("value", word()),
        ("append", any::<bool>().prop_map(Value::from).boxed()),
        ("v2Representation", one_of(&["", "string", "null"].map(Value::from))),
    ]);
    let explicit = fields(vec![
        ("tls", one_of(&["", "null", "string", "bool:true", "bool:false"].map(Value::from))),
        ("serviceScheme", one_of(&["", "http://", "HTTPS://", "nonsense"].map(Value::from))),
    ]);
    let cors = fields(vec![
        ("origins", list(one_of(&["a", "a,b", " a"].map(Value::from)))),
        ("v2CommaSeparatedOrigins", any::<bool>().prop_map(Value::from).boxed()),
        ("methods", list(word())),
    ]);
    fields(vec![
        ("ambassador_id", ids(false)),
        ("prefix", word()),
        ("service", service()),
        ("tls", word()),
        ("v2ExplicitTLS", explicit),
        ("hostname", word()),
        ("host", word()),
        ("host_regex", any::<bool>().prop_map(Value::from).boxed()),
        ("headers", map(word())),
        ("regex_headers", map(word())),
        ("v2BoolHeaders", list(word())),
        ("regex_query_parameters", map(word())),
        ("v2BoolQueryParameters", list(word())),
        ("add_response_headers", map(added)),
        ("remove_response_headers", list(word())),
        ("cors", cors),
        ("labels", map(list(map(list(label(false)))))),
        ("stats_name", word()),
        ("health_checks", list(word())),
    ])
}

/// Something under the names of a kind's fields, which may be of any shape at all.
fn wild(kind: &'static ConvertedKind) -> BoxedStrategy<Value> {
    let leaf =
        prop_oneof![word(), Just(Value::Null), any::<bool>().prop_map(Value::from), Just(json!(7))];
    let name = select(vec![
        "a",
        "tls",
        "config",
        "key",
        "value",
        "header",
        "generic_key",
        "origins",
        "append",
    ]);
    let value = leaf.prop_recursive(4, 16, 3, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map(name.clone(), inner, 0..3).prop_map(|map| json!(map)),
        ]
    });
    let own = kind.renamed.iter().flat_map(|(legacy, current)| [*legacy, *current]);
    let others = [
        "ambassador_id",
        "ambassadorId",
        "tls",
        "service",
        "auth_service",
        "host",
        "hostname",
        "host_regex",
        "headers",
        "regex_headers",
        "v2BoolHeaders",
        "v2ExplicitTLS",
        "labels",
        "cors",
        "add_request_headers",
        "selector",
        "tag_headers",
        "config",
    ];
    let names: Vec<&str> = own.chain(others).collect();
    btree_map(select(names), value, 0..6).prop_map(|map| json!(map)).boxed()
}

fn any_spec(legacy: bool) -> impl Strategy<Value = (&'static str, Value)> {
    let mapping = if legacy { legacy_mapping() } else { current_mapping() };
    let all = ConvertedKind::ALL.iter().collect::<Vec<_>>();
    let others = select(all).prop_flat_map(|kind| (Just(kind.name), wild(kind)));
    prop_oneof![(Just("Mapping"), mapping), others]
}

fn legacy_version() -> impl Strategy<Value = Version> {
    select(vec![Version::V1, Version::V2])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn legacy_objects_come_back((kind, spec) in any_spec(true), version in legacy_version()) {
        let before = object(kind, version, spec);
        let current = converted(&before, Version::V3Alpha1);
        prop_assert_eq!(converted(&current, version), before, "by way of {}", current);
    }

    #[test]
    fn current_objects_come_back((kind, spec) in any_spec(false), version in legacy_version()) {
        let before = object(kind, Version::V3Alpha1, spec);
        let legacy = converted(&before, version);
        prop_assert_eq!(converted(&legacy, Version::V3Alpha1), before, "by way of {}", legacy);
    }

    /// What is written in one form and edited in the other keeps the edit.
    #[test]
    fn edits_of_the_other_form_are_kept(
        (kind, spec) in any_spec(true),
        (_, edit) in any_spec(false),
    ) {
        let mut current = converted(&object(kind, Version::V2, spec), Version::V3Alpha1);
        let edit = edit.as_object().unwrap().clone();
        current["spec"].as_object_mut().unwrap().extend(edit);
        let legacy = converted(&current, Version::V2);
        prop_assert_eq!(&converted(&legacy, Version::V3Alpha1)["spec"], &current["spec"]);
    }

    /// A crumb changes how an object is written, never what it says.
    #[test]
    fn forged_crumbs_change_nothing(
        (kind, spec) in any_spec(false),
        (_, forged) in any_spec(true),
        legacy in any::<bool>(),
    ) {
        let (from, to) = if legacy { (Version::V2, Version::V3Alpha1) } else { (Version::V3Alpha1, Version::V2) };
        let crumb = json!({"set": forged, "unset": ["prefix", "service", "tls"]}).to_string();
        let name = if legacy { V3ALPHA1_FORM } else { LEGACY_FORM };
        let honest = object(kind, from, spec);
        let mut tampered = honest.clone();
        tampered["metadata"]["annotations"] = json!({name: crumb});
        let rules = of_kind(kind).unwrap();
        let back = |object: &Value| {
            let spec = object["spec"].as_object().unwrap().clone();
            if legacy { down::spec(rules, spec) } else { up::spec(rules, spec) }
        };
        let found = back(&converted(&tampered, to));
        let spec = honest["spec"].as_object().unwrap();
        prop_assert!(found == *spec || found == back(&converted(&honest, to)));
    }

    #[test]
    fn garbage_for_a_crumb_is_ignored((kind, spec) in any_spec(true), garbage in ".{0,20}") {
        let honest = object(kind, Version::V2, spec);
        let mut tampered = honest.clone();
        tampered["metadata"]["annotations"] = json!({V3ALPHA1_FORM: garbage});
        let to = Version::V3Alpha1;
        prop_assert_eq!(converted(&tampered, to), converted(&honest, to));
    }
}
