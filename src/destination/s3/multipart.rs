//! An upload in parts, for objects too large for one PUT.
//!
//! Each attempt starts clean: uploads of this key that an earlier attempt left behind are aborted first, then the key is
//! looked at (a lost answer to Complete may have left the object), then a new upload of the same bytes is made. An
//! attempt that fails aborts its own upload; what it could not abort the next one finds (`uploads`).

use super::super::body::{LocalFault, Progress, crc32c_of};
use super::answer::{Call, Cause, Failure, Outcome};
use super::put::{Attempt, Delivered, PARCEL, RECORDS, checksum_text, local_error};
use super::uploads::{TIDY_PAUSES, Uploads};
use crate::destination::DeliveryError;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, ServerSideEncryption};
use futures::StreamExt;
use std::ops::Range;
use std::sync::Arc;

/// A part that the store has.
struct Sent {
    part: CompletedPart,
    crc32c: u32,
    length_bytes: u64,
}

impl Attempt<'_> {
    /// Sends the object in parts. The number tells how many uploads left behind were aborted.
    pub async fn upload(&self) -> (u64, Result<Delivered, DeliveryError>) {
        let mut aborted = 0;
        let ended = self.upload_counting(&mut aborted).await;
        (aborted, ended)
    }

    async fn upload_counting(&self, aborted: &mut u64) -> Result<Delivered, DeliveryError> {
        let uploads = Uploads { store: self.store, target: self.target() };
        *aborted += uploads.abort_all().await;
        if let Some(done) = self.look(Cause::Before).await? {
            return Ok(done);
        }
        let upload_id = self.create().await?;
        match self.fill(&upload_id).await {
            Ok(delivered) => Ok(delivered),
            // The object stands, but not by this upload.
            Err(Unfinished::Settled(delivered)) => {
                uploads.abort(&upload_id, &TIDY_PAUSES).await;
                Ok(delivered)
            }
            Err(Unfinished::Failed(error)) => {
                // The next attempt aborts what is left.
                uploads.abort(&upload_id, &[]).await;
                Err(error)
            }
        }
    }

    async fn create(&self) -> Result<String, DeliveryError> {
        let parcel = &self.consignment.parcel;
        let request = self
            .store
            .sdk
            .create_multipart_upload()
            .bucket(&parcel.bucket)
            .key(&parcel.key)
            .content_type(&parcel.content_type)
            .set_content_encoding(parcel.content_encoding.clone())
            .set_server_side_encryption(parcel.kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms))
            .set_ssekms_key_id(parcel.kms_key.clone())
            .metadata(PARCEL, self.consignment.parcel_id())
            .metadata(RECORDS, parcel.records.to_string())
            .set_checksum_algorithm(self.store.sends_checksums.then_some(ChecksumAlgorithm::Crc32C));
        let failure = match self.store.call(request.send()).await {
            Ok(output) => match output.upload_id {
                Some(upload_id) => return Ok(upload_id),
                None => Failure::Unanswered("the answer names no upload".to_owned()),
            },
            Err(failure) => failure,
        };
        Err(self.judge(Call::Create, &failure).into_error(Call::Create, self.target()))
    }

    /// Sends the parts and completes the upload.
    async fn fill(&self, upload_id: &str) -> Result<Delivered, Unfinished> {
        let parcel = &self.consignment.parcel;
        let settings = &self.store.settings;
        let part_bytes = settings.part_bytes_for(parcel.length_bytes);
        let parts = parcel.length_bytes.div_ceil(part_bytes).max(1);
        let sends = (0..parts).map(|i| {
            let range = i * part_bytes..((i + 1) * part_bytes).min(parcel.length_bytes);
            self.send_part(upload_id, i as i32 + 1, range)
        });
        // In order, so that the checksums can be put together.
        let mut sending = futures::stream::iter(sends).buffered(settings.parts_at_once());
        let mut completed = Vec::new();
        let mut crc32c = 0;
        while let Some(sent) = sending.next().await {
            let sent = sent?;
            crc32c = crc32c::crc32c_combine(crc32c, sent.crc32c, sent.length_bytes as usize);
            completed.push(sent.part);
        }
        drop(sending);
        if crc32c != parcel.crc32c {
            let fault = LocalFault::Damaged { expected: parcel.crc32c, found: crc32c };
            return Err(Unfinished::Failed(local_error(self.target(), &fault)));
        }
        self.complete(upload_id, completed).await
    }

    async fn send_part(&self, upload_id: &str, number: i32, range: Range<u64>) -> Result<Sent, DeliveryError> {
        let parcel = &self.consignment.parcel;
        let length_bytes = range.end - range.start;
        // Only the whole has a checksum in the seal; a part's is summed first, from what is then in the page cache.
        let crc32c = crc32c_of(self.consignment.bytes.clone(), range.clone())
            .await
            .map_err(|fault| local_error(self.target(), &fault))?;
        let checksum = self.store.sends_checksums.then(|| checksum_text(crc32c));
        let progress = Arc::new(Progress::default());
        let request = self
            .store
            .sdk
            .upload_part()
            .bucket(&parcel.bucket)
            .key(&parcel.key)
            .upload_id(upload_id)
            .part_number(number)
            .body(self.body(range, crc32c, &progress))
            .content_length(i64::try_from(length_bytes).unwrap_or(i64::MAX))
            .set_checksum_crc32_c(checksum.clone());
        let answered = self.store.call_with_body(&progress, request.send()).await;
        if let Some(fault) = progress.fault() {
            return Err(local_error(self.target(), fault));
        }
        let failure = match answered {
            Ok(output) => match output.e_tag {
                Some(e_tag) => {
                    let part = CompletedPart::builder()
                        .part_number(number)
                        .e_tag(e_tag)
                        .set_checksum_crc32_c(checksum)
                        .build();
                    return Ok(Sent { part, crc32c, length_bytes });
                }
                None => Failure::Unanswered("the answer names no ETag".to_owned()),
            },
            Err(failure) => failure,
        };
        Err(self.judge(Call::Part, &failure).into_error(Call::Part, self.target()))
    }

    async fn complete(&self, upload_id: &str, parts: Vec<CompletedPart>) -> Result<Delivered, Unfinished> {
        let parcel = &self.consignment.parcel;
        let request = self
            .store
            .sdk
            .complete_multipart_upload()
            .bucket(&parcel.bucket)
            .key(&parcel.key)
            .upload_id(upload_id)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .set_if_none_match(self.store.settings.creates_only().then(|| "*".to_owned()));
        // A store may take minutes to put a large object together.
        let failure = match self.store.call_patiently(request.send()).await {
            Ok(output) if output.e_tag().is_some() => return Ok(Delivered::Clean),
            Ok(_) => Failure::Unanswered("the answer names no ETag".to_owned()),
            Err(failure) => failure,
        };
        let outcome = self.judge(Call::Complete, &failure);
        let cause = match outcome {
            Outcome::Refused(error) => return Err(error.into()),
            Outcome::Exists => Cause::Exists,
            Outcome::Gone | Outcome::Unclear(_) => Cause::Unclear,
        };
        match self.settle(Call::Complete, outcome, cause).await {
            Ok(delivered) => Err(Unfinished::Settled(delivered)),
            Err(error) => Err(error.into()),
        }
    }
}

/// Why an upload is not the one that made the object.
enum Unfinished {
    /// The object stands all the same (or by this upload, whose answer was lost).
    Settled(Delivered),
    /// It does not, as far as is known.
    Failed(DeliveryError),
}

impl From<DeliveryError> for Unfinished {
    fn from(error: DeliveryError) -> Self {
        Self::Failed(error)
    }
}
