//! A client that asks for little and reads what it gets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{PATIENCE, read_to_end};

/// What it got.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// What it asked for.
    pub(crate) served: AtomicU64,
    /// 503 with `retry-after`.
    pub(crate) put_off: AtomicU64,
    /// Anything else, the first in words.
    pub(crate) failed: AtomicU64,
    stop: AtomicBool,
}

/// The client at work.
#[derive(Debug)]
pub(crate) struct WellBehaved {
    tally: Arc<Tally>,
    task: JoinHandle<Option<String>>,
}

impl WellBehaved {
    /// Asks `/small` again and again, on a connection each time.
    pub(crate) fn start(address: SocketAddr) -> Self {
        let tally = Arc::new(Tally::default());
        let task = tokio::spawn(ask_on(address, Arc::clone(&tally)));
        Self { tally, task }
    }

    /// Waits until it has been served `count` times more.
    pub(crate) async fn wait_served(&self, count: u64) {
        let until = self.tally.served.load(Ordering::Relaxed) + count;
        let served = async {
            while self.tally.served.load(Ordering::Relaxed) < until {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, served).await.unwrap_or_else(|_| panic!("not served: {:?}", self.tally));
    }

    /// How often it was served and put off. Fails if anything else ever happened to it.
    pub(crate) async fn finish(self) -> (u64, u64) {
        self.tally.stop.store(true, Ordering::Relaxed);
        let first = self.task.await.expect("no panic");
        assert_eq!(self.tally.failed.load(Ordering::Relaxed), 0, "{:?}: {first:?}", self.tally);
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (of(&self.tally.served), of(&self.tally.put_off))
    }
}

async fn ask_on(address: SocketAddr, tally: Arc<Tally>) -> Option<String> {
    let mut first = None;
    while !tally.stop.load(Ordering::Relaxed) {
        let answer = timeout(PATIENCE, ask(address)).await;
        let text = answer.map_or_else(|_| "no answer".to_owned(), |got| got.unwrap_or_else(|e| e));
        let is_put_off = text.starts_with("HTTP/1.1 503") && text.contains("retry-after: 1\r\n");
        let count = match () {
            () if text.starts_with("HTTP/1.1 200") && text.ends_with("ok") => &tally.served,
            () if is_put_off => &tally.put_off,
            () => {
                first.get_or_insert(text);
                &tally.failed
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(20)).await;
    }
    first
}

async fn ask(address: SocketAddr) -> Result<String, String> {
    let mut stream = TcpStream::connect(address).await.map_err(|e| format!("connect: {e}"))?;
    let request = b"GET /small HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.map_err(|e| format!("write: {e}"))?;
    Ok(read_to_end(&mut stream).await)
}
