//! Somebody who reads objects in all versions all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::support::Namespace;
use crate::support::kubectl::kubectl;

/// Reads until it is stopped.
pub(super) struct Reader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<(usize, Vec<String>)>>,
}

impl Reader {
    /// Reads the Mappings of a namespace, in one version after the other.
    pub(super) fn start(namespace: &Namespace) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, namespace) = (Arc::clone(&stop), namespace.name.clone());
        let thread = std::thread::spawn(move || {
            let (mut count, mut failures) = (0, Vec::new());
            while !stopped.load(Ordering::Relaxed) {
                for version in ["v1", "v2", "v3alpha1"] {
                    let path = format!(
                        "/apis/getambassador.io/{version}/namespaces/{namespace}/mappings/v2"
                    );
                    let read = kubectl(&["get", "--raw", &path]);
                    count += 1;
                    if !read.ok {
                        failures.push(format!("{version}: {}", read.stderr));
                    }
                }
            }
            (count, failures)
        });
        Self { stop, thread: Some(thread) }
    }

    /// Ends it; not one read may have failed.
    #[track_caller]
    pub(super) fn stop(mut self, during: &str) {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is taken here and in drop");
        let (count, failures) = thread.join().expect("it doesn't panic");
        println!("{during}: {} of {count} reads failed", failures.len());
        assert!(failures.is_empty(), "{failures:#?}");
        assert!(count > 30, "{count}");
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
