//! Least privilege: the gateway's account may do what the gateway does, and nothing else. What it
//! does is read from the API server's audit log, what it may do from its roles.

pub(crate) mod rules;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::kinds::one_of_each;
use crate::support::account::{Account, Audit};
use crate::support::client::Client;
use crate::support::gateway;
use crate::support::kubectl::{kubectl, run};
use crate::support::{Namespace, PATIENCE, carrier, mapping, mapping_of, scenario, wait_until};
use rules::{Finding, Grant, compare};

/// The certificate of the admission webhook is made anew when its Secret is gone, and when there is
/// nonsense in it. Where the gateway may read no Secret, it has none to lose.
fn lose_certificate() {
    let grants = Account::of_gateway().grants();
    let mut named = grants.iter().filter(|grant| grant.resource == "secrets");
    let Some(name) = named.find_map(|grant| grant.name.clone()) else { return };
    let secret = format!("secret/{name}");
    let in_its_place =
        |arguments: &[&str]| kubectl(&[&["-n", gateway::NAMESPACE][..], arguments].concat());
    let wait_until_whole = || {
        wait_until("the certificate is there", PATIENCE, || {
            let secret = in_its_place(&["get", &secret, "-o", "json"]).json()?;
            match secret["data"]["tls.crt"].as_str() {
                Some(text) if text.len() > 100 => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    };
    wait_until_whole();
    in_its_place(&["delete", &secret]).succeed();
    wait_until_whole();
    let nonsense = r#"{"data": {"tls.crt": "bm9uc2Vuc2U="}}"#;
    in_its_place(&["patch", &secret, "--type=merge", "-p", nonsense]).succeed();
    wait_until_whole();
}

/// Where good documents lead.
const ECHO: &str = "echo-v1.backends";

#[test]
fn the_roles_list_what_is_used_and_nothing_else() {
    let Some(audit) = Audit::begin() else {
        println!("not run: a foreign cluster's audit log can't be read");
        return;
    };
    scenario("privileges", |namespace| {
        begin_without_lease();
        do_everything(namespace);
        let second = Namespace::create("e2e-privileges-2");
        do_everything(&second);
        lose_certificate();
        assert_least(&audit, &Account::of_gateway());
    });
}

/// Each kind of write is to be seen: of the Lease, also its creation. Nobody may run meanwhile: a
/// holder's renewal would make it anew, as an update.
fn begin_without_lease() {
    let in_its_place =
        |arguments: &[&str]| kubectl(&[&["-n", gateway::NAMESPACE], arguments].concat()).succeed();
    in_its_place(&["scale", "deployment/nuncio", "--replicas=0"]);
    let pods = "app.kubernetes.io/name=nuncio";
    in_its_place(&["wait", "--for=delete", "pod", "-l", pods, "--timeout=90s"]);
    in_its_place(&["delete", "lease", "--all"]);
    gateway::scale(1);
}

/// As the chart installs it with `scope.singleNamespace`.
#[test]
fn one_namespace_needs_a_role_only() {
    let Some(audit) = Audit::begin() else {
        println!("not run: a foreign cluster's audit log can't be read");
        return;
    };
    scenario("one-namespace", |namespace| {
        install_for(namespace);
        let account = Account { namespace: namespace.name.clone(), name: "nuncio".to_owned() };
        let everywhere: Vec<Grant> =
            account.grants().into_iter().filter(|grant| grant.namespace.is_none()).collect();
        assert!(everywhere.is_empty(), "{everywhere:?}");
        serve_in_one_namespace(namespace);
        assert_least(&audit, &account);
        helm(&["uninstall", "nuncio", "--namespace", &namespace.name]);
    });
}

fn helm(arguments: &[&str]) {
    run(Command::new("helm").args(arguments), "").succeed();
}

/// The release of this namespace has the image of the one that all tests share.
fn install_for(namespace: &Namespace) {
    let pods = gateway::pods();
    let image = pods[0]["spec"]["containers"][0]["image"].as_str().expect("pods have an image");
    let (repository, tag) = image.rsplit_once(':').expect("an image has a tag");
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/nuncio").display().to_string();
    let values = [
        "scope.singleNamespace=true",
        "env.AMBASSADOR_ID=one-namespace",
        "replicaCount=1",
        "service.type=ClusterIP",
        &format!("image.repository={repository}"),
        &format!("image.tag={tag}"),
    ];
    let install = ["install", "nuncio", &chart, "--namespace", &namespace.name];
    let mut arguments = [&install[..], &["--wait", "--timeout", "90s"]].concat();
    for value in values {
        arguments.extend(["--set", value]);
    }
    helm(&arguments);
}

fn serve_in_one_namespace(namespace: &Namespace) {
    let of_it = |mut object: Value| {
        object["spec"]["ambassador_id"] = json!(["one-namespace"]);
        object
    };
    expose_echo(namespace);
    let service = format!("echo.{}", namespace.name);
    let documents = |name: &str| documents("one-namespace", name, &service);
    let foreign = Namespace::create("e2e-one-namespace-2");
    foreign.apply(&[of_it(mapping("foreign", "/foreign/", "echo-v1.backends"))]);
    namespace.apply(&[
        of_it(mapping_of(
            "good",
            &json!({
                "hostname": "*", "prefix": "/one/", "resolver": "endpoint",
                "service": format!("echo.{}", namespace.name),
            }),
        )),
        of_it(mapping("other", "/other/", "echo")),
        of_it(mapping("bad", "/bad/", "nowhere")),
        carrier("first", &documents("first")),
        carrier("second", &documents("second")),
    ]);
    // Each status is to be written to more than one object.
    for name in ["one", "other"] {
        namespace.apply(&one_of_each(name, "one-namespace"));
        namespace.apply(&[host_with_secret(name, "one-namespace")]);
    }
    namespace.wait_ready("mapping/good");
    namespace.told("mapping/bad", "Ready", ("False", "ServiceNotFound"));
    for name in ["first", "second"] {
        let annotated = namespace.annotated_name(name, 0);
        namespace.wait_ready(&annotated);
        namespace.told_by_event(name, &["Warning", "Invalid"]);
    }
    let service = namespace.get("service/nuncio").expect("the chart makes it");
    let address = service["spec"]["clusterIP"].as_str().and_then(|ip| ip.parse().ok());
    let mut client = Client::to(SocketAddr::new(address.expect("an address"), 80));
    for path in ["/one/", "/first/", "/second/"] {
        let answer = client.get(path);
        assert!(answer.is_of("v1"), "{path}: {}", answer.shown());
    }
    assert_eq!(client.get("/foreign/").status, 404, "the other namespace is not its own");
    namespace.kubectl(&["delete", "service", "first", "second"]);
    namespace.apply(&[carrier("third", &documents("third"))]);
    edit_away(namespace, "third");
}

/// A Service of this namespace with a pod of another, so that nothing else is needed to answer.
fn expose_echo(namespace: &Namespace) {
    let arguments = ["-n", "backends", "get", "endpointslices", "-o", "json"];
    let slices = kubectl(&[&arguments[..], &["-l", "kubernetes.io/service-name=echo-v1"]].concat());
    let slice = slices.json().expect("the backends are up")["items"][0].clone();
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "echo"},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    });
    let endpoints = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "echo-1", "labels": {"kubernetes.io/service-name": "echo"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": slice["endpoints"][0]["addresses"]}],
    });
    namespace.apply(&[service, endpoints]);
}

/// Everything that makes the gateway ask the API server for something.
fn do_everything(namespace: &Namespace) {
    namespace.apply(&[
        mapping("good", &format!("/{}/", namespace.name), "echo-v1.backends"),
        mapping("bad", "/bad/", "nowhere"),
        carrier("carrier", &documents("default", &namespace.name, ECHO)),
        ingress("carrier", &documents("default", &format!("{}-ingress", namespace.name), ECHO)),
    ]);
    // By another name in each namespace: a permission for one name would do otherwise. A Module has
    // a meaning by one name only, so that the webhook refuses others.
    namespace.leave_admission();
    namespace.apply(&one_of_each(&namespace.name, "default"));
    namespace.apply(&[host_with_secret(&namespace.name, "default")]);
    namespace.wait_ready("mapping/good");
    namespace.told("mapping/bad", "Ready", ("False", "ServiceNotFound"));
    let annotated = namespace.annotated_name("carrier", 0);
    namespace.wait_ready(&annotated);
    namespace.told_by_event("carrier", &["Warning", "Invalid"]);
    edit_away(namespace, "carrier");
}

/// A Host whose Secret is looked for, and isn't there.
fn host_with_secret(name: &str, ambassador_id: &str) -> Value {
    json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Host",
        "metadata": {"name": format!("{name}-secure")},
        "spec": {
            "hostname": format!("{name}.example.com"), "tlsSecret": {"name": name},
            "ambassador_id": [ambassador_id],
        },
    })
}

/// Takes the annotation away: the objects of its documents go.
fn edit_away(namespace: &Namespace, name: &str) {
    namespace.annotated_name(name, 0);
    namespace.kubectl(&["annotate", "service", name, "getambassador.io/config-"]);
    if namespace.get(&format!("ingress/{name}")).is_ok() {
        namespace.kubectl(&["annotate", "ingress", name, "getambassador.io/config-"]);
    }
    wait_until("the objects of the annotation are gone", PATIENCE, || {
        match namespace.annotated(name).len() {
            0 => Ok(()),
            left => Err(format!("{left} are left")),
        }
    });
}

/// One good document, and a bad one.
fn documents(ambassador_id: &str, name: &str, service: &str) -> String {
    format!(
        "---\napiVersion: getambassador.io/v3alpha1\nkind: Mapping\nname: {name}\n\
         ambassador_id: [{ambassador_id}]\nhostname: '*'\nprefix: /{name}/\n\
         service: {service}\nresolver: endpoint\n\
         ---\napiVersion: getambassador.io/v3alpha1\nkind: Mapping\nname: {name}-bad\n\
         ambassador_id: [{ambassador_id}]\nhostname: '*'\nprefix: /(\nprefix_regex: true\n\
         service: {service}\n"
    )
}

fn ingress(name: &str, annotation: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "annotations": {"getambassador.io/config": annotation}},
        "spec": {"defaultBackend": {"service": {"name": name, "port": {"number": 80}}}},
    })
}

/// Fails on a refusal, and on a permission that was not used.
#[track_caller]
fn assert_least(audit: &Audit, account: &Account) {
    let grants = account.grants();
    assert!(!grants.is_empty(), "{account:?} has no roles");
    let secrets: Vec<&Grant> = grants.iter().filter(|grant| is_too_much(grant)).collect();
    assert!(secrets.is_empty(), "it may get or change Secrets that it doesn't name: {secrets:?}");
    // The log is written in batches, and what was done last may be missing yet.
    wait_until("every permission is used", PATIENCE, || {
        let findings = compare(&grants, &audit.uses(account));
        let is_late = |finding: &&Finding| !matches!(finding, Finding::Refused(_));
        if findings.iter().filter(is_late).count() == 0 { Ok(()) } else { Err(shown(&findings)) }
    });
    let uses = audit.uses(account);
    let refused = compare(&grants, &uses);
    assert!(refused.is_empty(), "{}", shown(&refused));
    println!("{} permissions, each used; {} different requests", grants.len(), uses.len());
}

/// Secrets that Hosts name are listed and watched, each by its name; only the gateway's own may be
/// got or changed, by its name, and made.
fn is_too_much(grant: &Grant) -> bool {
    let for_any = ["list", "watch", "create"].contains(&grant.verb.as_str());
    grant.resource == "secrets" && grant.name.is_none() && !for_any
}

fn shown(findings: &BTreeSet<Finding>) -> String {
    let line = |finding: &Finding| match finding {
        Finding::Refused(asked) => format!("refused: {asked:?}"),
        Finding::Wildcard(grant) => format!("a wildcard: {grant}"),
        Finding::Unused(grant) => format!("never used: {grant}"),
        Finding::OneNamespace(grant, only) => format!("used in namespace {only} only: {grant}"),
        Finding::OneObject(grant, only) => format!("used on {only} only: {grant}"),
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}
