//! The compiled TLS of the published table, shared by all workers: a session that began on one is
//! resumed on any.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use rustls::ServerConfig;

use super::config::build_config;
use crate::model::listener::Listener;
use crate::model::tls::Termination;

/// What is spoken inside TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// HTTP: `h2` and `http/1.1` are offered where nothing else is written.
    Http,
    /// Bytes: nothing is offered that isn't written.
    Bytes,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct TlsConfigs {
    // By the certificate's fingerprint; few entries share one.
    entries: Mutex<HashMap<[u8; 32], Vec<Entry>>>,
    listeners: Mutex<Vec<Arc<Listener>>>,
}

#[derive(Debug)]
struct Entry {
    termination: Arc<Termination>,
    speaks: Speaks,
    /// `None` where it can't be served, which has been told.
    config: Option<Arc<ServerConfig>>,
}

impl Entry {
    fn is(&self, termination: &Arc<Termination>, speaks: Speaks) -> bool {
        self.speaks == speaks
            && (Arc::ptr_eq(&self.termination, termination) || self.termination == *termination)
    }
}

impl TlsConfigs {
    /// What rustls serves; compiled at its first use, unless [`TlsConfigs::follow`] was first.
    /// `None` where it can't be served, which is logged once.
    pub(crate) fn get(
        &self,
        termination: &Arc<Termination>,
        speaks: Speaks,
    ) -> Option<Arc<ServerConfig>> {
        let fingerprint = termination.certificate.fingerprint;
        let known = |entries: &HashMap<[u8; 32], Vec<Entry>>| {
            let list = entries.get(&fingerprint)?;
            list.iter().find(|entry| entry.is(termination, speaks)).map(|one| one.config.clone())
        };
        if let Some(config) = known(&self.entries.lock()) {
            return config;
        }
        // Without the lock: it takes a millisecond, and other workers go on.
        let config = compile(termination, speaks);
        let mut entries = self.entries.lock();
        // Another may have been faster: tickets of two would not fit together.
        if let Some(config) = known(&entries) {
            return config;
        }
        let entry = Entry { termination: Arc::clone(termination), speaks, config: config.clone() };
        entries.entry(fingerprint).or_default().push(entry);
        config
    }

    /// Compiles what a new table asks for, so that no client waits for it, and lets go of what it
    /// asks for no more.
    pub(crate) fn follow(&self, listeners: &[Arc<Listener>]) {
        let mut last = self.listeners.lock();
        if last.len() == listeners.len()
            && last.iter().zip(listeners).all(|(old, new)| Arc::ptr_eq(old, new))
        {
            return;
        }
        let wanted: Vec<_> = listeners.iter().flat_map(|one| terminations(one)).collect();
        for (termination, speaks) in &wanted {
            self.get(termination, *speaks);
        }
        let mut by_print: HashMap<[u8; 32], Vec<(&Arc<Termination>, Speaks)>> = HashMap::new();
        for (termination, speaks) in wanted {
            by_print
                .entry(termination.certificate.fingerprint)
                .or_default()
                .push((termination, speaks));
        }
        self.entries.lock().retain(|fingerprint, entries| {
            let wanted = by_print.get(fingerprint);
            entries.retain(|entry| {
                wanted.is_some_and(|list| list.iter().any(|(one, speaks)| entry.is(one, *speaks)))
            });
            !entries.is_empty()
        });
        *last = listeners.to_vec();
    }
}

/// All that a listener terminates.
fn terminations(listener: &Listener) -> impl Iterator<Item = (&Arc<Termination>, Speaks)> {
    let hosts = listener.hosts.iter().filter_map(|host| host.tls.as_ref());
    let groups = listener.tcp.iter().filter_map(|group| group.tls.as_ref());
    hosts.map(|tls| (tls, Speaks::Http)).chain(groups.map(|tls| (tls, Speaks::Bytes)))
}

fn compile(termination: &Termination, speaks: Speaks) -> Option<Arc<ServerConfig>> {
    match build_config(termination, speaks) {
        Ok(config) => Some(Arc::new(config)),
        Err(error) => {
            let names = &termination.certificate.names;
            tracing::error!(?names, %error, "TLS can't be served for these names");
            None
        }
    }
}
