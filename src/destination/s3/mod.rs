//! Amazon S3 and stores that speak its API.
//!
//! | file | what |
//! |---|---|
//! | [`key`] | names of objects, as Firehose makes them |
//! | [`settings`], [`secret`] | the section `s3:` of the configuration |
//! | [`client`], [`credentials`] | clients of stores, their connections, keys and time-outs |
//! | [`answer`] | what an answer means: pure, with its table |
//! | `put`, `multipart`, `uploads` | the requests |
//!
//! Promise: each parcel stands in the store at most once, under its sealed name (rules D2, D4). The guard is the
//! create-only write; where a store ignores conditions, equal bytes overwrite equal bytes.

pub mod answer;
pub mod client;
pub mod credentials;
pub mod key;
mod multipart;
mod put;
pub mod secret;
pub mod settings;
mod uploads;

pub use put::{PARCEL as PARCEL_METADATA, RECORDS as RECORDS_METADATA};
pub use secret::Secret;
pub use settings::{ChecksumCalculation, Credentials, S3Settings};

use super::{Consignment, DeliveryError, Destination, Guarantee};
use crate::clock::Clock;
use crate::fault::{Class, Retry};
use crate::stream::seal::Parcel;
use crate::telemetry::metrics::{self, S3Outcome};
use answer::Target;
use async_trait::async_trait;
use client::{Store, Stores};
use parking_lot::RwLock;
use put::{Attempt, Delivered};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use uploads::Uploads;

/// Delivers parcels to buckets; one serves all streams.
#[derive(Debug)]
pub struct S3Destination {
    settings: RwLock<Arc<S3Settings>>,
    stores: Stores,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    clean: AtomicU64,
    found: AtomicU64,
    assumed: AtomicU64,
    failed: AtomicU64,
    uploads_aborted: AtomicU64,
}

/// Attempts of this destination since it was made, by how they ended; `/metrics` has the sums of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct S3Counts {
    /// The store answered a clean 200.
    pub clean: u64,
    /// An earlier attempt had written the object; HEAD showed our parcel id.
    pub found: u64,
    /// The store said the object exists but did not show it.
    pub assumed: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Multipart uploads of failed attempts that were aborted later.
    pub uploads_aborted: u64,
}

impl S3Destination {
    /// A destination with these settings; `clock` tells how old keys are.
    pub fn new(settings: S3Settings, clock: Arc<dyn Clock>) -> Self {
        Self { settings: RwLock::new(Arc::new(settings)), stores: Stores::new(clock), counts: Counts::default() }
    }

    /// Puts new settings in place; the next attempt of every parcel uses them (rule D5).
    pub fn change(&self, settings: S3Settings) {
        *self.settings.write() = Arc::new(settings);
        self.stores.clear();
    }

    /// Attempts since it was made.
    pub fn counts(&self) -> S3Counts {
        S3Counts {
            clean: self.counts.clean.load(Relaxed),
            found: self.counts.found.load(Relaxed),
            assumed: self.counts.assumed.load(Relaxed),
            failed: self.counts.failed.load(Relaxed),
            uploads_aborted: self.counts.uploads_aborted.load(Relaxed),
        }
    }

    fn count_aborted(&self, uploads: u64) {
        self.counts.uploads_aborted.fetch_add(uploads, Relaxed);
        metrics::s3_uploads_aborted(uploads);
    }

    /// The client for the parcel's bucket, by the settings of now.
    async fn store_of(&self, parcel: &Parcel) -> Result<Arc<Store>, DeliveryError> {
        let settings = Arc::clone(&self.settings.read());
        self.stores.get(settings.for_bucket(&parcel.bucket)).await.map_err(|error| DeliveryError {
            code: "S3.Settings".to_owned(),
            message: format!("bucket '{}' cannot be reached: {error}", parcel.bucket),
            class: Class::User,
            retry: Retry::AfterOperator,
            not_before: None,
        })
    }

    async fn attempt(&self, consignment: &Consignment) -> Result<Delivered, DeliveryError> {
        let parcel = &consignment.parcel;
        let store = self.store_of(parcel).await?;
        if consignment.bytes.length_bytes() != parcel.length_bytes {
            return Err(DeliveryError {
                code: "Outbox.Damaged".to_owned(),
                message: format!(
                    "s3://{}/{}: {} bytes were sealed, {} are in the data folder",
                    parcel.bucket,
                    parcel.key,
                    parcel.length_bytes,
                    consignment.bytes.length_bytes()
                ),
                class: Class::Upstream,
                retry: Retry::Never,
                not_before: None,
            });
        }
        let attempt = Attempt { store: &store, consignment };
        let ended = if store.settings.goes_in_parts(parcel.length_bytes) {
            let (aborted, ended) = attempt.upload().await;
            self.count_aborted(aborted);
            ended
        } else {
            attempt.put().await
        };
        if ended.as_ref().is_err_and(|error| answer::concerns_keys(&error.code)) {
            // Whatever the operator mends (a file, a profile, a role) is read anew by the next attempt.
            self.stores.forget(&store);
        }
        ended
    }
}

#[async_trait]
impl Destination for S3Destination {
    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    async fn deliver(&self, consignment: &Consignment) -> Result<(), DeliveryError> {
        let ended = self.attempt(consignment).await;
        let (count, outcome) = match &ended {
            Ok(Delivered::Clean) => (&self.counts.clean, S3Outcome::Clean),
            Ok(Delivered::Found) => (&self.counts.found, S3Outcome::Found),
            Ok(Delivered::Assumed) => (&self.counts.assumed, S3Outcome::Assumed),
            Err(_) => (&self.counts.failed, S3Outcome::Failed),
        };
        count.fetch_add(1, Relaxed);
        metrics::s3_attempted(outcome);
        ended.map(|_| ())
    }

    async fn give_up(&self, parcel: &Parcel) {
        match self.store_of(parcel).await {
            Ok(store) if store.settings.goes_in_parts(parcel.length_bytes) => {
                let target = Target { bucket: &parcel.bucket, key: &parcel.key };
                self.count_aborted(Uploads { store: &store, target }.abort_all().await);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, key = parcel.key, "uploads of a parcel given up cannot be aborted"),
        }
    }
}
