//! Values: the cases of charts/nuncio/ci are accepted, those of refused/ aren't.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use crate::helm::{MAJORS, documents, name_of, with_tools};
use crate::{CHARTS, assert_generated, project, stem, yaml_files};

const CASES: &str = "charts/nuncio/ci";

#[test]
fn charts_are_in_order() {
    with_tools(|tools| {
        for helm in MAJORS {
            for chart in CHARTS {
                let output = tools.run(helm, &["lint", "--strict", chart]);
                assert!(output.status.success(), "{helm}: {output:?}");
            }
            for case in yaml_files(CASES) {
                let case = case.to_str().unwrap();
                let output = tools.run(helm, &["lint", "--strict", CHARTS[0], "--values", case]);
                assert!(output.status.success(), "{helm}: {case}: {output:?}");
            }
        }
    });
}

/// Golden files hold what a case changes: the objects that are others than by default.
#[test]
fn cases_render_what_they_are_for() {
    with_tools(|tools| {
        let default = tools.template("helm4", CHARTS[0], &[]);
        for case in yaml_files(CASES) {
            let [by_3, by_4] = MAJORS.map(|helm| tools.template(helm, CHARTS[0], &[&case]));
            assert_eq!(sorted(&by_3), sorted(&by_4), "{}: the Helms differ", case.display());
            let golden = format!("tests/charts/golden/{}.yaml", stem(&case));
            assert_generated(&golden, &changes(&default, &by_4));
        }
    });
}

#[test]
fn every_golden_file_has_its_case() {
    for golden in yaml_files("tests/charts/golden") {
        let case = project(CASES).join(golden.file_name().unwrap());
        assert!(case.exists(), "{} has no case", golden.display());
    }
}

/// A refused case says in its first lines, after `# says: `, what Helm must say about it.
#[test]
fn what_can_not_work_is_refused_with_advice() {
    with_tools(|tools| {
        for case in yaml_files("tests/charts/refused") {
            let text = fs::read_to_string(&case).unwrap();
            let expected: Vec<&str> =
                text.lines().filter_map(|line| line.strip_prefix("# says: ")).collect();
            assert!(!expected.is_empty(), "{} expects nothing", case.display());
            for helm in MAJORS {
                let output = tools.try_template(helm, CHARTS[0], &[&case]);
                assert!(!output.status.success(), "{helm} takes {}", case.display());
                let said = String::from_utf8(output.stderr).unwrap();
                for text in &expected {
                    assert!(said.contains(text), "{helm}: {}: {said}", case.display());
                }
            }
        }
    });
}

/// By name, since the two Helms order objects of one kind differently.
fn sorted(rendered: &str) -> BTreeMap<String, String> {
    documents(rendered).into_iter().map(|document| (name_of(&document), document)).collect()
}

/// The objects that are new or others, whole, after the names of those that are gone.
fn changes(default: &str, rendered: &str) -> String {
    let (before, after) = (sorted(default), sorted(rendered));
    let mut text = String::new();
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        let _ = writeln!(text, "# gone: {name}");
    }
    for (_, document) in
        after.iter().filter(|(name, document)| before.get(*name) != Some(*document))
    {
        let _ = writeln!(text, "---\n{document}");
    }
    text
}
