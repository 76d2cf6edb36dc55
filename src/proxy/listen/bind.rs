//! Takes a port, for all workers or not at all.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted, per worker.
const BACKLOG: i32 = 4096;

/// One accept queue a worker on the same address. The address is taken once without sharing, so
/// that a second process can't silently take half of the connections.
///
/// Of what is written to a client the kernel keeps `unsent` bytes that can't be sent yet, and no more:
/// by itself it keeps megabytes for each that doesn't read, which count as the pod's memory.
pub(super) fn bind(
    address: SocketAddr,
    count: usize,
    unsent: Option<u32>,
) -> io::Result<Vec<TcpListener>> {
    let probe = build_socket(address, false)?;
    let address = probe.local_addr()?.as_socket().unwrap_or(address);
    drop(probe);
    (0..count)
        .map(|_| {
            let socket = build_socket(address, true)?;
            if let Some(unsent) = unsent {
                // Inherited by each connection. A system that can't do it does without.
                let _ = socket.set_tcp_notsent_lowat(unsent);
            }
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
        .collect()
}

fn build_socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the connections of before to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// What is wrong, and what to do, for people.
pub(super) fn explain(address: SocketAddr, error: &io::Error) -> String {
    let (ip, port) = (address.ip(), address.port());
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "port {port} on {ip} is in use by another process or listener; free it, or write another port"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "the gateway may not open port {port}: ports below 1024 need the capability \
             NET_BIND_SERVICE; write a port of 1024 or more, and map it in the Service"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("{ip} is no address of this pod; write one that is, or leave it out")
        }
        _ => format!("port {port} on {ip} can't be opened: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use socket2::SockRef;

    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_connection_has_the_limit_of_its_port() {
        let sockets = bind((Ipv4Addr::LOCALHOST, 0).into(), 1, Some(70_000)).expect("binds");
        let address = sockets[0].local_addr().expect("bound");
        let _client = TcpStream::connect(address).expect("connects");
        let (accepted, _) = sockets[0].accept().expect("accepts");
        assert_eq!(SockRef::from(&accepted).tcp_notsent_lowat().expect("Linux has it"), 70_000);
    }
}
