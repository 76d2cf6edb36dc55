//! A directory of files as a source.

use std::path::PathBuf;

use tokio::sync::mpsc;

use super::parse::{ParseSettings, parse_file};
use super::{Collection, Event, Statement};

/// Reads files and directories once.
pub fn read(paths: &[PathBuf], settings: &ParseSettings) -> Vec<Statement> {
    let mut statements = Vec::new();
    for path in paths {
        let mut files = match std::fs::read_dir(path) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            Err(_) => vec![path.clone()],
        };
        files.sort();
        for file in files {
            if let Ok(text) = std::fs::read_to_string(&file) {
                statements.push(parse_file(&file.to_string_lossy(), &text, settings));
            }
        }
    }
    statements
}

/// Follows directories.
pub async fn watch(paths: Vec<PathBuf>, settings: ParseSettings, events: mpsc::Sender<Event>) {
    for statement in read(&paths, &settings) {
        let _ = events.send(Event::Put(statement)).await;
    }
    let _ = events.send(Event::Listed(Collection::Files)).await;
    std::future::pending::<()>().await;
}
