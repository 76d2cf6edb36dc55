//! All that isn't a route: a handful of objects, on which thousands of routes depend.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::attach::Takers;
use super::environment::Environment;
use super::routes::Surroundings;
use super::secrets::{self, Secrets};
use super::{Build, Candidate, Kept, changes, hosts, lend, listeners, select, tcp};
use crate::model::listener::{Listener, VirtualHost};
use crate::model::snapshot::Snapshot;
use crate::model::written::PemSource;

/// What is made of the objects that aren't routes.
pub(super) struct Others<'a> {
    /// What routes depend on.
    pub(super) around: Surroundings,
    /// Whether that is what the previous build had.
    pub(super) same: bool,
    /// What is listened on.
    pub(super) listeners: Vec<Arc<Listener>>,
    /// The Hosts that are served or closed, in the order of their keys.
    pub(super) hosts: Vec<Arc<VirtualHost>>,
    /// The Secrets and files that they name.
    pub(super) wanted: Arc<BTreeSet<PemSource>>,
    /// Those of which there may be something else to say, in the order of their keys; `None` where
    /// nothing has changed.
    pub(super) candidates: Option<Vec<Candidate<'a>>>,
}

impl<'a> Others<'a> {
    /// What the previous build made, where nothing has changed.
    pub(super) fn lend(kept: &Kept, previous: &Build) -> Self {
        Self {
            around: kept.around.clone(),
            same: true,
            listeners: previous.config.listeners.clone(),
            hosts: kept.hosts.clone(),
            wanted: Arc::clone(&previous.wanted),
            candidates: None,
        }
    }

    /// Makes it anew. `previous` lends what came out equal.
    pub(super) fn build(snapshot: &'a Snapshot, previous: &Build) -> Self {
        let kept = previous.kept.as_deref();
        let id = &snapshot.defaults.ambassador_id;
        let mut candidates = select::select(changes::others(snapshot), id);
        let around = kept.map(|kept| &kept.around);
        let environment = Environment::build(snapshot, &mut candidates);
        let environment = lend(environment, around.map(|around| &around.environment));
        let wanted = secrets::wanted(snapshot, &candidates, &environment);
        let wanted = lend(wanted, Some(&previous.wanted));

        let secrets = Secrets::new(snapshot);
        let old = kept.map_or(&[][..], |kept| &kept.hosts);
        let hosts = hosts::build_hosts(&mut candidates, &environment, &secrets, old);
        let tcp = tcp::build_groups(&mut candidates, &hosts, &environment, &secrets);
        let old = &previous.config.listeners;
        let listeners = listeners::build_listeners(snapshot, &mut candidates, &hosts, tcp, old);
        let hosts = hosts.into_iter().map(|built| built.host).collect();

        let takers = Takers::new(&listeners, snapshot.defaults.strict_selectors);
        let takers = match around.filter(|around| takers.is_same(&around.takers)) {
            Some(around) => Arc::clone(&around.takers),
            None => Arc::new(takers),
        };
        let same = kept.is_some_and(|Kept { around, snapshot: before, .. }| {
            Arc::ptr_eq(&environment, &around.environment)
                && Arc::ptr_eq(&takers, &around.takers)
                && snapshot.defaults == before.defaults
        });
        let around = Surroundings { environment, takers };
        Self { around, same, listeners, hosts, wanted, candidates: Some(candidates) }
    }
}
