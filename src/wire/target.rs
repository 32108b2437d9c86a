//! The operation a request names in `X-Amz-Target: Firehose_20150804.<Operation>`.

use super::ApiError;

/// What precedes the operation's name.
pub const TARGET_PREFIX: &str = "Firehose_20150804.";

/// Every operation of the service model.
pub const OPERATIONS: [&str; 12] = [
    "CreateDeliveryStream",
    "DeleteDeliveryStream",
    "DescribeDeliveryStream",
    "ListDeliveryStreams",
    "ListTagsForDeliveryStream",
    "PutRecord",
    "PutRecordBatch",
    "StartDeliveryStreamEncryption",
    "StopDeliveryStreamEncryption",
    "TagDeliveryStream",
    "UntagDeliveryStream",
    "UpdateDestination",
];

/// The operation named by the header's value; `None` when the header is absent.
pub fn operation(target: Option<&str>) -> Result<&str, ApiError> {
    let Some(target) = target else {
        return Err(ApiError::unknown_operation(format!(
            "The header X-Amz-Target is missing; it names the operation, for example {TARGET_PREFIX}PutRecord."
        )));
    };
    match target.strip_prefix(TARGET_PREFIX) {
        Some(operation) if !operation.is_empty() => Ok(operation),
        _ => Err(ApiError::unknown_operation(format!(
            "X-Amz-Target '{target}' is not an operation of Amazon Data Firehose: expected {TARGET_PREFIX}<Operation>."
        ))),
    }
}
