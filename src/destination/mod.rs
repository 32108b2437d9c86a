//! Destinations: where parcels go.
//!
//! The contract, for whoever adds one:
//! - **A parcel** is what is delivered at once: an object with its key, a request with its id. Name and bytes are sealed;
//!   they stand for each other for ever (rules D2, D7). How it is sent (endpoint, credentials) is the newest setting at
//!   each attempt (rule D5). Its bytes may be read again and again, for each attempt and each part of it.
//! - **One attempt.** [`Destination::deliver`] makes one attempt to bring one parcel out, and resolves unclear answers
//!   itself (reply lost, "exists already") as far as the outside can tell. It ends, whatever the outside does: a
//!   destination bounds its own waiting. It keeps no record of attempts.
//! - **Done** (`Ok`) means that the outside holds exactly these bytes under this name, durably as far as it says.
//!   Anything less is an error. Nothing is freed before that.
//! - **Who retries.** The caller (`delivery`), by one policy ([`retry`]): `Backoff` with full jitter, `AfterOperator`
//!   slowly, not before [`DeliveryError::not_before`]; `Never` is a fault that stops the lane. Of a parcel that can be
//!   given up (not an object), `GiveUp` says that it is refused for good, and its retry time may end: then the caller
//!   stores a turn (rule D3) while no attempt runs, and its records go to the error area.
//!   Before that it asks the destination to settle the parcel ([`Destination::settle`]): what came out late after all is
//!   delivered, and while it cannot be told the parcel waits.
//! - **Duplicates.** The same parcel delivered twice equals once where the destination can see to it; what it promises is
//!   [`Guarantee`], as data. A repeat has the same id and the same bytes.
//! - **Order.** None: parcels of a seal, and of several seals of a lane, may be under way at the same time. Seals are
//!   closed in order.
//!
//! `tests/destination.rs` is the contract as tests; every destination runs them.

pub mod aws_http;
mod body;
pub mod http;
pub mod redshift;
pub mod retry;
mod room;
mod router;
pub mod s3;
mod secrets;
pub mod trust;

pub use router::Router;

pub use crate::record::ParcelBytes;

use crate::fault::{Class, Fault, Retry};
use crate::stream::SealId;
use crate::stream::definition::Definition;
use crate::stream::seal::Parcel;
use async_trait::async_trait;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

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
    /// The newest definition of its stream, for how it is sent; `None`: there is none any more.
    pub definition: Option<Arc<Definition>>,
    /// The operator has resumed the stream since its newest update: where this goes may be what is set now in place of what
    /// was sealed (rule D5).
    pub is_ordered: bool,
}

impl Consignment {
    /// Identity of the parcel for ever, kept with the object: `<seal id>-<parcel number>`.
    pub fn parcel_id(&self) -> String {
        format!("{}-{}", self.seal, self.parcel.number)
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// The destination asks not to be tried again before so long.
    pub not_before: Option<Duration>,
}

impl DeliveryError {
    /// Whether it is about the sealed bytes or a secret, which could not be read here: nothing was said to the
    /// destination, nor by it.
    pub fn is_of_this_side(&self) -> bool {
        self.code.starts_with("Outbox.") || self.code.starts_with("Secret.")
    }
}

impl Fault for DeliveryError {
    fn class(&self) -> Class {
        self.class
    }
    fn retry(&self) -> Retry {
        self.retry
    }
}

/// What became of a parcel that is to be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// An attempt that seemed to fail has delivered it.
    Delivered,
    /// None has, as far as the guarantee goes, and none will unless it is attempted again.
    NotDelivered,
}

/// A place parcels are delivered to.
#[async_trait]
pub trait Destination: Send + Sync + Debug {
    /// What it promises.
    fn guarantee(&self) -> Guarantee;
    /// One attempt; see the module's contract.
    async fn deliver(&self, consignment: &Consignment) -> Result<(), DeliveryError>;
    /// Makes sure that nothing of the attempts so far delivers this parcel late, for it is to be given up. An error: that
    /// cannot be told now. Ends, as an attempt does.
    async fn settle(
        &self,
        _seal: SealId,
        _parcel: &Parcel,
        _newest: Option<&Definition>,
    ) -> Result<Settled, DeliveryError> {
        Ok(Settled::NotDelivered)
    }
    /// Nobody will deliver this parcel any more, and no attempt runs: what attempts left unfinished outside is taken
    /// back, as far as that is possible now.
    async fn give_up(&self, _parcel: &Parcel) {}
}
