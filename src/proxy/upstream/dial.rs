//! One connection to one address: TCP, and TLS where the cluster wants it.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::state::ClusterState;
use super::tls::Client;
use crate::model::policy::Keepalive;

/// An open connection.
pub(crate) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DialError {
    /// Nobody takes it.
    Refused,
    /// It took longer than the limit.
    Timeout,
    /// TCP is there, TLS isn't.
    Tls(String),
}

/// Connects to `address`, within `limit`, for what the cluster speaks. Also gives our own address.
pub(crate) async fn dial(
    state: &ClusterState,
    address: SocketAddr,
    limit: Duration,
) -> Result<(Stream, SocketAddr), DialError> {
    dial_with(state, state.client.as_ref(), address, limit).await
}

/// The same, with TLS begun by `client`.
pub(crate) async fn dial_with(
    state: &ClusterState,
    client: Option<&Client>,
    address: SocketAddr,
    limit: Duration,
) -> Result<(Stream, SocketAddr), DialError> {
    match tokio::time::timeout(limit, connect(state, client, address)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(DialError::Timeout),
    }
}

async fn connect(
    state: &ClusterState,
    client: Option<&Client>,
    address: SocketAddr,
) -> Result<(Stream, SocketAddr), DialError> {
    let stream = TcpStream::connect(address).await.map_err(|_| DialError::Refused)?;
    // A small request must not wait for the upstream's acknowledgement.
    let _ = stream.set_nodelay(true);
    if let Some(keepalive) = &state.cluster.policy.keepalive {
        // A kernel that can't leaves the connection as it is.
        let _ = SockRef::from(&stream).set_tcp_keepalive(&build_keepalive(keepalive));
    }
    let local = stream.local_addr().map_err(|_| DialError::Refused)?;
    let secure = match client {
        None => return Ok((Either::Left(stream), local)),
        Some(Err(reason)) => return Err(DialError::Tls(reason.clone())),
        Some(Ok(secure)) => secure,
    };
    match secure.connector.connect(secure.name.clone(), stream).await {
        Ok(stream) => Ok((Either::Right(Box::new(stream)), local)),
        Err(error) => Err(DialError::Tls(error.to_string())),
    }
}

fn build_keepalive(wanted: &Keepalive) -> TcpKeepalive {
    let mut keepalive = TcpKeepalive::new();
    if let Some(idle) = wanted.idle {
        keepalive = keepalive.with_time(idle);
    }
    if let Some(interval) = wanted.interval {
        keepalive = keepalive.with_interval(interval);
    }
    if let Some(probes) = wanted.probes {
        keepalive = keepalive.with_retries(probes);
    }
    keepalive
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::cluster::{Cluster, ClusterName, Upstream};
    use crate::model::policy::ClusterPolicy;
    use crate::proxy::upstream::state::Registry;

    /// A socket to a listener, as a cluster with this keepalive has it.
    fn connected(keepalive: Option<Keepalive>) -> TcpStream {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("bound");
        let cluster = Arc::new(Cluster {
            name: ClusterName("c".into()),
            service: "c".into(),
            upstream: Upstream::Address(address),
            policy: Arc::new(ClusterPolicy { keepalive, ..ClusterPolicy::default() }),
            tls: None,
        });
        let state = Registry::start(Arc::default(), false).expect("starts").state(&cluster);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let dialled =
            runtime.expect("builds").block_on(dial(&state, address, Duration::from_secs(5)));
        match dialled.expect("connects").0 {
            Either::Left(stream) => stream,
            Either::Right(_) => panic!("without TLS"),
        }
    }

    #[test]
    fn keepalive_is_the_sockets() {
        let off = connected(None);
        assert!(!SockRef::from(&off).keepalive().expect("readable"));
        let usual = {
            let on = connected(Some(Keepalive { probes: None, idle: None, interval: None }));
            let socket = SockRef::from(&on);
            assert!(socket.keepalive().expect("readable"), "what is open is the kernel's");
            socket.tcp_keepalive_interval().expect("readable")
        };
        let idle = Some(Duration::from_secs(17));
        let on = connected(Some(Keepalive { probes: Some(4), idle, interval: None }));
        let socket = SockRef::from(&on);
        assert!(socket.keepalive().expect("readable") && on.nodelay().expect("readable"));
        assert_eq!(socket.tcp_keepalive_time().expect("readable"), Duration::from_secs(17));
        assert_eq!(socket.tcp_keepalive_retries().expect("readable"), 4);
        assert_eq!(socket.tcp_keepalive_interval().expect("readable"), usual);
    }
}
