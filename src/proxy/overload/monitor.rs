//! The thread that looks at the memory in use.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::memory::Use;
use super::state::Overload;
use super::step::{Level, plan_step, pressure};

/// How often it looks while there is room.
const PERIOD: Duration = Duration::from_millis(100);
/// And when there is little: what has been asked for already comes at the rate of the network.
const PERIOD_NEAR: Duration = Duration::from_millis(10);
/// From this part of the budget on there is little room; thousandths.
const NEAR: u64 = 600;

/// The running monitor, which ends with this value.
#[derive(Debug, Default)]
pub(crate) struct Monitor {
    stop: Arc<AtomicBool>,
}

impl Monitor {
    /// Starts it, in so far as there is a budget.
    ///
    /// # Errors
    ///
    /// The thread can't be started.
    pub(crate) fn start(overload: &Arc<Overload>) -> io::Result<Self> {
        let monitor = Self::default();
        if overload.budget().is_some() {
            let (stop, overload) = (Arc::clone(&monitor.stop), Arc::clone(overload));
            std::thread::Builder::new()
                .name("memory".into())
                .spawn(move || watch(&overload, &stop))?;
        }
        Ok(monitor)
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

fn watch(overload: &Overload, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        let pressure = look(overload);
        std::thread::sleep(if pressure < NEAR { PERIOD } else { PERIOD_NEAR });
    }
}

/// Looks once; returns the pressure.
fn look(overload: &Overload) -> u64 {
    let Some(now) = overload.budget().and_then(|budget| budget.read_use()) else { return 0 };
    let pressure = pressure(now.used, now.of);
    let before = overload.level();
    let level = plan_step(pressure, before);
    overload.tell(now, level, pressure >= NEAR);
    if level != before {
        log(now, level, before);
    }
    pressure
}

fn log(now: Use, level: Level, before: Level) {
    let (used, of) = (now.used, now.of);
    if level > before {
        tracing::warn!(shedding = level.as_str(), used, of, "little memory is left");
    } else {
        tracing::info!(shedding = level.as_str(), used, of, "there is more memory again");
    }
}
