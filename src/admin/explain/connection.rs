//! Who takes a connection before a request is read: the server name of TLS, and TCPMappings.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Answer, Effect, Question, Served};
use crate::admin::certificate::{self, CertificateFacts};
use crate::admin::describe;
use crate::admin::values::{self, Asked, Effective};
use crate::model::build::TlsOrigin;
use crate::model::listener::{TcpGroup, TcpLeg, VirtualHost};
use crate::model::object::Content;
use crate::model::policy::Priority;
use crate::model::route::HostMatch;
use crate::model::tls::Termination;
use crate::model::written::TcpRoute;
use crate::routing::ListenerTable;

/// Who answers the greeting of TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsAnswer {
    /// The name that is asked for; `None` of a client that asks for none.
    pub server_name: Option<String>,
    /// Who takes it, and by what rule, in words. Empty: the connection is refused.
    pub taken_by: String,
    /// Why, in words.
    pub why: String,
    /// The certificate that is shown; `None` where TLS is refused, or passed on unread.
    pub certificate: Option<CertificateFacts>,
    /// What is asked of the client, and offered.
    pub values: Vec<Effective>,
}

/// Who takes a connection that begins with TLS: TCPMappings first, as the proxy has it.
pub(super) fn tls_answer(
    served: &Served<'_>,
    listener: &ListenerTable,
    question: &Question,
) -> TlsAnswer {
    let name = question.server_name.as_deref();
    let refused = |why: &str| TlsAnswer {
        server_name: question.server_name.clone(),
        taken_by: String::new(),
        why: why.to_owned(),
        certificate: None,
        values: Vec::new(),
    };
    if let Some(group) = listener.tcp_by_sni(name) {
        return of_group(served, listener, group, refused(rule(group.sni.as_ref(), name)));
    }
    if !listener.spec().stack.tls {
        return refused("the Listener of this port speaks no TLS");
    }
    match listener.host_by_sni(name) {
        Some(host) => of_host(served, host, refused(rule(Some(&host.name), name))),
        None if name.is_none() => {
            refused("no name is asked for, and no Host of every name has TLS")
        }
        None => refused("no Host that fits this name has TLS here"),
    }
}

/// By what rule a name was chosen. The most specific one is.
fn rule(chosen: Option<&HostMatch>, asked: Option<&str>) -> &'static str {
    match (chosen, asked) {
        (None, _) => "it takes every connection of the port that no name is found for",
        (Some(HostMatch::Exact(_)), _) => "this very name",
        (Some(HostMatch::Suffix(_)), _) => {
            "the longest ending of the name, where nobody has all of it"
        }
        (Some(HostMatch::Prefix(_)), _) => {
            "the longest beginning of the name, where nobody has all of it or its ending"
        }
        (Some(HostMatch::Any | HostMatch::Regex(_)), Some(_)) => {
            "every name, where nobody has a part of it"
        }
        (Some(HostMatch::Any | HostMatch::Regex(_)), None) => "every name, where none is asked for",
    }
}

fn of_host(served: &Served<'_>, host: &VirtualHost, found: TlsAnswer) -> TlsAnswer {
    let Some(termination) = &host.tls else { return found };
    let object = match &host.key {
        Some(key) => describe::object(key),
        None => "the host that is there while there is no Host".to_owned(),
    };
    let taken_by = format!("{object}, {}", describe::host(&host.name));
    let protocols = values::HTTP_PROTOCOLS;
    let origin = origin(served, host);
    ended(
        served,
        (termination, origin.as_ref()),
        &object,
        protocols,
        TlsAnswer { taken_by, ..found },
    )
}

fn of_group(
    served: &Served<'_>,
    listener: &ListenerTable,
    group: &TcpGroup,
    found: TlsAnswer,
) -> TlsAnswer {
    let objects: Vec<String> = group.legs.iter().map(|leg| describe::object(&leg.key)).collect();
    let taken_by = objects.join(", ");
    let Some(termination) = &group.tls else {
        let why = format!("{}; its bytes are passed on unread", found.why);
        return TlsAnswer { taken_by, why, ..found };
    };
    // A TCPMapping's TLS is ended as the Host of its name does it.
    let same = |host: &&Arc<VirtualHost>| {
        host.tls.as_ref().is_some_and(|tls| Arc::ptr_eq(tls, termination))
    };
    let host = listener.spec().hosts.iter().find(same).map(|host| &**host);
    let object =
        host.and_then(|host| host.key.as_deref()).map_or(taken_by.clone(), describe::object);
    let listed = || match &group.sni {
        Some(HostMatch::Exact(name)) => served.build.tls_of_name(name),
        _ => None,
    };
    let origin = host.map_or_else(listed, |host| origin(served, host));
    ended(served, (termination, origin.as_ref()), &object, &[], TlsAnswer { taken_by, ..found })
}

/// The same with what is shown and asked.
fn ended(
    served: &Served<'_>,
    (termination, origin): (&Termination, Option<&TlsOrigin<'_>>),
    object: &str,
    protocols: &[&str],
    found: TlsAnswer,
) -> TlsAnswer {
    let source = origin.and_then(|origin| origin.certificate.as_ref());
    let source = source.map(ToString::to_string).unwrap_or_default();
    let facts = certificate::facts(&termination.certificate, source, served.now);
    let values = values::of_termination(termination, origin, object, protocols);
    TlsAnswer { certificate: Some(facts), values, ..found }
}

/// Where the TLS of a Host was written.
fn origin<'a>(served: &Served<'a>, host: &VirtualHost) -> Option<TlsOrigin<'a>> {
    let key = host.key.as_deref()?;
    let build = served.build;
    match &build.object(key)?.content {
        Content::Host(spec) => Some(build.tls_of_host(key, spec)),
        _ => None,
    }
}

/// Where the connection goes.
pub(super) fn answers(
    served: &Served<'_>,
    listener: &ListenerTable,
    question: &Question,
) -> Vec<Answer> {
    let group = match question.is_secure() {
        true => listener.tcp_by_sni(question.server_name.as_deref()),
        false => listener.spec().tcp.iter().find(|group| group.sni.is_none()),
    };
    let legs = group.map(|group| group.legs.as_slice()).unwrap_or_default();
    legs.iter().map(|leg| answer(served, leg)).collect()
}

fn answer(served: &Served<'_>, leg: &TcpLeg) -> Answer {
    let written = served.build.object(&leg.key).and_then(|object| match &object.content {
        Content::TcpRoute(written) => Some(&**written),
        _ => None,
    });
    Answer {
        percent: leg.share.percent(),
        object: describe::object(&leg.key),
        origin: describe::origin(&leg.key.origin),
        action: Effect::Connect {
            service: leg.cluster.service.to_string(),
            cluster: leg.cluster.name.to_string(),
            upstream: describe::upstream(&leg.cluster.upstream),
        },
        copies: None,
        values: written.map(|written| of_leg(served, leg, written)).unwrap_or_default(),
    }
}

fn of_leg(served: &Served<'_>, leg: &TcpLeg, written: &TcpRoute) -> Vec<Effective> {
    let origins = served.origins();
    let priority = Priority::Default;
    let asked = Asked { key: &leg.key, cluster: &leg.cluster, spec: &written.upstream, priority };
    let mut values = values::of_connections(leg, written, &origins);
    values.extend(values::of_upstream(&asked, &origins));
    values
}
