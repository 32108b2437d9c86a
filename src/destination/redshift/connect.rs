//! Sessions: a connection, TLS by rustls where the URL has it, login; and driving the connection while something is done.
//!
//! From: [`RedshiftSettings`], [`Server`]. Through: `reach`, `last_words`. To: `mod`, a session for each attempt: loads are rare
//! and long. Nothing is spawned: whoever drops a session closes it.

use super::RedshiftSettings;
use super::errors::{failed, of_session, with_end, with_last_words};
use super::last_words::{Heard, LastWords};
use super::reach;
use super::url::Server;
use crate::destination::DeliveryError;
use crate::destination::aws_http::chain;
use crate::destination::secrets::hidden;
use crate::destination::trust::{CaFileError, client_config};
use crate::fault::Retry;
use rustls::pki_types::ServerName;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::DbError;
use tokio_postgres::tls::{ChannelBinding, TlsConnect};
use tokio_postgres::{AsyncMessage, CancelToken, Client, Config, Connection};
use tokio_rustls::rustls::{self, ClientConfig};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// What sessions are called in the cluster.
const APPLICATION: &str = "hydrant";
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

/// What work in a session has of it.
#[derive(Debug)]
pub struct Session {
    /// Asks the server.
    pub client: Client,
    /// Whether a backslash in a string literal escapes what stands behind it. So it is in Redshift, which knows nothing of
    /// the setting by which a server says that it is not.
    pub has_escapes: bool,
    /// That records are on their way: what the server says from then on may quote them.
    pub is_loading: AtomicBool,
}

/// The connection of a session, until it ends.
pub struct Link {
    connection: Option<Connection<Heard<TcpStream>, Heard<Secured>>>,
    words: LastWords,
    /// What the connection ended with, if it failed.
    end: Option<String>,
    /// Not to be logged.
    password: String,
}

impl Connector {
    /// Blocks: certificates are read.
    pub fn new(settings: RedshiftSettings) -> Result<Self, CaFileError> {
        Ok(Self { tls: Arc::new(client_config("redshift", settings.ca_file.as_deref())?), settings })
    }

    /// A session, within the time for it.
    pub async fn connect(&self, server: &Server, login: &Login) -> Result<(Session, Link), DeliveryError> {
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
            let (stream, tls) = self.reach(server, &place, LEAVE, &LastWords::default()).await?;
            token.cancel_query_raw(stream, tls).await.map_err(|error| of_session(&error, &place))
        };
        match tokio::time::timeout(LEAVE, asked).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(place, %error, "a query is not cancelled"),
            Err(_) => tracing::debug!(place, "a query is not cancelled: no answer"),
        }
    }

    /// A connection within about `limit`, and how it is made secret. `words` hears what the server says by it.
    async fn reach(
        &self,
        server: &Server,
        place: &str,
        limit: Duration,
        words: &LastWords,
    ) -> Result<(Heard<TcpStream>, Handshake), DeliveryError> {
        let stream = reach::connect(&server.host, server.port, limit)
            .await
            .map_err(|error| failed("ConnectionFailed", format!("{place}: {error}"), Retry::Backoff))?;
        let name = match server.tls {
            true => ServerName::try_from(server.host.clone()).map_err(|_| {
                failed("SslFailure", format!("{place}: no certificate can name this host"), Retry::AfterOperator)
            })?,
            // Nobody asks for it.
            false => ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST)),
        };
        let outside = Heard::new(stream, (!server.tls).then(|| words.clone()));
        Ok((outside, Handshake { connector: TlsConnector::from(self.tls.clone()), name, words: words.clone() }))
    }

    async fn begin(&self, server: &Server, login: &Login, place: &str) -> Result<(Session, Link), DeliveryError> {
        let words = LastWords::default();
        let limit = self.settings.connect_timeout();
        let (stream, tls) = self.reach(server, place, limit, &words).await?;
        let mut config = Config::new();
        config.user(&login.user).password(&login.password).dbname(&server.database).application_name(APPLICATION);
        config.ssl_mode(if server.tls { SslMode::Require } else { SslMode::Disable });
        let (client, connection) = config.connect_raw(stream, tls).await.map_err(|error| of_session(&error, place))?;
        let has_escapes = connection.parameter("standard_conforming_strings") != Some("on");
        let session = Session { client, has_escapes, is_loading: AtomicBool::new(false) };
        Ok((session, Link { connection: Some(connection), words, end: None, password: login.password.clone() }))
    }
}

impl Link {
    /// Does `work` in the session while its messages go to and fro. Where that fails because the session ended, and the server
    /// said why, the error is what it said.
    pub async fn during<T>(
        &mut self,
        session: &Session,
        work: impl Future<Output = Result<T, DeliveryError>>,
    ) -> Result<T, DeliveryError> {
        let mut work = pin!(work);
        let done = poll_fn(|cx| {
            self.drive(&session.is_loading, cx);
            work.as_mut().poll(cx)
        })
        .await;
        done.map_err(|error| with_end(with_last_words(error, self.words.error()), self.end.as_deref()))
    }

    /// Takes leave.
    pub async fn end(mut self, session: Session) {
        let Session { client, is_loading, .. } = session;
        drop(client);
        let left = poll_fn(|cx| {
            self.drive(&is_loading, cx);
            if self.connection.is_none() { Poll::Ready(()) } else { Poll::Pending }
        });
        // Who does not let us go is left.
        let _ = tokio::time::timeout(LEAVE, left).await;
    }

    fn drive(&mut self, is_loading: &AtomicBool, cx: &mut Context<'_>) {
        while let Some(connection) = &mut self.connection {
            match connection.poll_message(cx) {
                Poll::Ready(Some(Ok(AsyncMessage::Notice(notice)))) => self.tell(&notice, is_loading.load(Relaxed)),
                Poll::Ready(Some(Ok(_))) => {}
                // Dropped, so that whoever waits for an answer is told that none comes.
                Poll::Ready(ended) => {
                    // What the server said by it is among its last words.
                    let error = ended.and_then(Result::err).filter(|error| error.as_db_error().is_none());
                    self.end = error.map(|error| chain(&error));
                    self.connection = None;
                }
                Poll::Pending => return,
            }
        }
    }

    /// Logs a notice: its text without the password, and not at all where it may quote a record.
    fn tell(&self, notice: &DbError, is_loading: bool) {
        let (severity, state) = (notice.severity(), notice.code().code());
        if is_loading {
            tracing::debug!(severity, state, "a server's notice, of which the text may quote records");
            return;
        }
        let text = hidden(notice.message(), &self.password, "password");
        tracing::debug!(severity, state, text, "a server's notice");
    }
}

struct Handshake {
    connector: TlsConnector,
    name: ServerName<'static>,
    words: LastWords,
}

impl TlsConnect<Heard<TcpStream>> for Handshake {
    type Stream = Heard<Secured>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Stream>> + Send>>;

    fn connect(self, stream: Heard<TcpStream>) -> Self::Future {
        Box::pin(async move {
            let secured = Secured(Box::new(self.connector.connect(self.name, stream).await?));
            Ok(Heard::new(secured, Some(self.words)))
        })
    }
}

/// A TLS stream as the client library takes it.
struct Secured(Box<TlsStream<Heard<TcpStream>>>);

impl tokio_postgres::tls::TlsStream for Heard<Secured> {
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
