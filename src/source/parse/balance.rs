//! `load_balancer`.

use std::time::Duration;

use http::HeaderName;

use crate::model::object::Severity;
use crate::model::policy::{Affinity, BalanceMethod, HashSource, LoadBalancer};

use super::cluster::complain_of_unknown;
use super::duration::duration_of;
use super::fields::{Field, Fields, Problems};

/// The `load_balancer` of a Mapping, or of the Module. One that can't be followed is left out, so
/// that endpoints take turns.
pub(super) fn parse_load_balancer(
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> Option<LoadBalancer> {
    let field = fields.get("load_balancer").filter(|field| !field.node.is_neutral())?;
    let entries = field.entries(Severity::Warning, problems);
    if entries.is_empty() {
        return None;
    }
    complain_of_unknown(&entries, &["policy", "cookie", "header", "source_ip"], problems);
    let Some(policy) = field.child("policy") else {
        let message = "needs policy: round_robin, least_request, ring_hash or maglev";
        problems.add(Severity::Warning, &field, message);
        return None;
    };
    let method = match policy.text(Severity::Warning, problems)? {
        "round_robin" => BalanceMethod::RoundRobin,
        "least_request" => BalanceMethod::LeastRequest,
        "ring_hash" => BalanceMethod::RingHash,
        "maglev" => BalanceMethod::Maglev,
        other => {
            let message = format!(
                "\"{other}\" is not a policy; write round_robin, least_request, ring_hash or maglev"
            );
            problems.add(Severity::Warning, &policy, message);
            return None;
        }
    };
    let hashes = matches!(method, BalanceMethod::RingHash | BalanceMethod::Maglev);
    let affinity = parse_affinity(&field, problems);
    match (hashes, affinity) {
        (true, None) => {
            let message = "needs one of cookie, header and source_ip for this policy; endpoints \
                           take turns";
            problems.add(Severity::Warning, &field, message);
            None
        }
        (true, affinity) => Some(LoadBalancer { method, affinity }),
        (false, affinity) => {
            if affinity.is_some() {
                let message =
                    "cookie, header and source_ip are ignored; they need ring_hash or maglev";
                problems.add(Severity::Warning, &field, message);
            }
            Some(LoadBalancer { method, affinity: None })
        }
    }
}

fn parse_affinity(field: &Field<'_>, problems: &mut Problems) -> Option<Affinity> {
    let set = |name: &str| field.child(name).filter(|one| !one.node.is_neutral());
    let mut written = ["cookie", "header", "source_ip"].into_iter().filter_map(set);
    let first = written.next()?;
    for other in written {
        let message = format!("is ignored, because {} is set; write only one", first.path);
        problems.add(Severity::Warning, &other, message);
    }
    let source = match first.path.rsplit('.').next() {
        Some("cookie") => parse_cookie(&first, problems)?,
        Some("header") => HashSource::Header(parse_header(&first, problems)?),
        _ => match first.node.as_bool() {
            Some(true) => HashSource::SourceIp,
            _ => {
                problems.add(Severity::Warning, &first, "is ignored; write true or leave it out");
                return None;
            }
        },
    };
    Some(Affinity { source })
}

fn parse_header(field: &Field<'_>, problems: &mut Problems) -> Option<HeaderName> {
    let text = field.text(Severity::Warning, problems)?;
    let name = HeaderName::from_bytes(text.as_bytes()).ok();
    if name.is_none() {
        problems.add(Severity::Warning, field, format!("\"{text}\" is not the name of a header"));
    }
    name
}

fn parse_cookie(field: &Field<'_>, problems: &mut Problems) -> Option<HashSource> {
    let entries = field.entries(Severity::Warning, problems);
    complain_of_unknown(&entries, &["name", "path", "ttl"], problems);
    let Some(name) = field.child("name") else {
        problems.add(Severity::Warning, field, "needs the cookie's name");
        return None;
    };
    let name_text = name.text(Severity::Warning, problems)?;
    // RFC 6265: a token. A header's name is one, too.
    if HeaderName::from_bytes(name_text.as_bytes()).is_err() {
        let message = format!("\"{name_text}\" can't be the name of a cookie");
        problems.add(Severity::Warning, &name, message);
        return None;
    }
    let path = field.child("path").and_then(|path| {
        let text = path.text(Severity::Warning, problems)?;
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b';') {
            return (!text.is_empty()).then(|| text.into());
        }
        problems.add(Severity::Warning, &path, format!("\"{text}\" can't stand in a cookie"));
        None
    });
    let ttl = field.child("ttl").and_then(|ttl| duration_of(&ttl, true, problems));
    // A cookie lives for whole seconds; less than one must not become a session's.
    let ttl = ttl.map(|ttl| if ttl.is_zero() { ttl } else { ttl.max(Duration::from_secs(1)) });
    Some(HashSource::Cookie { name: name_text.into(), path, ttl })
}
