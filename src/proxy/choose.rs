//! Who serves a connection, before anything of it is read or by the server name of TLS. Pure.

use std::sync::Arc;

use crate::model::listener::{Listener, TcpGroup, VirtualHost};
use crate::routing::ListenerTable;

/// Who serves a connection.
#[derive(Debug)]
pub(crate) enum Server {
    /// A host, by HTTP.
    Host(Arc<VirtualHost>),
    /// Bytes are passed on.
    Tcp(Arc<TcpGroup>),
}

/// Who serves a connection that begins with TLS.
pub(crate) fn choose_tls(listener: &ListenerTable, name: Option<&str>) -> Option<Server> {
    let group = listener.tcp_by_sni(name).cloned().map(Server::Tcp);
    group.or_else(|| listener.host_by_sni(name).cloned().map(Server::Host))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::route::HostMatch;

    #[test]
    fn only_a_port_with_one_server_is_left_unread() {
        let group = |sni| Arc::new(TcpGroup { sni, tls: None, legs: vec![] });
        let listener = |tcp| Listener { tcp, ..Listener::plain(1) };
        assert!(is_one_for_all(&listener(vec![group(None)])));
        assert!(!is_one_for_all(&listener(vec![])));
        assert!(!is_one_for_all(&listener(vec![group(Some(HostMatch::Any))])));
        assert!(!is_one_for_all(&listener(vec![group(None), group(Some(HostMatch::Any))])));
    }
}
