//! Limits that follow from the memory there is. Pure.
//!
//! The shares of the budget, whose sum is the whole:
//!
//! | for | share | one takes |
//! |---|---|---|
//! | clients' connections at rest | 5/16 | [`CONNECTION`] |
//! | requests upstream | 5/16 | [`REQUEST`] |
//! | counters of clusters, and their text while it is read | 2/16 | [`SERIES`] |
//! | the process itself, its routes, and room to be calm in | 4/16 | |
//!
//! So a gateway at all its limits is just below the first step of shedding: who holds every place
//! keeps nobody from being accepted, and told to come back.
//!
//! They are sizes as a rule, not at worst: what a client makes larger, or a configuration that
//! needs more, is what the steps of shedding are for.

use crate::proxy::options::Limits;

/// Bytes of a client's connection at rest: its task and buffers, and the kernel's.
pub(super) const CONNECTION: u64 = 14 * 1024;
/// Bytes of a request that is upstream: its state, the upstream's connection, a buffer each way.
pub(super) const REQUEST: u64 = 24 * 1024;
/// Bytes of a cluster's counters: those of a few workers, and what they are in Prometheus' text.
pub(super) const SERIES: u64 = 8 * 1024;

/// The budget in sixteenths.
const SHARES: u64 = 16;
const OF_CONNECTIONS: u64 = 5;
const OF_REQUESTS: u64 = 5;
const OF_SERIES: u64 = 2;

/// So little that a gateway of any size has it.
const LEAST: u64 = 16;
/// Files that are neither a client's connection nor an upstream's: logs, ports, the API server.
const OTHER_FILES: u64 = 256;
/// One connection of HTTP/2 may take this part of the requests.
const PART_OF_STREAMS: u64 = 16;
/// The least window of HTTP/2 that lets an upload run: RFC 9113's first.
const LEAST_WINDOW: u64 = 64 * 1024;
/// The least buffer that is worth its system calls.
const LEAST_BUFFER: u64 = 32 * 1024;

/// What users set themselves; `None` follows from the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// The budget, bytes.
    pub budget: Option<u64>,
    /// Clients' connections of the process.
    pub connections: Option<u64>,
    /// Requests of the process that are upstream.
    pub requests: Option<u64>,
}

impl Asked {
    /// The same for the proxy where no budget says more.
    pub fn apply(&self, limits: &mut Limits) {
        let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        limits.connections = self.connections.map_or(limits.connections, number);
        limits.requests = self.requests.map_or(limits.requests, number);
    }
}

/// Where the budget comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetSource {
    /// It was set (`--memory-budget`).
    Setting,
    /// The container's limit, as its cgroup says it.
    Cgroup,
}

impl BudgetSource {
    /// A word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Setting => "setting",
            Self::Cgroup => "cgroup",
        }
    }
}

/// Where a limit comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitSource {
    /// It was set.
    Setting,
    /// The memory budget.
    Budget,
    /// The files that the process may open (`ulimit -n`).
    Files,
    /// More would be no use, or no good, whatever the memory.
    Default,
}

impl LimitSource {
    /// A word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Setting => "setting",
            Self::Budget => "memory budget",
            Self::Files => "open files",
            Self::Default => "default",
        }
    }
}

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Its name in the diagnostics.
    pub name: &'static str,
    /// How much.
    pub value: u64,
    /// Where that comes from.
    pub source: LimitSource,
}

/// All limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// Clients' connections, all workers'.
    pub connections: Limit,
    /// Requests that are upstream, all workers'.
    pub requests: Limit,
    /// Streams of one HTTP/2 connection, unless its Listener says otherwise.
    pub streams: Limit,
    /// Bytes that a client may send ahead of its upstream, on a connection of HTTP/2.
    pub window: Limit,
    /// Bytes of one answer that wait for its reader, in each buffer on the way.
    pub buffer: Limit,
    /// Clusters that are counted one by one.
    pub series: Limit,
}

impl Planned {
    /// All of them, in the order in which people read them.
    pub fn all(&self) -> [Limit; 6] {
        [self.connections, self.requests, self.streams, self.window, self.buffer, self.series]
    }

    /// The same for the proxy.
    pub fn apply(&self, limits: &mut Limits) {
        let number = |limit: Limit| usize::try_from(limit.value).unwrap_or(usize::MAX);
        let small = |limit: Limit| u32::try_from(limit.value).unwrap_or(u32::MAX);
        limits.connections = number(self.connections);
        limits.requests = number(self.requests);
        limits.h2_streams = small(self.streams);
        limits.h2_window = small(self.window);
        limits.buffer = number(self.buffer);
        limits.series = number(self.series);
    }
}

/// The limits of a gateway with `budget` bytes, which may open `files` files. What is asked for
/// counts, also where it is more than there is room for.
pub fn plan_limits(budget: u64, files: u64, asked: Asked) -> Planned {
    let most = Limits::default();
    let share = |sixteenths: u64, size: u64| budget / SHARES * sixteenths / size;
    // Most connections of a quiet gateway have no request upstream: three in four files are theirs.
    let files = files.saturating_sub(OTHER_FILES);
    let connections =
        count("connections", asked.connections, share(OF_CONNECTIONS, CONNECTION), files / 4 * 3);
    let requests = count("requests", asked.requests, share(OF_REQUESTS, REQUEST), files / 4);
    let streams = requests.value / PART_OF_STREAMS;
    Planned {
        connections,
        requests,
        streams: within("http2_streams", streams, (LEAST, u64::from(most.h2_streams))),
        window: within(
            "http2_window_bytes",
            budget / 256,
            (LEAST_WINDOW, u64::from(most.h2_window)),
        ),
        buffer: within("buffer_bytes", budget / 4096, (LEAST_BUFFER, most.buffer as u64)),
        series: within("cluster_label_sets", share(OF_SERIES, SERIES), (LEAST, most.series as u64)),
    }
}

/// How many of something that takes memory and files.
fn count(name: &'static str, asked: Option<u64>, by_memory: u64, by_files: u64) -> Limit {
    let (value, source) = match asked {
        Some(value) => (value, LimitSource::Setting),
        None if by_memory <= by_files => (by_memory.max(LEAST), LimitSource::Budget),
        None => (by_files.max(LEAST), LimitSource::Files),
    };
    Limit { name, value, source }
}

/// What follows from the budget, between the least and the most.
fn within(name: &'static str, value: u64, (least, most): (u64, u64)) -> Limit {
    let bounded = value.clamp(least, most);
    let source = if bounded == value { LimitSource::Budget } else { LimitSource::Default };
    Limit { name, value: bounded, source }
}
