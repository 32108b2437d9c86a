//! S3's operations over the store: this file only routes; one file beside it a group of operations.
//!
//! What is not here answers NotImplemented, by the trait's defaults; headers this server does not act on are refused
//! before they get here (`http`).

mod buckets;
mod checksums;
mod listing;
mod objects;
mod stream;
mod uploads;

use super::store::{Condition, Store, StoreError};
use checksums::Expected;
use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Blocking operations at a time; more wait.
const PARALLEL: u32 = 64;

/// The one region there is.
pub const REGION: &str = "us-east-1";

/// The store behind S3's operations.
#[derive(Debug, Clone)]
pub struct S3Store {
    store: Arc<Store>,
    permits: Arc<Semaphore>,
}

impl S3Store {
    /// Operations on `store`.
    pub fn new(store: Store) -> Self {
        Self { store: Arc::new(store), permits: Arc::new(Semaphore::new(PARALLEL as usize)) }
    }

    /// Runs `work` on a thread that may block. It runs to its end even when the request is gone.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let permit = self.permits.clone().acquire_owned().await.map_err(S3Error::internal_error)?;
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || {
            let outcome = work(&store);
            // The store is let go before the permit, so that who holds all permits knows it is closed.
            drop(store);
            drop(permit);
            outcome
        });
        done.await.map_err(S3Error::internal_error)?
    }

    /// Returns when no work is under way and none can begin.
    pub async fn quiesce(&self) {
        if self.permits.acquire_many(PARALLEL).await.is_ok() {
            self.permits.close();
        }
    }
}

fn refuse(code: S3ErrorCode, message: &'static str) -> S3Error {
    S3Error::with_message(code, message)
}

/// The S3 error of a refusal or failure of the store.
fn store_error(error: StoreError) -> S3Error {
    let code = match &error {
        StoreError::NoSuchBucket => S3ErrorCode::NoSuchBucket,
        StoreError::BucketExists => S3ErrorCode::BucketAlreadyOwnedByYou,
        StoreError::BucketNotEmpty => S3ErrorCode::BucketNotEmpty,
        StoreError::NoSuchKey => S3ErrorCode::NoSuchKey,
        StoreError::NoSuchUpload => S3ErrorCode::NoSuchUpload,
        StoreError::PreconditionFailed => S3ErrorCode::PreconditionFailed,
        StoreError::Key(super::key_path::KeyError::TooLong) => S3ErrorCode::KeyTooLongError,
        StoreError::Key(_) => S3ErrorCode::InvalidArgument,
        StoreError::InvalidPart(_) => S3ErrorCode::InvalidPart,
        StoreError::PartOrder => S3ErrorCode::InvalidPartOrder,
        StoreError::PartTooSmall(_) => S3ErrorCode::EntityTooSmall,
        StoreError::WholeMismatch("size") => S3ErrorCode::InvalidRequest,
        StoreError::WholeMismatch(_) => S3ErrorCode::BadDigest,
        StoreError::Io(error) => {
            tracing::error!(%error, "the embedded S3 store failed");
            S3ErrorCode::InternalError
        }
    };
    S3Error::with_message(code, error.to_string())
}

/// The condition of a write. S3 knows `If-None-Match: *` only.
fn write_condition(if_match: Option<ETagCondition>, if_none_match: Option<ETagCondition>) -> S3Result<Condition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Condition::None),
        (None, Some(ETagCondition::Any)) => Ok(Condition::Absent),
        (Some(ETagCondition::Any), None) => Ok(Condition::Present(None)),
        (Some(ETagCondition::ETag(etag)), None) => Ok(Condition::Present(Some(etag.into_value()))),
        (_, Some(_)) => Err(refuse(
            S3ErrorCode::NotImplemented,
            "Writes take If-None-Match: * or If-Match, one of them, and no other form.",
        )),
    }
}

fn etag(value: &str) -> ETag {
    ETag::Strong(value.to_owned())
}

type Answer<T> = S3Result<S3Response<T>>;

#[async_trait::async_trait]
impl S3 for S3Store {
    async fn list_buckets(&self, request: S3Request<ListBucketsInput>) -> Answer<ListBucketsOutput> {
        buckets::list(self, request.input).await
    }
    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> Answer<CreateBucketOutput> {
        buckets::create(self, request.input).await
    }
    async fn delete_bucket(&self, request: S3Request<DeleteBucketInput>) -> Answer<DeleteBucketOutput> {
        buckets::delete(self, request.input).await
    }
    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> Answer<HeadBucketOutput> {
        buckets::head(self, request.input).await
    }
    async fn get_bucket_location(&self, request: S3Request<GetBucketLocationInput>) -> Answer<GetBucketLocationOutput> {
        buckets::location(self, request.input).await
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        objects::put(self, request).await
    }
    async fn get_object(&self, request: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        objects::get(self, request.input).await
    }
    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        objects::head(self, request.input).await
    }
    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> Answer<CopyObjectOutput> {
        objects::copy(self, request).await
    }
    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> Answer<DeleteObjectOutput> {
        objects::delete(self, request.input).await
    }
    async fn delete_objects(&self, request: S3Request<DeleteObjectsInput>) -> Answer<DeleteObjectsOutput> {
        objects::delete_many(self, request.input).await
    }
    async fn post_object(&self, _: S3Request<PostObjectInput>) -> Answer<PostObjectOutput> {
        Err(refuse(S3ErrorCode::NotImplemented, "Uploads by HTML forms are not implemented; use PUT."))
    }

    async fn list_objects_v2(&self, request: S3Request<ListObjectsV2Input>) -> Answer<ListObjectsV2Output> {
        listing::list_v2(self, request.input).await
    }
    async fn list_objects(&self, request: S3Request<ListObjectsInput>) -> Answer<ListObjectsOutput> {
        listing::list_v1(self, request.input).await
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        uploads::create(self, request.input).await
    }
    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
        uploads::put_part(self, request).await
    }
    async fn upload_part_copy(&self, request: S3Request<UploadPartCopyInput>) -> Answer<UploadPartCopyOutput> {
        uploads::copy_part(self, request.input).await
    }
    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        uploads::complete(self, request.input).await
    }
    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> Answer<AbortMultipartUploadOutput> {
        uploads::abort(self, request.input).await
    }
    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> Answer<ListPartsOutput> {
        uploads::list_parts(self, request.input).await
    }
    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> Answer<ListMultipartUploadsOutput> {
        uploads::list(self, request.input).await
    }
}
