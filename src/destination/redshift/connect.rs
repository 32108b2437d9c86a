//! Sessions: a connection, TLS by rustls where the URL has it, login; and driving the connection while something is done.
//!
//! From: [`RedshiftSettings`], [`Server`]. To: `mod`, a session for each attempt: loads are rare and long. Nothing is
//! spawned: whoever drops a session closes it.

use super::RedshiftSettings;
use super::errors::{failed, of_session};
use super::url::Server;
use crate::destination::DeliveryError;
use crate::destination::trust::{CaFileError, client_config};
use crate::fault::Retry;
use rustls::pki_types::ServerName;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, TlsConnect};
use tokio_postgres::{AsyncMessage, CancelToken, Client, Config, Connection};
use tokio_rustls::rustls::{self, ClientConfig};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// What sessions are called in the cluster.
const APPLICATION: &str = "hydrant";
/// How long the other side may say nothing at all, while a load takes its time, before it is asked whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// How long taking leave may take.
const LEAVE: Duration = Duration::from_secs(1);

/// Name and password. `Debug` does not show them.
#[derive(Clone, serde::Deserialize)]
pub struct Login {
    /// Username.
    #[serde(rename = "username")]
    pub user: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

/// Opens sessions.
#[derive(Debug)]
pub struct Connector {
    tls: Arc<ClientConfig>,
    settings: RedshiftSettings,
}

/// The connection of a session, until it ends.
pub struct Link(Option<Connection<TcpStream, Secured>>);

impl Connector {
    /// Blocks: certificates are read.
    pub fn new(settings: RedshiftSettings) -> Result<Self, CaFileError> {
        Ok(Self { tls: Arc::new(client_config("redshift", settings.ca_file.as_deref())?), settings })
    }

    /// A session, within the time for it.
    pub async fn connect(&self, server: &Server, login: &Login) -> Result<(Client, Link), DeliveryError> {
        let limit = self.settings.connect_timeout();
        let place = format!("{}:{}", server.host, server.port);
        match tokio::time::timeout(limit, self.begin(server, login, &place)).await {
            Ok(session) => session,
            Err(_) => {
                let message = format!("{place}: no session within {} ms", limit.as_millis());
                Err(failed("ConnectionFailed", message, Retry::Backoff))
            }
        }
    }

    /// Asks the server to end what it does for this session; `token` is the session's. Within a few seconds, or not at all.
    pub async fn cancel(&self, server: &Server, token: CancelToken) {
        let place = format!("{}:{}", server.host, server.port);
        let asked = async {
            let (stream, tls) = self.reach(server, &place).await?;
            token.cancel_query_raw(stream, tls).await.map_err(|error| of_session(&error, &place))
        };
        match tokio::time::timeout(LEAVE, asked).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(place, %error, "a query is not cancelled"),
            Err(_) => tracing::debug!(place, "a query is not cancelled: no answer"),
        }
    }

    /// A connection, and how it is made secret.
    async fn reach(&self, server: &Server, place: &str) -> Result<(TcpStream, Handshake), DeliveryError> {
        let unreached = |error: io::Error| failed("ConnectionFailed", format!("{place}: {error}"), Retry::Backoff);
        let stream = TcpStream::connect((server.host.as_str(), server.port)).await.map_err(unreached)?;
        stream.set_nodelay(true).map_err(unreached)?;
        let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4);
        socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive).map_err(unreached)?;
        let name = match server.tls {
            true => ServerName::try_from(server.host.clone()).map_err(|_| {
                failed("SslFailure", format!("{place}: no certificate can name this host"), Retry::AfterOperator)
            })?,
            // Nobody asks for it.
            false => ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST)),
        };
        Ok((stream, Handshake { connector: TlsConnector::from(self.tls.clone()), name }))
    }

    async fn begin(&self, server: &Server, login: &Login, place: &str) -> Result<(Client, Link), DeliveryError> {
        let (stream, tls) = self.reach(server, place).await?;
        let mut config = Config::new();
        config.user(&login.user).password(&login.password).dbname(&server.database).application_name(APPLICATION);
        config.ssl_mode(if server.tls { SslMode::Require } else { SslMode::Disable });
        let (client, connection) = config.connect_raw(stream, tls).await.map_err(|error| of_session(&error, place))?;
        Ok((client, Link(Some(connection))))
    }
}

impl Link {
    /// Does `work`, which uses the session's client, while its messages go to and fro.
    pub async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            self.drive(cx);
            work.as_mut().poll(cx)
        })
        .await
    }

    /// Takes leave.
    pub async fn end(mut self, client: Client) {
        drop(client);
        let left = poll_fn(|cx| {
            self.drive(cx);
            if self.0.is_none() { Poll::Ready(()) } else { Poll::Pending }
        });
        // Who does not let us go is left.
        let _ = tokio::time::timeout(LEAVE, left).await;
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        while let Some(connection) = &mut self.0 {
            match connection.poll_message(cx) {
                Poll::Ready(Some(Ok(AsyncMessage::Notice(notice)))) => {
                    tracing::debug!(severity = notice.severity(), text = notice.message(), "a server's notice");
                }
                Poll::Ready(Some(Ok(_))) => {}
                // Dropped, so that whoever waits for an answer is told that none comes.
                Poll::Ready(Some(Err(_)) | None) => self.0 = None,
                Poll::Pending => return,
            }
        }
    }
}

struct Handshake {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl TlsConnect<TcpStream> for Handshake {
    type Stream = Secured;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Secured>> + Send>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move { Ok(Secured(Box::new(self.connector.connect(self.name, stream).await?))) })
    }
}

/// A TLS stream as the client library takes it.
struct Secured(Box<TlsStream<TcpStream>>);

impl tokio_postgres::tls::TlsStream for Secured {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Secured {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}
