//! Files and directories of YAML or JSON: read once for `nuncio check`, or followed live.
//!
//! A directory is read recursively. Entries whose names begin with a dot are passed over: they
//! are editors' and version control's, and `..data` is how a mounted ConfigMap swaps all of its
//! files at once. Any event in a directory leads to a new look at all of it, so that nothing
//! depends on which events a file system sends; a slow poll makes up for those it doesn't.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::parse::{ParseSettings, parse_file, unreadable_file};
use super::{Collection, Event, Statement, StatementId};

/// Larger files are refused: a configuration of 10,000 Mappings takes about 3 MiB.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// How long a directory has to be quiet before it is read, so that a file that is being written
/// is read whole.
const QUIET: Duration = Duration::from_millis(100);

/// How long a directory that is never quiet is left unread.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// How often directories are read without an event: some file systems send none.
const POLL: Duration = Duration::from_secs(30);

/// A file with its text, to show where in it something is wrong.
#[derive(Debug)]
pub struct SourceFile {
    /// What it says.
    pub statement: Statement,
    /// Its text; empty where it can't be read.
    pub text: String,
}

/// Why a file or directory can't be read.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("can't be read: {0}")]
    Io(#[from] io::Error),
    #[error("is larger than {} MiB; split it", MAX_FILE_BYTES >> 20)]
    TooLarge,
    #[error("is not UTF-8 text")]
    NotText,
}

/// Reads files and directories once, in the order of their paths. What can't be read is a
/// statement with a rejected object.
pub fn read(paths: &[PathBuf], settings: &ParseSettings) -> Vec<SourceFile> {
    let read = |(path, text): (PathBuf, Result<String, FileError>)| SourceFile {
        statement: parse(&path, &text, settings),
        text: text.unwrap_or_default(),
    };
    Scan::new(paths).files.into_iter().map(read).collect()
}

/// Follows files and directories: sends all that they say, and then every change, until the
/// receiver is gone.
pub async fn watch(paths: Vec<PathBuf>, settings: ParseSettings, events: mpsc::Sender<Event>) {
    // One waiting wake-up says all: look again.
    let (wake, mut woken) = mpsc::channel(1);
    let mut follower = Follower::new(paths, settings, wake);
    let mut first = true;
    loop {
        let (changes, returned) = match follower.look().await {
            Some(looked) => looked,
            None => return,
        };
        follower = returned;
        let frame = |event| first.then_some(event);
        let changes = frame(Event::Init(Collection::Files))
            .into_iter()
            .chain(changes)
            .chain(frame(Event::Listed(Collection::Files)));
        for change in changes {
            if events.send(change).await.is_err() {
                return;
            }
        }
        first = false;
        tokio::select! {
            () = events.closed() => return,
            () = change(&mut woken) => {}
        }
    }
}

/// Waits for the end of a burst of events, or for the next poll.
pub(super) async fn change(woken: &mut mpsc::Receiver<()>) {
    if tokio::time::timeout(POLL, woken.recv()).await.is_err() {
        return;
    }
    let settle = async {
        while tokio::time::timeout(QUIET, woken.recv()).await.is_ok_and(|wake| wake.is_some()) {}
    };
    // Either way the directory is read now.
    let _ = tokio::time::timeout(MAX_DELAY, settle).await;
}

/// Remembers what was read, to tell what changed.
struct Follower {
    paths: Vec<PathBuf>,
    settings: ParseSettings,
    /// Fingerprints of the texts that were sent.
    known: BTreeMap<PathBuf, u64>,
    watcher: Option<notify::RecommendedWatcher>,
}

impl Follower {
    fn new(paths: Vec<PathBuf>, settings: ParseSettings, wake: mpsc::Sender<()>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !is_reading(event.kind)) {
                // A full channel holds a wake-up already.
                let _ = wake.try_send(());
            }
        });
        let watcher = watcher
            .map_err(|error| warn!(%error, "files can't be watched, so they are only polled"))
            .ok();
        Self { paths, settings, known: BTreeMap::new(), watcher }
    }

    /// Reads everything anew, away from the runtime's threads. `None` while the process ends.
    async fn look(mut self) -> Option<(Vec<Event>, Self)> {
        let look = tokio::task::spawn_blocking(move || {
            self.watch_again();
            let changes = self.changes();
            (changes, self)
        });
        look.await.ok()
    }

    /// Watches all paths, those too that are watched already: any may have come into being, or
    /// have been replaced, since.
    fn watch_again(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        for path in &self.paths {
            // Files are replaced rather than written, so their directory is watched.
            let (path, mode) = match path.parent() {
                Some(parent) if path.is_file() => (parent, RecursiveMode::NonRecursive),
                _ => (path.as_path(), RecursiveMode::Recursive),
            };
            let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            if let Err(error) = watcher.watch(path, mode) {
                debug!(path = %path.display(), %error, "path can't be watched, so it is polled");
            }
        }
    }

    fn changes(&mut self) -> Vec<Event> {
        let scan = Scan::new(&self.paths);
        let gone: Vec<PathBuf> = self
            .known
            .keys()
            .filter(|path| !scan.files.contains_key(*path) && !scan.is_uncertain(path))
            .cloned()
            .collect();
        let mut events = Vec::new();
        for path in gone {
            self.known.remove(&path);
            let name = path.to_string_lossy().into();
            let id = StatementId { collection: Collection::Files, namespace: "".into(), name };
            events.push(Event::Delete(id));
        }
        for (path, text) in scan.files {
            let mut hasher = DefaultHasher::new();
            text.as_ref().map_err(ToString::to_string).hash(&mut hasher);
            let fingerprint = hasher.finish();
            if self.known.get(&path) != Some(&fingerprint) {
                if let Err(error) = &text {
                    warn!(path = %path.display(), %error, "file can't be used");
                }
                events.push(Event::Put(parse(&path, &text, &self.settings)));
                self.known.insert(path, fingerprint);
            }
        }
        events
    }
}

/// Whether somebody only reads, as we do ourselves.
pub(super) fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

fn parse(path: &Path, text: &Result<String, FileError>, settings: &ParseSettings) -> Statement {
    let name = path.to_string_lossy();
    match text {
        Ok(text) => parse_file(&name, text, settings),
        Err(error) => unreadable_file(&name, error.to_string()),
    }
}

/// One look at everything.
#[derive(Default)]
struct Scan {
    files: BTreeMap<PathBuf, Result<String, FileError>>,
    /// Directories that exist and can't be read: what is in them isn't known to be gone.
    uncertain: Vec<PathBuf>,
    /// Directories that were read, by their real paths, so that links in circles end.
    seen: HashSet<PathBuf>,
}

impl Scan {
    fn new(paths: &[PathBuf]) -> Self {
        let mut scan = Self::default();
        for path in paths {
            match fs::metadata(path) {
                Ok(metadata) if metadata.is_dir() => scan.read_directories(path),
                Ok(_) => scan.read_file(path.clone()),
                Err(error) => scan.fail(path.clone(), error),
            }
        }
        scan
    }

    fn is_uncertain(&self, path: &Path) -> bool {
        self.uncertain.iter().any(|directory| path.starts_with(directory))
    }

    /// Reads a directory and those below it.
    fn read_directories(&mut self, root: &Path) {
        let mut waiting = vec![root.to_path_buf()];
        while let Some(directory) = waiting.pop() {
            if !fs::canonicalize(&directory).is_ok_and(|real| self.seen.insert(real)) {
                continue;
            }
            let entries: io::Result<Vec<fs::DirEntry>> =
                fs::read_dir(&directory).and_then(Iterator::collect);
            match entries {
                Ok(entries) => {
                    let paths = entries.iter().filter(|entry| !is_hidden(entry));
                    for path in paths.map(fs::DirEntry::path) {
                        if path.is_dir() {
                            waiting.push(path);
                        } else if is_manifest(&path) && path.is_file() {
                            self.read_file(path);
                        }
                    }
                }
                Err(error) => self.fail(directory, error),
            }
        }
    }

    fn read_file(&mut self, path: PathBuf) {
        match read_text(&path) {
            // It was replaced or removed between the listing and now.
            Err(FileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            text => drop(self.files.insert(path, text)),
        }
    }

    fn fail(&mut self, path: PathBuf, error: io::Error) {
        if error.kind() != io::ErrorKind::NotFound {
            self.uncertain.push(path.clone());
        }
        self.files.insert(path, Err(error.into()));
    }
}

fn read_text(path: &Path) -> Result<String, FileError> {
    let file = fs::File::open(path)?;
    let mut bytes = Vec::new();
    // By what is read and not by what is announced: it may grow meanwhile.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE_BYTES) {
        return Err(FileError::TooLarge);
    }
    String::from_utf8(bytes).map_err(|_| FileError::NotText)
}

fn is_hidden(entry: &fs::DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
    })
}

#[cfg(test)]
mod tests;
