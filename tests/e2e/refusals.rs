//! The chart's permissions are enough, and a missing one is told.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::gateway;
use crate::support::kubectl::kubectl;
use crate::support::{PATIENCE, mapping, scenario, wait_until};

/// Every scenario ends with looking for refusals in the logs. This one shows that they would
/// be found there: a permission is taken away, which costs the status and not the route, and
/// given back, which is noticed by itself.
#[test]
fn a_refusal_is_logged_and_costs_nothing_else() {
    scenario("refusals", |namespace| {
        let taken = Permission::take("mappings/status");
        namespace.apply(&[mapping("untold", "/refusals/", "echo-v1.backends")]);
        wait_until("a refusal in the log", PATIENCE, || match gateway::refusals() {
            found if found.iter().any(|line| line.contains("mappings")) => Ok(()),
            found => Err(format!("{found:?}")),
        });
        let mut client = Client::new();
        wait_until("the route is served", PATIENCE, || client.get("/refusals/").expect_of("v1"));
        drop(taken);
        namespace.wait_ready("mapping/untold");
        // With a new log.
        kubectl(&["--namespace", gateway::NAMESPACE, "rollout", "restart", "deployment/nuncio"])
            .succeed();
        gateway::wait_for_rollout();
    });
}

/// A permission of the gateway's that it doesn't have for a while.
struct Permission {
    all: Value,
}

impl Permission {
    fn take(resource: &str) -> Self {
        let role = kubectl(&["get", "clusterrole", "nuncio", "-o", "json"]).json().expect("a role");
        let taken = Self { all: role["rules"].clone() };
        let rules = role["rules"].as_array().expect("a list").iter();
        let is_it = |rule: &&Value| {
            rule["resources"].as_array().is_some_and(|all| all.iter().any(|one| one == resource))
        };
        let others: Vec<&Value> = rules.filter(|rule| !is_it(rule)).collect();
        Self::set(&json!(others));
        taken
    }

    fn set(rules: &Value) {
        let patch = json!({ "rules": rules }).to_string();
        kubectl(&["patch", "clusterrole", "nuncio", "--type=merge", "-p", &patch]).succeed();
    }
}

impl Drop for Permission {
    fn drop(&mut self) {
        Self::set(&self.all);
    }
}
