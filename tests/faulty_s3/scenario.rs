//! One scenario: three parcels through the proxy with the caller's loop of attempts, then the judge's comparison.

use super::proxy::{Fault, Hand, Proxy, Rule, When};
use super::upstream::{BUCKET, FOREIGN, Object, Upstream, destination, put_foreign, settings};
use hydrant::destination::s3::answer::Call;
use hydrant::destination::s3::{S3Destination, S3Settings};
use hydrant::destination::{Consignment, DeliveryError, Destination, ParcelBytes};
use hydrant::fault::Retry;
use hydrant::stream::SealId;
use hydrant::stream::seal::{Parcel, ParcelKind, Place};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// Parcels a scenario delivers.
pub const PARCELS: u32 = 3;
/// Parts of each, where it goes in parts.
pub const PARTS: u64 = 3;
const PART_BYTES: u64 = 40_000;
/// More attempts than any script here can make fail.
const MAX_ATTEMPTS: usize = 12;

/// How the parcels go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One PUT each.
    Put,
    /// One PUT each; every other answer is lost, so that HEAD decides.
    PutReplyLost,
    /// In parts, over what a crashed attempt left behind.
    Parts,
    /// In parts; every other answer to Complete is lost, so that HEAD decides and the upload is aborted.
    PartsReplyLost,
}

impl Way {
    /// What the proxy does on this way besides the fault.
    pub fn rules(self) -> Vec<Rule> {
        let lost = |call| vec![Rule { call, when: When::Odd, fault: Fault::ReplyLost }];
        match self {
            Self::PutReplyLost => lost(Call::Put),
            Self::PartsReplyLost => lost(Call::Complete),
            Self::Put | Self::Parts => Vec::new(),
        }
    }

    /// Settings of a store at the proxy, for this way and fault.
    pub fn settings(self, proxy: &Proxy, fault: Option<Fault>) -> S3Settings {
        let in_parts = matches!(self, Self::Parts | Self::PartsReplyLost);
        let silent = matches!(fault, Some(Fault::SilentBefore | Fault::SilentAfter));
        S3Settings {
            multipart_above_bytes: Some(if in_parts { PART_BYTES } else { u64::MAX }),
            part_bytes: Some(PART_BYTES),
            parts_in_flight: Some(2),
            // Only who waits for an answer that never comes should run into it.
            answer_timeout_ms: Some(if silent { 4_000 } else { 60_000 }),
            ..settings(proxy.addr)
        }
    }
}

#[derive(Debug)]
struct Memory(Vec<u8>);

impl ParcelBytes for Memory {
    fn length_bytes(&self) -> u64 {
        self.0.len() as u64
    }
    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        let at = offset_bytes as usize;
        buffer.copy_from_slice(self.0.get(at..at + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A parcel of `bytes` under `key`.
pub fn consignment(key: String, number: u32, bytes: Vec<u8>) -> Consignment {
    let parcel = Parcel {
        number,
        kind: ParcelKind::Data,
        bucket: BUCKET.to_owned(),
        key,
        content_type: "application/octet-stream".to_owned(),
        content_encoding: Some("gzip".to_owned()),
        kms_key: None,
        length_bytes: bytes.len() as u64,
        crc32c: crc32c::crc32c(&bytes),
        records: 7,
        place: Place::Log,
    };
    Consignment { seal: SealId::random(), parcel, bytes: Arc::new(Memory(bytes)), definition: None, is_ordered: false }
}

/// What the judge must find for a delivered parcel.
pub fn expected(consignment: &Consignment) -> Object {
    let mut bytes = vec![0; consignment.parcel.length_bytes as usize];
    consignment.bytes.read_exact_at(&mut bytes, 0).unwrap();
    Object {
        bytes,
        content_type: Some("application/octet-stream".to_owned()),
        content_encoding: Some("gzip".to_owned()),
        metadata: BTreeMap::from([
            ("hydrant-parcel".to_owned(), consignment.parcel_id()),
            ("hydrant-records".to_owned(), "7".to_owned()),
        ]),
    }
}

/// Attempts until it is done or never will be, as `delivery` does, without the pauses.
pub async fn deliver(destination: &S3Destination, consignment: &Consignment) -> Result<usize, DeliveryError> {
    for attempt in 1.. {
        match destination.deliver(consignment).await {
            Ok(()) => return Ok(attempt),
            Err(error) if error.retry == Retry::Never || attempt == MAX_ATTEMPTS => return Err(error),
            Err(_) => {}
        }
    }
    unreachable!()
}

/// What the proxy may do to the store behind it.
pub fn hand(upstream: &Upstream) -> Hand {
    let client = upstream.client.clone();
    Arc::new(move |key, foreign| {
        let client = client.clone();
        Box::pin(async move {
            if foreign {
                put_foreign(&client, &key).await;
            } else {
                client.delete_object().bucket(BUCKET).key(key).send().await.unwrap();
            }
        })
    })
}

/// Bytes of which no two pieces are alike.
fn bytes_of(number: u32, length_bytes: u64) -> Vec<u8> {
    let words = (0..length_bytes.div_ceil(8)).map(|i| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(number));
    let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    bytes.truncate(length_bytes as usize);
    bytes
}

/// One fault at the `nth` call of its kind.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub way: Way,
    pub call: Call,
    pub nth: usize,
    pub fault: Fault,
}

impl Scenario {
    /// What the proxy does.
    pub fn rules(self) -> Vec<Rule> {
        let mut rules = vec![Rule { call: self.call, when: When::Nth(self.nth), fault: self.fault }];
        rules.extend(self.way.rules());
        rules
    }

    /// Plays it; `Err` says what the judge found.
    pub async fn play(self, upstream: &Upstream, prefix: &str) -> Result<(), String> {
        let proxy = Proxy::start(upstream.addr, self.rules(), hand(upstream)).await;
        let destination = destination(self.way.settings(&proxy, Some(self.fault)));
        let length_bytes = if self.way == Way::Parts { (PARTS - 1) * PART_BYTES + 11 } else { 300_001 };
        let parcels: Vec<Consignment> = (0..PARCELS)
            .map(|number| consignment(format!("{prefix}a b=ü/{number}.gz"), number, bytes_of(number, length_bytes)))
            .collect();
        if self.way == Way::Parts {
            for parcel in &parcels {
                upstream.leave_upload(&parcel.parcel.key).await;
            }
        }
        let mut refused = Vec::new();
        for parcel in &parcels {
            if let Err(error) = deliver(&destination, parcel).await {
                refused.push((parcel, error));
            }
        }
        self.judge(upstream, prefix, &proxy, &parcels, &refused).await
    }

    async fn judge(
        self,
        upstream: &Upstream,
        prefix: &str,
        proxy: &Proxy,
        parcels: &[Consignment],
        refused: &[(&Consignment, DeliveryError)],
    ) -> Result<(), String> {
        if proxy.fired(self.call, self.fault) != 1 {
            return Err(format!("the fault was not reached ({} calls)", proxy.calls(self.call)));
        }
        if !proxy.all_arrived() {
            return Err("a late request never arrived".to_owned());
        }
        let foreign = usize::from(self.fault == Fault::Foreign);
        if refused.len() != foreign {
            return Err(format!("{} parcels refused instead of {foreign}: {refused:?}", refused.len()));
        }
        let mut keys = Vec::new();
        for parcel in parcels {
            let key = &parcel.parcel.key;
            keys.push(key.clone());
            let found = upstream.object(key).await;
            match refused.iter().find(|(other, _)| other.parcel.key == *key) {
                None if found != Some(expected(parcel)) => {
                    let found = found.map(|object| (object.bytes.len(), object.metadata));
                    return Err(format!("{key} is not the parcel: {found:?}"));
                }
                None => {}
                Some((_, error)) => {
                    if error.code != "S3.ForeignObject" {
                        return Err(format!("refused for another reason: {error}"));
                    }
                    if found.is_none_or(|object| object.bytes != FOREIGN) {
                        return Err(format!("{key}: the foreign object was touched"));
                    }
                }
            }
        }
        let there = upstream.keys(prefix).await;
        if there != keys {
            return Err(format!("objects {there:?} instead of {keys:?}"));
        }
        match upstream.uploads(prefix).await {
            left if left.is_empty() => Ok(()),
            left => Err(format!("uploads left behind: {left:?}")),
        }
    }
}
