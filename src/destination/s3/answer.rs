//! What an answer of the store means. Pure: facts in, [`Outcome`] out; the I/O is in `client`, `put` and `multipart`.
//!
//! The rule (D4): a clean 200 is done; 412 means an object stands there and HEAD decides whose; NoSuchUpload on
//! Complete means the upload was completed or aborted and HEAD decides; anything that leaves open whether the request
//! took effect is unclear and the same request is sent again; what only the operator can mend is said with what to do.

use crate::destination::DeliveryError;
use crate::fault::{Class, Retry};
use std::fmt;

/// The requests that are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// PutObject
    Put,
    /// HeadObject
    Head,
    /// ListMultipartUploads
    List,
    /// CreateMultipartUpload
    Create,
    /// UploadPart
    Part,
    /// CompleteMultipartUpload
    Complete,
    /// AbortMultipartUpload
    Abort,
}

impl Call {
    /// Name of the operation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Put => "PutObject",
            Self::Head => "HeadObject",
            Self::List => "ListMultipartUploads",
            Self::Create => "CreateMultipartUpload",
            Self::Part => "UploadPart",
            Self::Complete => "CompleteMultipartUpload",
            Self::Abort => "AbortMultipartUpload",
        }
    }

    fn permission(self) -> &'static str {
        match self {
            Self::Put | Self::Create | Self::Part | Self::Complete => "s3:PutObject",
            Self::Head => "s3:GetObject",
            Self::List => "s3:ListBucketMultipartUploads",
            Self::Abort => "s3:AbortMultipartUpload",
        }
    }
}

/// Which object a request was about; for messages.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Bucket.
    pub bucket: &'a str,
    /// Object key.
    pub key: &'a str,
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// The facts of a request that did not end in a clean 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The store answered with an error; the status can be 200 with the error inside.
    Answered {
        /// HTTP status.
        status: u16,
        /// Error code, when the answer had one.
        code: Option<String>,
        /// The store's text.
        message: String,
    },
    /// No answer, or one that cannot be read: reset, time-out, truncated. The request may have taken effect.
    Unanswered(String),
    /// A connection could not be made, or the request could not be put together: nothing was sent.
    NotSent(String),
    /// There are no keys to sign with.
    NoCredentials(String),
}

/// What a failure means for the parcel.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// 412: an object stands under the key.
    Exists,
    /// The upload is not there any more: completed or aborted.
    Gone,
    /// The request may have taken effect.
    Unclear(DeliveryError),
    /// The request certainly took no effect.
    Refused(DeliveryError),
}

impl Outcome {
    /// The error to return when nothing more can be found out.
    pub fn into_error(self, call: Call, target: Target<'_>) -> DeliveryError {
        match self {
            Self::Unclear(error) | Self::Refused(error) => error,
            Self::Exists => backoff("S3.PreconditionFailed", call, target, "answered 412 Precondition Failed"),
            Self::Gone => backoff("S3.NoSuchUpload", call, target, "the multipart upload is not there any more"),
        }
    }
}

/// Decides what a failure means.
pub fn judge(call: Call, target: Target<'_>, failure: &Failure) -> Outcome {
    let (status, code, message) = match failure {
        Failure::Answered { status, code, message } => (*status, code.as_deref().unwrap_or(""), message.as_str()),
        Failure::Unanswered(what) => return Outcome::Unclear(backoff("S3.NoAnswer", call, target, what)),
        Failure::NotSent(what) => return Outcome::Refused(backoff("S3.ConnectionFailed", call, target, what)),
        Failure::NoCredentials(what) => {
            let advice = "give s3.credentials, or keys that the standard AWS chain finds (environment, profile, role)";
            return Outcome::Refused(after_operator("S3.NoCredentials", call, target, what, advice));
        }
    };
    let said = answer_text(status, code, message);
    if let Some((code, advice)) = operators_business(call, status, code) {
        return Outcome::Refused(after_operator(&code, call, target, &said, &advice));
    }
    let passing = |name: &str| backoff(name, call, target, &said);
    match (status, code) {
        (_, "PreconditionFailed") | (412, _) => Outcome::Exists,
        (_, "NoSuchUpload") => Outcome::Gone,
        // Complete and Abort of an upload that is not there; a missing bucket was sorted out above by its code.
        (404, "" | "NotFound" | "NoSuchKey") if matches!(call, Call::Complete | Call::Abort | Call::Part) => {
            Outcome::Gone
        }
        (_, "SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "TooManyRequests")
        | (429, _) => Outcome::Refused(passing("S3.SlowDown")),
        (_, "KMS.ThrottlingException" | "KMS.RequestLimitExceeded") => {
            Outcome::Refused(passing("S3.KMS.RequestLimitExceeded"))
        }
        // A race with another request for the same key; who won is found out by asking again.
        (409, _) => Outcome::Unclear(passing("S3.Conflict")),
        // The bytes were damaged or lost on the way.
        (
            _,
            "BadDigest"
            | "InvalidDigest"
            | "IncompleteBody"
            | "RequestTimeout"
            | "XAmzContentSHA256Mismatch"
            | "XAmzContentChecksumMismatch",
        ) => Outcome::Unclear(passing(&format!("S3.{code}"))),
        // A key is too long for ever; nothing the operator does changes the sealed name.
        (_, "KeyTooLongError") => Outcome::Refused(DeliveryError {
            code: "S3.KeyTooLongError".to_owned(),
            message: format!("{} {target}: {said}; shorten the stream's prefix", call.as_str()),
            class: Class::User,
            retry: Retry::Never,
            not_before: None,
        }),
        (200..=299, _) | (408, _) | (500.., _) => {
            Outcome::Unclear(passing(&format!("S3.{}", if code.is_empty() { "InternalError" } else { code })))
        }
        _ => {
            let code = if code.is_empty() { format!("S3.HTTP{status}") } else { format!("S3.{code}") };
            let advice = "mend what the store complains about; the parcel is kept and tried again slowly";
            Outcome::Refused(after_operator(&code, call, target, &said, advice))
        }
    }
}

/// Error code and advice for what only a change by the operator mends.
fn operators_business(call: Call, status: u16, code: &str) -> Option<(String, String)> {
    let named = |advice: &str| Some((format!("S3.{code}"), advice.to_owned()));
    let kms = |name: &str, advice: &str| Some((format!("S3.KMS.{name}"), advice.to_owned()));
    let region = "set s3.region (or that of the bucket under s3.buckets) to the bucket's region";
    match code {
        "NoSuchBucket" => {
            named("create the bucket, or point s3.endpoint (or that of the bucket under s3.buckets) to where it is")
        }
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" => {
            named("correct s3.credentials: the store does not accept them")
        }
        "InvalidToken" | "ExpiredToken" => {
            Some(("S3.InvalidToken".to_owned(), "renew the session token of s3.credentials".to_owned()))
        }
        "RequestTimeTooSkewed" => named("set this machine's clock"),
        "AccountProblem" | "AllAccessDisabled" | "InvalidPayer" | "NotSignedUp" | "SubscriptionRequired" => {
            named("clear this up with the store's provider; it concerns the account")
        }
        "PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed" => named(region),
        "IllegalLocationConstraintException" => named(region),
        "MethodNotAllowed" => named("the endpoint does not take this request; check s3.endpoint and s3.path_style"),
        "InvalidBucketName" | "InvalidBucketState" => named(
            "point s3.endpoint (or that of the bucket under s3.buckets) to a store that takes it, or delete the stream \
             with AllowForceDelete, which discards what waits, and create it with another bucket",
        ),
        "EntityTooSmall" => named("set s3.part_size to what the store takes, 5 MiB or more at most stores"),
        "EntityTooLarge" => named("lower s3.multipart_above: the store does not take that much in one request"),
        "NotImplemented" => named(
            "the store lacks something: s3.create_only: false leaves out If-None-Match, \
             s3.request_checksum_calculation: when_required the checksums; KMS keys need a store that knows them",
        ),
        "KMS.NotFoundException" => {
            kms("NotFoundException", "make the KMS key that the stream names, or its alias, known to the store")
        }
        "KMS.DisabledException" | "KMS.KMSDisabledException" => kms("KeyDisabled", "enable the KMS key"),
        "KMS.KMSInvalidStateException" | "KMS.InvalidStateException" => {
            kms("InvalidStateException", "bring the KMS key into a usable state")
        }
        "KMS.KeyUnavailableException" | "KMS.InvalidKeyUsageException" | "KMS.UnsupportedOperationException" => {
            kms("AsymmetricCMKNotSupported", "use a symmetric, available KMS key")
        }
        "KMS.AccessDeniedException" => kms("AccessDenied", "allow kms:GenerateDataKey and kms:Decrypt on the key"),
        "AccessDenied" => Some(denied(call)),
        _ if status == 403 && call != Call::Head => Some(denied(call)),
        _ if status == 401 => Some(denied(call)),
        _ if status == 407 => Some(("S3.ProxyAuthenticationRequired".to_owned(), "correct HTTPS_PROXY".to_owned())),
        _ if matches!(status, 300..=399) => Some((format!("S3.HTTP{status}"), region.to_owned())),
        _ if status == 405 => Some((
            "S3.MethodNotAllowed".to_owned(),
            "the endpoint does not take this request; check s3.endpoint and s3.path_style".to_owned(),
        )),
        _ => None,
    }
}

fn denied(call: Call) -> (String, String) {
    let advice = format!("allow {} on the bucket to the keys in use, or change s3.credentials", call.permission());
    ("S3.AccessDenied".to_owned(), advice)
}

/// Whether an error with this code can be mended by other keys.
pub fn concerns_keys(code: &str) -> bool {
    matches!(
        code,
        "S3.AccessDenied"
            | "S3.InvalidAccessKeyId"
            | "S3.SignatureDoesNotMatch"
            | "S3.InvalidToken"
            | "S3.NoCredentials"
    )
}

fn answer_text(status: u16, code: &str, message: &str) -> String {
    let mut text = format!("answered {status}");
    for part in [code, message] {
        if !part.is_empty() {
            text.push(' ');
            text.push_str(part);
        }
    }
    text
}

fn backoff(code: &str, call: Call, target: Target<'_>, what: &str) -> DeliveryError {
    DeliveryError {
        code: code.to_owned(),
        message: format!("{} {target}: {what}; it is tried again", call.as_str()),
        class: Class::Upstream,
        retry: Retry::Backoff,
        not_before: None,
    }
}

fn after_operator(code: &str, call: Call, target: Target<'_>, what: &str, advice: &str) -> DeliveryError {
    DeliveryError {
        code: code.to_owned(),
        message: format!("{} {target}: {what}; {advice}", call.as_str()),
        class: Class::User,
        retry: Retry::AfterOperator,
        not_before: None,
    }
}

/// What HEAD says about the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// An object, with the parcel id in its metadata.
    Object {
        /// `hydrant-parcel` of its metadata.
        parcel: Option<String>,
        /// Its length.
        length_bytes: Option<u64>,
    },
    /// 404
    Absent,
    /// 403: we may not look.
    Hidden,
}

/// What brought about the look at the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A conditional write was refused with 412: something stands, or stood, there.
    Exists,
    /// A write is unclear.
    Unclear,
    /// Before the first byte of an upload, or before a write that is not conditional.
    Before,
}

/// What follows from the look.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// The parcel is there.
    Done,
    /// The store says the key was taken but does not show by whom; only this seal can own it, so the parcel is there.
    AssumedDone,
    /// The parcel is not there; send it (again).
    NotThere,
    /// Somebody else's object.
    Foreign(DeliveryError),
}

/// Decides by what HEAD says.
pub fn resolve(cause: Cause, seen: &Seen, target: Target<'_>, parcel_id: &str, length_bytes: u64) -> Verdict {
    match seen {
        Seen::Object { parcel, length_bytes: found } if parcel.as_deref() == Some(parcel_id) => match found {
            Some(found) if *found != length_bytes => Verdict::Foreign(foreign(
                target,
                &format!("bears our parcel id {parcel_id} but has {found} bytes instead of {length_bytes}"),
            )),
            _ => Verdict::Done,
        },
        Seen::Object { parcel, .. } => {
            let whose = match parcel {
                Some(other) => format!("is parcel {other}, not {parcel_id}"),
                None => {
                    format!("was not written by Hydrant (its metadata has no hydrant-parcel; expected {parcel_id})")
                }
            };
            Verdict::Foreign(foreign(target, &whose))
        }
        Seen::Absent | Seen::Hidden if cause == Cause::Exists => Verdict::AssumedDone,
        Seen::Absent | Seen::Hidden => Verdict::NotThere,
    }
}

fn foreign(target: Target<'_>, whose: &str) -> DeliveryError {
    DeliveryError {
        code: "S3.ForeignObject".to_owned(),
        message: format!(
            "the object with key '{}' in bucket '{}' {whose}; it is not overwritten: move it away and resume the stream",
            target.key, target.bucket
        ),
        class: Class::User,
        retry: Retry::Never,
        not_before: None,
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
