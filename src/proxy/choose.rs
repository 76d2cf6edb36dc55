//! Who serves a connection: by the server name of TLS, or without one. Pure.

use std::sync::Arc;

use crate::model::listener::{Listener, TcpGroup, VirtualHost};
use crate::model::route::HostMatch;

/// Who serves a connection.
#[derive(Debug)]
pub(crate) enum Server<'a> {
    /// A host, by HTTP.
    Host(&'a Arc<VirtualHost>),
    /// Bytes are passed on.
    Tcp(&'a Arc<TcpGroup>),
}

/// Who serves a connection that begins with TLS. The exact name wins, then the longest pattern,
/// then what takes any; of two that are equal connections go before a host, as in Emissary.
pub(crate) fn choose_tls<'a>(listener: &'a Listener, name: Option<&str>) -> Option<Server<'a>> {
    let groups = listener.tcp.iter().filter_map(|group| {
        // One without a name takes all that nobody else does, TLS or not.
        let rank = group.sni.as_ref().map_or(Some(0), |sni| rank(sni, name))?;
        Some((rank, true, Server::Tcp(group)))
    });
    let hosts = listener.hosts.iter().filter_map(|host| {
        host.tls.as_ref()?;
        Some((rank(&host.name, name)?, false, Server::Host(host)))
    });
    // The first of equal ones stays.
    let best = groups
        .chain(hosts)
        .reduce(|best, next| if (next.0, next.1) > (best.0, best.1) { next } else { best });
    best.map(|(_, _, server)| server)
}

/// Who takes connections that don't begin with TLS, where that isn't HTTP.
pub(crate) fn choose_plain(listener: &Listener) -> Option<&Arc<TcpGroup>> {
    listener.tcp.iter().find(|group| group.sni.is_none())
}

/// Whether nothing has to be read of a connection to know who serves it. Some protocols' servers
/// speak first.
pub(crate) fn is_one_for_all(listener: &Listener) -> bool {
    let has_tls = listener.hosts.iter().any(|host| host.tls.is_some());
    !has_tls && matches!(&*listener.tcp, [group] if group.sni.is_none() && group.tls.is_none())
}

/// The host that a request's authority leads to: host and perhaps a port, in any case.
pub(crate) fn host_of<'a>(listener: &'a Listener, authority: &str) -> Option<&'a Arc<VirtualHost>> {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if is_port(port) => name,
        _ => authority,
    };
    let name = name.to_ascii_lowercase();
    let ranked =
        listener.hosts.iter().filter_map(|host| Some((rank(&host.name, Some(&name))?, host)));
    // The first of equal ones stays.
    let best = ranked.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, host)| host)
}

/// How closely a pattern names what is asked for; `None` where it doesn't.
fn rank(pattern: &HostMatch, name: Option<&str>) -> Option<usize> {
    // Longer than any suffix; a name has 253 characters at most.
    const EXACT: usize = 2 << 16;
    const SUFFIX: usize = 1 << 16;
    match (pattern, name) {
        (HostMatch::Any, _) => Some(0),
        (HostMatch::Exact(exact), Some(name)) => (**exact == *name).then_some(EXACT),
        (HostMatch::Suffix(suffix), Some(name)) => {
            (name.len() > suffix.len() && name.ends_with(&**suffix)).then(|| SUFFIX + suffix.len())
        }
        (HostMatch::Prefix(prefix), Some(name)) => {
            (name.len() > prefix.len() && name.starts_with(&**prefix)).then(|| 1 + prefix.len())
        }
        (HostMatch::Regex(regex), Some(name)) => regex.is_match(name).then_some(1),
        (_, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::listener::{InsecureAction, SecurityModel, Stack};
    use crate::model::tls::{Certificate, Private, Termination, TlsParameters};

    fn termination() -> Arc<Termination> {
        let certificate = Certificate {
            fingerprint: [0; 32],
            chain: vec![],
            key: Private::new(vec![]),
            names: vec![],
            not_before: 0,
            not_after: 0,
        };
        let parameters = TlsParameters::default();
        Arc::new(Termination { certificate: Arc::new(certificate), clients: None, parameters })
    }

    fn host(name: HostMatch, tls: bool) -> Arc<VirtualHost> {
        Arc::new(VirtualHost {
            key: None,
            name,
            port: None,
            tls: tls.then(termination),
            insecure: InsecureAction::Route,
            selector: Arc::default(),
            closed: false,
        })
    }

    fn group(sni: Option<HostMatch>) -> Arc<TcpGroup> {
        Arc::new(TcpGroup { sni, tls: None, legs: vec![] })
    }

    fn listener(hosts: Vec<Arc<VirtualHost>>, tcp: Vec<Arc<TcpGroup>>) -> Listener {
        Listener {
            key: None,
            address: None,
            port: 1,
            stat_prefix: "p".into(),
            stack: Stack { proxy_protocol: false, tls: true, http: true },
            security: SecurityModel::ForwardedProto,
            trusted_hops: 0,
            max_concurrent_streams: None,
            hosts,
            tcp,
        }
    }

    fn chosen(listener: &Listener, name: Option<&str>) -> String {
        match choose_tls(listener, name) {
            None => "none".to_owned(),
            Some(Server::Host(host)) => format!("host {:?}", host.name),
            Some(Server::Tcp(group)) => format!("tcp {:?}", group.sni),
        }
    }

    #[test]
    fn the_closest_name_wins() {
        let exact = |name: &str| HostMatch::Exact(name.into());
        let suffix = |name: &str| HostMatch::Suffix(name.into());
        let one = listener(
            vec![
                host(HostMatch::Any, true),
                host(suffix(".example"), true),
                host(suffix(".a.example"), true),
                host(exact("b.a.example"), true),
                host(exact("plain.example"), false),
            ],
            vec![group(Some(exact("db.example")))],
        );
        for (name, expected) in [
            (Some("b.a.example"), "host Exact(\"b.a.example\")"),
            (Some("c.a.example"), "host Suffix(\".a.example\")"),
            (Some("x.example"), "host Suffix(\".example\")"),
            (Some("plain.example"), "host Suffix(\".example\")"),
            (Some("db.example"), "tcp Some(Exact(\"db.example\"))"),
            (Some("other"), "host Any"),
            (None, "host Any"),
        ] {
            assert_eq!(chosen(&one, name), expected, "{name:?}");
        }
        let strict = listener(vec![host(exact("a"), true)], vec![]);
        assert_eq!(
            (chosen(&strict, None), chosen(&strict, Some("b"))),
            ("none".into(), "none".into())
        );
        let both = listener(vec![host(HostMatch::Any, true)], vec![group(None)]);
        assert_eq!(chosen(&both, Some("x")), "tcp None", "connections go before a host");
    }

    #[test]
    fn authorities_lead_to_hosts() {
        let exact = HostMatch::Exact("a.example".into());
        let one = listener(vec![host(HostMatch::Any, true), host(exact.clone(), true)], vec![]);
        for (authority, expected) in [
            ("A.Example:8443", &exact),
            ("a.example", &exact),
            ("b.example", &HostMatch::Any),
            ("[::1]:443", &HostMatch::Any),
        ] {
            let found = host_of(&one, authority).map(|host| &host.name);
            assert_eq!(found, Some(expected), "{authority}");
        }
    }

    #[test]
    fn only_a_port_with_one_server_is_left_unread() {
        assert!(is_one_for_all(&listener(vec![], vec![group(None)])));
        assert!(is_one_for_all(&listener(vec![host(HostMatch::Any, false)], vec![group(None)])));
        assert!(!is_one_for_all(&listener(vec![host(HostMatch::Any, true)], vec![group(None)])));
        let named = group(Some(HostMatch::Any));
        assert!(!is_one_for_all(&listener(vec![], vec![group(None), named])));
    }
}
