//! One TCP or TLS connection that speaks lines: timed writes that know how much left, timed reads of replies.

use super::reply::{Reply, ReplyError, ReplyReader};
use rustls::{ClientConfig, pki_types::ServerName};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Why a conversation ended. Never holds an address or what the server said.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("the connection was closed by the server")]
    Closed,
    #[error("the connection broke: {0}")]
    Broken(io::ErrorKind),
    #[error("no answer in time")]
    Timeout,
    #[error("the host name cannot be resolved")]
    Name,
    #[error("TLS: {0}")]
    Tls(rustls::Error),
    #[error(transparent)]
    Reply(#[from] ReplyError),
}

impl From<io::Error> for WireError {
    fn from(e: io::Error) -> Self {
        let tls = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls {
            return Self::Tls(tls.clone());
        }
        match e.kind() {
            io::ErrorKind::UnexpectedEof => Self::Closed,
            kind => Self::Broken(kind),
        }
    }
}

pub(super) struct Wire {
    io: Box<dyn Io>,
    replies: ReplyReader,
    pub(super) peer: SocketAddr,
}

impl Wire {
    pub(super) async fn connect(host: &str, port: u16, within: Duration) -> Result<Self, WireError> {
        let open = async {
            let addresses: Vec<SocketAddr> = lookup_host((host, port)).await.map_err(|_| WireError::Name)?.collect();
            Ok::<_, WireError>(TcpStream::connect(addresses.as_slice()).await?)
        };
        let stream = timeout(within, open).await.map_err(|_| WireError::Timeout)??;
        // Content and final dot are one write already; without NODELAY the small envelope writes would wait for delayed ACKs.
        stream.set_nodelay(true)?;
        let peer = stream.peer_addr()?;
        Ok(Self { io: Box::new(stream), replies: ReplyReader::default(), peer })
    }

    /// Goes on in TLS. What the server sent in clear beyond its answer to STARTTLS must not be read as if it had been protected:
    /// such a connection is refused (CVE-2011-0411 and its client twin).
    pub(super) async fn secure(
        self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        within: Duration,
    ) -> Result<Self, WireError> {
        if self.replies.has_leftover() {
            return Err(WireError::Reply(ReplyError::Nonsense));
        }
        let tls = timeout(within, TlsConnector::from(config).connect(name, self.io)).await.map_err(|_| WireError::Timeout)??;
        Ok(Self { io: Box::new(tls), replies: ReplyReader::default(), peer: self.peer })
    }

    /// Writes all of it, each block within `per_block`. On failure tells how many bytes were handed to the socket at most.
    pub(super) async fn write(&mut self, bytes: &[u8], per_block: Duration) -> Result<(), (usize, WireError)> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match timeout(per_block, self.io.write(rest)).await {
                Err(_) => return Err((written, WireError::Timeout)),
                Ok(Ok(0)) => return Err((written, WireError::Closed)),
                Ok(Ok(n)) => written += n,
                Ok(Err(e)) => return Err((written, e.into())),
            }
        }
        match timeout(per_block, self.io.flush()).await {
            Err(_) => Err((written, WireError::Timeout)),
            Ok(Err(e)) => Err((written, e.into())),
            Ok(Ok(())) => Ok(()),
        }
    }

    /// The next complete reply.
    pub(super) async fn reply(&mut self, within: Duration) -> Result<Reply, WireError> {
        if let Some(reply) = self.replies.next()? {
            return Ok(reply);
        }
        let read = async {
            let mut block = [0_u8; 4096];
            loop {
                let n = self.io.read(&mut block).await?;
                if n == 0 {
                    return Err(WireError::Closed);
                }
                self.replies.feed(block.get(..n).unwrap_or_default());
                if let Some(reply) = self.replies.next()? {
                    return Ok(reply);
                }
            }
        };
        timeout(within, read).await.map_err(|_| WireError::Timeout)?
    }

    pub(super) async fn command(&mut self, line: &str, within: Duration) -> Result<Reply, WireError> {
        let bytes = format!("{line}\r\n");
        self.write(bytes.as_bytes(), within).await.map_err(|(_, e)| e)?;
        self.reply(within).await
    }
}
