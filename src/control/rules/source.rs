//! Where records come from, and server-side encryption of what waits.

use super::{Checks, refuse};
use crate::control::members::{given, text};
use crate::wire::ApiError;
use serde_json::Value;

pub fn check(checks: &mut Checks, request: &Value) -> Result<(), ApiError> {
    let kind = text(request, "DeliveryStreamType").unwrap_or("DirectPut");
    match kind {
        "KinesisStreamAsSource" if given(request, "KinesisStreamSourceConfiguration").is_none() => {
            refuse("KinesisSourceStreamConfig is mandatory for KinesisStreamAsSource stream type.")?;
        }
        "MSKAsSource" if given(request, "MSKSourceConfiguration").is_none() => {
            refuse("MSKSourceConfig is mandatory for MSK as Source stream type.")?;
        }
        "DatabaseAsSource" if given(request, "IcebergDestinationConfiguration").is_none() => {
            refuse("IcebergDestinationConfiguration must be specified for Database as Source.")?;
        }
        _ => {}
    }
    encryption(checks, request, kind)?;
    if kind != "DirectPut" {
        checks.unbuilt(format!("DeliveryStreamType {kind}"));
    }
    // The service itself accepts and ignores KinesisStreamSourceConfiguration beside DirectPut.
    for member in ["KinesisStreamSourceConfiguration", "MSKSourceConfiguration", "DatabaseSourceConfiguration"] {
        let ignored = member == "KinesisStreamSourceConfiguration" && kind == "DirectPut";
        if !ignored && given(request, member).is_some() {
            checks.unbuilt(member);
        }
    }
    Ok(())
}

fn encryption(checks: &mut Checks, request: &Value, kind: &str) -> Result<(), ApiError> {
    let Some(input) = given(request, "DeliveryStreamEncryptionConfigurationInput") else { return Ok(()) };
    if !matches!(kind, "DirectPut" | "DatabaseAsSource") {
        refuse(
            "Server side encryption from firehose is only allowed for direct put delivery streams and database as a \
             source delivery streams",
        )?;
    }
    let key = text(input, "KeyARN");
    match (text(input, "KeyType"), key) {
        (Some("CUSTOMER_MANAGED_CMK"), None) => {
            refuse("KeyARN has to be specified when KeyType is CUSTOMER_MANAGED_CMK")?;
        }
        (Some("AWS_OWNED_CMK"), Some(_)) => refuse("KeyARN cannot be specified when KeyType is AWS_OWNED_CMK")?,
        _ => {}
    }
    // `arn:<partition>:kms:<region>:…`
    if key.and_then(|arn| arn.split(':').nth(3)).is_some_and(|region| region != checks.rules.region) {
        refuse("Cross-region keys are not allowed for SSE. Please provide CMKs in the same region as firehose")?;
    }
    checks.unbuilt("DeliveryStreamEncryptionConfigurationInput");
    Ok(())
}
