//! docs/explain.md: what its commands print is what stands below them.

use std::fs;
use std::process::Command;

use crate::fences::fences;
use crate::{assert_generated, project};

const PAGE: &str = "docs/explain.md";

#[test]
fn explanations_are_what_the_page_says() {
    let root = project("");
    let directory = tempfile::tempdir().unwrap();
    let blocks = fences(&root, PAGE);
    let manifests = blocks.iter().find(|block| block.language == "yaml").expect("the manifests");
    fs::write(directory.path().join("shop.yaml"), &manifests.text).unwrap();
    let mut page = fs::read_to_string(project(PAGE)).unwrap();
    let mut count = 0;
    // From the end, so that places before stay where they are.
    for pair in blocks.windows(2).rev() {
        let [command, output] = pair else { unreachable!("two of them") };
        let Some(line) = command.text.strip_prefix("nuncio explain --config shop.yaml ") else {
            continue;
        };
        assert_eq!(output.language, "text", "{}: what it prints follows", command.place());
        let told = Command::new(env!("CARGO_BIN_EXE_nuncio"))
            .args(["explain", "--config", "shop.yaml"])
            .args(line.split_whitespace())
            .current_dir(directory.path())
            .env_clear()
            .output()
            .unwrap();
        let text = String::from_utf8(told.stdout).unwrap();
        let text: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        page = replace_block(&page, output.line, &text);
        count += 1;
    }
    assert_eq!(count, 2, "commands with their output");
    assert_generated(PAGE, &page);
}

/// The page with another text in the block whose fence stands in `line`, from 1.
fn replace_block(page: &str, line: usize, text: &str) -> String {
    let lines: Vec<&str> = page.lines().collect();
    let end = (line..lines.len()).find(|at| lines[*at].starts_with("```")).expect("its end");
    let parts = [&lines[..line], &text.lines().collect::<Vec<_>>(), &lines[end..]];
    let lines: Vec<&str> = parts.concat();
    lines.join("\n") + "\n"
}
