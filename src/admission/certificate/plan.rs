//! What to do next about the certificate: a pure function of what was seen.
//!
//! ```text
//! nothing usable ─► Issue ─► Trust ─► … two thirds of its life … ─► Stage ─► Trust both
//!                              ▲                                              │ settled
//!                              └────────── Trust new and old ◄── Promote ◄────┘
//! ```
//!
//! The API server trusts a certificate before any replica serves it, and goes on to trust the one
//! before while a replica may still serve that, so that no handshake fails on the way.

use std::time::{Duration, SystemTime};

use super::pair::{Pair, PairError, is_valid};
use super::stored::{Current, Stored, Trusted};

/// The times of a certificate.
#[derive(Debug, Clone, Copy)]
pub(in crate::admission) struct Times {
    /// How long a certificate is valid. It is replaced after two thirds of that.
    pub(in crate::admission) lifetime: Duration,
    /// How long the API server gets to follow a change of what it trusts, and replicas a change of
    /// what they serve.
    pub(in crate::admission) settle: Duration,
    /// How often to look whether it is time.
    pub(in crate::admission) check: Duration,
    /// The wall clock.
    pub(in crate::admission) now: fn() -> SystemTime,
}

impl Times {
    /// 90 days as public authorities have it; a month is left when the next one is made.
    pub(in crate::admission) const DEFAULT: Self = Self {
        lifetime: Duration::from_secs(90 * 86_400),
        settle: Duration::from_secs(60),
        check: Duration::from_secs(3600),
        now: SystemTime::now,
    };
}

/// What was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    /// The DNS name that the API server calls.
    pub(super) name: &'a str,
    /// The Secret; `None` if there is none.
    pub(super) secret: Option<&'a Stored>,
    /// The webhook configuration; `None` if there is none.
    pub(super) trusted: Option<&'a Trusted>,
    /// For how long the API server has been told to trust what it should.
    pub(super) settled: Option<Duration>,
    /// The wall clock.
    pub(super) now: SystemTime,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Make a certificate to be served at once.
    Issue(Reason),
    /// Make the certificate that comes next.
    Stage,
    /// Tell the API server to trust these, as PEM.
    Trust(String),
    /// Serve the certificate that comes next.
    Promote,
    /// Nothing for so long, unless something changes.
    Wait(Duration),
}

/// Why there is nothing to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reason {
    /// The Secret isn't there.
    Missing,
    /// The Secret is empty.
    Empty,
    /// What it holds can't be used.
    Unusable(PairError),
}

/// The next step, for a certificate that is ours to manage.
pub(super) fn plan(view: &View<'_>, times: &Times) -> Step {
    let Some(secret) = view.secret else { return Step::Issue(Reason::Missing) };
    let current = match &secret.current {
        Current::Empty => return Step::Issue(Reason::Empty),
        Current::Broken(error) => return Step::Issue(Reason::Unusable(error.clone())),
        Current::Pair(pair) => pair,
    };
    if let Err(error) = current.check(view.name, view.now, None) {
        return Step::Issue(Reason::Unusable(error));
    }
    let in_time = view.now + times.lifetime / 3;
    let next = match &secret.next {
        None => None,
        Some(Ok(next)) if next.check(view.name, in_time, None).is_ok() => Some(next),
        Some(_) => return Step::Stage,
    };
    let old = secret.old.as_deref().filter(|old| is_valid(old, view.name, view.now));
    let bundle = bundle(current, next, old);
    if view.trusted.is_some_and(|trusted| !trusted.is(&bundle)) {
        return Step::Trust(bundle);
    }
    if next.is_some() {
        // Where nothing calls the webhook there is nobody to wait for.
        let settled = if view.trusted.is_some() { view.settled } else { Some(times.settle) };
        return match times.settle.saturating_sub(settled.unwrap_or_default()) {
            Duration::ZERO => Step::Promote,
            left => Step::Wait(left),
        };
    }
    match current.check(view.name, in_time, None) {
        Ok(()) => Step::Wait(times.check),
        Err(_) => Step::Stage,
    }
}

/// Everything that the API server has to trust.
fn bundle(current: &Pair, next: Option<&Pair>, old: Option<&str>) -> String {
    let texts = [Some(&*current.certificate), next.map(|next| &*next.certificate), old];
    let mut bundle = String::new();
    for text in texts.into_iter().flatten() {
        bundle.push_str(text);
        if !text.ends_with('\n') {
            bundle.push('\n');
        }
    }
    bundle
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
