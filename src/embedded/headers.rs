//! What requests may ask for: `x-amz-*` this server does not act on is refused by name, never dropped in silence.

use http::{HeaderMap, Uri};
use s3s::{S3Error, S3ErrorCode, S3Result};

/// The account everything belongs to.
const ACCOUNT: &str = "000000000000";

/// Acted on, or without an effect that could be missed.
const KNOWN: [&str; 23] = [
    "x-amz-api-version",
    "x-amz-bucket-region",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-mode",
    "x-amz-checksum-type",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-range",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-metadata-directive",
    "x-amz-mp-object-size",
    "x-amz-object-attributes",
    "x-amz-optional-object-attributes",
    "x-amz-request-payer",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-trailer",
    "x-amz-user-agent",
];

/// Members of a presigned URL.
const SIGNING: [&str; 9] = [
    "x-amz-algorithm",
    "x-amz-checksum-mode",
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];

fn not_implemented(message: String) -> S3Error {
    S3Error::with_message(S3ErrorCode::NotImplemented, message)
}

/// Whether the value asks for nothing that is not so anyway.
fn changes_nothing(name: &str, value: &str) -> bool {
    matches!(
        (name, value),
        ("x-amz-acl", "private" | "bucket-owner-full-control")
            | ("x-amz-storage-class", "STANDARD")
            | ("x-amz-tagging-directive", "COPY")
            | ("x-amz-server-side-encryption-bucket-key-enabled", "false")
            | ("x-amz-bucket-object-lock-enabled", "false")
            | ("x-amz-object-ownership", "BucketOwnerEnforced")
            | ("x-amz-bypass-governance-retention", "false")
    )
}

/// Refuses a request for what this server does not do.
pub(super) fn check(uri: &Uri, headers: &HeaderMap) -> S3Result<()> {
    for (name, value) in headers {
        let name = name.as_str();
        if !name.starts_with("x-amz-") {
            continue;
        }
        let value = value.to_str().unwrap_or_default();
        if matches!(name, "x-amz-expected-bucket-owner" | "x-amz-source-expected-bucket-owner") {
            if value != ACCOUNT {
                let message = format!("All buckets belong to the account {ACCOUNT}.");
                return Err(S3Error::with_message(S3ErrorCode::AccessDenied, message));
            }
        } else if !KNOWN.contains(&name)
            && !name.starts_with("x-amz-meta-")
            && !name.starts_with("x-amz-checksum-")
            && !changes_nothing(name, value)
        {
            return Err(match name {
                _ if name.starts_with("x-amz-server-side-encryption") => not_implemented(format!(
                    "The embedded S3 stores objects as plain files and does not encrypt them; leave out {name} or use \
                     another S3 endpoint."
                )),
                _ => not_implemented(format!("The embedded S3 does not implement {name}: {value}; leave it out.")),
            });
        }
    }
    for (name, value) in uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')) {
        let name = name.to_ascii_lowercase();
        if name.starts_with("x-amz-") && !SIGNING.contains(&name.as_str()) {
            return Err(not_implemented(format!(
                "The embedded S3 takes {name} as a header only, not as a part of the URL."
            )));
        }
        if name == "versionid" && value != "null" {
            return Err(not_implemented("The embedded S3 keeps no versions.".to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn outcome(uri: &'static str, headers: &[(&'static str, &'static str)]) -> Result<(), String> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        check(&Uri::from_static(uri), &headers).map_err(|e| e.code().as_str().to_owned())
    }

    #[test]
    fn what_is_done_passes_and_the_rest_is_refused() {
        let refused = || Err("NotImplemented".to_owned());
        assert_eq!(outcome("/b/k?x-id=PutObject", &[("x-amz-meta-a", "1"), ("x-amz-acl", "private")]), Ok(()));
        assert_eq!(outcome("/b/k?X-Amz-Signature=0&X-Amz-SignedHeaders=host&versionId=null", &[]), Ok(()));
        assert_eq!(outcome("/b/k", &[("x-amz-acl", "public-read")]), refused());
        assert_eq!(outcome("/b/k", &[("x-amz-server-side-encryption", "aws:kms")]), refused());
        assert_eq!(outcome("/b/k", &[("x-amz-tagging", "a=b")]), refused());
        assert_eq!(outcome("/b/k", &[("x-amz-grant-read", "id=1")]), refused());
        assert_eq!(outcome("/b/k", &[("x-amz-made-up", "1")]), refused());
        assert_eq!(outcome("/b/k?versionId=3", &[]), refused());
        assert_eq!(outcome("/b/k?x-amz-acl=public-read", &[]), refused());
        assert_eq!(outcome("/b/k", &[("x-amz-expected-bucket-owner", "1")]), Err("AccessDenied".to_owned()));
    }
}
