//! Mapping resources, alone and together with annotations.

use std::collections::BTreeMap;

use serde_json::json;

use crate::main_job::assert_served;
use crate::support::client::Client;
use crate::support::kubectl::kubectl;
use crate::support::{PATIENCE, carrier, mapping, mapping_of, scenario, wait_until};

#[test]
fn the_main_job_as_mappings() {
    scenario("mappings", |namespace| {
        let server = ModelServer::expose();
        namespace.apply(&[
            mapping_of(
                "httpbin",
                &json!({
                    "hostname": "*",
                    "prefix": "/httpbin/",
                    "service": "httpbin.org:80",
                    "host_rewrite": "httpbin.org",
                }),
            ),
            mapping_of(
                "predict",
                &json!({
                    "hostname": "*",
                    "prefix": "/models/test/",
                    "rewrite": "/model/test/:predict",
                    "method": "POST",
                    "service": "test.kubeflow:8000",
                }),
            ),
        ]);
        namespace.wait_ready("mapping/httpbin");
        namespace.wait_ready("mapping/predict");
        assert_served(&mut Client::new());

        namespace.kubectl(&["delete", "mapping", "httpbin"]);
        let mut client = Client::new();
        wait_until("the route is gone", PATIENCE, || {
            let answer = client.get("/httpbin/headers");
            if answer.status == 404 { Ok(()) } else { Err(answer.shown()) }
        });
        drop(server);
    });
}

/// The Service `test` of the model server, without an annotation.
struct ModelServer;

impl ModelServer {
    fn expose() -> Self {
        let arguments =
            ["-n", "kubeflow", "expose", "deployment", "tfserving-standin", "--name=test"];
        kubectl(&[&arguments[..], &["--port=8000"]].concat()).succeed();
        Self
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        kubectl(&["-n", "kubeflow", "delete", "service", "test"]);
    }
}

#[test]
fn an_annotation_and_a_mapping_share_a_canary_group() {
    scenario("canary", |namespace| {
        let mut stable = mapping("stable", "/canary/", "echo-v1.backends");
        stable["spec"]["weight"] = json!(80);
        let canary = "---\napiVersion: ambassador/v2\nkind: Mapping\nname: canary\n\
            prefix: /canary/\nservice: echo-v2.backends\nweight: 20\n";
        namespace.apply(&[stable, carrier("canary", canary)]);
        namespace.wait_ready("mapping/stable");
        let annotated = namespace.annotated_name("canary", 0);
        namespace.wait_ready(&annotated);

        let mut counts: BTreeMap<Option<String>, u32> = BTreeMap::new();
        let mut client = Client::new();
        for _ in 0..2000 {
            *counts.entry(client.get("/canary/").version()).or_default() += 1;
        }
        println!("of 2,000 requests with weights 80 and 20: {counts:?}");
        let of = |version: &str| counts.get(&Some(version.to_owned())).copied().unwrap_or(0);
        assert_eq!(of("v1") + of("v2"), 2000, "{counts:?}");
        // 400 expected with a standard deviation of 18: 100 is more than five of them.
        assert!((300..=500).contains(&of("v2")), "{counts:?}");
    });
}
