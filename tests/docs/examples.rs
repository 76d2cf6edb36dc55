//! Every ```yaml block of the documentation is read as `nuncio check` would read it: without
//! errors, or, where the fence says ```yaml error, with one.

use std::fs;
use std::path::PathBuf;

use nuncio::model::snapshot::Defaults;
use nuncio::model::{Build, build};
use nuncio::source::Event;
use nuncio::source::parse::{ParseSettings, parse_file};
use nuncio::source::store::Store;

use crate::project;

/// A fenced block.
struct Block {
    place: String,
    wrong: bool,
    text: String,
}

#[test]
fn yaml_examples_are_what_they_say() {
    let mut failures = Vec::new();
    let blocks: Vec<Block> = documents().into_iter().flat_map(|path| blocks(&path)).collect();
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
        let place = &block.place;
        match (objects, errors.is_empty(), block.wrong) {
            (0, ..) => failures.push(format!("{place}: holds no object of ours")),
            (_, false, false) => failures.push(format!("{place}: {}", errors.join("; "))),
            (_, true, true) => failures.push(format!("{place}: should be wrong and is right")),
            _ => {}
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// README.md and everything below docs/.
fn documents() -> Vec<PathBuf> {
    let mut found = vec![project("README.md")];
    let mut folders = vec![project("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|end| end == "md") => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found
}

fn blocks(path: &PathBuf) -> Vec<Block> {
    let text = fs::read_to_string(path).unwrap();
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(info) if info.split(' ').next() == Some("yaml") => {
                open = true;
                let place = format!("{}:{}", path.display(), index + 1);
                let wrong = info.contains("error");
                blocks.push(Block { place, wrong, text: String::new() });
            }
            _ if open => {
                let block = blocks.last_mut().expect("an open block was pushed");
                block.text.push_str(line);
                block.text.push('\n');
            }
            _ => {}
        }
    }
    assert!(!open, "{}: a block is not closed", path.display());
    blocks
}
