//! The table of answers.

use super::*;

const TARGET: Target<'static> = Target { bucket: "b", key: "k/1" };

fn answered(status: u16, code: &str) -> Failure {
    let code = (!code.is_empty()).then(|| code.to_owned());
    Failure::Answered { status, code, message: "text of the store".to_owned() }
}

#[derive(Debug, PartialEq)]
enum Kind {
    Exists,
    Gone,
    Unclear,
    Refused(Retry),
}

fn kind(outcome: &Outcome) -> (Kind, String) {
    match outcome {
        Outcome::Exists => (Kind::Exists, String::new()),
        Outcome::Gone => (Kind::Gone, String::new()),
        Outcome::Unclear(error) => {
            assert_eq!((error.retry, error.class), (Retry::Backoff, Class::Upstream));
            (Kind::Unclear, error.code.clone())
        }
        Outcome::Refused(error) => (Kind::Refused(error.retry), error.code.clone()),
    }
}

#[test]
fn every_answer_has_a_meaning() {
    use Call::*;
    let refused = Kind::Refused;
    let table: Vec<(&[Call], Failure, Kind, &str)> = vec![
        (&[Put, Complete], answered(412, "PreconditionFailed"), Kind::Exists, ""),
        (&[Put, Complete], answered(412, ""), Kind::Exists, ""),
        (&[Put], answered(409, "ConditionalRequestConflict"), Kind::Unclear, "S3.Conflict"),
        (&[Complete], answered(409, "OperationAborted"), Kind::Unclear, "S3.Conflict"),
        (&[Put, Part, Create, Complete, Head, List], answered(500, "InternalError"), Kind::Unclear, "S3.InternalError"),
        (&[Put, Complete], answered(200, "InternalError"), Kind::Unclear, "S3.InternalError"),
        (&[Put, Complete], answered(200, ""), Kind::Unclear, "S3.InternalError"),
        (&[Put], answered(502, ""), Kind::Unclear, "S3.InternalError"),
        (&[Put, Part], answered(503, "SlowDown"), refused(Retry::Backoff), "S3.SlowDown"),
        (&[Put], answered(503, "ServiceUnavailable"), Kind::Unclear, "S3.ServiceUnavailable"),
        (&[Put], answered(429, ""), refused(Retry::Backoff), "S3.SlowDown"),
        (&[Put, Part], answered(400, "RequestTimeout"), Kind::Unclear, "S3.RequestTimeout"),
        (&[Put, Part], answered(400, "BadDigest"), Kind::Unclear, "S3.BadDigest"),
        (&[Complete, Abort, Part], answered(404, "NoSuchUpload"), Kind::Gone, ""),
        (&[Complete, Abort, Part], answered(404, ""), Kind::Gone, ""),
        (&[Put, Create], answered(404, ""), refused(Retry::AfterOperator), "S3.HTTP404"),
        (
            &[Put, Create, Complete, Part, Abort],
            answered(404, "NoSuchBucket"),
            refused(Retry::AfterOperator),
            "S3.NoSuchBucket",
        ),
        (
            &[Put, Create, Part, Complete],
            answered(403, "AccessDenied"),
            refused(Retry::AfterOperator),
            "S3.AccessDenied",
        ),
        (&[Put], answered(200, "AccessDenied"), refused(Retry::AfterOperator), "S3.AccessDenied"),
        (&[Put], answered(403, ""), refused(Retry::AfterOperator), "S3.AccessDenied"),
        (&[Put], answered(403, "InvalidAccessKeyId"), refused(Retry::AfterOperator), "S3.InvalidAccessKeyId"),
        (&[Put], answered(403, "SignatureDoesNotMatch"), refused(Retry::AfterOperator), "S3.SignatureDoesNotMatch"),
        (&[Put], answered(400, "ExpiredToken"), refused(Retry::AfterOperator), "S3.InvalidToken"),
        (&[Put], answered(403, "RequestTimeTooSkewed"), refused(Retry::AfterOperator), "S3.RequestTimeTooSkewed"),
        (&[Put], answered(403, "AllAccessDisabled"), refused(Retry::AfterOperator), "S3.AllAccessDisabled"),
        (&[Put], answered(301, "PermanentRedirect"), refused(Retry::AfterOperator), "S3.PermanentRedirect"),
        (&[Head], answered(301, ""), refused(Retry::AfterOperator), "S3.HTTP301"),
        (&[Put], answered(405, ""), refused(Retry::AfterOperator), "S3.MethodNotAllowed"),
        (&[Put], answered(501, "NotImplemented"), refused(Retry::AfterOperator), "S3.NotImplemented"),
        (&[Put], answered(400, "KMS.NotFoundException"), refused(Retry::AfterOperator), "S3.KMS.NotFoundException"),
        (&[Put], answered(400, "KMS.DisabledException"), refused(Retry::AfterOperator), "S3.KMS.KeyDisabled"),
        (
            &[Put],
            answered(400, "KMS.KMSInvalidStateException"),
            refused(Retry::AfterOperator),
            "S3.KMS.InvalidStateException",
        ),
        (&[Put], answered(400, "KMS.ThrottlingException"), refused(Retry::Backoff), "S3.KMS.RequestLimitExceeded"),
        (&[Put], answered(400, "KeyTooLongError"), refused(Retry::Never), "S3.KeyTooLongError"),
        (&[Put], answered(400, "InvalidRequest"), refused(Retry::AfterOperator), "S3.InvalidRequest"),
        (&[Put, Complete], Failure::Unanswered("connection reset".into()), Kind::Unclear, "S3.NoAnswer"),
        (&[Put], Failure::NotSent("connection refused".into()), refused(Retry::Backoff), "S3.ConnectionFailed"),
        (&[Put], Failure::NoCredentials("none".into()), refused(Retry::AfterOperator), "S3.NoCredentials"),
    ];
    for (calls, failure, expected, code) in table {
        for call in calls {
            let outcome = judge(*call, TARGET, &failure);
            assert_eq!(
                kind(&outcome),
                (
                    match &expected {
                        Kind::Refused(retry) => Kind::Refused(*retry),
                        Kind::Exists => Kind::Exists,
                        Kind::Gone => Kind::Gone,
                        Kind::Unclear => Kind::Unclear,
                    },
                    code.to_owned()
                ),
                "{call:?} {failure:?}"
            );
            let error = outcome.into_error(*call, TARGET);
            assert!(error.message.contains(call.as_str()) && error.message.contains("s3://b/k/1"), "{error}");
        }
    }
}

#[test]
fn errors_for_the_operator_say_what_to_do() {
    for (code, advice) in [
        ("AccessDenied", "allow s3:PutObject"),
        ("NoSuchBucket", "create the bucket"),
        ("InvalidAccessKeyId", "correct s3.credentials"),
        ("KMS.DisabledException", "enable the KMS key"),
        ("NotImplemented", "s3.create_only: false"),
    ] {
        let error = judge(Call::Put, TARGET, &answered(403, code)).into_error(Call::Put, TARGET);
        assert!(error.message.contains(advice) && error.message.contains("text of the store"), "{error}");
    }
}

#[test]
fn head_decides_whose_object_it_is() {
    let ours = Seen::Object { parcel: Some("p".into()), length_bytes: Some(3) };
    let short = Seen::Object { parcel: Some("p".into()), length_bytes: Some(2) };
    let other = Seen::Object { parcel: Some("q".into()), length_bytes: Some(3) };
    let alien = Seen::Object { parcel: None, length_bytes: Some(3) };
    let name = |verdict: Verdict| match verdict {
        Verdict::Done => "done",
        Verdict::AssumedDone => "assumed",
        Verdict::NotThere => "send",
        Verdict::Foreign(error) => {
            assert_eq!(
                (error.code.as_str(), error.retry, error.class),
                ("S3.ForeignObject", Retry::Never, Class::User)
            );
            assert!(error.message.contains("'k/1'") && error.message.contains("'b'"), "{error}");
            "foreign"
        }
    };
    for (seen, expected) in [
        (&ours, ["done", "done", "done"]),
        (&short, ["foreign", "foreign", "foreign"]),
        (&other, ["foreign", "foreign", "foreign"]),
        (&alien, ["foreign", "foreign", "foreign"]),
        (&Seen::Absent, ["assumed", "send", "send"]),
        (&Seen::Hidden, ["assumed", "send", "send"]),
    ] {
        for (cause, expected) in [Cause::Exists, Cause::Unclear, Cause::Before].into_iter().zip(expected) {
            assert_eq!(name(resolve(cause, seen, TARGET, "p", 3)), expected, "{cause:?} {seen:?}");
        }
    }
}
