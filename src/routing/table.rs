//! The compiled, immutable table.

use std::cmp::Ordering;
use std::sync::Arc;

use http::{HeaderMap, Method};

use super::condition::{host_holds, residual_holds};
use super::host_index::HostIndex;
use super::precedence::Precedence;
use crate::model::config::{GatewayConfig, Leg, RouteGroup};
use crate::model::route::HostMatch;

/// What a request shows to the matchers.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The request's authority as it was sent: host and perhaps a port.
    pub host: &'a str,
    /// The canonical path.
    pub path: &'a str,
    /// The query as it was sent, without its question mark.
    pub query: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// One random number in 0..100 for the whole request, so that shares are exact.
    pub draw: u8,
}

/// The routes, compiled for matching. Immutable; a request sees one from beginning to end.
#[derive(Debug, Default)]
pub struct RouteTable {
    config: Arc<GatewayConfig>,
    hosts: HostIndex,
}

impl RouteTable {
    /// Compiles a configuration. `previous` lends what it has in common with it; the result
    /// answers as one compiled without it.
    pub fn compile(config: &Arc<GatewayConfig>, previous: &Self) -> Self {
        let (gone, new) = difference(&previous.config.groups, &config.groups);
        // Where most has changed, patching would cost more than beginning anew.
        let (mut hosts, gone, new) = match gone.len() + new.len() <= config.groups.len() / 4 {
            true => (previous.hosts.clone(), gone, new),
            false => (HostIndex::default(), vec![], config.groups.iter().collect()),
        };
        for group in gone {
            hosts.remove(group);
        }
        for group in new {
            hosts.insert(Precedence::of(group));
        }
        Self { config: Arc::clone(config), hosts }
    }

    /// What it was compiled from.
    pub fn config(&self) -> &Arc<GatewayConfig> {
        &self.config
    }

    /// The route that answers a request: of all groups whose match holds and whose shares leave
    /// the draw to one of their members, the one with the greatest [`Precedence`].
    pub fn find(&self, head: &RequestHead<'_>) -> Option<&Arc<Leg>> {
        self.find_in_group(head).map(|(_, leg)| leg)
    }

    /// The same with its group.
    pub fn find_in_group(&self, head: &RequestHead<'_>) -> Option<(&RouteGroup, &Arc<Leg>)> {
        let mut best: Option<&Precedence> = None;
        let accepts = |group: &RouteGroup| answers(group, head);
        self.hosts.visit(head.host, |paths| paths.search(head.path, &mut best, &accepts));
        let group = best?.group();
        Some((group, group.pick(head.draw)?))
    }
}

/// Whether a group that host and path have led to answers the request.
fn answers(group: &RouteGroup, head: &RequestHead<'_>) -> bool {
    let matches = group.matches();
    let host_regex_holds = match &matches.host {
        Some(host @ HostMatch::Regex(_)) => host_holds(host, head.host),
        _ => true,
    };
    host_regex_holds && residual_holds(matches, head) && group.pick(head.draw).is_some()
}

type Groups<'a> = Vec<&'a Arc<RouteGroup>>;

/// The groups that only the old list has, and those that only the new one has, by address: a
/// build lends what came out equal. Both lists are in the order of their groups' smallest keys.
fn difference<'a>(
    old: &'a [Arc<RouteGroup>],
    new: &'a [Arc<RouteGroup>],
) -> (Groups<'a>, Groups<'a>) {
    let (mut gone, mut come) = (vec![], vec![]);
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        match (old.peek(), new.peek()) {
            (Some(a), Some(b)) if Arc::ptr_eq(a, b) => {
                old.next();
                new.next();
            }
            (Some(a), Some(b)) => match a.smallest_key().cmp(b.smallest_key()) {
                Ordering::Less => gone.extend(old.next()),
                Ordering::Greater => come.extend(new.next()),
                Ordering::Equal => {
                    gone.extend(old.next());
                    come.extend(new.next());
                }
            },
            (Some(_), None) => gone.extend(old.next()),
            (None, Some(_)) => come.extend(new.next()),
            (None, None) => return (gone, come),
        }
    }
}
