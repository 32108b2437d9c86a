//! HTTP endpoints: a receiver of the protocol that keeps what it takes by request id, and plays troubles.

use super::{Held, Outside, Trouble};
use crate::faulty_s3::message::{Request as Received, read_request};
use async_trait::async_trait;
use hydrant::clock::SystemClock;
use hydrant::control::{Rules, plan};
use hydrant::destination::http::{HttpDestination, HttpSettings};
use hydrant::destination::{Consignment, Destination, ParcelBytes};
use hydrant::disk::RealDisk;
use hydrant::stream::definition::{Definition, RequestFormat};
use hydrant::stream::seal::{Notes, Parcel, ParcelKind, Place, Request};
use hydrant::stream::{Id128, SealId};
use hydrant::vault::Vault;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const KEY: &str = "sesame";

#[derive(Default)]
struct Receiver {
    troubles: Mutex<VecDeque<Trouble>>,
    taken: Mutex<BTreeMap<String, Held>>,
}

pub struct Http {
    addr: SocketAddr,
    receiver: Arc<Receiver>,
    definition: Arc<Definition>,
    vault: Arc<Vault>,
    accepting: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Drop for Http {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Http {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let receiver = Arc::new(Receiver::default());
        let serving = receiver.clone();
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(serving.clone().serve(client));
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let vault = Arc::new(Vault::new(Arc::new(RealDisk), folder.path().join("secrets.key")));
        let definition = definition(addr, &vault);
        Self { addr, receiver, definition, vault, accepting, _folder: folder }
    }
}

/// A stream to the endpoint at `addr`.
pub fn definition(addr: SocketAddr, vault: &Vault) -> Arc<Definition> {
    let request = serde_json::json!({
        "DeliveryStreamName": "s",
        "HttpEndpointDestinationConfiguration": {
            "EndpointConfiguration": {"Url": format!("http://{addr}/in?x=1")},
            "S3Configuration": {
                "RoleARN": "arn:aws:iam::000000000000:role/r", "BucketARN": "arn:aws:s3:::b",
            },
        },
    });
    let mut definition = plan(&Rules::default(), Id128([1; 16]), request).unwrap().definition;
    definition.http.as_mut().unwrap().access_key = Some(vault.hide(KEY).unwrap());
    Arc::new(definition)
}

/// A request of that stream, not seen before, with these bytes.
pub fn request(definition: &Arc<Definition>, bytes: Arc<dyn ParcelBytes>, crc32c: u32) -> Consignment {
    let seal = SealId::random();
    let request = Request {
        format: RequestFormat::Firehose,
        common_attributes: Some(r#"{"commonAttributes":{"a":"b"}}"#.to_owned()),
        source_bytes: 1,
        oldest_arrival_ms: 1,
        notes: Notes { offset_bytes: 0, length_bytes: 0, crc32c: 0 },
    };
    let parcel = Parcel {
        number: 0,
        kind: ParcelKind::Request(request),
        bucket: String::new(),
        key: seal.parcel_uuid(0),
        content_type: "application/json".to_owned(),
        content_encoding: None,
        kms_key: None,
        length_bytes: bytes.length_bytes(),
        crc32c,
        records: 1,
        place: Place::Log,
    };
    Consignment { seal, parcel, bytes, definition: Some(definition.clone()), is_ordered: false }
}

impl Receiver {
    async fn serve(self: Arc<Self>, mut client: TcpStream) {
        // Decided when the head is there, so that a body can be cut off.
        let mut first = [0; 1];
        if client.peek(&mut first).await.unwrap_or(0) == 0 {
            return;
        }
        let trouble = self.troubles.lock().pop_front();
        if trouble == Some(Trouble::CutOff) {
            let _ = client.read(&mut [0; 3000]).await;
            return;
        }
        let Ok(Some(request)) = read_request(&mut client).await else { return };
        let id = request.header("x-amz-firehose-request-id").unwrap_or_default().to_owned();
        assert_protocol(&request);
        let good = format!(r#"{{"requestId":"{id}","timestamp":1700000000000}}"#);
        let answer = |status: &str, body: &str| {
            let length = body.len();
            format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )
        };
        let text = match trouble {
            Some(Trouble::Refuse) => answer("503 Busy", "{}"),
            Some(Trouble::Hang) => {
                let _ = client.read(&mut [0; 1]).await;
                return;
            }
            _ => {
                let mut taken = self.taken.lock();
                let held = taken.entry(id).or_insert_with(|| Held { bytes: request.body.clone(), times: 0 });
                assert!(held.bytes == request.body, "an id came with other bytes");
                held.times += 1;
                match trouble {
                    Some(Trouble::ReplyLost) => return,
                    Some(Trouble::CutAnswer) => answer("200 OK", &good)[..90].to_owned(),
                    Some(Trouble::WrongAnswer) => answer("200 OK", "<html>it works</html>"),
                    _ => answer("200 OK", &good),
                }
            }
        };
        if trouble == Some(Trouble::Slow) {
            for byte in text.as_bytes() {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let _ = client.write_all(&[*byte]).await;
            }
            return;
        }
        let _ = client.write_all(text.as_bytes()).await;
    }
}

fn assert_protocol(request: &Received) {
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/in?x=1"));
    for (name, value) in [
        ("x-amz-firehose-protocol-version", "1.0"),
        ("x-amz-firehose-access-key", KEY),
        ("x-amz-firehose-common-attributes", r#"{"commonAttributes":{"a":"b"}}"#),
        ("x-amz-firehose-source-arn", "arn:aws:firehose:us-east-1:000000000000:deliverystream/s"),
        ("content-type", "application/json"),
        ("user-agent", "Amazon Kinesis Data Firehose Agent/1.0"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
}

#[async_trait]
impl Outside for Http {
    async fn meeting(&self, troubles: &[Trouble]) -> Arc<dyn Destination> {
        *self.receiver.troubles.lock() = troubles.iter().copied().collect();
        let hangs = troubles.contains(&Trouble::Hang);
        let settings = HttpSettings { answer_timeout_ms: hangs.then_some(4_000), ..HttpSettings::default() };
        assert!(self.addr.ip().is_loopback());
        Arc::new(HttpDestination::new(settings, self.vault.clone(), Arc::new(SystemClock::new())).unwrap())
    }

    fn parcel(&self, bytes: Arc<dyn ParcelBytes>, crc32c: u32) -> Consignment {
        request(&self.definition, bytes, crc32c)
    }

    async fn held(&self, consignment: &Consignment) -> Option<Held> {
        self.receiver.taken.lock().get(&consignment.parcel.key).cloned()
    }
}
