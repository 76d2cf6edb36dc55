//! Every ```yaml block of the documentation is read as `nuncio check` would read it: without
//! errors, or, where the fence says ```yaml error, with one.

use nuncio::model::snapshot::Defaults;
use nuncio::model::{Build, build};
use nuncio::source::Event;
use nuncio::source::parse::{ParseSettings, parse_file};
use nuncio::source::store::Store;

use crate::fences::{Fence, fences, pages};
use crate::project;

#[test]
fn yaml_examples_are_what_they_say() {
    let mut failures = Vec::new();
    let root = project("");
    let mut blocks: Vec<Fence> =
        pages(&root).into_iter().flat_map(|page| fences(&root, &page)).collect();
    blocks.retain(|block| block.language == "yaml");
    assert!(blocks.len() > 5, "there are examples");
    for block in &blocks {
        let settings = ParseSettings { namespace: "default".into(), ..ParseSettings::default() };
        let statement = parse_file("example.yaml", &block.text, &settings);
        let mut store = Store::new(Defaults::default(), []);
        let objects = statement.objects.len();
        store.apply(Event::Put(statement));
        let reports = build(store.snapshot(), &Build::default()).reports;
        let errors: Vec<String> = reports
            .iter()
            .filter(|report| report.has_errors())
            .map(|report| report.conditions()[0].message.clone())
            .collect();
        let place = block.place();
        match (objects, errors.is_empty(), block.is_wrong()) {
            (0, ..) => failures.push(format!("{place}: holds no object of ours")),
            (_, false, false) => failures.push(format!("{place}: {}", errors.join("; "))),
            (_, true, true) => failures.push(format!("{place}: should be wrong and is right")),
            _ => {}
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
