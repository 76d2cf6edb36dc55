//! Installations that are wrong: each says what is wrong and what to do, serves what it can, and
//! heals without a restart where that is possible.

mod definitions;
mod kubeconfig;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::privileges::rules::Grant;
use crate::support::account::Account;
use crate::support::kubectl::kubectl;
use crate::support::lone::{Process, Scratch, binary};
use crate::support::status::is_ready;
use crate::support::{Namespace, PATIENCE, carrier, mapping, wait_until};

/// The gateways here are processes with this id, beside the one in the cluster.
const ID: &str = "bad-install";

/// A namespace with an account for a gateway, which has all the permissions that it needs.
struct Place {
    namespace: Namespace,
    scratch: Scratch,
    account: Account,
    grants: BTreeSet<Grant>,
    kubeconfig: PathBuf,
}

impl Place {
    fn create(name: &str) -> Option<Self> {
        if binary().is_none() {
            println!("not run: needs the gateway's binary, beside the test cluster");
            return None;
        }
        let namespace = Namespace::create(&format!("e2e-{name}"));
        let own = |grant: Grant| match grant.namespace {
            Some(_) => Grant { namespace: Some(namespace.name.clone()), ..grant },
            None => grant,
        };
        let grants: BTreeSet<Grant> =
            Account::of_gateway().grants_as(ID).into_iter().map(own).collect();
        let account = Account::create(&namespace.name, "gateway", &grants);
        let scratch = Scratch::create(name);
        let kubeconfig = account.kubeconfig(scratch.path());
        Some(Self { namespace, scratch, account, grants, kubeconfig })
    }

    /// Takes these verbs on a resource away.
    fn take(&self, verbs: &[&str], resource: &str) {
        let is_left = |grant: &&Grant| grant.resource != resource || !verbs.contains(&&*grant.verb);
        let left: BTreeSet<Grant> = self.grants.iter().filter(is_left).cloned().collect();
        assert!(left.len() < self.grants.len(), "{verbs:?} on {resource} is not granted anyway");
        Account::create(&self.namespace.name, &self.account.name, &left);
    }

    fn give_all(&self) {
        Account::create(&self.namespace.name, &self.account.name, &self.grants);
    }

    fn run(&self) -> Process {
        self.run_with(&[])
    }

    fn run_with(&self, more: &[(&str, &str)]) -> Process {
        let kubeconfig = self.kubeconfig.display().to_string();
        let own = [
            ("KUBECONFIG", &*kubeconfig),
            ("AMBASSADOR_ID", ID),
            ("AMBASSADOR_NAMESPACE", &self.namespace.name),
        ];
        let directory = tempdir_in(self.scratch.path());
        Process::run(&directory, &[&own[..], more].concat())
    }

    fn apply(&self, mut object: Value) {
        object["spec"]["ambassador_id"] = json!([ID]);
        self.namespace.apply(&[object]);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.account.remove();
    }
}

/// A new directory, so that each process has a log of its own.
fn tempdir_in(path: &Path) -> PathBuf {
    let count = fs::read_dir(path).map(Iterator::count).unwrap_or_default();
    let directory = path.join(format!("run-{count}"));
    fs::create_dir_all(&directory).expect("a directory can be made");
    directory
}

#[test]
fn a_kind_that_may_not_be_read_keeps_the_gateway_from_being_ready() {
    let Some(place) = Place::create("unreadable") else { return };
    let cases = [
        ("list", "mappings", "API group getambassador.io"),
        ("watch", "mappings", "API group getambassador.io"),
        ("list", "services", "the core API group"),
        ("watch", "endpointslices", "API group discovery.k8s.io"),
    ];
    for (index, (verb, resource, group)) in cases.into_iter().enumerate() {
        place.take(&[verb], resource);
        let mut process = place.run();
        let needed = format!("add verb {verb} on resource {resource} in {group}");
        let told = process.wait_told(503, &["Ambassador is not ready\n", &needed]);
        println!("{verb} {resource}: {told}");
        process.wait_logged(&["ERROR", "the API server refuses access", resource]);
        let page = process.admin("/ambassador/v0/diag/?json=true").expect("an answer").json();
        assert!(page["sources"].to_string().contains("add verb"), "{}", page["sources"]);
        assert!(process.is_running(), "it ended");
        place.give_all();
        // Whatever happens next to the kind shows that it is followed again.
        let name = format!("late-{index}");
        place.apply(mapping(&name, &format!("/{name}/"), "echo-v1.backends"));
        place.namespace.apply(&[carrier("late", &format!("# {index}"))]);
        kubectl(&[
            "-n",
            "backends",
            "annotate",
            "endpointslice",
            "--all",
            "--overwrite",
            &format!("touched=by-{index}"),
        ])
        .succeed();
        process.wait_ready();
        place.namespace.wait_ready(&format!("mapping/{name}"));
        process.stop();
    }
}

#[test]
fn what_may_not_be_written_is_told_and_costs_no_route() {
    let Some(place) = Place::create("unwritable") else { return };
    let document = "---\napiVersion: getambassador.io/v3alpha1\nkind: Mapping\nname: bad\n\
        ambassador_id: [bad-install]\nhostname: '*'\nprefix: /(\nprefix_regex: true\n\
        service: echo\n";
    let cases: [(&[&str], &str, &[&str]); 4] = [
        (&["patch"], "mappings/status", &["add verb patch on resource mappings/status"]),
        (&["create"], "events", &["add verb create on resource events in API group events.k8s.io"]),
        (&["update", "get", "create"], "leases", &["add verbs get, create, update", "leases"]),
        (&["list"], "annotatedresources", &["add verbs list, watch", "annotatedresources"]),
    ];
    for (index, (verbs, resource, words)) in cases.into_iter().enumerate() {
        place.take(verbs, resource);
        let mut process = place.run();
        process.wait_ready();
        let name = format!("route-{index}");
        place.apply(mapping(&name, &format!("/{name}/"), "http://127.0.0.1:1"));
        place.namespace.apply(&[carrier(&name, document)]);
        println!("{resource}: {}", process.wait_logged(words));
        let mut client = process.client();
        wait_until("the route is there", PATIENCE, || {
            match client.get(&format!("/{name}/")).status {
                // Nothing listens at port 1.
                503 => Ok(()),
                other => Err(other.to_string()),
            }
        });
        process.wait_told(200, &[]);
        place.give_all();
        place.namespace.wait_ready(&format!("mapping/{name}"));
        if resource == "annotatedresources" {
            place.namespace.annotated_name(&name, 0);
        }
        process.stop();
    }
}

#[test]
fn the_lease_of_a_dead_pod_is_taken_over_and_told() {
    let Some(place) = Place::create("dead-holder") else { return };
    let mut dead = place.run_with(&[("POD_NAME", "dead-pod")]);
    dead.wait_logged(&["leading"]);
    dead.kill();
    let process = place.run_with(&[("POD_NAME", "next-pod")]);
    process.wait_ready();
    process.wait_logged(&["another replica writes status", "dead-pod_"]);
    println!("{}", process.wait_logged(&["does not renew its lease", "dead-pod_", "seconds_left"]));
    process.wait_logged(&["has not renewed it; taking it", "dead-pod_"]);
    process.wait_logged(&["leading: this replica writes status"]);
    place.apply(mapping("route", "/route/", "http://127.0.0.1:1"));
    place.namespace.wait_ready("mapping/route");
}

#[test]
fn a_second_installation_with_the_same_id_is_told_apart() {
    let Some(place) = Place::create("two-installs") else { return };
    let first = place.run_with(&[("NUNCIO_ADMIN_SERVICE", "one-admin")]);
    first.wait_logged(&["leading"]);
    let replica = place.run_with(&[("NUNCIO_ADMIN_SERVICE", "one-admin")]);
    let second = place.run_with(&[("NUNCIO_ADMIN_SERVICE", "two-admin")]);
    let line = second.wait_logged(&["ERROR", "claims the same objects", "one-admin", "two-admin"]);
    println!("{line}");
    let lease = format!("lease/nuncio-{ID}");
    wait_until("an event on the lease", PATIENCE, || {
        let described = place.namespace.kubectl(&["describe", &lease]);
        let is_told = described.contains("AnotherInstallation")
            && described.contains("give one of them another AMBASSADOR_ID");
        if is_told { Ok(()) } else { Err(described) }
    });
    replica.wait_logged(&["another replica writes status"]);
    assert!(!replica.log().contains("claims the same"), "{}", replica.log());
    place.apply(mapping("route", "/route/", "http://127.0.0.1:1"));
    place.namespace.wait_ready("mapping/route");
    for process in [&first, &replica, &second] {
        wait_for_route(process, "/route/");
    }
    assert!(is_ready(&place.namespace.get("mapping/route").expect("it exists")));
}

fn wait_for_route(process: &Process, path: &str) {
    let mut client = process.client();
    wait_until(&format!("{path} is served"), PATIENCE, || match client.get(path).status {
        503 => Ok(()),
        other => Err(other.to_string()),
    });
}
