//! The run: who is due, which connection is free, and what it took.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::event::{Timespec, epoll};

use crate::connection::{Answer, Connection};
use crate::options::{Form, Options};

/// How long answers are waited for after the last request was due.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest wait for events, so that ends are noticed.
const LONGEST: Duration = Duration::from_millis(20);
const EVENTS: usize = 256;
/// Microseconds with three digits, up to a minute.
const GREATEST: u64 = 60_000_000;

/// Asks as the options say; the report as a line of JSON.
///
/// # Errors
/// Where the first connections can't be made, or events can't be waited for.
pub(crate) fn run(options: &Options) -> io::Result<String> {
    let mut load = Load::new(options)?;
    if options.form != Form::New {
        for _ in 0..options.connections {
            load.open()?;
        }
    }
    load.hold_rate()?;
    Ok(load.report())
}

struct Load<'a> {
    options: &'a Options,
    poll: OwnedFd,
    connections: HashMap<u64, Connection>,
    next_key: u64,
    /// Keys of those with room, each once for every request that it takes.
    free: VecDeque<u64>,
    /// When those were due that are not yet sent.
    queue: VecDeque<Instant>,
    counted_from: Instant,
    counts: Counts,
}

/// All times are microseconds.
struct Counts {
    asked: u64,
    unsettled: u64,
    right: u64,
    wrong: u64,
    broken: u64,
    latency: Histogram<u64>,
    /// From when a request was due to when this client noticed: where that is long, the client was
    /// late, not the server.
    late: Histogram<u64>,
}

impl<'a> Load<'a> {
    fn new(options: &'a Options) -> io::Result<Self> {
        let histogram = || Histogram::new_with_max(GREATEST, 3).map_err(io::Error::other);
        Ok(Self {
            options,
            poll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            connections: HashMap::new(),
            next_key: 0,
            free: VecDeque::new(),
            queue: VecDeque::new(),
            counted_from: Instant::now() + options.warm_up,
            counts: Counts {
                asked: 0,
                unsettled: 0,
                right: 0,
                wrong: 0,
                broken: 0,
                latency: histogram()?,
                late: histogram()?,
            },
        })
    }

    fn open(&mut self) -> io::Result<()> {
        let connection = Connection::open(self.options)?;
        let key = self.next_key;
        self.next_key += 1;
        // On the edge: one that can be written to would else be told again and again.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(&self.poll, connection.socket(), epoll::EventData::new_u64(key), flags)?;
        self.free.extend(std::iter::repeat_n(key, connection.room()));
        self.connections.insert(key, connection);
        Ok(())
    }

    fn hold_rate(&mut self) -> io::Result<()> {
        let start = Instant::now();
        self.counted_from = start + self.options.warm_up;
        let length = self.options.warm_up + self.options.length;
        let due = |number: u64| start + Duration::from_secs_f64(number as f64 / self.options.rate);
        let (mut next, end) = (0, start + length);
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            let now = Instant::now();
            while due(next) <= now && due(next) < end {
                self.ask(due(next));
                next += 1;
            }
            self.send_due();
            let all_asked = due(next) >= end;
            if all_asked && (self.counts.unsettled == 0 || now > end + PATIENCE) {
                return Ok(());
            }
            let wait = due(next).saturating_duration_since(Instant::now()).min(LONGEST);
            let wait = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
            events.clear();
            epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), Some(&wait))?;
            for event in &events {
                self.attend(event.data.u64())?;
            }
        }
    }

    fn ask(&mut self, due: Instant) {
        if due >= self.counted_from {
            self.counts.asked += 1;
            self.counts.late.saturating_record(microseconds(due));
        }
        self.counts.unsettled += 1;
        self.queue.push_back(due);
    }

    fn send_due(&mut self) {
        while let Some(due) = self.queue.pop_front() {
            if self.options.form == Form::New && self.connections.len() < self.options.connections {
                // Where none can be made, the request waits, and its latency tells.
                let _ = self.open();
            }
            let Some(key) = self.free.pop_front() else {
                self.queue.push_front(due);
                return;
            };
            let Some(connection) = self.connections.get_mut(&key) else {
                self.queue.push_front(due);
                continue;
            };
            let sent = connection.send(due);
            if sent.is_err() {
                self.end(key);
            }
        }
    }

    fn attend(&mut self, key: u64) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(&key) else { return Ok(()) };
        let before = connection.room();
        let mut done = Vec::new();
        let received = connection.flush().and_then(|()| connection.receive(&mut done));
        let freed = connection.room() - before;
        self.settle(&mut done);
        if received.is_err() {
            self.end(key);
            return if self.options.form == Form::New { Ok(()) } else { self.open() };
        }
        if self.options.form != Form::New {
            self.free.extend(std::iter::repeat_n(key, freed));
        }
        Ok(())
    }

    fn end(&mut self, key: u64) {
        if let Some(mut connection) = self.connections.remove(&key) {
            let mut done = Vec::new();
            connection.give_up(&mut done);
            self.settle(&mut done);
        }
        self.free.retain(|free| *free != key);
    }

    fn settle(&mut self, done: &mut Vec<(Instant, Answer)>) {
        for (due, answer) in mem::take(done) {
            self.counts.unsettled -= 1;
            if due < self.counted_from {
                continue;
            }
            self.counts.latency.saturating_record(microseconds(due));
            match answer {
                Answer::Right => self.counts.right += 1,
                Answer::Wrong => self.counts.wrong += 1,
                Answer::Broken => self.counts.broken += 1,
            }
        }
    }

    fn report(&self) -> String {
        let counts = &self.counts;
        let unanswered = counts.asked - counts.right - counts.wrong - counts.broken;
        let mut text = format!(
            "{{\"asked\": {}, \"right\": {}, \"wrong\": {}, \"broken\": {}, \"unanswered\": {unanswered}",
            counts.asked, counts.right, counts.wrong, counts.broken,
        );
        let percentiles = [("p50_us", 0.5), ("p90_us", 0.9), ("p99_us", 0.99), ("p999_us", 0.999)];
        for (name, quantile) in percentiles {
            let _ = write!(text, ", \"{name}\": {}", counts.latency.value_at_quantile(quantile));
        }
        let (greatest, late) = (counts.latency.max(), counts.late.value_at_quantile(0.99));
        let _ = write!(text, ", \"max_us\": {greatest}, \"late_p99_us\": {late}}}");
        text
    }
}

fn microseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(GREATEST)
}
