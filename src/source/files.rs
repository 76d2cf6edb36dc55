//! A directory of files as a source.

use std::path::PathBuf;

use tokio::sync::mpsc;

use super::parse::ParseSettings;
use super::{Collection, Event, Statement};

/// Reads files and directories once.
pub fn read(paths: &[PathBuf], settings: &ParseSettings) -> Vec<Statement> {
    let _ = (paths, settings);
    Vec::new()
}

/// Follows directories.
pub async fn watch(paths: Vec<PathBuf>, settings: ParseSettings, events: mpsc::Sender<Event>) {
    let _ = (paths, settings);
    let _ = events.send(Event::Listed(Collection::Files)).await;
    std::future::pending::<()>().await;
}
