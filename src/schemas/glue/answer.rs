//! What an answer of Glue means. Pure.
//!
//! Format: AWS JSON 1.1. A table in `Table` (GetTable) or `TableVersion.Table` (GetTableVersion); an error has its type
//! in `__type`, whatever stands before a `#` left out, and its text in `Message` or `message`.

use crate::fault::{Class, Fault, Retry};
use crate::stage::convert::TableSchema;
use crate::stage::convert::glue::glue_table;
use serde_json::Value;

/// Which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// The newest version of a table.
    GetTable,
    /// A version by its VersionId.
    GetTableVersion,
}

impl Operation {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::GetTable => "GetTable",
            Self::GetTableVersion => "GetTableVersion",
        }
    }
}

/// A table as Glue tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// VersionId; not every service that speaks like Glue has one.
    pub version: Option<String>,
    /// Its columns.
    pub schema: TableSchema,
}

/// Why Glue gives no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlueError {
    /// It answered with an error.
    #[error("{message} (Service: AWSGlue; Status Code: {status}; Error Code: {exception})")]
    Refused {
        /// The call.
        operation: Operation,
        /// HTTP status.
        status: u16,
        /// Type of the error.
        exception: String,
        /// Its text.
        message: String,
    },
    /// The answer holds no table that can be converted to.
    #[error("AWS Glue tells a table that cannot be used: {0}")]
    Unusable(String),
    /// What came is no answer of Glue.
    #[error("{host} does not answer as AWS Glue does: {what}")]
    Foreign {
        /// Who answered.
        host: String,
        /// What it answered.
        what: String,
    },
    /// No connection, or no whole answer.
    #[error("AWS Glue at {host} cannot be asked: {what}")]
    Unreachable {
        /// Who was asked.
        host: String,
        /// What failed.
        what: String,
    },
    /// No whole answer in time.
    #[error("AWS Glue at {host} did not answer within {limit_ms} ms")]
    TooSlow {
        /// Who was asked.
        host: String,
        /// The time it had.
        limit_ms: u128,
    },
    /// No keys to sign with, or other local settings that cannot be used.
    #[error("AWS Glue cannot be asked: {0}")]
    Settings(String),
    /// Who gives out the keys to sign with (a metadata service, STS, a process) failed.
    #[error("AWS Glue cannot be asked now: {0}")]
    NoKeys(String),
    /// It is being asked for the first time.
    #[error("AWS Glue has not answered yet")]
    Pending,
}

const ACCESS: &[&str] = &[
    "AccessDeniedException",
    "AccessDenied",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "ExpiredTokenException",
    "ExpiredToken",
    "NotAuthorized",
    "OptInRequired",
];
const THROTTLED: &[&str] = &[
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "ResourceNumberLimitExceededException",
];

impl GlueError {
    /// The error code of Firehose for it (reference 4.3).
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { operation, status, exception, message } => match exception.as_str() {
                "EntityNotFoundException" if *operation == Operation::GetTableVersion && is_about_version(message) => {
                    "DataFormatConversion.InvalidVersionId"
                }
                "EntityNotFoundException" => "DataFormatConversion.EntityNotFound",
                "InvalidInputException" if *operation == Operation::GetTableVersion => {
                    "DataFormatConversion.InvalidVersionId"
                }
                "InvalidInputException" => "DataFormatConversion.InvalidInput",
                "ValidationException" => "DataFormatConversion.ValidationException",
                "GlueEncryptionException" => "DataFormatConversion.GlueEncryptionException",
                "OperationTimeoutException" => "DataFormatConversion.SchemaValidationTimeout",
                name if ACCESS.contains(&name) => "DataFormatConversion.AccessDenied",
                name if THROTTLED.contains(&name) || *status == 429 => "DataFormatConversion.ThrottledByGlue",
                _ if *status == 403 => "DataFormatConversion.AccessDenied",
                _ => "DataFirehose.InternalError",
            },
            Self::Unusable(_) => "DataFormatConversion.InvalidSchema",
            Self::Settings(_) => "DataFormatConversion.InvalidGlueRole",
            Self::NoKeys(_) => "DataFirehose.InternalError",
            Self::Foreign { .. } | Self::Unreachable { .. } => "DataFormatConversion.GlueNotAvailableInRegion",
            Self::TooSlow { .. } | Self::Pending => "DataFormatConversion.SchemaValidationTimeout",
        }
    }

    /// Whether it says that the keys are not good: then they are read anew.
    pub fn is_about_keys(&self) -> bool {
        self.code() == "DataFormatConversion.AccessDenied"
    }
}

fn is_about_version(message: &str) -> bool {
    message.to_lowercase().contains("version")
}

impl Fault for GlueError {
    fn class(&self) -> Class {
        match self {
            Self::Refused { .. } if self.retry() == Retry::AfterOperator => Class::User,
            Self::Unusable(_) | Self::Settings(_) => Class::User,
            Self::Refused { .. }
            | Self::Foreign { .. }
            | Self::Unreachable { .. }
            | Self::TooSlow { .. }
            | Self::NoKeys(_)
            | Self::Pending => Class::Upstream,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Unusable(_) | Self::Settings(_) => Retry::AfterOperator,
            Self::Refused { status, .. } => match self.code() {
                "DataFormatConversion.ThrottledByGlue" | "DataFormatConversion.SchemaValidationTimeout" => {
                    Retry::Backoff
                }
                _ if *status >= 500 => Retry::Backoff,
                _ => Retry::AfterOperator,
            },
            Self::Foreign { .. }
            | Self::Unreachable { .. }
            | Self::TooSlow { .. }
            | Self::NoKeys(_)
            | Self::Pending => Retry::Backoff,
        }
    }
}

/// Most characters repeated of a text that came from outside.
const MAX_SHOWN: usize = 1_000;

/// What is repeated of a text that came from outside: its first line, without control characters. What refuses a
/// signature may repeat the request, whose header `x-amz-security-token` is a secret; so nothing from there on.
pub fn shown(text: &str) -> String {
    let line = text.trim_start().split(['\n', '\r']).next().unwrap_or_default();
    let token = line.to_ascii_lowercase().find("security-token");
    let line = token.map_or(line, |at| &line[..at]);
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_SHOWN).collect()
}

/// The table in an answer of `host` with this status and body; `header` is `x-amzn-errortype`, if it has one.
pub fn read(
    operation: Operation,
    host: &str,
    status: u16,
    header: Option<&str>,
    body: &[u8],
) -> Result<Told, GlueError> {
    let foreign = |what: String| GlueError::Foreign { host: host.to_owned(), what };
    let json: Result<Value, _> = serde_json::from_slice(body);
    if status != 200 {
        let json = json.unwrap_or(Value::Null);
        let text = |name: &str| json.get(name).and_then(Value::as_str);
        let named = text("__type").or(header).and_then(|name| name.rsplit('#').next()?.split(':').next());
        let message = text("Message").or_else(|| text("message")).map_or_else(|| "no message".to_owned(), shown);
        return Err(match named {
            Some(exception) => GlueError::Refused { operation, status, exception: shown(exception), message },
            None if status >= 500 || status == 429 || status == 403 => {
                GlueError::Refused { operation, status, exception: "none".to_owned(), message }
            }
            None => foreign(format!("status {status}")),
        });
    }
    let json = json.map_err(|error| foreign(format!("not JSON: {error}")))?;
    let table = match operation {
        Operation::GetTable => json.get("Table"),
        Operation::GetTableVersion => json.pointer("/TableVersion/Table"),
    };
    let table = table.ok_or_else(|| foreign("no table in it".to_owned()))?;
    let version = [table.get("VersionId"), json.pointer("/TableVersion/VersionId")];
    let version = version.into_iter().flatten().find_map(Value::as_str).map(str::to_owned);
    let schema = glue_table(table).map_err(|error| GlueError::Unusable(shown(&error.to_string())))?;
    Ok(Told { version, schema })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_are_read_with_their_version() {
        let table = json!({
            "Name": "t", "VersionId": "7", "StorageDescriptor": {"Columns": [{"Name": "A", "Type": "int"}]},
            "PartitionKeys": [{"Name": "day", "Type": "string"}],
        });
        let told = |operation, body: Value| read(operation, "h", 200, None, body.to_string().as_bytes());
        let newest = told(Operation::GetTable, json!({"Table": table})).unwrap();
        assert_eq!(newest.version.as_deref(), Some("7"));
        assert_eq!(newest.schema.columns.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a int"]);
        let mut bare = table.clone();
        bare.as_object_mut().unwrap().shift_remove("VersionId");
        let of_version = json!({"TableVersion": {"Table": bare, "VersionId": "3"}});
        assert_eq!(told(Operation::GetTableVersion, of_version).unwrap().version.as_deref(), Some("3"));
        assert_eq!(told(Operation::GetTable, json!({"Table": bare})).unwrap().version, None);
    }

    #[test]
    fn errors_have_firehoses_codes_and_tell_whose_turn_it_is() {
        use Operation::{GetTable, GetTableVersion};
        let case =
            |operation, status, body: &str| read(operation, "glue.example", status, None, body.as_bytes()).unwrap_err();
        let refused = |name: &str| json!({"__type": name, "Message": "m"}).to_string();
        let table: &[(Operation, u16, String, &str, Retry)] = &[
            (
                GetTable,
                400,
                refused("EntityNotFoundException"),
                "DataFormatConversion.EntityNotFound",
                Retry::AfterOperator,
            ),
            (
                GetTableVersion,
                400,
                json!({"__type": "EntityNotFoundException", "Message": "Version 9 not found."}).to_string(),
                "DataFormatConversion.InvalidVersionId",
                Retry::AfterOperator,
            ),
            (
                GetTableVersion,
                400,
                refused("InvalidInputException"),
                "DataFormatConversion.InvalidVersionId",
                Retry::AfterOperator,
            ),
            (
                GetTable,
                400,
                refused("com.amazonaws.glue#InvalidInputException"),
                "DataFormatConversion.InvalidInput",
                Retry::AfterOperator,
            ),
            (
                GetTable,
                400,
                refused("AccessDeniedException"),
                "DataFormatConversion.AccessDenied",
                Retry::AfterOperator,
            ),
            (GetTable, 403, "<html>".to_owned(), "DataFormatConversion.AccessDenied", Retry::AfterOperator),
            (GetTable, 400, refused("ThrottlingException"), "DataFormatConversion.ThrottledByGlue", Retry::Backoff),
            (GetTable, 429, String::new(), "DataFormatConversion.ThrottledByGlue", Retry::Backoff),
            (
                GetTable,
                400,
                refused("GlueEncryptionException"),
                "DataFormatConversion.GlueEncryptionException",
                Retry::AfterOperator,
            ),
            (GetTable, 500, refused("InternalServiceException"), "DataFirehose.InternalError", Retry::Backoff),
            (GetTable, 503, "busy".to_owned(), "DataFirehose.InternalError", Retry::Backoff),
            (GetTable, 404, "nothing here".to_owned(), "DataFormatConversion.GlueNotAvailableInRegion", Retry::Backoff),
            (GetTable, 200, "{\"Table\":".to_owned(), "DataFormatConversion.GlueNotAvailableInRegion", Retry::Backoff),
            (GetTable, 200, "{}".to_owned(), "DataFormatConversion.GlueNotAvailableInRegion", Retry::Backoff),
            (GetTable, 200, "{\"Table\":{}}".to_owned(), "DataFormatConversion.InvalidSchema", Retry::AfterOperator),
        ];
        for (operation, status, body, code, retry) in table {
            let error = case(*operation, *status, body);
            assert_eq!((error.code(), error.retry()), (*code, *retry), "{status} {body}: {error}");
            assert_eq!(error.class() == Class::User, *retry == Retry::AfterOperator, "{error}");
        }
        assert_eq!(
            case(GetTable, 400, &refused("EntityNotFoundException")).to_string(),
            "m (Service: AWSGlue; Status Code: 400; Error Code: EntityNotFoundException)"
        );
        // A signature that does not match is told with the request that should have been signed.
        let canonical = "The signature does not match.\n\n'POST\n/\nx-amz-security-token:Sesame\n'";
        let in_line = "Not\u{1b}[31m it: POST / X-Amz-Security-Token:Sesame";
        for (message, told) in [(canonical, "The signature does not match."), (in_line, "Not [31m it: POST / X-Amz-")] {
            let body = json!({"__type": "InvalidSignatureException\nSesame", "message": message}).to_string();
            let error = case(GetTable, 403, &body);
            assert!(!format!("{error} {error:?}").contains("Sesame"), "{error:?}");
            assert!(error.to_string().starts_with(&format!("{told} (Service: ")), "{error}");
        }
        let long = json!({"__type": "X", "message": "é".repeat(5_000)}).to_string();
        assert_eq!(case(GetTable, 400, &long).to_string().matches('é').count(), MAX_SHOWN);
        let named_by_header = read(GetTable, "h", 400, Some("ThrottlingException:http://x"), b"").unwrap_err();
        assert_eq!(named_by_header.code(), "DataFormatConversion.ThrottledByGlue");
    }
}
