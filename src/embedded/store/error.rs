//! Why the store refuses or fails.

use crate::embedded::key_path::KeyError;
use crate::fault::{Class, Fault, Retry};
use std::io;

/// Outcome of every operation of the store that is not `Ok`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such bucket.
    #[error("there is no bucket of this name")]
    NoSuchBucket,
    /// The bucket to create is there.
    #[error("the bucket exists already")]
    BucketExists,
    /// The bucket to delete holds something.
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    /// No such object.
    #[error("there is no object under this key")]
    NoSuchKey,
    /// No such upload, or it is of another key.
    #[error("there is no multipart upload of this id for this key; it was completed or aborted, or never begun")]
    NoSuchUpload,
    /// If-Match or If-None-Match does not hold.
    #[error("a condition of the request does not hold")]
    PreconditionFailed,
    /// The key cannot be stored.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A part named on completion is absent or another one.
    #[error("part {0} was not uploaded, or its ETag or checksum is not the one named")]
    InvalidPart(i32),
    /// Parts named out of order.
    #[error("the parts are not in ascending order")]
    PartOrder,
    /// A part other than the last is below 5 MiB.
    #[error("part {0} is smaller than 5 MiB and not the last one")]
    PartTooSmall(i32),
    /// The whole does not have the announced checksum or size.
    #[error("the completed object does not have the announced {0}")]
    WholeMismatch(&'static str),
    /// The disk.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Fault for StoreError {
    fn class(&self) -> Class {
        match self {
            Self::Io(_) => Class::Upstream,
            _ => Class::User,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Io(_) => Retry::Backoff,
            _ => Retry::Never,
        }
    }
}
