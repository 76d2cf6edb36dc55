//! Reading the project's files: which there are, and their lines without comments and tests.

use std::fs;
use std::path::{Path, PathBuf};

/// A text file of the project.
pub(crate) struct SourceFile {
    /// Path from the project's root, with slashes.
    pub path: String,
    /// Its whole text.
    pub text: String,
}

impl SourceFile {
    /// Number and text of each line of production code: everything before the file's own
    /// `#[cfg(test)] mod … {`, comments cut off.
    pub(crate) fn production(&self) -> Vec<(usize, String)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let end = inline_tests(&lines).map_or(lines.len(), |(start, _)| start);
        let code = lines[..end].iter().enumerate();
        code.map(|(index, line)| (index + 1, without_comment(line).to_owned())).collect()
    }

    /// How many lines the file's inline test module has.
    pub(crate) fn inline_test_lines(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        inline_tests(&lines).map_or(0, |(start, end)| end - start)
    }
}

/// First and last line of `#[cfg(test)] mod tests { … }`, which stands at the end of a file.
fn inline_tests(lines: &[&str]) -> Option<(usize, usize)> {
    let start = lines.windows(2).position(|pair| {
        pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
    })?;
    Some((start, lines.len()))
}

/// Cuts off a `//` comment; `//` within a string literal (an address) stays.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let mut previous = ' ';
    for (at, c) in line.char_indices() {
        match c {
            '"' if previous != '\\' && previous != '\'' => quoted = !quoted,
            '/' if previous == '/' && !quoted => return &line[..at - 1],
            _ => {}
        }
        previous = c;
    }
    line
}

/// The project's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file below a folder of the project, sorted; build results and caches left out.
pub(crate) fn files_below(folder: &str) -> Vec<SourceFile> {
    let mut paths = Vec::new();
    walk(&root().join(folder), &mut paths);
    paths.sort();
    paths
        .into_iter()
        .filter_map(|path| {
            let text = fs::read_to_string(&path).ok()?; // not text: not ours to judge
            let path = path.strip_prefix(root()).expect("below the root").to_str()?;
            Some(SourceFile { path: path.replace('\\', "/"), text })
        })
        .collect()
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let skipped = ["target", ".git", ".cache", "corpus", "artifacts", "node_modules"];
        if skipped.iter().any(|skipped| *skipped == name) {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path(), paths),
            Ok(kind) if kind.is_file() => paths.push(entry.path()),
            _ => {}
        }
    }
}

/// Rust files of `src/` that hold production code: sibling test files are left out.
pub(crate) fn production_files() -> Vec<SourceFile> {
    let rust = files_below("src").into_iter().filter(|file| file.path.ends_with(".rs"));
    rust.filter(|file| !is_test_file(&file.path)).collect()
}

fn is_test_file(path: &str) -> bool {
    path.split('/').any(|part| {
        let stem = part.strip_suffix(".rs").unwrap_or(part);
        stem == "tests" || stem.ends_with("_tests")
    })
}

#[test]
fn comments_are_cut_and_strings_are_not() {
    let rows = [
        ("let a = 1; // one", "let a = 1; "),
        ("//! doc", ""),
        (r#"let a = "http://x"; // y"#, r#"let a = "http://x"; "#),
        (r#"let a = '"'; // y"#, r#"let a = '"'; "#),
        (r#"let a = "\"//\"";"#, r#"let a = "\"//\"";"#),
    ];
    for (line, expected) in rows {
        assert_eq!(without_comment(line), expected);
    }
}
