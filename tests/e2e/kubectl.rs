//! What people see who know nothing but kubectl: columns, differences, explanations, events.

use serde_json::{Value, json};

use crate::support::kubectl::{kubectl, with_input};
use crate::support::status::condition;
use crate::support::{
    Namespace, PATIENCE, carrier, gateway, mapping, mapping_of, scenario, wait_until,
};

const LEGACY: &str = "\
---
apiVersion: ambassador/v1
kind: Mapping
name: flat
host: flat.example
prefix: /kubectl/flat/
service: echo-v1.backends
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: nested, labels: {service: none}}
spec: {hostname: nested.example, prefix: /kubectl/nested/, service: echo-v1.backends}
---
apiVersion: ambassador/v1
kind: Mapping
name: broken
service: echo-v1.backends
";

#[test]
fn get_shows_what_people_look_for() {
    scenario("columns", |namespace| {
        let old = json!({"host": "old.example", "prefix": "/kubectl/", "service": "nobody"});
        let mut new = mapping("new", "/kubectl/new/", "echo-v1.backends");
        new["spec"]["weight"] = json!(30);
        namespace.apply(&[new, mapping_of("old", &old), carrier("legacy", LEGACY)]);
        namespace.wait_ready("mapping/new");
        namespace.told("mapping/old", "Ready", ("False", "ServiceNotFound"));
        for index in 0..3 {
            let name = namespace.annotated_name("legacy", index);
            let is_good = index < 2;
            let verdict = if is_good { ("True", "Ready") } else { ("False", "Invalid") };
            namespace.told(&name, "Ready", verdict);
        }

        let table = Table::get(namespace, &["get", "mappings"]);
        assert_eq!(table.columns, ["NAME", "HOST", "PREFIX", "SERVICE", "READY", "REASON", "AGE"]);
        let row = |name: &str| table.row(name, &["HOST", "PREFIX", "SERVICE", "READY", "REASON"]);
        assert_eq!(row("new"), ["*", "/kubectl/new/", "echo-v1.backends", "True", "Ready"]);
        assert_eq!(row("old"), ["old.example", "/kubectl/", "nobody", "False", "ServiceNotFound"]);
        let wide = Table::get(namespace, &["get", "mappings", "-o", "wide"]);
        assert_eq!(wide.row("new", &["WEIGHT", "STATE"]), ["30", "Running"]);
        assert!(wide.row("old", &["MESSAGE"])[0].contains("no Service nobody"));

        let anres = Table::get(namespace, &["get", "anres"]);
        let expected = ["NAME", "CARRIER", "HOST", "PREFIX", "SERVICE", "READY", "REASON", "AGE"];
        assert_eq!(anres.columns, expected);
        let row = |name: &str| anres.row(name, &["CARRIER", "HOST", "PREFIX", "READY"]);
        assert_eq!(row("-flat-"), ["legacy", "flat.example", "/kubectl/flat/", "True"]);
        assert_eq!(row("-nested-"), ["legacy", "nested.example", "/kubectl/nested/", "True"]);
        assert_eq!(row("-broken-"), ["legacy", "", "", "False"]);
        let wide = Table::get(namespace, &["get", "anres", "-o", "wide"]);
        assert!(wide.row("-broken-", &["MESSAGE"])[0].contains("prefix: is missing"));
    });
}

/// What `kubectl get` prints, cut at the columns.
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn get(namespace: &Namespace, arguments: &[&str]) -> Self {
        let text = namespace.kubectl(arguments);
        println!("{text}");
        let mut lines = text.lines();
        let header = lines.next().expect("a header");
        let is_start =
            |at: usize| !header[at..].starts_with(' ') && (at == 0 || header[..at].ends_with(' '));
        let starts: Vec<usize> = (0..header.len()).filter(|at| is_start(*at)).collect();
        let cut = |line: &str| -> Vec<String> {
            let ends = starts.iter().skip(1).copied().chain([line.len()]);
            let cells = starts.iter().zip(ends);
            cells.map(|(from, to)| line.get(*from..to).unwrap_or("").trim().to_owned()).collect()
        };
        Self { columns: cut(header), rows: lines.map(cut).collect() }
    }

    /// These columns of the row whose name contains a text.
    fn row(&self, name: &str, columns: &[&str]) -> Vec<String> {
        let row = self.rows.iter().find(|row| row[0].contains(name)).expect("such a row");
        let at = |column: &&str| {
            self.columns.iter().position(|known| known == column).expect("such a column")
        };
        columns.iter().map(|column| row[at(column)].clone()).collect()
    }
}

/// Nobody writes defaults or anything else into what users have written.
#[test]
fn diff_shows_nothing_after_apply() {
    scenario("diff", |namespace| {
        let spec = json!({
            "hostname": "diff.example", "prefix": "/kubectl/", "service": "echo-v1.backends:80",
            "timeout_ms": 4000, "headers": {"x-a": "b"}, "rewrite": "",
            "add_request_headers": {"x-c": {"value": "d"}}, "retry_policy": {"retry_on": "5xx"},
            "cors": {"origins": ["https://diff.example"]}, "weight": 20, "labels": {},
        });
        let named = |prefix: &str| {
            vec![
                mapping(&format!("{prefix}-small"), "/kubectl/small/", "echo-v1.backends"),
                mapping_of(&format!("{prefix}-large"), &spec),
                carrier(&format!("{prefix}-legacy"), LEGACY),
            ]
        };
        for (way, options) in [("client", &[][..]), ("server", &["--server-side"])] {
            let objects =
                json!({"apiVersion": "v1", "kind": "List", "items": named(way)}).to_string();
            let call = |verb: &str| {
                let mut all = vec!["--namespace", &namespace.name, verb];
                all.extend_from_slice(options);
                all.extend_from_slice(&["-f", "-"]);
                with_input(&all, &objects)
            };
            assert!(!call("diff").ok, "{way}: diff says nothing of what isn't there");
            call("apply").succeed();
            // After the gateway has said all that it says.
            for name in ["small", "large"] {
                namespace.wait_ready(&format!("mapping/{way}-{name}"));
            }
            let last = namespace.annotated_name(&format!("{way}-legacy"), 2);
            wait_until("a status", PATIENCE, || {
                condition(&namespace.get(&last)?, "Accepted").map(drop).ok_or("none".to_owned())
            });
            let difference = call("diff");
            assert!(difference.ok && difference.stdout.is_empty(), "{way}: {difference:?}");
            let again = call("apply").succeed();
            println!("{way}-side apply: no difference; again:\n{again}");
            let changed =
                |line: &&str| !line.ends_with("unchanged") && !line.ends_with("serverside-applied");
            assert_eq!(again.lines().filter(changed).count(), 0, "{way}: {again}");
        }
    });
}

#[test]
fn explain_teaches_meaning_unit_and_default() {
    for (field, words) in [
        ("mapping.spec.retry_policy", &["sent again"][..]),
        ("mapping.spec.retry_policy.num_retries", &["again", "Default 1"]),
        ("mapping.spec.retry_policy.per_try_timeout", &["0.25s", "Default"]),
        ("mapping.spec.retry_policy.retry_back_off.max_interval", &["seconds", "Default"]),
        ("mapping.spec.circuit_breakers.max_connections", &["Default 1024"]),
        ("mapping.spec.keepalive.idle_time", &["Seconds", "Default"]),
        ("mapping.spec.cors.max_age", &["Seconds", "Default"]),
        ("mapping.spec.load_balancer.policy", &["round_robin"]),
        ("mapping.spec.idle_timeout_ms", &["milliseconds", "Default 300000", "0 is"]),
        ("mapping.status.conditions.observedGeneration", &["hasn't been looked at"]),
        ("mapping.status.observedGeneration", &["hasn't been looked at"]),
        ("anres.spec.document", &["as it was read"]),
        ("anres.spec.line", &["counted from 1"]),
    ] {
        let text = kubectl(&["explain", field]).succeed();
        // It wraps lines.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(text.contains(word), "{field}: no {word:?} in {text}");
        }
    }
}

/// A broken document that nobody touches is told once: not again by builds, by another holder of
/// the lease, or after a restart.
#[test]
fn events_are_not_repeated() {
    scenario("events", |namespace| {
        namespace.apply(&[carrier("legacy", LEGACY)]);
        namespace.told_by_event("legacy", &["document 3 \"broken\"", "prefix: is missing"]);
        let before = events(namespace);
        assert_eq!(before.len(), 1, "{before:?}");

        // Builds, of which the last is seen to be over.
        for n in 0..5 {
            namespace.apply(&[mapping("other", &format!("/kubectl/{n}/"), "echo-v1.backends")]);
            namespace.wait_ready("mapping/other");
        }
        // Another process, which takes the lease.
        let arguments =
            ["--namespace", gateway::NAMESPACE, "rollout", "restart", "deployment/nuncio"];
        kubectl(&arguments).succeed();
        gateway::wait_for_rollout();
        // A later event of the same queue: what was to be repeated would have come before.
        let second = LEGACY.replace("/kubectl/", "/kubectl/second/");
        namespace.apply(&[carrier("zzz", &second)]);
        namespace.told_by_event("zzz", &["document 3 \"broken\""]);
        let after = events(namespace);
        println!("events on legacy: {after:?}");
        assert_eq!(after, before, "said again");

        let described = namespace.kubectl(&["describe", "service", "legacy"]);
        assert!(described.contains("prefix: is missing"), "{described}");
    });
}

/// The events on the Service `legacy`: name, how often, and when last.
fn events(namespace: &Namespace) -> Vec<(Value, Value, Value)> {
    let selector = "involvedObject.name=legacy";
    let arguments = ["get", "events", "--field-selector", selector, "-o", "json"];
    let list = namespace.try_kubectl(&arguments).json().expect("events");
    let all = list["items"].as_array().expect("a list").iter();
    all.map(|event| {
        (event["metadata"]["uid"].clone(), event["count"].clone(), event["series"].clone())
    })
    .collect()
}
