//! Multipart uploads.

use super::listing::{Encoding, limit_of, owner};
use super::objects::{Headers, ReadConditions, extent_of, open_source, source_of};
use super::stream::receive;
use super::{Answer, Expected, S3Store, checksums, etag, refuse, store_error, write_condition};
use crate::embedded::store::uploads::{Completion, NamedPart, PART_MAX, Summing, Upload};
use s3s::checksum::ChecksumHasher;
use s3s::dto::*;
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

struct Sum(ChecksumHasher);

impl Summing for Sum {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
    fn finish(self: Box<Self>) -> Option<String> {
        checksums::value_of(self.0)
    }
}

/// Whether the checksum of the whole is one of its bytes, by what the request says or S3's default.
fn is_full_object(algorithm: Option<&str>, asked: Option<&ChecksumType>) -> S3Result<bool> {
    match (algorithm, asked.map(ChecksumType::as_str)) {
        (None, None) => Ok(false),
        (None, Some(_)) => Err(refuse(S3ErrorCode::InvalidRequest, "A checksum type needs a checksum algorithm.")),
        (Some(algorithm), None) => Ok(algorithm == "CRC64NVME"),
        (Some(algorithm), Some(ChecksumType::FULL_OBJECT)) if algorithm.starts_with("CRC") => Ok(true),
        (Some(algorithm), Some(ChecksumType::COMPOSITE)) if algorithm != "CRC64NVME" => Ok(false),
        _ => Err(refuse(S3ErrorCode::InvalidRequest, "This checksum type cannot be had with this checksum algorithm.")),
    }
}

fn type_of(upload: &Upload) -> Option<ChecksumType> {
    upload.checksum_algorithm.as_ref()?;
    Some(ChecksumType::from_static(if upload.full_object {
        ChecksumType::FULL_OBJECT
    } else {
        ChecksumType::COMPOSITE
    }))
}

fn algorithm_of(upload: &Upload) -> Option<ChecksumAlgorithm> {
    upload.checksum_algorithm.clone().map(ChecksumAlgorithm::from)
}

pub(super) async fn create(
    service: &S3Store,
    input: CreateMultipartUploadInput,
) -> Answer<CreateMultipartUploadOutput> {
    let algorithm = input.checksum_algorithm.as_ref().map(checksums::known_algorithm).transpose()?;
    let full_object = is_full_object(algorithm, input.checksum_type.as_ref())?;
    let headers = Headers {
        content_type: input.content_type,
        content_encoding: input.content_encoding,
        content_disposition: input.content_disposition,
        content_language: input.content_language,
        cache_control: input.cache_control,
        expires: input.expires,
        metadata: input.metadata,
    };
    let details = headers.into_details()?;
    let (bucket, key) = (input.bucket.clone(), input.key.clone());
    let upload = service
        .blocking(move |store| store.create_upload(&bucket, &key, details, algorithm, full_object).map_err(store_error))
        .await?;
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        checksum_algorithm: algorithm_of(&upload),
        checksum_type: type_of(&upload),
        upload_id: Some(upload.id),
        ..CreateMultipartUploadOutput::default()
    }))
}

pub(super) async fn put_part(service: &S3Store, request: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
    let input = request.input;
    let number = input.part_number;
    check_part_number(number)?;
    let expected = Expected::from_request(&request.headers, input.content_md5, request.trailing_headers)?;
    let (bucket, key, id) = (input.bucket, input.key, input.upload_id);
    let named = (bucket.clone(), key.clone(), id.clone());
    let upload = service.blocking(move |store| store.upload(&named.0, &named.1, &named.2).map_err(store_error)).await?;
    if upload.checksum_algorithm.is_some() && upload.checksum_algorithm.as_deref() != expected.algorithm() {
        return Err(refuse(
            S3ErrorCode::InvalidRequest,
            "The upload was begun with a checksum algorithm, and this part comes without its checksum.",
        ));
    }
    let received = receive(service, input.body, expected, input.content_length).await?;
    let part = service
        .blocking(move |store| {
            let (staged, verified) = received.finish(store)?;
            let checksum = verified.map(|(name, value)| (name.to_owned(), value));
            store.put_part(&bucket, &key, &id, number, staged, checksum).map_err(store_error)
        })
        .await?;
    let sums = checksums::to_dto(&part.checksum.into_iter().collect(), None);
    Ok(S3Response::new(UploadPartOutput {
        e_tag: Some(etag(&part.etag)),
        checksum_crc32: sums.checksum_crc32,
        checksum_crc32c: sums.checksum_crc32c,
        checksum_crc64nvme: sums.checksum_crc64nvme,
        checksum_sha1: sums.checksum_sha1,
        checksum_sha256: sums.checksum_sha256,
        ..UploadPartOutput::default()
    }))
}

fn check_part_number(number: i32) -> S3Result<()> {
    if (1..=PART_MAX).contains(&number) {
        return Ok(());
    }
    Err(refuse(S3ErrorCode::InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"))
}

pub(super) async fn copy_part(service: &S3Store, input: UploadPartCopyInput) -> Answer<UploadPartCopyOutput> {
    check_part_number(input.part_number)?;
    let (from_bucket, from_key) = source_of(input.copy_source)?;
    let range = input.copy_source_range.as_deref().map(Range::parse).transpose();
    let range =
        range.map_err(|_| refuse(S3ErrorCode::InvalidArgument, "The x-amz-copy-source-range cannot be read."))?;
    let conditions = ReadConditions {
        if_match: input.copy_source_if_match,
        if_none_match: input.copy_source_if_none_match,
        if_modified_since: input.copy_source_if_modified_since,
        if_unmodified_since: input.copy_source_if_unmodified_since,
    };
    let (bucket, key, id, number) = (input.bucket, input.key, input.upload_id, input.part_number);
    let part = service
        .blocking(move |store| {
            let upload = store.upload(&bucket, &key, &id).map_err(store_error)?;
            let (mut file, from) = open_source(store, &from_bucket, &from_key, conditions)?;
            let (first, length_bytes, _) = extent_of(range, from.length_bytes)?;
            let algorithm = upload.checksum_algorithm;
            let sum = algorithm.as_deref().and_then(checksums::hasher_of).map(Sum);
            let copied =
                store.stage_copy(&mut file, first, length_bytes, sum.map(|sum| Box::new(sum) as Box<dyn Summing>));
            let (staged, value) = copied.map_err(|e| store_error(e.into()))?;
            store.put_part(&bucket, &key, &id, number, staged, algorithm.zip(value)).map_err(store_error)
        })
        .await?;
    let sums = checksums::to_dto(&part.checksum.into_iter().collect(), None);
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(CopyPartResult {
            e_tag: Some(etag(&part.etag)),
            last_modified: Some(part.modified.into()),
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
        }),
        ..UploadPartCopyOutput::default()
    }))
}

/// The one checksum among the five fields.
fn one_of(values: [Option<String>; 5]) -> Option<String> {
    values.into_iter().flatten().next()
}

pub(super) async fn complete(
    service: &S3Store,
    input: CompleteMultipartUploadInput,
) -> Answer<CompleteMultipartUploadOutput> {
    let condition = write_condition(input.if_match, input.if_none_match)?;
    let parts: Vec<NamedPart> = input
        .multipart_upload
        .and_then(|upload| upload.parts)
        .unwrap_or_default()
        .into_iter()
        .map(|part| NamedPart {
            number: part.part_number.unwrap_or(0),
            etag: part.e_tag.map(ETag::into_value),
            checksum: one_of([
                part.checksum_crc32,
                part.checksum_crc32c,
                part.checksum_crc64nvme,
                part.checksum_sha1,
                part.checksum_sha256,
            ]),
        })
        .collect();
    if parts.is_empty() {
        return Err(refuse(S3ErrorCode::MalformedXML, "You must specify at least one part"));
    }
    let checksum = one_of([
        input.checksum_crc32,
        input.checksum_crc32c,
        input.checksum_crc64nvme,
        input.checksum_sha1,
        input.checksum_sha256,
    ]);
    let length_bytes = match input.mpu_object_size {
        Some(size) => {
            Some(u64::try_from(size).map_err(|_| refuse(S3ErrorCode::InvalidArgument, "The size is negative."))?)
        }
        None => None,
    };
    let (bucket, key, id, asked_type) = (input.bucket, input.key, input.upload_id, input.checksum_type);
    let (to_bucket, to_key) = (bucket.clone(), key.clone());
    let info = service
        .blocking(move |store| {
            let upload = store.upload(&bucket, &key, &id).map_err(store_error)?;
            if asked_type.is_some() && asked_type != type_of(&upload) {
                return Err(refuse(S3ErrorCode::InvalidRequest, "The upload was begun with another checksum type."));
            }
            if checksum.is_some() && upload.checksum_algorithm.is_none() {
                return Err(refuse(
                    S3ErrorCode::NotImplemented,
                    "A checksum of the whole is verified only if the upload was begun with its algorithm.",
                ));
            }
            let summing = |algorithm: &str| {
                checksums::hasher_of(algorithm).map(|hasher| Box::new(Sum(hasher)) as Box<dyn Summing>)
            };
            let completion =
                Completion { parts: &parts, condition: &condition, length_bytes, checksum, summing: &summing };
            store.complete_upload(&bucket, &key, &id, completion).map_err(store_error)
        })
        .await?;
    let sums = checksums::to_dto(&info.details.checksums, info.details.checksum_type.as_deref());
    Ok(S3Response::new(CompleteMultipartUploadOutput {
        location: Some(format!("/{to_bucket}/{to_key}")),
        bucket: Some(to_bucket),
        key: Some(to_key),
        e_tag: Some(etag(&info.etag)),
        checksum_crc32: sums.checksum_crc32,
        checksum_crc32c: sums.checksum_crc32c,
        checksum_crc64nvme: sums.checksum_crc64nvme,
        checksum_sha1: sums.checksum_sha1,
        checksum_sha256: sums.checksum_sha256,
        checksum_type: sums.checksum_type,
        ..CompleteMultipartUploadOutput::default()
    }))
}

pub(super) async fn abort(service: &S3Store, input: AbortMultipartUploadInput) -> Answer<AbortMultipartUploadOutput> {
    service
        .blocking(move |store| store.abort_upload(&input.bucket, &input.key, &input.upload_id).map_err(store_error))
        .await?;
    Ok(S3Response::with_status(AbortMultipartUploadOutput::default(), http::StatusCode::NO_CONTENT))
}

pub(super) async fn list_parts(service: &S3Store, input: ListPartsInput) -> Answer<ListPartsOutput> {
    let limit = limit_of(input.max_parts)?;
    let after = input.part_number_marker.unwrap_or(0);
    let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id.clone());
    let (upload, parts) = service
        .blocking(move |store| {
            let upload = store.upload(&bucket, &key, &id).map_err(store_error)?;
            let parts = store.parts(&bucket, &key, &id, after).map_err(store_error)?;
            Ok((upload, parts))
        })
        .await?;
    let truncated = parts.len() > limit;
    let parts: Vec<Part> = parts
        .into_iter()
        .take(limit)
        .map(|part| {
            let sums = checksums::to_dto(&part.checksum.into_iter().collect::<BTreeMap<_, _>>(), None);
            Part {
                part_number: Some(part.number),
                e_tag: Some(etag(&part.etag)),
                last_modified: Some(part.modified.into()),
                size: i64::try_from(part.length_bytes).ok(),
                checksum_crc32: sums.checksum_crc32,
                checksum_crc32c: sums.checksum_crc32c,
                checksum_crc64nvme: sums.checksum_crc64nvme,
                checksum_sha1: sums.checksum_sha1,
                checksum_sha256: sums.checksum_sha256,
            }
        })
        .collect();
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        max_parts: i32::try_from(limit).ok(),
        is_truncated: Some(truncated),
        part_number_marker: input.part_number_marker,
        next_part_number_marker: parts.last().and_then(|part| part.part_number),
        checksum_algorithm: algorithm_of(&upload),
        checksum_type: type_of(&upload),
        parts: Some(parts),
        owner: Some(owner()),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        ..ListPartsOutput::default()
    }))
}

pub(super) async fn list(service: &S3Store, input: ListMultipartUploadsInput) -> Answer<ListMultipartUploadsOutput> {
    let encoding = Encoding::new(input.encoding_type)?;
    let limit = limit_of(input.max_uploads)?;
    let bucket = input.bucket.clone();
    let all = service.blocking(move |store| store.uploads(&bucket).map_err(store_error)).await?;

    let prefix = input.prefix.clone().unwrap_or_default();
    let delimiter = input.delimiter.clone().unwrap_or_default();
    let key_marker = input.key_marker.clone().unwrap_or_default();
    // Without a key the marker of uploads is ignored, as at S3.
    let id_marker = input.upload_id_marker.clone().filter(|_| !key_marker.is_empty());
    let is_after = |upload: &Upload| match &id_marker {
        Some(id_marker) => (upload.key.as_str(), upload.id.as_str()) > (key_marker.as_str(), id_marker.as_str()),
        None => upload.key > key_marker,
    };
    let (mut uploads, mut prefixes): (Vec<MultipartUpload>, Vec<CommonPrefix>) = (Vec::new(), Vec::new());
    let (mut rolled_up, mut last, mut truncated) = (None::<String>, None::<(String, String)>, false);
    for upload in all.into_iter().filter(|upload| upload.key.starts_with(&prefix) && is_after(upload)) {
        if rolled_up.as_ref().is_some_and(|rolled_up| upload.key.starts_with(rolled_up)) {
            last = Some((upload.key, upload.id));
            continue;
        }
        if uploads.len() + prefixes.len() == limit {
            truncated = true;
            break;
        }
        let at = if delimiter.is_empty() { None } else { upload.key[prefix.len()..].find(&delimiter) };
        if let Some(at) = at {
            let common = upload.key[..prefix.len() + at + delimiter.len()].to_owned();
            prefixes.push(CommonPrefix { prefix: Some(encoding.text(&common)) });
            rolled_up = Some(common);
        } else {
            uploads.push(MultipartUpload {
                key: Some(encoding.text(&upload.key)),
                upload_id: Some(upload.id.clone()),
                initiated: Some((UNIX_EPOCH + Duration::from_millis(upload.initiated_ms)).into()),
                checksum_algorithm: algorithm_of(&upload),
                checksum_type: type_of(&upload),
                owner: Some(owner()),
                storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
                ..MultipartUpload::default()
            });
        }
        last = Some((upload.key, upload.id));
    }
    let next = last.filter(|_| truncated);
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        max_uploads: i32::try_from(limit).ok(),
        is_truncated: Some(truncated),
        next_key_marker: next.as_ref().map(|(key, _)| encoding.text(key)),
        next_upload_id_marker: next.map(|(_, id)| id),
        key_marker: Some(encoding.text(&key_marker)),
        upload_id_marker: input.upload_id_marker,
        prefix: Some(encoding.text(&prefix)),
        delimiter: input.delimiter.map(|delimiter| encoding.text(&delimiter)),
        uploads: Some(uploads),
        common_prefixes: Some(prefixes),
        encoding_type: encoding.echo(),
        ..ListMultipartUploadsOutput::default()
    }))
}
