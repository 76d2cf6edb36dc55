//! Deadlines without a timer a request: a worker looks over its requests every few milliseconds.
//!
//! A tokio timer is a lock, a place in a wheel and often a system call to wake the driver, for
//! each request; nearly all of them are cancelled. Here it is a slot in a vector.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::error::Failure;
use super::exchange::Exchange;

/// How often a worker looks: a timeout is late by at most this much.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// No deadline.
const NEVER: u64 = u64::MAX;

/// A worker's clock and its requests.
#[derive(Debug)]
pub(crate) struct Timers {
    epoch: Instant,
    now: Cell<u64>,
    entries: RefCell<Vec<Rc<Exchange>>>,
}

/// A request's part in it. Times are milliseconds since the worker's epoch.
#[derive(Debug)]
pub(crate) struct Timing {
    slot: Cell<Option<usize>>,
    deadline: Cell<u64>,
    // Whether the whole request has come.
    received: Cell<bool>,
    // Of one try, armed at the end of the request like the deadline.
    try_limit: Cell<Option<Duration>>,
    try_deadline: Cell<u64>,
    try_expired: Cell<bool>,
    idle: Cell<u64>,
    touched: Cell<u64>,
    expired: Cell<Option<Failure>>,
    waker: RefCell<Option<Waker>>,
}

impl Timing {
    /// No limits yet, except for `idle`.
    pub(crate) fn new(now: u64, idle: Option<Duration>) -> Self {
        Self {
            slot: Cell::new(None),
            deadline: Cell::new(NEVER),
            received: Cell::new(false),
            try_limit: Cell::new(None),
            try_deadline: Cell::new(NEVER),
            try_expired: Cell::new(false),
            idle: Cell::new(idle.map_or(NEVER, millis)),
            touched: Cell::new(now),
            expired: Cell::new(None),
            waker: RefCell::new(None),
        }
    }

    /// Sets the idle limit.
    pub(crate) fn set_idle(&self, limit: Option<Duration>) {
        self.idle.set(limit.map_or(NEVER, millis));
    }

    /// Lowers the idle limit to `limit`, if it isn't lower already.
    pub(crate) fn cap_idle(&self, limit: Duration) {
        self.idle.set(self.idle.get().min(millis(limit)));
    }

    /// The whole request has come: sets the deadline, counted from `now`.
    pub(crate) fn arm(&self, now: u64, limit: Option<Duration>) {
        self.deadline.set(limit.map_or(NEVER, |limit| now.saturating_add(millis(limit))));
        self.received.set(true);
        self.arm_try(now);
    }

    /// Begins one of several tries with a limit of its own; `armed` says that the request has
    /// ended, so that it counts from `now`.
    pub(crate) fn begin_try(&self, now: u64, limit: Option<Duration>, armed: bool) {
        self.try_expired.set(false);
        self.try_limit.set(limit);
        self.try_deadline.set(NEVER);
        if armed {
            self.arm_try(now);
        }
    }

    fn arm_try(&self, now: u64) {
        let limit = self.try_limit.get();
        self.try_deadline.set(limit.map_or(NEVER, |limit| now.saturating_add(millis(limit))));
    }

    /// A byte has moved.
    pub(crate) fn touch(&self, now: u64) {
        self.touched.set(now);
    }

    /// When a byte last moved.
    pub(crate) fn touched(&self) -> u64 {
        self.touched.get()
    }

    /// Why the request's time is over, if it is.
    pub(crate) fn expired(&self) -> Option<Failure> {
        let of_try = || self.try_expired.get().then_some(Failure::PerTryTimeout);
        self.expired.get().or_else(of_try)
    }

    /// Whom to wake when the time is over.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut slot = self.waker.borrow_mut();
        if !slot.as_ref().is_some_and(|old| old.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
    }

    /// Ends the request's time, for this reason.
    pub(crate) fn expire(&self, failure: Failure) {
        if self.expired.replace(Some(failure)).is_none() {
            self.wake();
        }
    }

    fn check(&self, now: u64) {
        let failure = if now >= self.deadline.get() {
            Failure::Timeout
        } else if now >= self.touched.get().saturating_add(self.idle.get()) {
            if self.received.get() { Failure::AnswerIdle } else { Failure::StreamIdle }
        } else {
            if now >= self.try_deadline.get() && !self.try_expired.replace(true) {
                self.wake();
            }
            return;
        };
        self.expire(failure);
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

impl Timers {
    /// A clock that starts at 0.
    pub(crate) fn new() -> Self {
        Self { epoch: Instant::now(), now: Cell::new(0), entries: RefCell::default() }
    }

    /// The time of the last tick or request: cheap, and never late by more than a tick.
    pub(crate) fn coarse(&self) -> u64 {
        self.now.get()
    }

    /// The time of `instant`; moves the coarse clock.
    pub(crate) fn at(&self, instant: Instant) -> u64 {
        let now = millis(instant.saturating_duration_since(self.epoch));
        self.now.set(now);
        now
    }

    /// Begins to watch a request, if it isn't watched already.
    pub(crate) fn insert(&self, exchange: &Rc<Exchange>) {
        if exchange.timing.slot.get().is_some() {
            return;
        }
        let mut entries = self.entries.borrow_mut();
        exchange.timing.slot.set(Some(entries.len()));
        entries.push(Rc::clone(exchange));
    }

    /// Ends watching a request.
    pub(crate) fn remove(&self, exchange: &Exchange) {
        let Some(slot) = exchange.timing.slot.take() else { return };
        let mut entries = self.entries.borrow_mut();
        entries.swap_remove(slot);
        if let Some(moved) = entries.get(slot) {
            moved.timing.slot.set(Some(slot));
        }
    }

    /// How many are watched.
    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// Looks at those that are watched.
    pub(crate) fn each(&self, look: impl FnMut(&Rc<Exchange>)) {
        self.entries.borrow().iter().for_each(look);
    }

    /// Wakes all.
    pub(crate) fn wake_all(&self) {
        for exchange in self.entries.borrow().iter() {
            exchange.timing.wake();
        }
    }

    /// Moves the clock and wakes those whose time is over.
    pub(crate) fn tick(&self) {
        let now = self.at(Instant::now());
        for exchange in self.entries.borrow().iter() {
            exchange.timing.check(now);
        }
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_first_is_told() {
        let timing = |idle| Timing::new(100, idle);
        for (deadline, idle, now, expected) in [
            (None, None, u64::MAX - 1, None),
            (Some(50), None, 149, None),
            (Some(50), None, 150, Some(Failure::Timeout)),
            (None, Some(30), 129, None),
            (None, Some(30), 130, Some(Failure::AnswerIdle)),
            (Some(50), Some(30), 150, Some(Failure::Timeout)),
        ] {
            let one = timing(idle.map(Duration::from_millis));
            one.arm(100, deadline.map(Duration::from_millis));
            one.check(now);
            assert_eq!(one.expired(), expected, "{deadline:?} {idle:?} {now}");
        }
    }

    #[test]
    fn a_try_ends_before_its_request() {
        let one = Timing::new(0, None);
        one.begin_try(0, Some(Duration::from_millis(30)), false);
        one.check(40);
        assert_eq!(one.expired(), None);
        one.arm(40, Some(Duration::from_millis(100)));
        one.check(70);
        assert_eq!(one.expired(), Some(Failure::PerTryTimeout));
        one.begin_try(80, Some(Duration::from_millis(100)), true);
        assert_eq!(one.expired(), None);
        one.check(140);
        assert_eq!(one.expired(), Some(Failure::Timeout));
    }

    #[test]
    fn a_byte_puts_idleness_off() {
        let one = Timing::new(0, Some(Duration::from_millis(30)));
        one.touch(20);
        one.check(40);
        assert_eq!(one.expired(), None);
        one.check(50);
        assert_eq!(one.expired(), Some(Failure::StreamIdle));
    }
}
