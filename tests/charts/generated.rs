//! What is generated: the templates of the definitions, the references of the values.

use std::fs;

use crate::helm::{stdout, with_tools};
use crate::{CHARTS, assert_generated, project, stem, yaml_files};

/// A definition as a template: as it is, with the chart's labels and annotations.
fn template_of(file: &str, definition: &str) -> String {
    let definition = definition.trim_start_matches("---\n").replace("{{", "{{ \"{{\" }}");
    let metadata = "\n  {{- include \"nuncio-crds.metadata\" . | nindent 2 }}\nspec:\n";
    assert_eq!(definition.matches("\nspec:\n").count(), 1, "{file} has one spec");
    let definition = definition.replacen("\nspec:\n", metadata, 1);
    format!("{{{{- /* Generated from crds/{file} by `make manifests`. */ -}}}}\n{definition}")
}

#[test]
fn definitions_are_those_of_crds() {
    let mut expected = vec!["_metadata.tpl".to_owned(), "NOTES.txt".to_owned()];
    for path in yaml_files("crds") {
        let file = format!("{}.yaml", stem(&path));
        let definition = fs::read_to_string(&path).unwrap();
        let template = template_of(&file, &definition);
        assert_generated(&format!("charts/nuncio-crds/templates/{file}"), &template);
        expected.push(file);
    }
    let entries = fs::read_dir(project("charts/nuncio-crds/templates")).unwrap();
    for entry in entries {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(expected.contains(&name), "charts/nuncio-crds/templates/{name} has no source");
    }
}

/// Uninstalling the chart must not take every Mapping with it, unless somebody asks for that.
#[test]
fn definitions_are_kept_on_uninstall() {
    with_tools(|tools| {
        let rendered = tools.template("helm4", CHARTS[1], &[]);
        let definitions = rendered.matches("\nkind: CustomResourceDefinition\n").count();
        assert_eq!(definitions, yaml_files("crds").len());
        assert_eq!(rendered.matches("helm.sh/resource-policy: keep").count(), definitions);
        let arguments = ["template", "nuncio", CHARTS[1], "--set", "keep=false"];
        let rendered = stdout(tools.run("helm4", &arguments));
        assert!(!rendered.contains("resource-policy"), "{rendered}");
    });
}

#[test]
fn references_are_those_of_the_values() {
    with_tools(|tools| {
        for chart in CHARTS {
            let arguments = ["--dry-run", "--log-level=error", "--chart-search-root", chart];
            let readme = stdout(tools.run("helm-docs", &arguments));
            assert_generated(&format!("{chart}/README.md"), &format!("{}\n", readme.trim()));
        }
    });
}

/// A value without a comment would stand in the reference without a word.
#[test]
fn every_value_is_described() {
    for chart in CHARTS {
        let readme = fs::read_to_string(project(chart).join("README.md")).unwrap();
        let silent: Vec<&str> = readme.lines().filter(|line| line.ends_with("|  |")).collect();
        assert!(silent.is_empty(), "{chart}/values.yaml says nothing about {silent:#?}");
    }
}

#[test]
fn versions_are_the_gateways() {
    let version = env!("CARGO_PKG_VERSION");
    for chart in CHARTS {
        let text = fs::read_to_string(project(chart).join("Chart.yaml")).unwrap();
        for key in ["version", "appVersion"] {
            assert!(text.contains(&format!("\n{key}: {version}\n")), "{chart}: {key} {version}");
        }
    }
}

/// A panel on a metric that nobody writes would stay empty for ever.
#[test]
fn the_dashboard_asks_for_metrics_that_exist() {
    let reference = fs::read_to_string(project("docs/reference/metrics.md")).unwrap();
    let text = fs::read_to_string(project("charts/nuncio/dashboards/nuncio.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(queries.len() > 20, "{} queries", queries.len());
    let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let words = queries.iter().flat_map(|query| query.split(word));
    let prefixes = ["envoy_cluster_upstream", "envoy_cluster_membership", "envoy_http_downstream"];
    let metrics: Vec<&str> = words
        .filter(|name| {
            let ours = ["nuncio_", "ambassador_", "process_"].iter().chain(&prefixes);
            ours.into_iter().any(|prefix| name.starts_with(prefix))
        })
        .map(|name| name.trim_end_matches("_bucket").trim_start_matches("process_"))
        .collect();
    assert!(metrics.len() >= queries.len(), "a query names no metric of ours: {queries:#?}");
    let unknown: Vec<&&str> =
        metrics.iter().filter(|name| !reference.contains(&format!("`{name}`"))).collect();
    assert!(unknown.is_empty(), "not in docs/reference/metrics.md: {unknown:?}");
}
