//! From an accepted socket to who serves it: the PROXY protocol, TLS, the server name.
//!
//! ```text
//! socket ─► PROXY header ─► first byte ─┬─ TLS ─► ClientHello ─► server name ─┬─ handshake ─► HTTP
//!                                       │                                     ├─ handshake ─► bytes
//!                                       │                                     └─ bytes, unread
//!                                       └─ cleartext ─► HTTP or bytes
//! ```

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::choose::{Server, choose_plain, choose_tls, is_one_for_all};
use super::connection::{Conn, Known, Phase};
use super::io::{Transport, has_arrived};
use super::port::Port;
use super::proxy_protocol::{self, Parsed};
use super::serve;
use super::tcp;
use super::tls::{self, Greeting, Session, Speaks, TlsStream};
use super::worker::Worker;
use crate::model::listener::{Listener, TcpGroup};
use crate::model::tls::Termination;
use crate::routing::{ListenerTable, RouteTable};
use crate::telemetry::listeners::{Handshake, Refusal};

/// RFC 8446 section 5.1: what a record of a handshake begins with. No method of HTTP does.
const TLS_HANDSHAKE: u8 = 22;

/// Takes a connection in and serves it on a task of its own.
pub(crate) fn start(worker: &Rc<Worker>, port: &Rc<Port>, stream: TcpStream, peer: SocketAddr) {
    // Small responses must not wait for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else { return };
    let Some(conn) = Conn::new(worker, port, Known { peer, local, tls: None }) else { return };
    let conn = Rc::new(conn);
    worker.connections.insert(&conn);
    port.stats.opened();
    port.open.set(port.open.get() + 1);
    let open = Open(RefCell::new(Rc::clone(&conn)));
    let task = tokio::task::spawn_local(async move { open.serve(stream).await });
    *conn.abort.borrow_mut() = Some(task.abort_handle());
}

/// A connection that is open. Takes it off the worker's list however its task ends.
#[derive(Debug)]
struct Open(RefCell<Rc<Conn>>);

impl Drop for Open {
    fn drop(&mut self) {
        let conn = self.conn();
        // It would keep the connection, which keeps it.
        drop(conn.tunnel.take());
        conn.worker.connections.remove(&conn);
        conn.port.stats.closed();
        conn.port.open.set(conn.port.open.get().saturating_sub(1));
    }
}

impl Open {
    fn conn(&self) -> Rc<Conn> {
        Rc::clone(&self.0.borrow())
    }

    /// More is known of the connection: it goes on as another, in the place of the old.
    fn renew(&self, known: Known) -> Option<Rc<Conn>> {
        let old = self.conn();
        let new = Rc::new(Conn::new(&old.worker, &old.port, known)?);
        new.inherit(&old);
        old.worker.connections.replace(&old, &new);
        *self.0.borrow_mut() = Rc::clone(&new);
        Some(new)
    }

    async fn serve(&self, stream: TcpStream) -> Option<()> {
        let Taken { conn, stream, ahead, group } = self.take_in(stream).await?;
        match group {
            Some(group) => Box::pin(tcp::serve(&conn, &group, stream, ahead)).await,
            None => serve::serve(&conn, stream, ahead).await,
        }
        Some(())
    }

    async fn take_in(&self, mut stream: TcpStream) -> Option<Taken> {
        let mut conn = self.conn();
        let listener = conn.port.listener(&conn.worker)?;
        let mut ahead = BytesMut::new();
        if listener.stack.proxy_protocol {
            conn = self.read_proxy_header(&mut stream, &mut ahead).await?;
        }
        let plain = |conn, stream, ahead, group: Option<&Arc<TcpGroup>>| Taken {
            conn,
            stream: Transport::Plain(stream),
            ahead,
            group: group.cloned(),
        };
        if is_one_for_all(&listener) {
            let group = choose_plain(&listener)?;
            return Some(plain(conn, stream, ahead, Some(group)));
        }
        if may_be_tls(&listener) && first_byte(&stream, &ahead, &conn).await? == TLS_HANDSHAKE {
            // Boxed: most of a connection's life is without.
            return Box::pin(self.take_in_tls(stream, ahead)).await;
        }
        match choose_plain(&listener) {
            // TLS that it ends is what it takes, and nothing else.
            Some(group) if group.tls.is_none() => Some(plain(conn, stream, ahead, Some(group))),
            None if listener.stack.http => Some(plain(conn, stream, ahead, None)),
            _ => {
                conn.port.stats.refused(Refusal::NoServer);
                None
            }
        }
    }

    /// Reads who the client is. A connection that doesn't say so isn't one of the proxy's.
    async fn read_proxy_header(
        &self,
        stream: &mut TcpStream,
        ahead: &mut BytesMut,
    ) -> Option<Rc<Conn>> {
        let conn = self.conn();
        loop {
            match proxy_protocol::parse(ahead) {
                Parsed::Complete(length, addresses) => {
                    drop(ahead.split_to(length));
                    let Some(addresses) = addresses else {
                        conn.begin(Phase::New);
                        return Some(conn);
                    };
                    let (peer, local) = (addresses.peer, addresses.local);
                    return self.renew(Known { peer, local, tls: None });
                }
                Parsed::Malformed => {
                    conn.port.stats.refused(Refusal::Proxy);
                    tracing::debug!(peer = %conn.peer, "no PROXY protocol where it has to be");
                    return None;
                }
                Parsed::Incomplete => {}
            }
            if stream.read_buf(ahead).await.ok()? == 0 {
                return None;
            }
            // What follows has to come at a go.
            conn.begin(Phase::Handshake);
        }
    }

    async fn take_in_tls(&self, stream: TcpStream, ahead: BytesMut) -> Option<Taken> {
        let conn = self.conn();
        let _shaking = Shaking::new(&conn);
        let greeting = match tls::greet(stream, ahead.to_vec()).await {
            Ok(greeting) => greeting,
            Err(error) => {
                refuse(&conn, &error);
                return None;
            }
        };
        let name = greeting.server_name();
        let choose = |_: &RouteTable, one: &ListenerTable| choose_tls(one, name.as_deref());
        let server = conn.port.look_up(&conn.worker, choose).flatten();
        let (termination, speaks, group) = match &server {
            None => {
                conn.port.stats.refused(Refusal::NoServer);
                conn.begin(Phase::Parting);
                tls::refuse(greeting, false).await;
                return None;
            }
            Some(Server::Host(host)) => (host.tls.as_ref()?, Speaks::Http, None),
            Some(Server::Tcp(group)) => match &group.tls {
                Some(termination) => (termination, Speaks::Bytes, Some(Arc::clone(group))),
                None => {
                    let (stream, unread) = greeting.into_unread();
                    let (stream, ahead) = (Transport::Plain(stream), unread.as_slice().into());
                    let group = Some(Arc::clone(group));
                    return Some(Taken { conn: Rc::clone(&conn), stream, ahead, group });
                }
            },
        };
        let stream = shake_hands(&conn, greeting, termination, speaks).await?;
        let session = Session::new(&stream, name, termination);
        let known = Known { peer: conn.peer, local: conn.local, tls: Some(session) };
        let stream = Transport::Tls(Box::new(stream));
        Some(Taken { conn: self.renew(known)?, stream, ahead: BytesMut::new(), group })
    }
}

/// A connection of which is known who serves it.
struct Taken {
    conn: Rc<Conn>,
    stream: Transport,
    /// What was read of it.
    ahead: BytesMut,
    /// HTTP, where there is none.
    group: Option<Arc<TcpGroup>>,
}

/// Counts a handshake as long as it lasts.
struct Shaking(Rc<Conn>);

impl Shaking {
    fn new(conn: &Rc<Conn>) -> Self {
        conn.begin(Phase::Handshake);
        conn.worker.connections.begin_handshake(conn, &conn.worker.options.limits);
        Self(Rc::clone(conn))
    }
}

impl Drop for Shaking {
    fn drop(&mut self) {
        self.0.worker.connections.end_handshake(&self.0);
    }
}

/// Whether a connection of this listener may begin with TLS.
fn may_be_tls(listener: &Listener) -> bool {
    listener.stack.tls || listener.tcp.iter().any(|one| one.sni.is_some() || one.tls.is_some())
}

/// The first byte, left where it is.
async fn first_byte(stream: &TcpStream, ahead: &[u8], conn: &Conn) -> Option<u8> {
    if let Some(byte) = ahead.first() {
        return Some(*byte);
    }
    let mut byte = [0];
    tokio::select! {
        biased;
        peeked = stream.peek(&mut byte) => if peeked.ok()? == 0 {
            return None;
        },
        () = conn.left() => {
            // What has arrived is answered before it ends.
            if !has_arrived(stream) || stream.peek(&mut byte).await.ok()? == 0 {
                return None;
            }
        }
    }
    Some(byte[0])
}

async fn shake_hands(
    conn: &Conn,
    greeting: Greeting,
    termination: &Arc<Termination>,
    speaks: Speaks,
) -> Option<TlsStream> {
    let Some(config) = conn.worker.tls.get(termination, speaks) else {
        conn.port.stats.refused(Refusal::Handshake);
        conn.begin(Phase::Parting);
        tls::refuse(greeting, true).await;
        return None;
    };
    match tls::accept(greeting, config).await {
        Ok(stream) => {
            let (_, session) = stream.get_ref();
            conn.port.stats.shook_hands(Handshake {
                resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
                without_certificate: session.peer_certificates().is_none(),
                is_1_3: session.protocol_version() == Some(ProtocolVersion::TLSv1_3),
            });
            Some(stream)
        }
        Err(refused) => {
            refuse(conn, &refused.error);
            conn.begin(Phase::Parting);
            refused.part().await;
            None
        }
    }
}

/// Counts a handshake that failed. Clients do that all day: it is nothing to log but for those who
/// look for it.
fn refuse(conn: &Conn, error: &io::Error) {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    conn.port.stats.refused(match cause {
        Some(rustls::Error::NoCertificatesPresented) => Refusal::NoCertificate,
        Some(
            rustls::Error::InvalidCertificate(_)
            | rustls::Error::InvalidCertRevocationList(_)
            | rustls::Error::UnsupportedNameType,
        ) => Refusal::BadCertificate,
        _ => Refusal::Handshake,
    });
    tracing::debug!(peer = %conn.peer, %error, "a TLS handshake failed");
}
