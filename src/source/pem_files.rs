//! Certificates in files of the gateway's own: those that TLSContexts and Hosts name, and those
//! that Istio keeps for the pod. They are read when a build wants them, and again when they
//! change.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::{mpsc, watch};
use tracing::{debug, warn};

use super::Event;
use super::files::{change, is_reading};
use super::parse::{MAX_SECRET_BYTES, parse_pem_files, parse_secret_values};
use crate::model::secret::SecretState;
use crate::model::tls::SecretKey;
use crate::model::written::PemSource;

/// A pair that has become wrong is read once more after this, because its files are written one
/// after the other; until then what was read before stays in force.
const DOUBT: Duration = Duration::from_secs(2);
/// Istio's files, which are the keys of a Secret of its own.
const ISTIO: [&str; 3] = ["cert-chain.pem", "key.pem", "root-cert.pem"];

/// Istio's files, and the Secret that they stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IstioFiles {
    /// The directory (`AMBASSADOR_ISTIO_SECRET_DIR`).
    pub directory: PathBuf,
    /// `istio-certs` in the gateway's namespace.
    pub secret: SecretKey,
}

/// Reads once what is wanted of files.
pub fn read(source: &PemSource, istio: Option<&IstioFiles>) -> Option<SecretState> {
    match source {
        PemSource::Files { certificates, key } => Some(read_files(certificates, key.as_deref())),
        PemSource::Secret(key) => {
            let istio = istio.filter(|istio| istio.secret == *key)?;
            Some(read_istio(&istio.directory))
        }
    }
}

/// Follows what is wanted of files, until nobody listens or nobody will want any more.
pub async fn watch(
    istio: Option<IstioFiles>,
    mut wanted: watch::Receiver<Arc<BTreeSet<PemSource>>>,
    events: mpsc::Sender<Event>,
) {
    let (wake, mut woken) = mpsc::channel(1);
    let mut follower = Follower::new(istio, wake);
    loop {
        let sources = Arc::clone(&wanted.borrow_and_update());
        let looked = tokio::task::spawn_blocking(move || {
            let changes = follower.look(&sources);
            (changes, follower)
        });
        // The process ends.
        let Ok((changes, returned)) = looked.await else { return };
        follower = returned;
        for (source, state) in changes {
            if events.send(Event::Pem(source, state)).await.is_err() {
                return;
            }
        }
        let doubts = !follower.doubted.is_empty();
        tokio::select! {
            () = events.closed() => return,
            changed = wanted.changed() => if changed.is_err() { return },
            () = change(&mut woken), if !follower.told.is_empty() => {}
            () = tokio::time::sleep(DOUBT), if doubts => {}
        }
    }
}

/// Remembers what was told.
struct Follower {
    istio: Option<IstioFiles>,
    told: BTreeMap<PemSource, SecretState>,
    /// What has become wrong, and wasn't told yet.
    doubted: BTreeSet<PemSource>,
    watcher: Option<notify::RecommendedWatcher>,
}

impl Follower {
    fn new(istio: Option<IstioFiles>, wake: mpsc::Sender<()>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !is_reading(event.kind)) {
                // A full channel holds a wake-up already.
                let _ = wake.try_send(());
            }
        });
        let watcher = watcher
            .map_err(|error| warn!(%error, "certificate files can't be watched, so they are only polled"))
            .ok();
        Self { istio, told: BTreeMap::new(), doubted: BTreeSet::new(), watcher }
    }

    /// Reads everything that is wanted; what is new of it.
    fn look(&mut self, wanted: &BTreeSet<PemSource>) -> Vec<(PemSource, Option<SecretState>)> {
        let mut changes = Vec::new();
        let gone: Vec<PemSource> =
            self.told.keys().filter(|source| !wanted.contains(source)).cloned().collect();
        for source in gone {
            self.told.remove(&source);
            self.doubted.remove(&source);
            changes.push((source, None));
        }
        for source in wanted {
            self.watch_directories(source);
            let Some(state) = read(source, self.istio.as_ref()) else { continue };
            let told = self.told.get(source);
            if told == Some(&state) {
                self.doubted.remove(source);
                continue;
            }
            let worse = told.is_some_and(is_right) && !is_right(&state);
            if worse && self.doubted.insert(source.clone()) {
                continue;
            }
            self.doubted.remove(source);
            self.told.insert(source.clone(), state.clone());
            changes.push((source.clone(), Some(state)));
        }
        changes
    }

    /// Files are replaced rather than written, so their directories are watched, again and again:
    /// any may have come into being since.
    fn watch_directories(&mut self, source: &PemSource) {
        let Some(watcher) = &mut self.watcher else { return };
        let paths: Vec<&Path> = match source {
            PemSource::Files { certificates, key } => {
                let files = [Some(certificates), key.as_ref()].into_iter().flatten();
                files.filter_map(|file| Path::new(&**file).parent()).collect()
            }
            PemSource::Secret(key) => {
                let istio = self.istio.iter().filter(|istio| istio.secret == *key);
                istio.map(|istio| istio.directory.as_path()).collect()
            }
        };
        for path in paths {
            let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            if let Err(error) = watcher.watch(path, RecursiveMode::NonRecursive) {
                debug!(path = %path.display(), %error, "path can't be watched, so it is polled");
            }
        }
    }
}

/// Whether something can be used of it, and nothing is wrong.
fn is_right(state: &SecretState) -> bool {
    matches!(state, SecretState::Present(contents) if contents.certificate.is_ok())
}

fn read_files(certificates: &str, key: Option<&str>) -> SecretState {
    let read = || -> Result<SecretState, SecretState> {
        let chain = read_file(Path::new(certificates))?;
        let key = key.map(|path| Ok((path, read_file(Path::new(path))?))).transpose()?;
        let key = key.as_ref().map(|(path, bytes)| (*path, bytes.as_slice()));
        let contents = parse_pem_files((certificates, &chain), key);
        Ok(SecretState::Present(Arc::new(contents)))
    };
    read().unwrap_or_else(|state| state)
}

fn read_istio(directory: &Path) -> SecretState {
    let mut values = BTreeMap::new();
    for name in ISTIO {
        match read_file(&directory.join(name)) {
            Ok(bytes) => drop(values.insert(name, bytes)),
            Err(SecretState::Missing) => {}
            Err(state) => return state,
        }
    }
    match values.is_empty() {
        true => SecretState::Missing,
        false => SecretState::Present(Arc::new(parse_secret_values(&values))),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, SecretState> {
    let unreadable = |text: String| SecretState::Unreadable(text.into());
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(MAX_SECRET_BYTES).unwrap_or(u64::MAX);
        fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) if bytes.len() > MAX_SECRET_BYTES => Err(unreadable(format!(
            "{} is larger than {} MiB",
            path.display(),
            MAX_SECRET_BYTES >> 20
        ))),
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(SecretState::Missing),
        Err(error) => Err(unreadable(format!("{} can't be read: {error}", path.display()))),
    }
}

#[cfg(test)]
#[path = "pem_files_tests.rs"]
mod tests;
