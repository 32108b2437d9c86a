//! The contract of `src/destination/mod.rs` as one suite, which every destination runs: what it says is delivered is
//! there, what is not delivered is an error whose handling is data, and the same parcel twice does no harm.
//!
//! `suite` asserts; [`Outside`] is what a destination brings for it: a faulty outside world, a parcel of its kind, and a
//! judge's look at what the world holds. `s3`, `http` and `redshift` bring theirs. `early` is
//! about endpoints alone, `clusters` about Redshift.

pub mod clusters;
pub mod early;
pub mod http;
pub mod redshift;
pub mod s3;

use async_trait::async_trait;
use hydrant::destination::{Consignment, DeliveryError, Destination, Guarantee, ParcelBytes};
use hydrant::fault::Retry;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What the outside does with an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Answers that it does not take it now.
    Refuse,
    /// Takes its time; nothing is wrong.
    Slow,
    /// Never answers.
    Hang,
    /// Cuts the connection off before it has the parcel.
    CutOff,
    /// Takes it, and the answer is lost.
    ReplyLost,
    /// Takes it, and half of the answer comes.
    CutAnswer,
    /// Answers something that says nothing.
    WrongAnswer,
}

const ALL: [Trouble; 7] = [
    Trouble::Refuse,
    Trouble::Slow,
    Trouble::Hang,
    Trouble::CutOff,
    Trouble::ReplyLost,
    Trouble::CutAnswer,
    Trouble::WrongAnswer,
];

/// What the outside holds under a parcel's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How often it was given them, as far as a receiver can see it.
    pub times: usize,
}

/// The world outside of one destination.
#[async_trait]
pub trait Outside: Send + Sync {
    /// A destination of this world, whose attempts meet these troubles, one after the other, and none after that. Where
    /// an attempt makes several calls, its last one meets it.
    async fn meeting(&self, troubles: &[Trouble]) -> Arc<dyn Destination>;
    /// A parcel of its kind, not seen before, with these bytes.
    fn parcel(&self, bytes: Arc<dyn ParcelBytes>, crc32c: u32) -> Consignment;
    /// What is held of it.
    async fn held(&self, consignment: &Consignment) -> Option<Held>;
}

#[derive(Debug)]
pub struct Memory(pub Vec<u8>);

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

pub fn bytes_of(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 % 251) as u8).collect()
}

fn parcel(outside: &dyn Outside, length: usize) -> (Consignment, Vec<u8>) {
    let bytes = bytes_of(length);
    (outside.parcel(Arc::new(Memory(bytes.clone())), crc32c::crc32c(&bytes)), bytes)
}

/// An attempt. It must end by itself.
async fn attempt(destination: &dyn Destination, consignment: &Consignment) -> Result<(), DeliveryError> {
    let ended = tokio::time::timeout(Duration::from_secs(60), destination.deliver(consignment));
    ended.await.expect("an attempt does not end")
}

/// What was said to be delivered is there, once where that is promised.
async fn assert_there(outside: &dyn Outside, promise: Guarantee, consignment: &Consignment, bytes: &[u8], what: &str) {
    let held = outside.held(consignment).await.unwrap_or_else(|| panic!("{what}: delivered, and not there"));
    assert!(held.bytes == bytes, "{what}: other bytes");
    assert!(held.times == 1 || promise == Guarantee::AtLeastOnce, "{what}: there {} times", held.times);
}

/// The suite.
pub async fn suite(outside: &dyn Outside) {
    accepts_and_takes_repeats(outside).await;
    for trouble in ALL {
        recovers(outside, trouble).await;
    }
    goes_on_failing(outside).await;
    takes_parcels_beside_each_other(outside).await;
    never_delivers_damage(outside).await;
}

async fn accepts_and_takes_repeats(outside: &dyn Outside) {
    let destination = outside.meeting(&[]).await;
    for length in [1, 1000, 300_001] {
        let (consignment, bytes) = parcel(outside, length);
        assert_eq!(outside.held(&consignment).await, None);
        for repeat in 0..3 {
            attempt(&*destination, &consignment).await.unwrap();
            assert_there(outside, destination.guarantee(), &consignment, &bytes, &format!("repeat {repeat}")).await;
        }
    }
}

/// One trouble, and then the next attempt.
async fn recovers(outside: &dyn Outside, trouble: Trouble) {
    let destination = outside.meeting(&[trouble]).await;
    let (consignment, bytes) = parcel(outside, 200_000);
    let what = format!("{trouble:?}");
    let mut attempts = 0;
    loop {
        attempts += 1;
        match attempt(&*destination, &consignment).await {
            Ok(()) => break,
            Err(error) => {
                assert!(attempts < 3, "{what}: it does not recover: {error}");
                assert!(matches!(error.retry, Retry::Backoff | Retry::AfterOperator), "{what}: {error:?}");
                assert!(!error.code.is_empty() && !error.message.is_empty(), "{what}: {error:?}");
                // An attempt that took it may have failed all the same; then it is the same parcel.
                if let Some(held) = outside.held(&consignment).await {
                    assert!(held.bytes == bytes, "{what}: other bytes after a failure");
                }
            }
        }
    }
    assert_there(outside, destination.guarantee(), &consignment, &bytes, &what).await;
    if trouble == Trouble::Slow {
        assert_eq!(attempts, 1, "slow is not wrong");
    }
    if matches!(trouble, Trouble::Refuse | Trouble::CutOff) {
        assert_eq!(attempts, 2, "{what}: it was said to be delivered and was not taken");
    }
}

/// All troubles in turn, and then it works: nothing of what was before sticks.
async fn goes_on_failing(outside: &dyn Outside) {
    let destination = outside.meeting(&ALL).await;
    let (consignment, bytes) = parcel(outside, 50_000);
    let mut attempts = 0;
    while attempt(&*destination, &consignment).await.is_err() {
        attempts += 1;
        assert!(attempts <= ALL.len(), "it does not recover");
    }
    assert_there(outside, destination.guarantee(), &consignment, &bytes, "in the end").await;
}

async fn takes_parcels_beside_each_other(outside: &dyn Outside) {
    let destination = outside.meeting(&[Trouble::Refuse, Trouble::ReplyLost]).await;
    let parcels: Vec<_> = (0..8).map(|i| parcel(outside, 10_000 + i)).collect();
    let all = parcels.iter().map(|(consignment, bytes)| async {
        for attempts in 1.. {
            match attempt(&*destination, consignment).await {
                Ok(()) => break,
                Err(error) => assert!(attempts < 4, "{error}"),
            }
        }
        assert_there(outside, destination.guarantee(), consignment, bytes, "beside others").await;
    });
    futures::future::join_all(all).await;
}

/// Sealed bytes that are not what was sealed never become a delivered parcel.
async fn never_delivers_damage(outside: &dyn Outside) {
    let destination = outside.meeting(&[]).await;
    let bytes = bytes_of(100_000);
    let consignment = outside.parcel(Arc::new(Memory(bytes.clone())), crc32c::crc32c(&bytes) ^ 1);
    let error = attempt(&*destination, &consignment).await.unwrap_err();
    assert_eq!(error.retry, Retry::Never, "{error}");
    assert_eq!(outside.held(&consignment).await, None);
}
