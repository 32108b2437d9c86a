//! Destinations: where parcels go.
//!
//! The contract, for whoever adds one:
//! - [`Destination::deliver`] makes ONE attempt to bring one parcel to the outside and resolves unclear answers itself
//!   (reply lost, "exists already"). `Ok` means the outside holds exactly these bytes under this name.
//! - The same parcel delivered twice equals once where the destination can see to it; what it promises is
//!   [`Guarantee`], as data. Ids in a parcel stand for the same bytes for ever (rules D2, D7).
//! - The caller (`delivery`) retries: `Backoff` with full jitter, `AfterOperator` slowly, `Never` is a fault that stops
//!   the lane. A destination keeps no record of attempts.
//! - Parcels are re-openable: `open` may be called for each attempt and each part of an upload.
//! - What is sent is in the parcel (sealed); how it is sent (endpoint, credentials) is the destination's newest
//!   setting (rule D5).

pub mod aws_http;
pub mod s3;

pub use crate::record::ParcelBytes;

use crate::fault::{Class, Fault, Retry};
use crate::stream::SealId;
use crate::stream::seal::Parcel;
use async_trait::async_trait;
use std::fmt::Debug;
use std::sync::Arc;

/// What a destination promises about repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// A parcel is there at most once, whatever is repeated.
    ExactlyOnce,
    /// A repeat can be seen twice by the receiver; its id tells.
    AtLeastOnce,
}

/// A parcel on its way: its sealed description and its bytes.
#[derive(Debug, Clone)]
pub struct Consignment {
    /// The seal it belongs to.
    pub seal: SealId,
    /// Name, length, checksum, headers.
    pub parcel: Parcel,
    /// The bytes.
    pub bytes: Arc<dyn ParcelBytes>,
}

impl Consignment {
    /// Identity of the parcel for ever, kept with the object: `<seal id>-<parcel number>`.
    pub fn parcel_id(&self) -> String {
        format!("{}-{}", self.seal, self.parcel.number)
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}: {message}")]
pub struct DeliveryError {
    /// Error code as in the reference, such as `S3.AccessDenied`.
    pub code: String,
    /// What happened and what to do.
    pub message: String,
    /// Who can mend it.
    pub class: Class,
    /// Whether trying again can help.
    pub retry: Retry,
}

impl Fault for DeliveryError {
    fn class(&self) -> Class {
        self.class
    }
    fn retry(&self) -> Retry {
        self.retry
    }
}

/// A place parcels are delivered to.
#[async_trait]
pub trait Destination: Send + Sync + Debug {
    /// What it promises.
    fn guarantee(&self) -> Guarantee;
    /// One attempt; see the module's contract.
    async fn deliver(&self, consignment: &Consignment) -> Result<(), DeliveryError>;
    /// Nobody will deliver this parcel any more, and no attempt runs: what attempts left unfinished outside is taken
    /// back, as far as that is possible now.
    async fn give_up(&self, _parcel: &Parcel) {}
}
