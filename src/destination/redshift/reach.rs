//! A connection to a host that has several addresses, of which some may be dead.
//!
//! To: `connect`. An address that does not answer at all takes no more than its share of the time, so the others are tried
//! within it too. A server that vanishes later is noticed by the system, whatever is under way.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// How long the other side may say nothing at all, while a load takes its time, before it is asked whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// How often it is asked then, at intervals of a quarter of that.
#[cfg(target_os = "linux")]
const KEEPALIVE_PROBES: u32 = 4;
/// How long it may take nothing of what is sent.
#[cfg(target_os = "linux")]
const TAKES_NOTHING: Duration = Duration::from_secs(180);

/// A connection to `host`, within about `limit`.
pub async fn connect(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + limit;
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    let stream = first_of(&addresses, deadline).await?;
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(&stream);
    let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4);
    #[cfg(target_os = "linux")]
    let keepalive = {
        socket.set_tcp_user_timeout(Some(TAKES_NOTHING))?;
        keepalive.with_retries(KEEPALIVE_PROBES)
    };
    socket.set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

/// A connection to the first of these that takes one.
async fn first_of(addresses: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (at, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = io::Error::new(error.kind(), format!("{address}: {error}")),
            Err(_) => {
                let text = format!("{address}: no connection within {} ms", share.as_millis());
                failed = io::Error::new(io::ErrorKind::TimedOut, text);
            }
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// An address of this machine that answers nothing: who listens there has as many connections as he takes.
    async fn dead() -> (SocketAddr, Vec<TcpStream>, socket2::Socket) {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(1).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut taken = Vec::new();
        while let Ok(Ok(stream)) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
            taken.push(stream);
        }
        (address, taken, socket)
    }

    #[tokio::test]
    async fn a_dead_address_leaves_time_to_the_others() {
        let (dead, _taken, _socket) = dead().await;
        let alive = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // Bound, so that nobody else gets it, and listened to by nobody.
        let unheard = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        unheard.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let refuses = unheard.local_addr().unwrap().as_socket().unwrap();
        let reached = async |addresses: &[SocketAddr]| {
            let reached = first_of(addresses, Instant::now() + Duration::from_secs(2)).await;
            reached.map(|stream| stream.peer_addr().unwrap()).map_err(|error| error.to_string())
        };
        let alive = alive.local_addr().unwrap();
        assert_eq!(reached(&[dead, alive]).await, Ok(alive));
        assert_eq!(reached(&[refuses, dead, alive]).await, Ok(alive));
        let error = reached(&[refuses, dead]).await.unwrap_err();
        assert!(error.starts_with(&format!("{dead}: no connection within ")), "{error}");
        assert!(reached(&[]).await.is_err_and(|error| error.contains("no address")));
        assert!(connect("localhost", alive.port(), Duration::from_secs(30)).await.is_ok());
    }
}
