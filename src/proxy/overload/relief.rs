//! What a worker does where there is too much: who gives way to others, and how.

use std::rc::Rc;
use std::time::Duration;

use super::room::{Room, has_room};
use super::step::Level;
use crate::proxy::connection::Conn;
use crate::proxy::connections::Which;
use crate::proxy::error::Failure;
use crate::proxy::exchange::Exchange;
use crate::proxy::options::Limits;
use crate::proxy::port::Port;
use crate::proxy::timer::millis;
use crate::proxy::worker::Worker;

/// Who has just come is let ask: a connection gives way after this time without a request, ms.
const LEAST_WAIT: u64 = 1000;
/// One that has been told to end, and still hasn't after this time of silence, is cut; ms.
const LAST_WAIT: u64 = 5000;
/// A client that has read nothing of its answer for this time doesn't want it, ms.
const STALLED: u64 = 2000;
/// Before memory is that short, it is let wait this much longer.
const PATIENT: u64 = 5;
/// A client is slow that has sent less than this of a body for each second of its request; bytes.
const LEAST_RATE: u64 = 1024;
/// Nobody is slow before this time, ms.
const GRACE: u64 = 5000;
/// Not all at once: only as many as it takes give way. At ten times a second.
const PART: usize = 16;
/// Where there is little room, only this part of the connections begins in a tick of the worker.
const AT_A_TICK: usize = 64;
/// How much shorter times to wait for a client are under pressure.
const HURRY: u32 = 5;

/// Whether a port of this worker may accept a connection now. Where it may not for want of places,
/// those that have waited longest are asked to leave.
pub(crate) fn may_accept(worker: &Worker, port: &Rc<Port>) -> bool {
    let overload = &worker.options.overload;
    if overload.level() >= Level::Holding {
        return false;
    }
    let most = (worker.options.limits.connections / worker.options.workers.max(1)).max(1);
    let begun = worker.connections.opened().wrapping_sub(worker.connections.opened_by_tick());
    if overload.is_near() && begun >= (most / AT_A_TICK).max(1) as u64 {
        return false;
    }
    // All that is kept for others is less than a quarter.
    if worker.connections.len() < most - most / 4 {
        return true;
    }
    let ports: Vec<Rc<Port>> =
        worker.ports.borrow().iter().filter_map(std::rc::Weak::upgrade).collect();
    let rooms = ports.iter().map(|one| Room { open: one.open.get(), asks: Rc::ptr_eq(one, port) });
    if has_room(most, rooms) {
        return true;
    }
    // The port with the most pays: a flood of one must not close the connections of another.
    if let Some(largest) = ports.iter().max_by_key(|one| one.open.get()) {
        give_way(worker, Which::Of(largest), most.div_ceil(PART));
    }
    false
}

/// Sheds what the level asks for. Called ten times a second.
pub(crate) fn shed(worker: &Worker, level: Level) {
    if level >= Level::Parting {
        let waiting = worker.connections.len();
        give_way(worker, Which::All, waiting.div_ceil(PART));
        worker.upstreams.close_idle();
    }
    // Memory that only slow clients hold would never come back: nobody else would be let in.
    if level >= Level::Holding {
        end_slow(worker);
        cut_stalled(worker, if level >= Level::Cutting { STALLED } else { STALLED * PATIENT });
    }
}

/// The times to wait for clients under pressure.
pub(crate) fn hurried(limits: &Limits) -> Limits {
    let shorter = |time: Duration| time / HURRY;
    Limits {
        header_timeout: shorter(limits.header_timeout),
        handshake_timeout: shorter(limits.handshake_timeout),
        first_byte_timeout: shorter(limits.first_byte_timeout),
        ..limits.clone()
    }
}

/// Up to `count` connections without a request end, the longest silent first.
fn give_way(worker: &Worker, which: Which<'_>, count: usize) {
    let now = worker.timers.coarse();
    let mut waiting: Vec<(u64, Rc<Conn>)> = Vec::new();
    worker.connections.each(which, |conn| {
        let since = conn.waiting_since();
        waiting.extend(
            since
                .filter(|since| now.saturating_sub(*since) >= LEAST_WAIT)
                .map(|since| (since, Rc::clone(conn))),
        );
    });
    for (since, conn) in least(&mut waiting, count) {
        conn.give_way(now.saturating_sub(*since) >= LAST_WAIT);
    }
}

/// Some of the requests whose upstream waits for a client that sends next to nothing are answered,
/// the slowest first.
fn end_slow(worker: &Worker) {
    let mut slow: Vec<(u64, Rc<Exchange>)> = Vec::new();
    worker.timers.each(|exchange| {
        let age = millis(exchange.started.elapsed());
        let rate = exchange.received.get().saturating_mul(1000) / age.max(1);
        if age >= GRACE && rate < LEAST_RATE && exchange.waits_for_client() {
            slow.push((rate, Rc::clone(exchange)));
        }
    });
    let count = slow.len().div_ceil(PART);
    for (_, exchange) in least(&mut slow, count) {
        exchange.conn.stats.cut_by_overload();
        exchange.timing.expire(Failure::SlowBody);
    }
}

/// Some of the clients that have an answer waiting, and have read nothing for `patience`
/// milliseconds, lose their connection.
fn cut_stalled(worker: &Worker, patience: u64) {
    let now = worker.timers.coarse();
    let mut stalled: Vec<(u64, Rc<Conn>)> = Vec::new();
    worker.timers.each(|exchange| {
        let touched = exchange.timing.touched();
        if exchange.offered.get() && now.saturating_sub(touched) >= patience {
            stalled.push((touched, Rc::clone(&exchange.conn)));
        }
    });
    let count = stalled.len().div_ceil(PART);
    for (_, conn) in least(&mut stalled, count) {
        conn.stats.cut_by_overload();
        conn.cut();
    }
}

/// The `count` with the least numbers, in any order.
fn least<T>(all: &mut [(u64, T)], count: usize) -> &[(u64, T)] {
    if count < all.len() {
        all.select_nth_unstable_by_key(count, |(number, _)| *number);
        return &all[..count];
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_are_first() {
        let mut all: Vec<(u64, ())> = [5, 1, 4, 2, 3].map(|since| (since, ())).into();
        let mut first: Vec<u64> = least(&mut all, 2).iter().map(|(number, ())| *number).collect();
        first.sort_unstable();
        assert_eq!(first, [1, 2]);
        assert_eq!(least(&mut all, 9).len(), 5);
        assert_eq!(least(&mut all, 0).len(), 0);
    }
}
