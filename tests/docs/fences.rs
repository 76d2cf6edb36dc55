//! The fenced blocks of the documentation, for all who check what is in them.

use std::fs;
use std::path::{Path, PathBuf};

/// A fenced block.
#[derive(Debug)]
pub(crate) struct Fence {
    /// The page, from the project's directory.
    pub(crate) page: String,
    /// The line of the fence.
    pub(crate) line: usize,
    /// What the fence says: its language, and what follows.
    pub(crate) language: String,
    pub(crate) info: String,
    pub(crate) text: String,
}

impl Fence {
    /// Where it is, as compilers write it.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }

    /// Whether what stands in it is meant to be wrong.
    pub(crate) fn is_wrong(&self) -> bool {
        self.info == "error"
    }
}

/// README.md and everything below docs/, from the project's directory.
pub(crate) fn pages(project: &Path) -> Vec<String> {
    let mut found = vec!["README.md".to_owned()];
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(project.join(&folder)).expect("a directory of the project") {
            let path = folder.join(entry.expect("its entry").file_name());
            match project.join(&path).is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|end| end == "md") => {
                    found.push(path.display().to_string());
                }
                false => {}
            }
        }
    }
    found.sort();
    found
}

/// The blocks of a page, in order.
pub(crate) fn fences(project: &Path, page: &str) -> Vec<Fence> {
    let text = fs::read_to_string(project.join(page)).unwrap_or_else(|e| panic!("{page}: {e}"));
    let mut found: Vec<Fence> = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        match line.trim_start().strip_prefix("```") {
            Some(_) if open => open = false,
            Some(head) => {
                open = true;
                let (language, info) = head.split_once(' ').unwrap_or((head, ""));
                found.push(Fence {
                    page: page.to_owned(),
                    line: index + 1,
                    language: language.to_owned(),
                    info: info.trim().to_owned(),
                    text: String::new(),
                });
            }
            None if open => {
                let block = found.last_mut().expect("an open block was pushed");
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {}
        }
    }
    assert!(!open, "{page}: a block is not closed");
    found
}
