//! The access log's way out: a bounded buffer a worker, one thread that writes them away.
//!
//! A worker never waits for the log: a reader that doesn't keep up costs lines, which are counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use super::exchange::Exchange;
use super::options::{AccessLogFormat, LogSink, ProxyOptions};

/// Bytes that may wait in one worker's buffer: some thousands of lines.
const CAPACITY: usize = 1024 * 1024;

/// How often the buffers are written away.
const PERIOD: Duration = Duration::from_millis(50);

type Buffer = Arc<Mutex<Vec<u8>>>;

/// The log of all workers.
#[derive(Debug)]
pub(crate) struct AccessLog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    buffers: Mutex<Vec<Buffer>>,
    drops: Arc<AtomicU64>,
    ended: AtomicBool,
}

/// One worker's part.
#[derive(Debug)]
pub(crate) struct WorkerLog {
    buffer: Buffer,
    drops: Arc<AtomicU64>,
}

impl WorkerLog {
    /// Writes an exchange's line, if there is room for it.
    pub(crate) fn write(&self, exchange: &Exchange, took: Duration) {
        let mut buffer = self.buffer.lock();
        if buffer.len() >= CAPACITY {
            self.drops.fetch_add(1, Ordering::Relaxed);
            return;
        }
        exchange.policy.log.write(&mut buffer, exchange, took);
    }
}

impl AccessLog {
    /// Starts the writer, if there is anything to write.
    pub(crate) fn start(options: &ProxyOptions) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            buffers: Mutex::default(),
            drops: Arc::default(),
            ended: AtomicBool::new(false),
        });
        let thread = if options.access_log == AccessLogFormat::Off {
            None
        } else {
            let (shared, sink) = (Arc::clone(&shared), options.access_log_sink.clone());
            let builder = std::thread::Builder::new().name("access-log".into());
            Some(builder.spawn(move || write_away(&shared, &sink))?)
        };
        Ok(Self { shared, thread })
    }

    /// A worker's part.
    pub(crate) fn worker(&self) -> WorkerLog {
        let buffer = Buffer::default();
        self.shared.buffers.lock().push(Arc::clone(&buffer));
        WorkerLog { buffer, drops: Arc::clone(&self.shared.drops) }
    }

    /// The counter of lines that were lost.
    pub(crate) fn drops(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shared.drops)
    }

    /// Writes away what there is, and ends.
    pub(crate) fn finish(mut self) {
        self.shared.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the access log's writer has panicked");
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
    }
}

fn write_away(shared: &Shared, sink: &LogSink) {
    let mut spare = Vec::new();
    let mut is_failing = false;
    loop {
        // Read before the buffers are: what was written before the end is not lost.
        let last = shared.ended.load(Ordering::Acquire);
        let buffers = shared.buffers.lock().clone();
        for buffer in buffers {
            std::mem::swap(&mut *buffer.lock(), &mut spare);
            if spare.is_empty() {
                continue;
            }
            let written = write(sink, &spare);
            if written.is_err() {
                shared.drops.fetch_add(count_lines(&spare), Ordering::Relaxed);
            }
            tell(&written, &mut is_failing);
            spare.clear();
        }
        if last {
            return;
        }
        std::thread::sleep(PERIOD);
    }
}

/// Tells a failure once, and when it is over: a full disk needs no more lines.
fn tell(written: &io::Result<()>, is_failing: &mut bool) {
    match (written, std::mem::replace(is_failing, written.is_err())) {
        (Err(error), false) => tracing::warn!(
            %error,
            "the access log can't be written; requests are served, their lines are lost and counted"
        ),
        (Ok(()), true) => tracing::info!("the access log is written again"),
        _ => {}
    }
}

fn count_lines(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn write(sink: &LogSink, lines: &[u8]) -> io::Result<()> {
    match sink {
        LogSink::Stdout => {
            let mut out = io::stdout().lock();
            out.write_all(lines)?;
            out.flush()
        }
        LogSink::Memory(memory) => memory.lock().write_all(lines),
    }
}
