//! ListObjects and ListObjectsV2.

use super::{Answer, S3Store, etag, refuse, store_error};
use crate::embedded::store::{ListEntry, ListQuery, Page};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3ErrorCode, S3Response, S3Result};

/// Entries of a page at most, as at S3.
const PAGE_MAX: usize = 1000;

/// What `encoding-type=url` leaves as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// The owner of everything.
pub(super) fn owner() -> Owner {
    Owner { display_name: Some("hydrant".to_owned()), id: Some("000000000000".to_owned()) }
}

/// How names are written into a listing.
pub(super) struct Encoding(Option<EncodingType>);

impl Encoding {
    pub fn new(asked: Option<EncodingType>) -> S3Result<Self> {
        match &asked {
            Some(asked) if asked.as_str() != EncodingType::URL => {
                Err(refuse(S3ErrorCode::InvalidArgument, "encoding-type takes the value url only."))
            }
            _ => Ok(Self(asked)),
        }
    }

    pub fn text(&self, text: &str) -> String {
        if self.0.is_some() { utf8_percent_encode(text, PLAIN).to_string() } else { text.to_owned() }
    }

    pub fn echo(self) -> Option<EncodingType> {
        self.0
    }
}

pub(super) fn limit_of(asked: Option<i32>) -> S3Result<usize> {
    match asked {
        None => Ok(PAGE_MAX),
        Some(limit) => usize::try_from(limit)
            .map(|limit| limit.min(PAGE_MAX))
            .map_err(|_| refuse(S3ErrorCode::InvalidArgument, "The number of entries asked for is negative.")),
    }
}

async fn page_of(service: &S3Store, bucket: String, query: ListQuery) -> S3Result<Page> {
    service.blocking(move |store| store.list(&bucket, &query).map_err(store_error)).await
}

fn outputs(page: &Page, encoding: &Encoding, with_owner: bool) -> (ObjectList, CommonPrefixList) {
    let (mut objects, mut prefixes) = (Vec::new(), Vec::new());
    for entry in &page.entries {
        match entry {
            ListEntry::Object { key, etag: tag, modified, length_bytes } => objects.push(Object {
                key: Some(encoding.text(key)),
                e_tag: Some(etag(tag)),
                last_modified: Some((*modified).into()),
                size: i64::try_from(*length_bytes).ok(),
                owner: with_owner.then(owner),
                storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
                ..Object::default()
            }),
            ListEntry::Prefix(prefix) => prefixes.push(CommonPrefix { prefix: Some(encoding.text(prefix)) }),
        }
    }
    (objects, prefixes)
}

/// Where the next page begins: the kind of the last entry and its name.
fn token_of(entry: &ListEntry) -> String {
    let kind = if matches!(entry, ListEntry::Prefix(_)) { 'p' } else { 'k' };
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(format!("{kind}{}", entry.name()))
}

fn read_token(token: &str) -> Option<(bool, String)> {
    let text = String::from_utf8(base64_simd::URL_SAFE_NO_PAD.decode_to_vec(token).ok()?).ok()?;
    match text.split_at_checked(1)? {
        ("p", name) => Some((true, name.to_owned())),
        ("k", name) => Some((false, name.to_owned())),
        _ => None,
    }
}

pub(super) async fn list_v2(service: &S3Store, input: ListObjectsV2Input) -> Answer<ListObjectsV2Output> {
    let encoding = Encoding::new(input.encoding_type)?;
    let (after_is_prefix, after) = match &input.continuation_token {
        Some(token) => read_token(token)
            .ok_or_else(|| refuse(S3ErrorCode::InvalidArgument, "The continuation token provided is incorrect"))?,
        None => (false, input.start_after.clone().unwrap_or_default()),
    };
    let limit = limit_of(input.max_keys)?;
    let query = ListQuery {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone().unwrap_or_default(),
        after,
        after_is_prefix,
        limit,
    };
    let page = page_of(service, input.bucket.clone(), query).await?;
    let (contents, common_prefixes) = outputs(&page, &encoding, input.fetch_owner.unwrap_or(false));
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(input.bucket),
        key_count: i32::try_from(page.entries.len()).ok(),
        max_keys: i32::try_from(limit).ok(),
        is_truncated: Some(page.truncated),
        next_continuation_token: page.entries.last().filter(|_| page.truncated).map(token_of),
        continuation_token: input.continuation_token,
        contents: Some(contents),
        common_prefixes: Some(common_prefixes),
        prefix: Some(encoding.text(&input.prefix.unwrap_or_default())),
        delimiter: input.delimiter.map(|delimiter| encoding.text(&delimiter)),
        start_after: input.start_after.map(|start_after| encoding.text(&start_after)),
        encoding_type: encoding.echo(),
        ..ListObjectsV2Output::default()
    }))
}

pub(super) async fn list_v1(service: &S3Store, input: ListObjectsInput) -> Answer<ListObjectsOutput> {
    let encoding = Encoding::new(input.encoding_type)?;
    let marker = input.marker.clone().unwrap_or_default();
    let delimiter = input.delimiter.clone().unwrap_or_default();
    let limit = limit_of(input.max_keys)?;
    let query = ListQuery {
        prefix: input.prefix.clone().unwrap_or_default(),
        // A marker that is a rolled-up prefix is what NextMarker gave.
        after_is_prefix: !delimiter.is_empty() && marker.ends_with(&delimiter),
        delimiter,
        after: marker,
        limit,
    };
    let page = page_of(service, input.bucket.clone(), query).await?;
    let (contents, common_prefixes) = outputs(&page, &encoding, true);
    Ok(S3Response::new(ListObjectsOutput {
        name: Some(input.bucket),
        max_keys: i32::try_from(limit).ok(),
        is_truncated: Some(page.truncated),
        next_marker: page.entries.last().filter(|_| page.truncated).map(|entry| encoding.text(entry.name())),
        marker: Some(encoding.text(&input.marker.unwrap_or_default())),
        contents: Some(contents),
        common_prefixes: Some(common_prefixes),
        prefix: Some(encoding.text(&input.prefix.unwrap_or_default())),
        delimiter: input.delimiter.map(|delimiter| encoding.text(&delimiter)),
        encoding_type: encoding.echo(),
        ..ListObjectsOutput::default()
    }))
}
