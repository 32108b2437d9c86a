//! Lines of the error area: one refused record each, in the layouts of the reference (section 4.2), original bytes as
//! base64.

use crate::record::{Cause, ErrorKind};
use crate::stream::definition::Definition;
use serde::Serialize;
use std::borrow::Cow;

/// What a line needs besides the cause.
#[derive(Debug, Clone, Copy)]
pub struct ErrorContext<'a> {
    /// Definition of the run.
    pub definition: &'a Definition,
    /// Arrival of the record, ms since the epoch.
    pub arrival_ms: i64,
    /// When the run was staged, ms since the epoch.
    pub staged_ms: i64,
    /// Position of the record in its lane, as the source writes it.
    pub sequence_number: &'a str,
    /// Number of the part in its record, from 0.
    pub part: u32,
    /// VersionId that Glue gave the table that was converted to.
    pub glue_version: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessingFailed<'a> {
    raw_data: String,
    error_code: &'a str,
    error_message: &'a str,
    attempts_made: u32,
    arrival_timestamp: i64,
    attempt_ending_timestamp: i64,
    #[serde(rename = "lambdaARN", skip_serializing_if = "Option::is_none")]
    lambda_arn: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FormatConversionFailed<'a> {
    attempts_made: u32,
    arrival_timestamp: i64,
    last_error_code: &'a str,
    last_error_message: &'a str,
    attempt_ending_timestamp: i64,
    raw_data: String,
    sequence_number: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_sequence_number: Option<u64>,
    data_catalog_table: Option<DataCatalogTable<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HttpEndpointFailed<'a> {
    attempts_made: u64,
    arrival_timestamp: i64,
    error_code: &'a str,
    error_message: &'a str,
    attempt_ending_timestamp: i64,
    raw_data: String,
    #[serde(rename = "subsequenceNumber")]
    subsequence_number: u32,
    data_id: String,
}

/// A record that an endpoint did not take.
#[derive(Debug, Clone, Copy)]
pub struct EndpointFailure<'a> {
    /// Error code of the last attempt.
    pub code: &'a str,
    /// Its text.
    pub message: &'a str,
    /// Attempts made.
    pub attempts: u64,
    /// When the last one ended, ms since the epoch.
    pub ended_ms: i64,
    /// Arrival of the record, ms since the epoch.
    pub arrival_ms: i64,
    /// Number of the record it is, or is a part of, in its lane.
    pub sequence: u64,
    /// Which part of it.
    pub part: u32,
}

/// Appends the line of a record that an endpoint did not take; `raw_data` is what was sent of it, as base64.
pub fn write_endpoint_line(
    out: &mut Vec<u8>,
    failure: &EndpointFailure<'_>,
    raw_data: String,
) -> serde_json::Result<()> {
    let line = HttpEndpointFailed {
        attempts_made: failure.attempts,
        arrival_timestamp: failure.arrival_ms,
        error_code: failure.code,
        error_message: &shortened(failure.message),
        attempt_ending_timestamp: failure.ended_ms,
        raw_data,
        subsequence_number: failure.part,
        data_id: format!("{}.{}", failure.sequence, failure.part),
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.push(b'\n');
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DataCatalogTable<'a> {
    catalog_id: &'a str,
    database_name: &'a str,
    table_name: &'a str,
    region: &'a str,
    version_id: &'a str,
}

/// Longest message in characters. Guests, queries and parsers quote what they found, which can be all of a record.
const MAX_MESSAGE_CHARACTERS: usize = 8192;

fn shortened(message: &str) -> Cow<'_, str> {
    match message.char_indices().nth(MAX_MESSAGE_CHARACTERS) {
        Some((end, _)) => format!("{}…", &message[..end]).into(),
        None => message.into(),
    }
}

/// Appends one line, with its newline, to `out`. A message that is too long is cut off.
pub fn write_line(
    out: &mut Vec<u8>,
    cause: &Cause,
    original: &[u8],
    context: &ErrorContext<'_>,
) -> serde_json::Result<()> {
    let raw_data = base64_simd::STANDARD.encode_to_string(original);
    let message = &*shortened(&cause.message);
    match cause.kind {
        ErrorKind::HttpEndpointFailed => {
            let failure = EndpointFailure {
                code: &cause.code,
                message,
                attempts: u64::from(cause.attempts),
                ended_ms: context.staged_ms,
                arrival_ms: context.arrival_ms,
                sequence: context.sequence_number.parse().unwrap_or_default(),
                part: context.part,
            };
            return write_endpoint_line(out, &failure, raw_data);
        }
        // The reference knows of decompression and partitioning no more than that they have these members.
        ErrorKind::ProcessingFailed | ErrorKind::DecompressionFailed | ErrorKind::PartitioningFailed => {
            let transform = context.definition.transform.as_ref().filter(|_| cause.kind == ErrorKind::ProcessingFailed);
            let line = ProcessingFailed {
                raw_data,
                error_code: &cause.code,
                error_message: message,
                attempts_made: cause.attempts,
                arrival_timestamp: context.arrival_ms,
                attempt_ending_timestamp: context.staged_ms,
                lambda_arn: transform.map(|t| t.lambda_arn.as_str()),
            };
            serde_json::to_writer(&mut *out, &line)?;
        }
        ErrorKind::FormatConversionFailed => serde_json::to_writer(
            &mut *out,
            &FormatConversionFailed {
                attempts_made: cause.attempts,
                arrival_timestamp: context.arrival_ms,
                last_error_code: &cause.code,
                last_error_message: message,
                attempt_ending_timestamp: context.staged_ms,
                raw_data,
                sequence_number: context.sequence_number,
                sub_sequence_number: Some(u64::from(context.part)),
                data_catalog_table: context.definition.convert.as_ref().map(|convert| DataCatalogTable {
                    catalog_id: &convert.schema.catalog_id,
                    database_name: &convert.schema.database,
                    table_name: &convert.schema.table,
                    region: &convert.schema.region,
                    version_id: context.glue_version.unwrap_or(&convert.schema.version_id),
                }),
            },
        )?,
    }
    out.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::tests::definition;
    use crate::stream::definition::{Compression, TransformSpec};

    #[test]
    fn a_line_has_the_services_members_in_its_order() {
        let mut definition = definition("s", Compression::Gzip, 1, 1);
        definition.transform = Some(TransformSpec {
            lambda_arn: "arn:aws:lambda:eu-west-2:000000000000:function:f:$LATEST".to_owned(),
            function: "f".to_owned(),
            version: None,
            retries: 3,
            batch_bytes: 1,
            timeout_ms: 1,
            memory_bytes: 1,
            variables: Default::default(),
            fuel: None,
            is_stateless: false,
        });
        let context = ErrorContext {
            definition: &definition,
            arrival_ms: 1_741_088_912_364,
            staged_ms: 1_741_089_007_666,
            sequence_number: "7",
            part: 0,
            glue_version: None,
        };
        let line = |kind, original: &[u8]| {
            let (code, message) = ("Family.Code".to_owned(), "said \"no\"\n".to_owned());
            let mut line = Vec::new();
            write_line(&mut line, &Cause { kind, code, message, attempts: 4 }, original, &context).unwrap();
            String::from_utf8(line).unwrap()
        };
        assert_eq!(
            line(ErrorKind::ProcessingFailed, b"\xff\n"),
            concat!(
                r#"{"rawData":"/wo=","errorCode":"Family.Code","errorMessage":"said \"no\"\n","attemptsMade":4,"#,
                r#""arrivalTimestamp":1741088912364,"attemptEndingTimestamp":1741089007666,"#,
                r#""lambdaARN":"arn:aws:lambda:eu-west-2:000000000000:function:f:$LATEST"}"#,
                "\n"
            )
        );
        assert_eq!(
            line(ErrorKind::FormatConversionFailed, b""),
            concat!(
                r#"{"attemptsMade":4,"arrivalTimestamp":1741088912364,"lastErrorCode":"Family.Code","#,
                r#""lastErrorMessage":"said \"no\"\n","attemptEndingTimestamp":1741089007666,"rawData":"","#,
                r#""sequenceNumber":"7","subSequenceNumber":0,"dataCatalogTable":null}"#,
                "\n"
            )
        );
        assert_eq!(
            line(ErrorKind::HttpEndpointFailed, b"abc"),
            concat!(
                r#"{"attemptsMade":4,"arrivalTimestamp":1741088912364,"errorCode":"Family.Code","#,
                r#""errorMessage":"said \"no\"\n","attemptEndingTimestamp":1741089007666,"rawData":"YWJj","#,
                r#""subsequenceNumber":0,"dataId":"7.0"}"#,
                "\n"
            )
        );
    }
}
