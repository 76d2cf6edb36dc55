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
