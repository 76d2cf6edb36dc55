//! What is generated: the templates of the definitions, the references of the values.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::helm::{documents, stdout, with_tools};
use crate::{CHARTS, assert_generated, project, stem, yaml_files};

/// A definition as a template: as it is, with the chart's labels and annotations, and with older
/// versions where they are asked for.
fn template_of(file: &str, definition: &str) -> String {
    let parsed =
        nuncio::crd::all().into_iter().find(|it| format!("---\n{}", to_yaml(it)) == definition);
    let older = nuncio::crd::legacy_versions(&parsed.expect("it is one of ours"));
    let definition = definition.trim_start_matches("---\n").replace("{{", "{{ \"{{\" }}");
    let metadata = "\n  {{- include \"nuncio-crds.metadata\" . | nindent 2 }}\nspec:\n";
    assert_eq!(definition.matches("\nspec:\n").count(), 1, "{file} has one spec");
    let mut definition = definition.replacen("\nspec:\n", metadata, 1);
    if !older.is_empty() {
        let conversion = "{{- include \"nuncio-crds.conversion\" . | nindent 2 }}";
        assert_eq!(definition.matches("\n  versions:\n").count(), 1, "{file} has one list");
        let versions = format!("\n  {conversion}\n  versions:\n");
        definition = definition.replacen("\n  versions:\n", &versions, 1);
    }
    for version in &older {
        let switch = if version["name"] == "v1" { "enableV1" } else { "enableLegacyVersions" };
        let item = to_yaml(&vec![version]).replace("{{", "{{ \"{{\" }}");
        let item: String = item.lines().map(|line| format!("  {line}\n")).collect();
        definition.push_str(&format!("{{{{- if .Values.{switch} }}}}\n{item}{{{{- end }}}}\n"));
    }
    format!("{{{{- /* Generated from crds/{file} by `make manifests`. */ -}}}}\n{definition}")
}

fn to_yaml(value: &impl serde::Serialize) -> String {
    serde_saphyr::to_string(value).expect("JSON's types")
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

/// With older versions the chart's definitions are those that `nuncio crds` prints.
#[test]
fn older_versions_are_those_of_the_command() {
    with_tools(|tools| {
        for v1 in [false, true] {
            let value = format!("enableV1={v1}");
            let sets = ["enableLegacyVersions=true", &value, "conversion.service=edge-admission"];
            let mut arguments = vec!["template", "nuncio", CHARTS[1], "--namespace", "edge"];
            arguments.extend(sets.iter().flat_map(|set| ["--set", set]));
            let rendered = specs(&stdout(tools.run("helm4", &arguments)));
            let mut flags = vec!["--enable-legacy-versions", "--conversion-namespace", "edge"];
            flags.extend(["--conversion-service", "edge-admission"]);
            flags.extend(v1.then_some("--enable-v1"));
            let printed = specs(&crds(&flags));
            assert_eq!(rendered.len(), yaml_files("crds").len());
            assert_eq!(rendered, printed, "v1: {v1}");
            let versions = &printed["mappings.getambassador.io"]["versions"];
            assert_eq!(versions.as_array().unwrap().len(), if v1 { 3 } else { 2 });
        }
        let alone = ["template", "nuncio", CHARTS[1], "--set", "enableV1=true"];
        let refused = tools.run("helm4", &alone);
        assert!(!refused.status.success(), "v1 needs v2");
    });
}

/// The defaults of the command are the chart's.
#[test]
fn the_command_converts_where_the_chart_does() {
    with_tools(|tools| {
        let set = ["--namespace", "nuncio", "--set", "enableLegacyVersions=true"];
        let arguments = [&["template", "nuncio", CHARTS[1]], &set[..]].concat();
        let rendered = specs(&stdout(tools.run("helm4", &arguments)));
        assert_eq!(rendered, specs(&crds(&["--enable-legacy-versions"])));
    });
}

/// What `nuncio crds` prints.
fn crds(flags: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nuncio"));
    stdout(command.arg("crds").args(flags).output().expect("it runs"))
}

/// The specs of definitions, by their names.
fn specs(text: &str) -> BTreeMap<String, serde_json::Value> {
    let all = documents(text).into_iter().map(|document| {
        let definition: serde_json::Value = serde_saphyr::from_str(&document).expect("YAML");
        let name = definition["metadata"]["name"].as_str().expect("a name").to_owned();
        (name, definition["spec"].clone())
    });
    all.collect()
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
