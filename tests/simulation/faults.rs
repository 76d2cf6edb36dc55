//! What goes wrong, decided by the seed alone.

use std::collections::BTreeSet;
use std::time::Duration;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done and answered.
    Answered,
    /// The API server refuses it with this code.
    Refused(u16),
    /// The connection breaks before it is done.
    Lost,
    /// It is done, and the connection breaks before the answer.
    AnswerLost,
}

/// What becomes of the next event of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchFate {
    Told,
    /// Told, and told again.
    Twice,
    /// The watch ends as if its time were over.
    Ended,
    /// Its connection breaks.
    Broken,
    /// The API server says that it must begin anew.
    Expired,
}

/// Decides each time anew.
#[derive(Debug)]
pub(crate) struct Faults {
    random: fastrand::Rng,
    active: bool,
    /// Replicas that can't reach the API server; their watches are silent, not ended.
    partitioned: BTreeSet<usize>,
    down: bool,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            active: true,
            partitioned: BTreeSet::new(),
            down: false,
        }
    }

    /// From now on everything works.
    pub(crate) fn end(&mut self) {
        self.active = false;
        self.partitioned.clear();
        self.down = false;
    }

    pub(crate) fn partition(&mut self, replica: usize, cut: bool) {
        match cut {
            true => drop(self.partitioned.insert(replica)),
            false => drop(self.partitioned.remove(&replica)),
        }
    }

    /// The API server as a whole.
    pub(crate) fn set_down(&mut self, down: bool) {
        self.down = down;
    }

    pub(crate) fn reaches(&self, replica: usize) -> bool {
        !self.partitioned.contains(&replica)
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down
    }

    /// How long a request is on its way, and what becomes of it.
    pub(crate) fn request(&mut self) -> (Duration, Fate) {
        if !self.active {
            return (Duration::from_millis(2), Fate::Answered);
        }
        let delay = match self.random.u32(0..100) {
            0..80 => self.random.u64(1..20),
            80..97 => self.random.u64(20..500),
            _ => self.random.u64(500..8000),
        };
        let fate = match self.random.u32(0..100) {
            0..90 => Fate::Answered,
            90 => Fate::Refused(500),
            91 => Fate::Refused(429),
            92 => Fate::Refused(503),
            93 => Fate::Refused(504),
            94..97 => Fate::Lost,
            _ => Fate::AnswerLost,
        };
        (Duration::from_millis(delay), fate)
    }

    /// The same of a watch's next event.
    pub(crate) fn event(&mut self) -> (Duration, WatchFate) {
        if !self.active {
            return (Duration::from_millis(1), WatchFate::Told);
        }
        let delay = match self.random.u32(0..100) {
            0..85 => self.random.u64(0..10),
            85..98 => self.random.u64(10..1000),
            _ => self.random.u64(1000..20_000),
        };
        let fate = match self.random.u32(0..100) {
            0..85 => WatchFate::Told,
            85..90 => WatchFate::Twice,
            90..93 => WatchFate::Ended,
            93..97 => WatchFate::Broken,
            _ => WatchFate::Expired,
        };
        (Duration::from_millis(delay), fate)
    }

    /// How many objects a page of a list may hold: fewer than were asked for is allowed.
    pub(crate) fn page(&mut self, asked: usize) -> usize {
        if self.active { self.random.usize(1..6) } else { asked }
    }
}
