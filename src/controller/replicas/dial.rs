//! How a replica reaches another's admin port: TCP, but where the network is simulated.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A connection.
pub trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

type Opening = BoxFuture<'static, io::Result<Box<dyn Pipe>>>;

/// Opens connections. The default opens them over TCP.
#[derive(Clone)]
pub struct Dial(Arc<dyn Fn(SocketAddr) -> Opening + Send + Sync>);

impl Dial {
    /// One that calls this.
    pub fn new(open: impl Fn(SocketAddr) -> Opening + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }

    pub(super) fn dial(&self, address: SocketAddr) -> Opening {
        (self.0)(address)
    }
}

impl Default for Dial {
    fn default() -> Self {
        Self::new(|address| {
            Box::pin(async move {
                let socket = TcpStream::connect(address).await?;
                // Lines are small, and each is waited for.
                let _ = socket.set_nodelay(true);
                Ok(Box::new(socket) as Box<dyn Pipe>)
            })
        })
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial").finish_non_exhaustive()
    }
}
