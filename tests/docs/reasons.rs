//! Every reason that a condition can have is explained in docs/troubleshooting.md, and every
//! metric in docs/reference/metrics.md.

use std::collections::BTreeSet;
use std::fs;

use crate::project;

/// Reasons of conditions that are true and in order.
const FINE: &[&str] = &["Accepted", "ResolvedRefs", "Programmed", "Ready"];

#[test]
fn every_reason_is_explained() {
    let source = ["conditions.rs", "text.rs", "warning.rs"]
        .map(|file| fs::read_to_string(project(&format!("src/model/report/{file}"))).unwrap())
        .concat();
    let reasons: BTreeSet<&str> = texts(&source).filter(|text| is_reason(text)).collect();
    assert!(reasons.contains("ServiceNotFound"), "{reasons:?}");
    let documents = fs::read_to_string(project("docs/troubleshooting.md")).unwrap();
    let headings: BTreeSet<&str> =
        documents.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let expected: BTreeSet<&str> =
        reasons.into_iter().filter(|reason| !FINE.contains(reason)).collect();
    let missing: Vec<_> = expected.difference(&headings).collect();
    assert!(missing.is_empty(), "docs/troubleshooting.md has no section for {missing:?}");
}

#[test]
fn every_metric_is_explained() {
    let mut names = BTreeSet::new();
    for path in ["src/admin/metrics.rs", "src/telemetry/render.rs"] {
        let source = fs::read_to_string(project(path)).unwrap_or_default();
        let code = source.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
        names.extend(texts(&code).filter(|text| is_metric(text)).map(str::to_owned));
    }
    assert!(names.contains("nuncio_config_generation"), "{names:?}");
    let document = fs::read_to_string(project("docs/reference/metrics.md")).unwrap();
    let missing: Vec<_> = names.iter().filter(|name| !document.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "docs/reference/metrics.md does not explain {missing:?}");
}

/// The contents of the string literals of a source text without escapes.
fn texts(code: &str) -> impl Iterator<Item = &str> {
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split('"').skip(1).step_by(2))
}

/// One word in CamelCase.
fn is_reason(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.len() > 2
        && text.chars().all(|c| c.is_ascii_alphabetic())
        && text != "True"
        && text != "False"
}

fn is_metric(text: &str) -> bool {
    ["nuncio_", "ambassador_", "envoy_"].iter().any(|prefix| text.starts_with(prefix))
        && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        && !text.starts_with("envoy_response_code")
}
