//! Objects: put, get, head, copy, delete.

use super::stream::{FileBody, receive};
use super::{Answer, Expected, S3Store, checksums, etag, refuse, store_error, write_condition};
use crate::embedded::store::{Condition, Details, ObjectInfo, Store};
use s3s::dto::*;
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};
use std::fs::File;
use std::time::{SystemTime, UNIX_EPOCH};

/// `x-amz-meta-*` at most, names and values together, as at S3.
const USER_METADATA_MAX_BYTES: usize = 2048;

/// Keys of one DeleteObjects at most, as at S3.
const DELETE_MAX: usize = 1000;

/// Headers kept with an object, as requests bring them.
pub(super) struct Headers {
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    pub content_disposition: Option<String>,
    pub content_language: Option<String>,
    pub cache_control: Option<String>,
    pub expires: Option<Timestamp>,
    pub metadata: Option<Metadata>,
}

impl Headers {
    /// Their stored form.
    pub fn into_details(self) -> S3Result<Details> {
        let user: std::collections::BTreeMap<_, _> = self.metadata.unwrap_or_default().into_iter().collect();
        if user.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > USER_METADATA_MAX_BYTES {
            return Err(refuse(S3ErrorCode::MetadataTooLarge, "The user metadata is larger than 2 KB."));
        }
        // How the body was sent is no property of the object.
        let content_encoding = self.content_encoding.map(|list| {
            let kept: Vec<_> =
                list.split(',').map(str::trim).filter(|one| !one.is_empty() && *one != "aws-chunked").collect();
            kept.join(",")
        });
        Ok(Details {
            content_type: self.content_type,
            content_encoding: content_encoding.filter(|list| !list.is_empty()),
            content_disposition: self.content_disposition,
            content_language: self.content_language,
            cache_control: self.cache_control,
            expires: self.expires.as_ref().and_then(text_of),
            user,
            ..Details::default()
        })
    }
}

fn text_of(time: &Timestamp) -> Option<String> {
    let mut text = Vec::new();
    time.format(TimestampFormat::DateTime, &mut text).ok()?;
    String::from_utf8(text).ok()
}

fn time_of(text: &str) -> Option<Timestamp> {
    Timestamp::parse(TimestampFormat::DateTime, text).ok()
}

fn signed(length_bytes: u64) -> i64 {
    i64::try_from(length_bytes).unwrap_or(i64::MAX)
}

pub(super) async fn put(service: &S3Store, request: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
    let input = request.input;
    let condition = write_condition(input.if_match, input.if_none_match)?;
    let expected = Expected::from_request(&request.headers, input.content_md5, request.trailing_headers)?;
    let headers = Headers {
        content_type: input.content_type,
        content_encoding: input.content_encoding,
        content_disposition: input.content_disposition,
        content_language: input.content_language,
        cache_control: input.cache_control,
        expires: input.expires,
        metadata: input.metadata,
    };
    let mut details = headers.into_details()?;
    let (bucket, key) = (input.bucket, input.key);
    let name = bucket.clone();
    service.blocking(move |store| store.check_bucket(&name).map_err(store_error)).await?;
    let received = receive(service, input.body, expected, input.content_length).await?;
    let info = service
        .blocking(move |store| {
            let (staged, verified) = received.finish(store)?;
            details.checksums.extend(verified.map(|(name, value)| (name.to_owned(), value)));
            store.put(&bucket, &key, staged, details, &condition).map_err(store_error)
        })
        .await?;
    let sums = checksums::to_dto(&info.details.checksums, info.details.checksum_type.as_deref());
    Ok(S3Response::new(PutObjectOutput {
        e_tag: Some(etag(&info.etag)),
        checksum_crc32: sums.checksum_crc32,
        checksum_crc32c: sums.checksum_crc32c,
        checksum_crc64nvme: sums.checksum_crc64nvme,
        checksum_sha1: sums.checksum_sha1,
        checksum_sha256: sums.checksum_sha256,
        checksum_type: sums.checksum_type,
        ..PutObjectOutput::default()
    }))
}

/// Conditions of a read.
pub(super) struct ReadConditions {
    pub if_match: Option<ETagCondition>,
    pub if_none_match: Option<ETagCondition>,
    pub if_modified_since: Option<Timestamp>,
    pub if_unmodified_since: Option<Timestamp>,
}

/// HTTP dates have whole seconds.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn seconds_of(time: &Timestamp) -> i64 {
    let mut text = Vec::new();
    let formatted = time.format(TimestampFormat::EpochSeconds, &mut text);
    let text = String::from_utf8(text).unwrap_or_default();
    match formatted {
        Ok(()) => text.split('.').next().and_then(|whole| whole.parse().ok()).unwrap_or(0),
        Err(_) => 0,
    }
}

impl ReadConditions {
    /// In the order of RFC 9110, section 13.2.2.
    fn check(self, info: &ObjectInfo) -> S3Result<()> {
        let is = |condition: &ETagCondition| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(wanted) => wanted.value() == info.etag,
        };
        let modified = i64::try_from(seconds(info.modified)).unwrap_or(i64::MAX);
        let failed =
            refuse(S3ErrorCode::PreconditionFailed, "At least one of the preconditions you specified did not hold.");
        match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) if !is(condition) => return Err(failed),
            (None, Some(since)) if modified > seconds_of(since) => return Err(failed),
            _ => {}
        }
        match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) if is(condition) => Err(S3ErrorCode::NotModified.into()),
            (None, Some(since)) if modified <= seconds_of(since) => Err(S3ErrorCode::NotModified.into()),
            _ => Ok(()),
        }
    }
}

fn open(store: &Store, bucket: &str, key: &str, conditions: ReadConditions) -> S3Result<(File, ObjectInfo)> {
    let (file, info) = store.open_object(bucket, key).map_err(store_error)?;
    conditions.check(&info)?;
    Ok((file, info))
}

/// Opens the source of a copy, for which "not modified" is a refusal like any other.
pub(super) fn open_source(
    store: &Store,
    bucket: &str,
    key: &str,
    conditions: ReadConditions,
) -> S3Result<(File, ObjectInfo)> {
    open(store, bucket, key, conditions).map_err(|error| {
        if *error.code() == S3ErrorCode::NotModified { S3ErrorCode::PreconditionFailed.into() } else { error }
    })
}

/// Bucket and key of a copy's source.
pub(super) fn source_of(source: CopySource) -> S3Result<(Box<str>, Box<str>)> {
    match source {
        CopySource::Bucket { bucket, key, version_id: None } => Ok((bucket, key)),
        _ => Err(refuse(S3ErrorCode::NotImplemented, "Copies take BUCKET/KEY as their source, without a version.")),
    }
}

/// The part of the object a Range names: first byte, length, and the Content-Range if it is not the whole.
pub(super) fn extent_of(range: Option<Range>, length_bytes: u64) -> S3Result<(u64, u64, Option<String>)> {
    let Some(range) = range else { return Ok((0, length_bytes, None)) };
    let extent = range.check(length_bytes)?;
    if extent.is_empty() {
        // The last n bytes of nothing.
        return Err(S3ErrorCode::InvalidRange.into());
    }
    let content_range = format!("bytes {}-{}/{length_bytes}", extent.start, extent.end - 1);
    Ok((extent.start, extent.end - extent.start, Some(content_range)))
}

fn refuse_part_number(part_number: Option<i32>) -> S3Result<()> {
    match part_number {
        Some(_) => Err(refuse(S3ErrorCode::NotImplemented, "Reading by part number is not implemented; use Range.")),
        None => Ok(()),
    }
}

const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

pub(super) async fn get(service: &S3Store, input: GetObjectInput) -> Answer<GetObjectOutput> {
    refuse_part_number(input.part_number)?;
    let conditions = ReadConditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    let (bucket, key) = (input.bucket, input.key);
    let (file, info) = service.blocking(move |store| open(store, &bucket, &key, conditions)).await?;
    let (first, length_bytes, content_range) = extent_of(input.range, info.length_bytes)?;
    let details = info.details;
    let mut output = GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        body: Some(FileBody::stream(file, first, length_bytes)),
        content_length: Some(signed(length_bytes)),
        e_tag: Some(etag(&info.etag)),
        last_modified: Some(info.modified.into()),
        content_type: Some(details.content_type.unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned())),
        content_encoding: details.content_encoding,
        content_disposition: details.content_disposition,
        content_language: details.content_language,
        cache_control: details.cache_control,
        expires: details.expires.as_deref().and_then(time_of),
        metadata: (!details.user.is_empty()).then(|| details.user.into_iter().collect()),
        ..GetObjectOutput::default()
    };
    if input.checksum_mode.is_some() && content_range.is_none() {
        let sums = checksums::to_dto(&details.checksums, details.checksum_type.as_deref());
        output.checksum_crc32 = sums.checksum_crc32;
        output.checksum_crc32c = sums.checksum_crc32c;
        output.checksum_crc64nvme = sums.checksum_crc64nvme;
        output.checksum_sha1 = sums.checksum_sha1;
        output.checksum_sha256 = sums.checksum_sha256;
        output.checksum_type = sums.checksum_type;
    }
    output.content_range = content_range;
    Ok(S3Response::new(output))
}

pub(super) async fn head(service: &S3Store, input: HeadObjectInput) -> Answer<HeadObjectOutput> {
    refuse_part_number(input.part_number)?;
    let conditions = ReadConditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    let (bucket, key) = (input.bucket, input.key);
    let (_, info) = service.blocking(move |store| open(store, &bucket, &key, conditions)).await?;
    let (_, length_bytes, content_range) = extent_of(input.range, info.length_bytes)?;
    let details = info.details;
    let mut output = HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: Some(signed(length_bytes)),
        e_tag: Some(etag(&info.etag)),
        last_modified: Some(info.modified.into()),
        content_type: Some(details.content_type.unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned())),
        content_encoding: details.content_encoding,
        content_disposition: details.content_disposition,
        content_language: details.content_language,
        cache_control: details.cache_control,
        expires: details.expires.as_deref().and_then(time_of),
        metadata: (!details.user.is_empty()).then(|| details.user.into_iter().collect()),
        ..HeadObjectOutput::default()
    };
    if input.checksum_mode.is_some() && content_range.is_none() {
        let sums = checksums::to_dto(&details.checksums, details.checksum_type.as_deref());
        output.checksum_crc32 = sums.checksum_crc32;
        output.checksum_crc32c = sums.checksum_crc32c;
        output.checksum_crc64nvme = sums.checksum_crc64nvme;
        output.checksum_sha1 = sums.checksum_sha1;
        output.checksum_sha256 = sums.checksum_sha256;
        output.checksum_type = sums.checksum_type;
    }
    output.content_range = content_range;
    Ok(S3Response::new(output))
}

pub(super) async fn copy(service: &S3Store, request: S3Request<CopyObjectInput>) -> Answer<CopyObjectOutput> {
    let input = request.input;
    let (from_bucket, from_key) = source_of(input.copy_source)?;
    // The destination's conditions, which the server crate does not read for this operation.
    let condition_in = |name| {
        let value = request.headers.get(name).map(|value| ETagCondition::parse_http_header(value.as_bytes()));
        value.transpose().map_err(|_| refuse(S3ErrorCode::InvalidArgument, "If-Match or If-None-Match cannot be read."))
    };
    let condition = write_condition(condition_in("if-match")?, condition_in("if-none-match")?)?;
    let conditions = ReadConditions {
        if_match: input.copy_source_if_match,
        if_none_match: input.copy_source_if_none_match,
        if_modified_since: input.copy_source_if_modified_since,
        if_unmodified_since: input.copy_source_if_unmodified_since,
    };
    if input.checksum_algorithm.is_some() {
        return Err(refuse(
            S3ErrorCode::NotImplemented,
            "Copies keep the checksum they have; another one is not computed.",
        ));
    }
    let replace = input.metadata_directive.as_ref().is_some_and(|d| d.as_str() == MetadataDirective::REPLACE);
    if !replace && *from_bucket == *input.bucket && *from_key == *input.key {
        return Err(refuse(
            S3ErrorCode::InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata.",
        ));
    }
    let headers = Headers {
        content_type: input.content_type,
        content_encoding: input.content_encoding,
        content_disposition: input.content_disposition,
        content_language: input.content_language,
        cache_control: input.cache_control,
        expires: input.expires,
        metadata: input.metadata,
    };
    let mut replaced = headers.into_details()?;
    let info = service
        .blocking(move |store| {
            let (mut file, from) = open_source(store, &from_bucket, &from_key, conditions)?;
            let mut staged = store.stage().map_err(|e| store_error(e.into()))?;
            staged.write_from(&mut file).map_err(|e| store_error(e.into()))?;
            let details = if replace {
                replaced.checksums = from.details.checksums;
                replaced.checksum_type = from.details.checksum_type;
                replaced
            } else {
                from.details
            };
            store.put(&input.bucket, &input.key, staged, details, &condition).map_err(store_error)
        })
        .await?;
    let sums = checksums::to_dto(&info.details.checksums, info.details.checksum_type.as_deref());
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(CopyObjectResult {
            e_tag: Some(etag(&info.etag)),
            last_modified: Some(info.modified.into()),
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            checksum_type: sums.checksum_type,
        }),
        ..CopyObjectOutput::default()
    }))
}

pub(super) async fn delete(service: &S3Store, input: DeleteObjectInput) -> Answer<DeleteObjectOutput> {
    let condition = write_condition(input.if_match, None)?;
    service.blocking(move |store| store.remove(&input.bucket, &input.key, &condition).map_err(store_error)).await?;
    Ok(S3Response::with_status(DeleteObjectOutput::default(), http::StatusCode::NO_CONTENT))
}

pub(super) async fn delete_many(service: &S3Store, input: DeleteObjectsInput) -> Answer<DeleteObjectsOutput> {
    if input.delete.objects.len() > DELETE_MAX {
        return Err(refuse(S3ErrorCode::MalformedXML, "One request deletes at most 1000 objects."));
    }
    let quiet = input.delete.quiet.unwrap_or(false);
    let (bucket, objects) = (input.bucket, input.delete.objects);
    let output = service
        .blocking(move |store| {
            store.check_bucket(&bucket).map_err(store_error)?;
            let (mut deleted, mut errors) = (Vec::new(), Vec::new());
            for object in objects {
                let unsupported = object.version_id.as_deref().is_some_and(|version| version != "null")
                    || object.last_modified_time.is_some()
                    || object.size.is_some();
                let outcome = if unsupported {
                    Err(refuse(
                        S3ErrorCode::NotImplemented,
                        "Versions and conditions on size or time are not implemented.",
                    ))
                } else {
                    let condition = match object.e_tag {
                        Some(wanted) => Condition::Present(Some(wanted.into_value())),
                        None => Condition::None,
                    };
                    store.remove(&bucket, &object.key, &condition).map_err(store_error)
                };
                match outcome {
                    Ok(()) if quiet => {}
                    Ok(()) => deleted.push(DeletedObject { key: Some(object.key), ..DeletedObject::default() }),
                    Err(error) => errors.push(Error {
                        code: Some(error.code().as_str().to_owned()),
                        key: Some(object.key),
                        message: error.message().map(str::to_owned),
                        version_id: None,
                    }),
                }
            }
            Ok(DeleteObjectsOutput { deleted: Some(deleted), errors: Some(errors), ..DeleteObjectsOutput::default() })
        })
        .await?;
    Ok(S3Response::new(output))
}
