//! Service accounts: what they may do, what they asked for, and how to act as one.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::gateway;
use super::kubectl::{kubectl, run, with_input};
use crate::privileges::rules::{Grant, Use, flatten, read_event};

/// A service account.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Account {
    /// The one of the gateway's pods.
    pub(crate) fn of_gateway() -> Self {
        let pods = gateway::pods();
        let name = pods[0]["spec"]["serviceAccountName"].as_str().expect("pods have an account");
        Self { namespace: gateway::NAMESPACE.to_owned(), name: name.to_owned() }
    }

    /// A new one with these permissions: those for the whole cluster, and those that count in
    /// its namespace. They are replaced where it exists already.
    pub(crate) fn create(namespace: &str, name: &str, grants: &BTreeSet<Grant>) -> Self {
        let account = Self { namespace: namespace.to_owned(), name: name.to_owned() };
        with_input(&["apply", "-f", "-"], &account.manifest(grants).to_string()).succeed();
        account
    }

    /// Everything that its roles allow.
    pub(crate) fn grants(&self) -> BTreeSet<Grant> {
        let mut grants = BTreeSet::new();
        for kind in ["rolebindings", "clusterrolebindings"] {
            let list = kubectl(&["get", kind, "-A", "-o", "json"]).json().expect("bindings");
            for binding in
                list["items"].as_array().expect("a list").iter().filter(|b| self.is_in(b))
            {
                let namespace = binding["metadata"]["namespace"].as_str();
                let role = &binding["roleRef"];
                let text = |field: &str| role[field].as_str().expect("a reference").to_lowercase();
                let place = namespace.unwrap_or("default");
                let name = role["name"].as_str().expect("a reference");
                let role = kubectl(&["-n", place, "get", &text("kind"), name, "-o", "json"]);
                grants.extend(flatten(&role.json().expect("a role")["rules"], namespace));
            }
        }
        grants
    }

    /// The same for a gateway with another `AMBASSADOR_ID`: its Lease has another name.
    pub(crate) fn grants_as(&self, ambassador_id: &str) -> BTreeSet<Grant> {
        let lease = format!("nuncio-{ambassador_id}");
        let rename = |grant: Grant| match (&*grant.resource, &grant.name) {
            ("leases", Some(_)) => Grant { name: Some(lease.clone()), ..grant },
            _ => grant,
        };
        self.grants().into_iter().map(rename).collect()
    }

    fn is_in(&self, binding: &Value) -> bool {
        binding["subjects"].as_array().into_iter().flatten().any(|subject| {
            subject["kind"] == "ServiceAccount"
                && subject["name"] == *self.name
                && subject["namespace"] == *self.namespace
        })
    }

    fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }

    /// A kubeconfig in `directory` with which one acts as it.
    pub(crate) fn kubeconfig(&self, directory: &Path) -> PathBuf {
        let token = kubectl(&["-n", &self.namespace, "create", "token", &self.name]).succeed();
        let admin = kubectl(&["config", "view", "--raw", "-o", "json"]).json().expect("JSON");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": admin["clusters"][0]["cluster"]}],
            "users": [{"name": "it", "user": {"token": token.trim()}}],
            "contexts": [{"name": "it", "context": {
                "cluster": "it", "user": "it", "namespace": self.namespace,
            }}],
        });
        let path = directory.join(format!("{}.kubeconfig", self.name));
        fs::write(&path, config.to_string()).expect("a file can be written");
        path
    }

    fn manifest(&self, grants: &BTreeSet<Grant>) -> Value {
        let Self { namespace, name } = self;
        let everywhere = format!("{namespace}-{name}");
        let rules = |is_it: fn(&Grant) -> bool| -> Vec<Value> {
            grants.iter().filter(|grant| is_it(grant)).map(rule).collect()
        };
        let group = "rbac.authorization.k8s.io";
        let version = format!("{group}/v1");
        let subjects = json!([{"kind": "ServiceAccount", "name": name, "namespace": namespace}]);
        let to = |kind: &str, name: &str| json!({"apiGroup": group, "kind": kind, "name": name});
        let own = json!({"name": name, "namespace": namespace});
        json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": own},
            {"apiVersion": version, "kind": "Role", "metadata": own,
             "rules": rules(|grant| grant.namespace.is_some())},
            {"apiVersion": version, "kind": "RoleBinding", "metadata": own,
             "roleRef": to("Role", name), "subjects": subjects},
            {"apiVersion": version, "kind": "ClusterRole", "metadata": {"name": everywhere},
             "rules": rules(|grant| grant.namespace.is_none())},
            {"apiVersion": version, "kind": "ClusterRoleBinding", "metadata": {"name": everywhere},
             "roleRef": to("ClusterRole", &everywhere), "subjects": subjects},
        ]})
    }

    /// Removes what is not removed with its namespace.
    pub(crate) fn remove(&self) {
        let name = format!("{}-{}", self.namespace, self.name);
        kubectl(&["delete", "--ignore-not-found", "clusterrole,clusterrolebinding", &name]);
    }
}

fn rule(grant: &Grant) -> Value {
    let Grant { group, resource, verb, name, .. } = grant;
    let mut rule = json!({"apiGroups": [group], "resources": [resource], "verbs": [verb]});
    if let Some(name) = name {
        rule["resourceNames"] = json!([name]);
    }
    rule
}

/// The API server's log of what accounts asked for, from now on.
#[derive(Debug)]
pub(crate) struct Audit {
    path: PathBuf,
    begin: u64,
}

impl Audit {
    /// `None` where the cluster keeps no such log, or not for us.
    pub(crate) fn begin() -> Option<Self> {
        let script = gateway::own_cluster()?;
        let path = run(Command::new(script).arg("audit-log"), "").succeed();
        let path = PathBuf::from(path.trim());
        let begin = fs::metadata(&path).ok()?.len();
        Some(Self { path, begin })
    }

    /// All that an account asked for since.
    pub(crate) fn uses(&self, account: &Account) -> BTreeSet<Use> {
        self.events().iter().flat_map(|event| read_event(event, &account.user())).collect()
    }

    /// With which addresses an account asked for a resource since, and for which objects: what else
    /// stands in an address is left out.
    pub(crate) fn asked(&self, account: &Account, resource: &str) -> Vec<String> {
        let user = account.user();
        let of_it = |event: &&Value| {
            event["user"]["username"] == *user && event["objectRef"]["resource"] == *resource
        };
        let address = |event: &Value| {
            let uri = event["requestURI"].as_str().unwrap_or_default().replace("%3D", "=");
            let (path, query) = uri.split_once('?').unwrap_or((&uri, ""));
            let selector = query.split('&').find(|part| part.starts_with("fieldSelector="));
            format!("{path}?{}", selector.unwrap_or_default())
        };
        self.events().iter().filter(of_it).map(address).collect()
    }

    fn events(&self) -> Vec<Value> {
        let mut file = fs::File::open(&self.path).expect("it was there before");
        file.seek(SeekFrom::Start(self.begin)).expect("a file can be sought");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("the log is text");
        // The last line may be half written.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}
