//! S3: the embedded store behind the scripted proxy.

use super::{Held, Outside, Trouble};
use crate::faulty_s3::proxy::{Fault, Proxy, Rule, When};
use crate::faulty_s3::scenario::{consignment, hand};
use crate::faulty_s3::upstream::{Upstream, destination, settings};
use async_trait::async_trait;
use hydrant::destination::s3::S3Settings;
use hydrant::destination::s3::answer::Call;
use hydrant::destination::{Consignment, Destination, ParcelBytes};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub struct S3 {
    upstream: Upstream,
    proxies: Mutex<Vec<Proxy>>,
    parcels: AtomicU32,
}

impl S3 {
    pub async fn start() -> Self {
        Self { upstream: Upstream::start().await, proxies: Mutex::default(), parcels: AtomicU32::new(0) }
    }
}

#[async_trait]
impl Outside for S3 {
    async fn meeting(&self, troubles: &[Trouble]) -> Arc<dyn Destination> {
        let fault = |trouble| match trouble {
            Trouble::Refuse => Fault::Answer(503, "SlowDown"),
            Trouble::Slow => Fault::Slow,
            Trouble::Hang => Fault::SilentBefore,
            Trouble::CutOff => Fault::ResetBefore,
            Trouble::ReplyLost => Fault::ReplyLost,
            Trouble::CutAnswer => Fault::Truncated,
            Trouble::WrongAnswer => Fault::AnswerAfter(599, "Nonsense"),
        };
        let rule = |(at, trouble): (usize, &Trouble)| {
            let when = When::Nth(at + 1);
            Rule { call: Call::Put, when, fault: fault(*trouble) }
        };
        let rules = troubles.iter().enumerate().map(rule).collect();
        let proxy = Proxy::start(self.upstream.addr, rules, hand(&self.upstream)).await;
        let hangs = troubles.contains(&Trouble::Hang);
        let settings = S3Settings { answer_timeout_ms: hangs.then_some(4_000), ..settings(proxy.addr) };
        self.proxies.lock().push(proxy);
        Arc::new(destination(settings))
    }

    fn parcel(&self, bytes: Arc<dyn ParcelBytes>, crc32c: u32) -> Consignment {
        let number = self.parcels.fetch_add(1, Ordering::Relaxed);
        let mut made = consignment(format!("conformance/{number}"), number, Vec::new());
        (made.parcel.length_bytes, made.parcel.crc32c) = (bytes.length_bytes(), crc32c);
        made.bytes = bytes;
        made
    }

    async fn held(&self, consignment: &Consignment) -> Option<Held> {
        let object = self.upstream.object(&consignment.parcel.key).await?;
        Some(Held { bytes: object.bytes, times: 1 })
    }
}
