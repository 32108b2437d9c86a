//! HTTP endpoints that answer before they have the whole request: what the answer says counts, a 200 does not, and nothing
//! of the attempt goes on behind its end.

use super::http::{definition, request};
use super::{Memory, attempt, bytes_of};
use crate::faulty_s3::message::read_request;
use hydrant::clock::SystemClock;
use hydrant::destination::http::{HttpDestination, HttpSettings};
use hydrant::destination::{Consignment, DeliveryError};
use hydrant::disk::RealDisk;
use hydrant::fault::Retry;
use hydrant::vault::Vault;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// More than the buffers of a connection take.
const BODY_BYTES: usize = 32 << 20;

/// What the endpoint does when it has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Reads what comes until the other side ends the connection.
    Drains,
    /// Ends the connection with bytes of the request unread.
    Closes,
    /// Takes nothing more, until it is told that the connection is gone.
    Stalls,
}

struct World {
    listener: TcpListener,
    destination: HttpDestination,
    consignment: Consignment,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let vault = Arc::new(Vault::new(Arc::new(RealDisk), folder.path().join("secrets.key")));
        let definition = definition(listener.local_addr().unwrap(), &vault);
        let settings = HttpSettings { stall_timeout_ms: Some(10_000), ..HttpSettings::default() };
        let destination = HttpDestination::new(settings, vault, Arc::new(SystemClock::new())).unwrap();
        let bytes = bytes_of(BODY_BYTES);
        let crc32c = crc32c::crc32c(&bytes);
        let consignment = request(&definition, Arc::new(Memory(bytes)), crc32c);
        Self { listener, destination, consignment, _folder: folder }
    }

    /// An attempt that is answered by `status` when the endpoint has the begin of it; how it ended, and what came in all.
    async fn answered(&self, status: &str, then: Then) -> (DeliveryError, usize) {
        let served = async {
            let (mut client, _) = self.listener.accept().await.unwrap();
            let mut begin = vec![0; 1000];
            client.read_exact(&mut begin).await.unwrap();
            let body = format!(r#"{{"requestId":"{}","timestamp":1}}"#, self.consignment.parcel.key);
            let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
            client.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
            begin.len() + behave(client, then).await
        };
        let (ended, came) = tokio::join!(attempt(&self.destination, &self.consignment), served);
        (ended.expect_err("it has not the whole request"), came)
    }

    /// An attempt with nothing wrong.
    async fn takes_it(&self) {
        let served = async {
            let (mut client, _) = self.listener.accept().await.unwrap();
            let request = read_request(&mut client).await.unwrap().unwrap();
            assert!(request.body == bytes_of(BODY_BYTES));
            let body = format!(r#"{{"requestId":"{}","timestamp":1}}"#, self.consignment.parcel.key);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length:";
            client.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
        };
        let (ended, ()) = tokio::join!(attempt(&self.destination, &self.consignment), served);
        ended.unwrap();
    }
}

/// Bytes that came behind the answer.
async fn behave(mut client: TcpStream, then: Then) -> usize {
    match then {
        Then::Drains => {
            let (mut piece, mut came) = (vec![0; 64 << 10], 0);
            while let Ok(length @ 1..) = client.read(&mut piece).await {
                came += length;
            }
            came
        }
        Then::Closes => 0,
        Then::Stalls => {
            let place = client.local_addr().unwrap();
            tokio::time::timeout(Duration::from_secs(60), gone(place)).await.expect("its connection stays");
            0
        }
    }
}

/// Returns when this machine has no connection to `place` any more. Who takes nothing is not told that it is over.
async fn gone(place: SocketAddr) {
    let port = format!(":{:04X}", place.port());
    // Of a connection: its number, its own place, the other's, its state, of which 01 is established.
    let is_to_it = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        columns.get(2).is_some_and(|other| other.ends_with(&port)) && columns.get(3) == Some(&"01")
    };
    while std::fs::read_to_string("/proc/self/net/tcp").unwrap().lines().any(is_to_it) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn answers_end_requests() {
    let world = World::new().await;
    for (status, code, retry) in [
        ("200 OK", "HttpEndpoint.InvalidResponseFromDestination", Retry::Backoff),
        ("413 Payload Too Large", "HttpEndpoint.DestinationException", Retry::GiveUp),
        ("503 Service Unavailable", "HttpEndpoint.DestinationException", Retry::Backoff),
    ] {
        let (error, came) = world.answered(status, Then::Drains).await;
        assert_eq!((error.code.as_str(), error.retry), (code, retry), "{status}: {error}");
        assert!(came < BODY_BYTES, "{status}: the attempt went on behind its end");
        // Bytes that were not read may take the answer with them: then it is tried again.
        let (error, _) = world.answered(status, Then::Closes).await;
        assert!(error.retry == retry || error.retry == Retry::Backoff, "{status}: {error:?}");
    }
    world.takes_it().await;
}

pub async fn connections_do_not_stay() {
    let world = World::new().await;
    let (error, _) = world.answered("503 Service Unavailable", Then::Stalls).await;
    assert_eq!(error.retry, Retry::Backoff, "{error}");
    world.takes_it().await;
}
