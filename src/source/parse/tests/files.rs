//! Files: which kinds are read, and where problems in annotations are said to be.

use super::super::parse_file;
use super::*;
use crate::model::key::{Kind, Origin};
use crate::source::Collection;

const FILE: &str = r#"# A folder may hold anything.
apiVersion: apps/v1
kind: Deployment
metadata: {name: quote}
---
apiVersion: v1
kind: Service
metadata:
  name: quote
  namespace: shop
  labels: {app: quote}
  annotations:
    getambassador.io/config: |

      ---
      apiVersion: ambassador/v0
      kind: Mapping
      name: quote
      prefix: /quote/
      service: quote
      timeout_ms: soon
      ---
      oops: [
spec:
  selector: {app: quote}
  ports: [{name: http, port: 80}]
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: plain}
spec: {hostname: "*", prefix: /plain/, service: quote.shop}
---
apiVersion: v1
kind: List
items:
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: {namespace: shop, labels: {kubernetes.io/service-name: quote}}
  ports: [{name: http, port: 8080}]
  endpoints: [{addresses: [10.0.0.1]}]
- apiVersion: getambassador.io/v2
  kind: Mapping
  metadata: {name: listed, namespace: shop}
  spec: {prefix: /listed/, service: quote}
- apiVersion: networking.k8s.io/v1
  kind: Ingress
  metadata:
    name: front
    annotations: {getambassador.io/config: "kind: Mapping"}
"#;

#[test]
fn what_matters_is_read() {
    let statement = parse_file("dir/f.yaml", FILE, &settings());
    assert_eq!(statement.id.collection, Collection::Files);
    assert_eq!((&*statement.id.namespace, &*statement.id.name), ("", "dir/f.yaml"));
    assert_eq!(statement.services.len(), 1);
    assert_eq!(statement.services[0].key.to_string(), "shop/quote");
    assert_eq!(statement.endpoints.len(), 1);
    let keys: Vec<String> = statement.objects.iter().map(|object| object.key.to_string()).collect();
    assert_eq!(
        keys,
        [
            "Mapping shop/quote (annotation of Service shop/quote, document 1)",
            "Unknown shop/document-2 (annotation of Service shop/quote, document 2)",
            "Mapping default/plain (dir/f.yaml, document 3)",
            "Mapping shop/listed (dir/f.yaml, document 4)",
            "Mapping default/document-1 (annotation of Ingress default/front, document 1)",
        ]
    );
    let Origin::Annotation { carrier, .. } = &statement.objects[0].key.origin else {
        panic!("an annotation")
    };
    assert_eq!(&*carrier.uid, "");
}

#[test]
fn problems_are_located_in_the_file() {
    let statement = parse_file("f.yaml", FILE, &settings());
    let line = |number: u32| FILE.lines().nth(number as usize - 1).expect("a line");
    let quote = &statement.objects[0];
    assert_eq!(problems(quote), ["Warning timeout_ms@21:7"]);
    assert!(line(21).starts_with("      timeout_ms"));
    assert_eq!(quote.location.map(|l| (l.line, l.column)), Some((16, 7)));
    let broken = statement.objects[1].location.expect("a place");
    assert!((23..=24).contains(&broken.line), "{broken:?}");
    let ingress = statement.objects[4].problems[0].location.expect("a place");
    assert!(line(ingress.line).contains("getambassador.io/config"));
}

#[test]
fn every_style_of_block_is_located() {
    // What stands after the annotation's name; the two lines of the document are in it.
    for block in [
        " |\n    apiVersion: ambassador/v2\n    kind: Mapping\n",
        " |-\n   apiVersion: ambassador/v2\n   kind: Mapping\n",
        " |+\n\n\n    apiVersion: ambassador/v2\n    kind: Mapping\n\n",
        " |2\n      apiVersion: ambassador/v2\n      kind: Mapping\n",
        "\n    |\n      apiVersion: ambassador/v2\n      kind: Mapping\n",
        " |\r\n\r\n    apiVersion: ambassador/v2\r\n    kind: Mapping\r\n",
    ] {
        let text = format!(
            "kind: Service\napiVersion: v1\nmetadata:\n name: s\n annotations:\n  \
             getambassador.io/config:{block}"
        );
        let line = text.lines().position(|line| line.contains("ambassador/v2")).expect("a line");
        let column = text.lines().nth(line).and_then(|line| line.find("api")).expect("a column");
        let statement = parse_file("f.yaml", &text, &settings());
        let place = statement.objects[0].location.map(|l| (l.line as usize, l.column as usize));
        assert_eq!(place, Some((line + 1, column + 1)), "{text}");
    }
}

#[test]
fn what_is_broken_is_told() {
    let text = "apiVersion: getambassador.io/v3alpha1\nkind: Listener\nmetadata: {name: l}\n---\n\
                a: [\n---\nfoo: bar\n---\napiVersion: v1\nkind: Secret\n";
    let statement = parse_file("f.yaml", text, &settings());
    let found: Vec<_> = statement
        .objects
        .iter()
        .map(|object| (object.key.kind, &*object.key.name, object.content == Content::Rejected))
        .collect();
    assert_eq!(
        found,
        [
            (Kind::Listener, "l", true),
            (Kind::Unknown, "document-2", true),
            (Kind::Unknown, "document-3", true)
        ]
    );
    assert!(statement.objects.iter().all(|object| object.location.is_some()));
}

#[test]
fn json_is_yaml() {
    let text = r#"{"apiVersion": "getambassador.io/v3alpha1", "kind": "MappingList", "items": [
        {"apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping", "metadata": {"name": "a"},
         "spec": {"prefix": "/a/", "service": "a", "hostname": "*", "prefix_exact": true}}]}"#;
    let statement = parse_file("f.json", text, &settings());
    assert_eq!(statement.objects.len(), 1);
    assert_eq!(problems(&statement.objects[0]), [""; 0]);
    assert_eq!(&*forward(&statement.objects[0]).cluster.service, "a");
}
