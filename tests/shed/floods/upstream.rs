//! An upstream in this process.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

/// Bytes of a big answer.
const BIG: usize = 20 * 1024 * 1024;

/// Answers `/big` with much, and all else with "ok" when the body has come. Returns where.
pub(crate) fn start(at: IpAddr) -> SocketAddr {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(at, 0)).expect("binds");
    // It is not this queue that is tried.
    let listener = socket.listen(4096).expect("listens");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve(stream))),
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    });
    address
}

async fn serve(mut stream: TcpStream) -> Option<()> {
    let mut ahead = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut ahead).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&ahead[..end]).to_ascii_lowercase();
        ahead.drain(..end);
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let mut left: usize = length.map_or(0, |text| text.trim().parse().unwrap_or(0));
        while left > 0 {
            if ahead.is_empty() && stream.read_buf(&mut ahead).await.ok()? == 0 {
                return None;
            }
            let taken = left.min(ahead.len());
            ahead.drain(..taken);
            left -= taken;
        }
        if !head.starts_with("get /big ") {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.ok()?;
            continue;
        }
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {BIG}\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.ok()?;
        for _ in 0..BIG / 65_536 {
            stream.write_all(&[b'a'; 65_536]).await.ok()?;
        }
    }
}
