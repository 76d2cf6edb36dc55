//! Which Secrets a gateway reads: those that objects name, where it may; and what it says of the
//! others. Each way in which the chart can be told that is tried, one after the other.

use serde_json::{Value, json};

use crate::support::account::{Account, Audit};
use crate::support::certificates::{Authority, Issued};
use crate::support::peers::handshake;
use crate::support::release::Release;
use crate::support::{Namespace, PATIENCE, gateway, scenario, wait_until};

#[test]
fn secrets_are_read_where_that_is_allowed() {
    let Some(audit) = Audit::begin().filter(|_| gateway::own_cluster().is_some()) else {
        println!("not run: a foreign cluster's audit log can't be read");
        return;
    };
    scenario("secrets", |namespace| {
        let allowed = Namespace::create("e2e-secrets-allowed");
        let foreign = Namespace::create("e2e-secrets-foreign");
        let issued = Certificates::issue([namespace, &allowed, &foreign]);
        let listed = json!({"secrets": {"namespaces": [namespace.name, allowed.name]}});
        let mut values = listed.clone();
        values["replicaCount"] = json!(1);
        let gateway = Release::install(namespace, &values);
        serve(&gateway, &issued);

        let told = namespace.told("host/foreign", "Ready", ("False", "SecretForbidden"));
        println!("{told}");
        for words in [&*foreign.name, "list", "watch", "secrets", "Role"] {
            assert!(told.contains(words), "{words}: {told}");
        }
        assert_shown(&gateway, &issued, &["own", "allowed"]);
        // A Role is all that it takes, and it takes no restart.
        let listed =
            json!({"secrets": {"namespaces": [namespace.name, allowed.name, foreign.name]}});
        let before = gateway.pods(8443);
        gateway.upgrade(&listed);
        namespace.wait_ready("host/foreign");
        assert_shown(&gateway, &issued, &["own", "allowed", "foreign"]);
        assert_eq!(before, gateway.pods(8443), "the same pods");
        assert_only_named(&audit, &gateway, &issued);

        // Where all are followed, the same is served.
        gateway.upgrade(&json!({"secrets": {"watch": "All", "namespaces": []}}));
        let all = &Certificates::issue([namespace, &allowed, &foreign]);
        assert_shown(&gateway, all, &["own", "allowed", "foreign"]);
        let account = account(&gateway);
        let all_at_once = |address: &String| address.starts_with("/api/v1/secrets?");
        assert!(audit.asked(&account, "secrets").iter().any(all_at_once), "one watch for all");
        // What is deleted is told, and serves until it expires.
        foreign.kubectl(&["delete", "secret", "certificate"]);
        namespace.told("host/foreign", "Ready", ("False", "SecretNotFound"));
        assert_shown(&gateway, all, &["own", "allowed", "foreign"]);
    });
}

/// A certificate in each of three namespaces, in a Secret `certificate`, beside one that nobody
/// names.
struct Certificates(Vec<(&'static str, String, Issued)>);

impl Certificates {
    /// Makes them anew.
    fn issue(namespaces: [&Namespace; 3]) -> Self {
        let authority = Authority::new("authority");
        let issue = |(name, namespace): (&'static str, &Namespace)| {
            let issued = authority.issue(&[&format!("{name}.example")]);
            namespace.apply(&[issued.secret("certificate"), issued.secret("not-named")]);
            (name, namespace.name.clone(), issued)
        };
        Self(["own", "allowed", "foreign"].into_iter().zip(namespaces).map(issue).collect())
    }
}

/// A Host for each, all in the gateway's namespace.
fn serve(gateway: &Release<'_>, certificates: &Certificates) {
    let listener = json!({
        "port": 8443, "protocol": "HTTPS", "securityModel": "XFP",
        "hostBinding": {"namespace": {"from": "ALL"}},
    });
    let mapping = json!({"hostname": "*", "prefix": "/", "service": "echo-v1.backends"});
    let host = |(name, namespace, _): &(&str, String, Issued)| {
        let secret = json!({"name": "certificate", "namespace": namespace});
        let spec = json!({"hostname": format!("{name}.example"), "tlsSecret": secret});
        gateway.object("Host", name, spec)
    };
    let mut objects: Vec<Value> = certificates.0.iter().map(host).collect();
    objects.push(gateway.object("Listener", "https", listener));
    objects.push(gateway.object("Mapping", "echo", mapping));
    gateway.namespace.apply(&objects);
    gateway.namespace.wait_ready("host/own");
    gateway.namespace.wait_ready("host/allowed");
}

/// Of these Hosts the certificates are shown, and of the others none.
#[track_caller]
fn assert_shown(gateway: &Release<'_>, certificates: &Certificates, shown: &[&str]) {
    for (name, _, issued) in &certificates.0 {
        wait_until(&format!("the certificate of {name}: {shown:?}"), PATIENCE, || {
            let (_, address) = gateway.pods(8443).pop().ok_or("no pod")?;
            let handshake = handshake(address, Some(&format!("{name}.example")), &[]);
            match (shown.contains(name), handshake.certificate()) {
                (true, _) => handshake.shows(issued),
                (false, None) => Ok(()),
                (false, Some(_)) => Err(format!("{handshake:?}")),
            }
        });
    }
}

/// The one of its pods.
fn account(gateway: &Release<'_>) -> Account {
    Account { namespace: gateway.namespace.name.clone(), name: "nuncio".to_owned() }
}

/// It asked for Secrets by their names, for those that are named and for no other.
fn assert_only_named(audit: &Audit, gateway: &Release<'_>, certificates: &Certificates) {
    let account = account(gateway);
    let own = &gateway.namespace.name;
    let by_name = |namespace: &str, name: &str| {
        format!("/api/v1/namespaces/{namespace}/secrets?fieldSelector=metadata.name={name}")
    };
    let mut expected: Vec<String> = certificates
        .0
        .iter()
        .map(|(_, namespace, _)| by_name(namespace, "certificate"))
        .chain([by_name(own, "fallback-self-signed-cert")])
        .collect();
    expected.sort();
    // The log is written in batches.
    wait_until("only what is named was asked for", PATIENCE, || {
        let mut asked: Vec<String> = audit.asked(&account, "secrets");
        asked.sort();
        asked.dedup();
        if asked == expected { Ok(()) } else { Err(asked.join("\n")) }
    });
}
