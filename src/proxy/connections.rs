//! A worker's connections, so that none is forgotten: deadlines, the drain, the count.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use super::connection::Conn;
use super::options::Limits;
use super::overload::Level;
use super::port::Port;

/// How many are asked to rest at a time: less than a millisecond of their work.
const MAX_TIRED: usize = 500;

/// A worker's connections.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    entries: RefCell<Vec<Rc<Conn>>>,
    /// All are to end, also those that are still to come.
    draining: Cell<bool>,
    /// How much is shed.
    level: Cell<Level>,
    /// How many there have been.
    opened: Cell<u64>,
    /// How many there had been at the last tick.
    opened_by_tick: Cell<u64>,
    /// Those in the middle of a handshake, the oldest first.
    handshakes: RefCell<VecDeque<Rc<Conn>>>,
}

/// Which connections are meant.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which<'a> {
    /// All.
    All,
    /// Those that came by one port.
    Of(&'a Rc<Port>),
}

impl Which<'_> {
    fn holds(self, conn: &Conn) -> bool {
        match self {
            Self::All => true,
            Self::Of(port) => Rc::ptr_eq(port, &conn.port),
        }
    }
}

impl Connections {
    /// How many there are.
    pub(crate) fn count(&self, which: Which<'_>) -> usize {
        self.entries.borrow().iter().filter(|conn| which.holds(conn)).count()
    }

    /// How many there have been.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.get()
    }

    /// Whether all are to end.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// How much is shed.
    pub(crate) fn level(&self) -> Level {
        self.level.get()
    }

    /// How many there had been at the last tick.
    pub(crate) fn opened_by_tick(&self) -> u64 {
        self.opened_by_tick.get()
    }

    /// A tick: from here on this much is shed.
    pub(crate) fn tick(&self, level: Level) {
        self.opened_by_tick.set(self.opened.get());
        self.level.set(level);
    }

    /// Looks at them.
    pub(crate) fn each(&self, which: Which<'_>, look: impl FnMut(&Rc<Conn>)) {
        self.entries.borrow().iter().filter(|conn| which.holds(conn)).for_each(look);
    }

    /// How many there are in all.
    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// Takes one in.
    pub(crate) fn insert(&self, conn: &Rc<Conn>) {
        self.opened.set(self.opened.get().wrapping_add(1));
        let mut entries = self.entries.borrow_mut();
        conn.slot.set(Some(entries.len()));
        entries.push(Rc::clone(conn));
    }

    /// Puts `new` in the place of `old`: the same connection, of which more is known.
    pub(crate) fn replace(&self, old: &Conn, new: &Rc<Conn>) {
        let Some(slot) = old.slot.take() else { return };
        new.slot.set(Some(slot));
        if let Some(entry) = self.entries.borrow_mut().get_mut(slot) {
            *entry = Rc::clone(new);
        }
    }

    /// Takes one out.
    pub(crate) fn remove(&self, conn: &Conn) {
        let Some(slot) = conn.slot.take() else { return };
        let mut entries = self.entries.borrow_mut();
        entries.swap_remove(slot);
        if let Some(moved) = entries.get(slot) {
            moved.slot.set(Some(slot));
        }
    }

    /// A handshake begins. Where there are too many at a time the oldest gives way: those who mean
    /// it are done in a few round trips, those who hold places are not.
    pub(crate) fn begin_handshake(&self, conn: &Rc<Conn>, limits: &Limits) {
        let mut handshakes = self.handshakes.borrow_mut();
        handshakes.push_back(Rc::clone(conn));
        if handshakes.len() > limits.handshakes.max(1)
            && let Some(oldest) = handshakes.pop_front()
        {
            oldest.cut();
        }
    }

    /// A handshake has ended, well or not.
    pub(crate) fn end_handshake(&self, conn: &Rc<Conn>) {
        let mut handshakes = self.handshakes.borrow_mut();
        if let Some(at) = handshakes.iter().position(|one| Rc::ptr_eq(one, conn)) {
            handshakes.remove(at);
        }
    }

    /// Closes those that have been waiting for too long; `idle` is the limit without a request.
    pub(crate) fn sweep(&self, now: u64, limits: &Limits, idle: Option<Duration>) {
        for conn in self.entries.borrow().iter().filter(|conn| conn.overdue(now, limits, idle)) {
            conn.cut_overdue();
        }
    }

    /// Lets those rest that have been idle for so long: not all at a time, since each takes a
    /// moment that others wait.
    pub(crate) fn tire(&self, now: u64, rest_after: Duration) {
        let entries = self.entries.borrow();
        let asked = entries.iter().filter(|conn| conn.tire(now, rest_after));
        asked.take(MAX_TIRED).for_each(drop);
    }

    /// Closes those that are left.
    pub(crate) fn cut(&self, which: Which<'_>) {
        for conn in self.entries.borrow().iter().filter(|conn| which.holds(conn)) {
            conn.cut();
        }
    }

    /// How many requests are in flight.
    pub(crate) fn in_flight(&self) -> u32 {
        self.entries.borrow().iter().map(|conn| conn.requests_in_flight()).sum()
    }

    /// Ends each after its requests in flight: GOAWAY, or `connection: close` with the next
    /// answer, since the next request may be on its way. Those of HTTP/1.1 that have been waiting
    /// for a request since before `silent_since` end at once.
    pub(crate) fn drain(&self, which: Which<'_>, silent_since: u64) {
        match which {
            Which::All => self.draining.set(true),
            Which::Of(port) => port.draining.set(true),
        }
        for conn in self.entries.borrow().iter().filter(|conn| which.holds(conn)) {
            conn.drain(silent_since);
        }
    }
}
