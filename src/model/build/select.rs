//! Which objects take part.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Candidate;
use crate::model::key::{Kind, ObjectKey, Origin};
use crate::model::object::{Content, Object};
use crate::model::report::{ShadowRule, Verdict};

/// Of these objects, which stand in key order with all that have a name together, those that speak
/// to the gateway `id`, with the verdicts that can be told of each without looking at other matches.
pub(super) fn select<'a>(
    objects: impl Iterator<Item = &'a Arc<Object>>,
    id: &str,
) -> Vec<Candidate<'a>> {
    let mut candidates: Vec<Candidate<'a>> = objects
        .filter(|object| object.selects(id))
        .map(|object| Candidate { object, verdict: own_verdict(object) })
        .collect();
    // Keys sort by kind, namespace and name before origin, so rivals for a name are neighbours.
    for rivals in candidates.chunk_by_mut(|a, b| same_name(&a.object.key, &b.object.key)) {
        if rivals.len() > 1 {
            shadow(rivals);
        }
    }
    candidates
}

fn own_verdict(object: &Object) -> Verdict {
    match &object.content {
        Content::Rejected | Content::Closed(_) => Verdict::Rejected,
        Content::Route(_)
        | Content::TcpRoute(_)
        | Content::Listener(_)
        | Content::Host(_)
        | Content::TlsContext(_)
        | Content::Defaults(_)
        | Content::Resolver(_) => Verdict::Accepted,
    }
}

/// Documents of unknown kinds are no rivals: their kinds may well differ.
fn same_name(a: &ObjectKey, b: &ObjectKey) -> bool {
    // No two resources have one name, which spares the texts of nearly all pairs.
    let rivals = a.origin != Origin::Resource || b.origin != Origin::Resource;
    rivals
        && a.kind != Kind::Unknown
        && (a.kind, &a.name, &a.namespace) == (b.kind, &b.name, &b.namespace)
}

/// Leaves one of several objects of a name standing. A rejected one still holds its name: were
/// the next to take over, a typing error would silently bring an old route back to life.
fn shadow(rivals: &mut [Candidate<'_>]) {
    let winner: Arc<Object> = rivals
        .iter()
        .map(|rival| rival.object)
        .min_by_key(|object| claim(object))
        .map(Arc::clone)
        .expect("there are several rivals");
    for rival in rivals.iter_mut().filter(|rival| rival.object.key != winner.key) {
        let rule = rule(&winner, rival.object);
        rival.verdict = Verdict::Shadowed { winner: Arc::clone(&winner.key), rule };
    }
}

/// How good an object's claim to its name is; the smallest wins. The order of the fields is
/// the order of the [`ShadowRule`]s.
fn claim(object: &Object) -> (Reverse<bool>, Reverse<bool>, i64, &ObjectKey) {
    (
        Reverse(!matches!(object.key.origin, Origin::Annotation { .. })),
        Reverse(in_own_namespace(&object.key)),
        object.created.unwrap_or(i64::MAX),
        &object.key,
    )
}

fn in_own_namespace(key: &ObjectKey) -> bool {
    match &key.origin {
        Origin::Annotation { carrier, .. } => carrier.namespace == key.namespace,
        Origin::BuiltIn | Origin::Resource | Origin::File { .. } => true,
    }
}

fn rule(winner: &Object, loser: &Object) -> ShadowRule {
    let (won, lost) = (claim(winner), claim(loser));
    if won.0 != lost.0 {
        ShadowRule::ResourceFirst
    } else if won.1 != lost.1 {
        ShadowRule::OwnNamespaceFirst
    } else if won.2 != lost.2 {
        ShadowRule::OlderFirst
    } else {
        ShadowRule::KeyOrder
    }
}

/// Whether `labels` hold what a selector asks for: all of it, or where selectors aren't strict any
/// of it. One that asks for nothing holds.
pub(super) fn labels_hold(
    selector: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
    strict: bool,
) -> bool {
    let holds = |(name, value): (&String, &String)| labels.get(name) == Some(value);
    match strict {
        true => selector.iter().all(holds),
        false => selector.is_empty() || selector.iter().any(holds),
    }
}
