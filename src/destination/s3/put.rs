//! One create-only PUT, and the look at a key that settles unclear answers.
//!
//! The bytes go out once, with their length and checksum known before: no second pass, no chunked trailer. The body is
//! not signed (`UNSIGNED-PAYLOAD`), which spares a SHA-256 of it: the signed checksum header protects it, and the
//! connection where it is TLS.

use super::super::body::{LocalFault, ParcelBody, Progress};
use super::answer::{self, Call, Cause, Outcome, Seen, Target, Verdict};
use super::client::Store;
use crate::destination::{Consignment, DeliveryError};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::ServerSideEncryption;
use std::sync::Arc;

/// Member of the object's metadata that holds the parcel id.
pub const PARCEL: &str = "hydrant-parcel";
/// Member of the object's metadata that holds the number of records.
pub const RECORDS: &str = "hydrant-records";

/// One attempt of one consignment.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The client.
    pub store: &'a Store,
    /// What goes out.
    pub consignment: &'a Consignment,
}

/// How an attempt ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// A clean 200.
    Clean,
    /// HEAD showed our parcel id.
    Found,
    /// 412, and HEAD may not see the object or it is gone: only this seal can own the key.
    Assumed,
}

impl<'a> Attempt<'a> {
    /// The object, for messages.
    pub fn target(&self) -> Target<'a> {
        Target { bucket: &self.consignment.parcel.bucket, key: &self.consignment.parcel.key }
    }

    /// What a failed request means.
    pub fn judge(&self, call: Call, failure: &answer::Failure) -> Outcome {
        answer::judge(call, self.target(), failure)
    }

    /// A body of the consignment's bytes, as the SDK takes it.
    pub fn body(&self, range: std::ops::Range<u64>, crc32c: u32, progress: &Arc<Progress>) -> ByteStream {
        let body = ParcelBody::new(self.consignment.bytes.clone(), range, crc32c, progress.clone());
        ByteStream::new(SdkBody::from_body_1_x(body))
    }

    /// Sends the object in one request.
    pub async fn put(&self) -> Result<Delivered, DeliveryError> {
        let parcel = &self.consignment.parcel;
        let settings = &self.store.settings;
        if !settings.creates_only()
            && let Some(done) = self.look(Cause::Before).await?
        {
            return Ok(done);
        }
        let progress = Arc::new(Progress::default());
        let request = self
            .store
            .sdk
            .put_object()
            .bucket(&parcel.bucket)
            .key(&parcel.key)
            .body(self.body(0..parcel.length_bytes, parcel.crc32c, &progress))
            .content_length(i64::try_from(parcel.length_bytes).unwrap_or(i64::MAX))
            .content_type(&parcel.content_type)
            .set_content_encoding(parcel.content_encoding.clone())
            .set_server_side_encryption(parcel.kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms))
            .set_ssekms_key_id(parcel.kms_key.clone())
            .metadata(PARCEL, self.consignment.parcel_id())
            .metadata(RECORDS, parcel.records.to_string())
            .set_if_none_match(settings.creates_only().then(|| "*".to_owned()))
            .set_checksum_crc32_c(self.store.sends_checksums.then(|| checksum_text(parcel.crc32c)));
        let answered = self.store.call_with_body(&progress, request.send()).await;
        if let Some(fault) = progress.fault() {
            return Err(local_error(self.target(), fault));
        }
        match answered {
            Ok(output) if output.e_tag().is_some() => Ok(Delivered::Clean),
            // No store answers so; what did is found out.
            Ok(_) => {
                let failure = answer::Failure::Unanswered("the answer names no ETag".to_owned());
                self.settle(Call::Put, self.judge(Call::Put, &failure), Cause::Unclear).await
            }
            Err(failure) => match self.judge(Call::Put, &failure) {
                exists @ Outcome::Exists => self.settle(Call::Put, exists, Cause::Exists).await,
                // The same PUT again is create-only, so it finds out by itself.
                other => Err(other.into_error(Call::Put, self.target())),
            },
        }
    }

    /// Decides by the object that stands under the key; without one, the error of `outcome`.
    pub async fn settle(&self, call: Call, outcome: Outcome, cause: Cause) -> Result<Delivered, DeliveryError> {
        match self.look(cause).await? {
            Some(done) => Ok(done),
            None => Err(outcome.into_error(call, self.target())),
        }
    }

    /// Looks at the key. `None`: the parcel is not there.
    pub async fn look(&self, cause: Cause) -> Result<Option<Delivered>, DeliveryError> {
        let parcel = &self.consignment.parcel;
        let request = self.store.sdk.head_object().bucket(&parcel.bucket).key(&parcel.key);
        let seen = match self.store.call(request.send()).await {
            Ok(output) => Seen::Object {
                parcel: output.metadata().and_then(|metadata| metadata.get(PARCEL)).cloned(),
                length_bytes: output.content_length().and_then(|length| u64::try_from(length).ok()),
            },
            Err(answer::Failure::Answered { status: 404, .. }) => Seen::Absent,
            Err(answer::Failure::Answered { status: 403, .. }) => Seen::Hidden,
            Err(failure) => return Err(self.judge(Call::Head, &failure).into_error(Call::Head, self.target())),
        };
        let parcel_id = self.consignment.parcel_id();
        match answer::resolve(cause, &seen, self.target(), &parcel_id, parcel.length_bytes) {
            Verdict::Done => Ok(Some(Delivered::Found)),
            Verdict::AssumedDone => {
                tracing::warn!(bucket = %parcel.bucket, key = %parcel.key, ?seen,
                    "the store says the object exists but does not show it; taken as delivered");
                Ok(Some(Delivered::Assumed))
            }
            Verdict::NotThere => Ok(None),
            Verdict::Foreign(error) => Err(error),
        }
    }
}

/// A CRC-32C as S3 writes it: base64 of the four bytes, big-endian.
pub fn checksum_text(crc32c: u32) -> String {
    base64_simd::STANDARD.encode_to_string(crc32c.to_be_bytes())
}

/// The error of a body that broke on this side.
pub fn local_error(target: Target<'_>, fault: &LocalFault) -> DeliveryError {
    let error = fault.error();
    DeliveryError { message: format!("{target}: {}", error.message), ..error }
}
