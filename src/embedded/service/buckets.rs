//! Buckets.

use super::{Answer, REGION, S3Store, refuse, store_error};
use s3s::dto::*;
use s3s::{S3ErrorCode, S3Response};

pub(super) async fn list(service: &S3Store, input: ListBucketsInput) -> Answer<ListBucketsOutput> {
    let prefix = input.prefix.clone().unwrap_or_default();
    let after = input.continuation_token.unwrap_or_default();
    let limit = match input.max_buckets {
        Some(limit @ 1..=10_000) => limit as usize,
        Some(_) => return Err(refuse(S3ErrorCode::InvalidArgument, "max-buckets must be between 1 and 10000.")),
        None => 10_000,
    };
    let all = service.blocking(|store| store.buckets().map_err(store_error)).await?;
    let mut rest = all.into_iter().filter(|bucket| bucket.name.starts_with(&prefix) && bucket.name > after);
    let buckets: Vec<Bucket> = rest
        .by_ref()
        .take(limit)
        .map(|bucket| Bucket {
            name: Some(bucket.name),
            creation_date: Some(bucket.created.into()),
            bucket_region: Some(REGION.to_owned()),
        })
        .collect();
    let continuation_token = rest.next().and_then(|_| buckets.last().and_then(|bucket| bucket.name.clone()));
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(buckets),
        continuation_token,
        owner: Some(super::listing::owner()),
        prefix: input.prefix,
    }))
}

pub(super) async fn create(service: &S3Store, input: CreateBucketInput) -> Answer<CreateBucketOutput> {
    let location = format!("/{}", input.bucket);
    service.blocking(move |store| store.create_bucket(&input.bucket).map_err(store_error)).await?;
    Ok(S3Response::new(CreateBucketOutput { location: Some(location) }))
}

pub(super) async fn delete(service: &S3Store, input: DeleteBucketInput) -> Answer<DeleteBucketOutput> {
    service.blocking(move |store| store.delete_bucket(&input.bucket).map_err(store_error)).await?;
    Ok(S3Response::with_status(DeleteBucketOutput {}, http::StatusCode::NO_CONTENT))
}

pub(super) async fn head(service: &S3Store, input: HeadBucketInput) -> Answer<HeadBucketOutput> {
    service.blocking(move |store| store.check_bucket(&input.bucket).map_err(store_error)).await?;
    Ok(S3Response::new(HeadBucketOutput { bucket_region: Some(REGION.to_owned()), ..HeadBucketOutput::default() }))
}

pub(super) async fn location(service: &S3Store, input: GetBucketLocationInput) -> Answer<GetBucketLocationOutput> {
    service.blocking(move |store| store.check_bucket(&input.bucket).map_err(store_error)).await?;
    // For us-east-1 S3 answers with no constraint.
    Ok(S3Response::new(GetBucketLocationOutput::default()))
}
