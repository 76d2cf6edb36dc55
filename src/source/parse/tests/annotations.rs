//! Annotations: forms, versions, several documents, and what is broken.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::model::cluster::Upstream;
use crate::model::key::{Kind, Origin};
use crate::model::route::{HostMatch, HostRewrite, PathRewrite, ValueMatch};

const GOOD: &str = "apiVersion: getambassador.io/v2\nkind: Mapping\nname: good\nprefix: /g/\n\
                    service: good\n";

#[test]
fn the_manifests_of_the_article_are_served() {
    let text = "---\napiVersion: ambassador/v0\nkind:  Mapping\nname:  httpbin_mapping\n\
                prefix: /httpbin/\nservice: httpbin.org:80\nhost_rewrite: httpbin.org\n";
    let objects = parse_annotation(text, &carrier("default", "httpbin"), &settings());
    let object = &objects[0];
    assert_eq!(
        object.key.to_string(),
        "Mapping default/httpbin_mapping (annotation of Service default/httpbin, document 1)"
    );
    assert_eq!(problems(object), [""; 0]);
    assert_eq!(route(object).matches.host, Some(HostMatch::Any));
    let forward = forward(object);
    let upstream = Upstream::Name { host: "httpbin.org".into(), port: 80 };
    assert_eq!(cluster(&objects[0]).upstream, upstream);
    assert_eq!(forward.host, HostRewrite::Literal("httpbin.org".into()));

    let text = "---\napiVersion: ambassador/v0\nkind:  Mapping\n\
                name: tfserving-mapping-test-post\nprefix: /models/test/\n\
                rewrite: /model/test/:predict\nmethod: POST\nservice: test.kubeflow:8000\n";
    let objects = parse_annotation(text, &carrier("kubeflow", "test"), &settings());
    let object = &objects[0];
    assert_eq!(problems(object), [""; 0]);
    assert_eq!(route(object).matches.method, Some(ValueMatch::Exact("POST".into())));
    let forward = super::forward(object);
    assert_eq!(forward.path, PathRewrite::Matched("/model/test/:predict".into()));
    assert_eq!(&*cluster(&objects[0]).name.0, "cluster_test_kubeflow_8000_kubeflow");
}

#[test]
fn both_forms_and_mixtures_of_them_are_read() {
    for text in [
        "{apiVersion: ambassador/v2, kind: Mapping, name: m, namespace: ns, prefix: /a/, \
         service: s, metadata_labels: {l: '1'}, ambassador_id: one, generation: 4}",
        "{apiVersion: getambassador.io/v2, kind: Mapping, metadata: {name: m, namespace: ns, \
         labels: {l: '1'}}, spec: {prefix: /a/, service: s, ambassador_id: [one]}}",
        "{apiVersion: getambassador.io/v2, kind: Mapping, metadata: {name: m}, namespace: ns, \
         metadata_labels: {l: '1'}, spec: {prefix: /a/, service: t}, service: s, \
         ambassador_id: one}",
    ] {
        let objects = parse(text);
        let object = &objects[0];
        assert_eq!((&*object.key.namespace, &*object.key.name), ("ns", "m"), "{text}");
        assert_eq!(*object.ambassador_id, ["one".to_owned()]);
        assert_eq!(object.labels.get("l").map(String::as_str), Some("1"));
        assert_eq!(cluster(object).upstream.authority(), "s.ns:80");
    }
    let objects = parse(&format!("{GOOD}namespace: _automatic_\n"));
    assert_eq!(&*objects[0].key.namespace, "ambassador");
}

#[test]
fn versions_and_kinds() {
    for (version, kind, field, expected) in [
        ("ambassador/v0", "Mapping", None, ""),
        ("ambassador/v1", "Mapping", None, ""),
        ("ambassador/v2", "Mapping", None, ""),
        ("ambassador/v3alpha1", "Mapping", None, ""),
        ("getambassador.io/v1", "Mapping", None, ""),
        ("getambassador.io/v3alpha1", "Mapping", None, ""),
        ("getambassador.io/v9", "Mapping", Some("apiVersion"), "is unknown; write"),
        ("''", "Mapping", Some("apiVersion"), "is unknown; write"),
        ("ambassador/v2", "AuthService", Some("kind"), "not supported by this version"),
        ("ambassador/v2", "ConsulResolver", Some("kind"), "not supported"),
        ("ambassador/v2", "Maping", Some("kind"), "did you mean Mapping?"),
        ("ambassador/v2", "mapping", Some("kind"), "did you mean Mapping?"),
        ("ambassador/v2", "Quux", Some("kind"), "this version knows Mapping, TCPMapping"),
    ] {
        let text =
            format!("apiVersion: {version}\nkind: {kind}\nname: m\nprefix: /a/\nservice: s\n");
        let objects = parse(&text);
        let object = &objects[0];
        assert_eq!(&*object.key.name, "m");
        assert_eq!(object.content == Content::Rejected, field.is_some(), "{text}");
        assert_eq!(object.problems.first().and_then(|problem| problem.field.as_deref()), field);
        let message = object.problems.first().map_or("", |problem| &problem.message);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn documents_without_a_name_are_numbered() {
    let text = "# nothing\n---\nkind: Mapping\nprefix: /a/\n---\n---\n# only a comment\n---\n\
                just text\n---\n- a list\n";
    let objects = parse(text);
    let names: Vec<_> = objects.iter().map(|object| &*object.key.name).collect();
    assert_eq!(names, ["document-1", "document-2", "document-3"]);
    assert_eq!(objects[0].key.kind, Kind::Mapping);
    assert_eq!(
        problems(&objects[0]),
        ["Error apiVersion@3:1", "Error name@3:1", "Error service@3:1"]
    );
    assert_eq!(problems(&objects[1]), ["Error -@9:1"]);
    assert_eq!(problems(&objects[2]), ["Error -@11:1"]);
    assert_eq!(parse(""), []);
    assert_eq!(parse("---\n# nothing\n...\n---\n~\n"), []);
}

#[test]
fn a_broken_document_costs_no_other() {
    for broken in [
        "apiVersion: [\n",
        "a: b: c\n",
        "name: \"x\n",
        "a: *unknown\n",
        "description: |\n  text\n  ---x\nb: }\n",
        "%TAG ! tag:x\n",
        "? [a]\n: b\n",
        "a: &a [*a]\n",
        "kind: Mapping\n name: x\n",
    ] {
        let text = format!("---\n{GOOD}---\n{broken}---\n{GOOD}");
        let objects = parse(&text);
        let served: Vec<bool> =
            objects.iter().map(|object| object.content != Content::Rejected).collect();
        assert_eq!(served, [true, false, true], "{broken}");
        assert_eq!(objects[1].location.map(|l| l.line), Some(8), "{broken}: where it begins");
        assert_eq!(&*objects[1].key.name, "document-2");
        assert_eq!(objects[2].location.map(|l| l.line), Some(9 + broken.lines().count() as u32));
        let Origin::Annotation { index, .. } = objects[2].key.origin else { panic!("annotation") };
        assert_eq!(index, 2);
    }
}

#[test]
fn markers_end_block_scalars_and_directives_precede_documents() {
    let text = "# about\n%YAML 1.1\n---\napiVersion: ambassador/v2\nkind: Mapping\nname: a\n\
                prefix: /a/\nservice: a\ncors:\n  headers: |\n    x\n--- # next\r\n\
                {apiVersion: ambassador/v2, kind: Mapping, name: b, prefix: /b/, service: b}\n\
                ...\napiVersion: ambassador/v2\nkind: Mapping\nname: ---c\nprefix: /c/\nservice: c";
    let objects = parse(text);
    let names: Vec<_> = objects
        .iter()
        .map(|object| (&*object.key.name, object.location.map(|l| l.line), object.problems.len()))
        .collect();
    assert_eq!(names, [("a", Some(4), 1), ("b", Some(13), 0), ("---c", Some(15), 0)]);
}

#[test]
fn anchors_and_merges_work_within_a_document() {
    let text = "base: &base {prefix: /a/, service: s, timeout_ms: 7}\napiVersion: ambassador/v2\n\
                kind: Mapping\nname: m\nspec:\n  <<: *base\n  service: t\n";
    let objects = parse(text);
    assert_eq!(cluster(&objects[0]).upstream.authority(), "t.default:80");
    assert_eq!(route(&objects[0]).policy.timeout(), Some(Duration::from_millis(7)));
}

#[test]
fn bombs_are_defused() {
    let mut laughs = String::from("a: &a [x, x, x, x, x, x, x, x, x]\n");
    for (name, inner) in ["b", "c", "d", "e", "f", "g"].iter().zip(["a", "b", "c", "d", "e", "f"]) {
        let items = vec![format!("*{inner}"); 9].join(", ");
        laughs.push_str(&format!("{name}: &{name} [{items}]\n"));
    }
    let deep_blocks: String = (0..3000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    // Each anchor holds the one before, sixty levels further down.
    let mut chain = String::from("a0: &a0 x\n");
    for n in 1..100 {
        let (open, close) = ("[".repeat(60), "]".repeat(60));
        chain.push_str(&format!("a{n}: &a{n} {open}*a{}{close}\n", n - 1));
    }
    for bomb in [laughs, "[".repeat(100_000), "- ".repeat(50_000), deep_blocks, chain] {
        let begin = Instant::now();
        let objects = parse(&format!("{bomb}\n---\n{GOOD}"));
        let served: Vec<bool> =
            objects.iter().map(|object| object.content != Content::Rejected).collect();
        assert_eq!(served, [false, true], "{}", &bomb[..40]);
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    }
}

#[test]
fn many_documents_take_linear_time() {
    let text = format!("---\n{GOOD}").repeat(2000);
    let begin = Instant::now();
    let objects = parse(&text);
    assert_eq!(objects.len(), 2000);
    assert!(objects.iter().all(|object| object.content != Content::Rejected));
    assert_eq!(objects[1999].location.map(|l| l.line), Some(1999 * 6 + 2));
    // A debug build on a slow machine takes about 0.2 s.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());

    let fields: String = (0..20_000).map(|n| format!("f{n}: x\n")).collect();
    let begin = Instant::now();
    assert_eq!(parse(&format!("{GOOD}{fields}"))[0].problems.len(), 20);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn the_document_is_kept_as_json() {
    let objects = parse(&format!("{GOOD}grpc: yes\nweight: 50\nmethod: 'yes'\n"));
    let document: serde_json::Value =
        serde_json::from_str(objects[0].document.as_deref().expect("kept")).expect("JSON");
    assert_eq!(document["grpc"], true);
    assert_eq!(document["weight"], 50);
    assert_eq!(document["method"], "yes");
    assert_eq!(document["name"], "good");
}

/// Texts that come near to what people write.
fn near_misses() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("---\n"),
        Just("...\n"),
        Just("apiVersion: ambassador/v2\n"),
        Just("kind: Mapping\n"),
        Just("name: m\n"),
        Just("prefix: /a/\n"),
        Just("service: "),
        Just("https://[::1]:80/x\n"),
        Just("headers: {a: "),
        Just("}\n"),
        Just("- "),
        Just("  "),
        Just("|\n"),
        Just("&a "),
        Just("*a"),
        Just("<<: "),
        Just("\""),
        Just("\t"),
        Just("\r"),
        Just("é"),
        Just("$X ${"),
        Just("timeout_ms: 1e9\n"),
    ];
    proptest::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn no_text_panics(text in prop_oneof![any::<String>(), near_misses()]) {
        let mut settings = settings();
        settings.environment.insert("X".into(), "y".into());
        let objects = parse_annotation(&text, &carrier("default", "web"), &settings);
        for object in &objects {
            prop_assert!(object.content != Content::Rejected || !object.problems.is_empty());
        }
        let statement = super::super::parse_file("f.yaml", &text, &settings);
        prop_assert!(statement.objects.len() <= objects.len());
    }
}
