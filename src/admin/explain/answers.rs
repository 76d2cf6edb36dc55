//! What answers: one route or several by weight, each with what becomes of the request and every
//! value that has a say in it.

use std::collections::BTreeSet;

use super::{Answer, Copies, Effect, Question, Served};
use crate::admin::describe;
use crate::admin::values::{self, Asked, Effective};
use crate::model::config::Leg;
use crate::model::policy::Priority;
use crate::model::route::{Action, Probe};
use crate::routing::{
    Considered, Found, HostTable, ListenerTable, https_location, redirect_location, rewrite_path,
};

/// Asks the table once for every range of draws that its weights tell apart.
pub(super) fn answers(
    served: &Served<'_>,
    (listener, host): (&ListenerTable, &HostTable),
    question: &Question,
    considered: &[Considered],
) -> Vec<Answer> {
    let mut borders = BTreeSet::from([0, 100]);
    for leg in considered.iter().flat_map(|considered| &considered.group.legs) {
        borders.extend([leg.share.from.min(100), leg.share.to.min(100)]);
    }
    let borders: Vec<u8> = borders.into_iter().collect();
    let mut answers: Vec<Answer> = Vec::new();
    for range in borders.windows(2) {
        let head = question.head(range[0]);
        let found = match served.table.find(listener, host, question.is_secure(), &head) {
            Found::Route(leg) => answer_of(leg, question, served),
            Found::RedirectToHttps => Some(answer_to_https(host, question)),
            Found::NoRoute => None,
        };
        let Some(found) = found else { continue };
        let percent = range[1] - range[0];
        match answers.iter_mut().find(|known| known.object == found.object) {
            Some(known) => known.percent += percent,
            None => answers.push(Answer { percent, ..found }),
        }
    }
    answers
}

fn answer_of(leg: &Leg, question: &Question, served: &Served<'_>) -> Option<Answer> {
    let mut values = values::of_route(leg, &served.origins());
    values.extend(of_upstream(leg, served));
    Some(Answer {
        percent: 0,
        object: describe::object(&leg.key),
        origin: describe::origin(&leg.key.origin),
        action: effect(leg, question)?,
        copies: leg.mirror.as_ref().and_then(|mirror| copies(mirror, served)),
        values,
    })
}

/// What is asked of the upstream that requests, or their copies, go to.
fn of_upstream(leg: &Leg, served: &Served<'_>) -> Vec<Effective> {
    let spec = leg.written.as_ref().and_then(|written| written.action.cluster());
    let (Some(cluster), Some(spec)) = (leg.route.action.cluster(), spec) else {
        return Vec::new();
    };
    let priority = leg.route.policy.priority.unwrap_or(Priority::Default);
    let asked = Asked { key: &leg.key, cluster, spec, priority };
    values::of_upstream(&asked, &served.origins())
}

/// Who gets copies of the requests.
fn copies(mirror: &Leg, served: &Served<'_>) -> Option<Copies> {
    let cluster = mirror.route.action.cluster()?;
    Some(Copies {
        percent: mirror.share.percent(),
        object: describe::object(&mirror.key),
        origin: describe::origin(&mirror.key.origin),
        service: cluster.service.to_string(),
        cluster: cluster.name.to_string(),
        upstream: describe::upstream(&cluster.upstream),
        values: of_upstream(mirror, served),
    })
}

fn answer_to_https(host: &HostTable, question: &Question) -> Answer {
    let key = host.hosts().find_map(|host| host.key.as_deref());
    Answer {
        percent: 0,
        object: key.map(describe::object).unwrap_or_default(),
        origin: key.map(|key| describe::origin(&key.origin)).unwrap_or_default(),
        action: Effect::Redirect {
            status: 301,
            location: https_location(&question.host, &question.with_query(&question.path)),
        },
        copies: None,
        values: Vec::new(),
    }
}

/// What a route does with the request; a mirror does nothing for who asks.
fn effect(leg: &Leg, question: &Question) -> Option<Effect> {
    let route = &leg.route;
    Some(match &route.action {
        Action::Forward(forward) => {
            let path = rewrite_path(forward, &route.matches.path, &question.path);
            let path = question.with_query(path.as_deref().unwrap_or(&question.path));
            let upstream = &forward.cluster.upstream;
            Effect::Forward {
                service: forward.cluster.service.to_string(),
                cluster: forward.cluster.name.to_string(),
                upstream: describe::upstream(upstream),
                request_line: format!("{} {path}", question.method),
                host: describe::upstream_host(&forward.host, &question.host, upstream),
                request_headers: describe::header_edits(&route.request_headers),
                response_headers: describe::header_edits(&route.response_headers),
                timeout_ms: route
                    .policy
                    .timeout()
                    .map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
            }
        }
        Action::Redirect(redirect) => Effect::Redirect {
            status: redirect.status.as_u16(),
            location: redirect_location(
                redirect,
                &route.matches.path,
                &question.scheme,
                &question.path,
                question.query.as_deref(),
            ),
        },
        Action::Mirror(_) => return None,
        Action::Probe(Probe::Alive) => Effect::Probe { of: "alive".to_owned() },
        Action::Probe(Probe::Ready) => Effect::Probe { of: "ready".to_owned() },
    })
}
