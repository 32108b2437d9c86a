//! What a server's errors mean: the codes of the service (reference: known error codes, `Redshift.`), and whether trying
//! again can help. Pure, with its tables.
//!
//! PostgreSQL tells errors apart by SQLSTATE. Redshift does so where it is one, and has many of its own under `XX000`,
//! which the text alone tells apart.

use super::last_words::Said;
use crate::destination::DeliveryError;
use crate::destination::aws_http::chain;
use crate::destination::trust::tls_error;
use crate::fault::{Class, Retry};
use tokio_postgres::Error;
use tokio_rustls::rustls;

/// Longest text of a server that is kept, in characters.
const MAX_TEXT_CHARACTERS: usize = 2000;

/// An error of this destination.
pub fn failed(code: &str, message: impl Into<String>, retry: Retry) -> DeliveryError {
    let class = if retry == Retry::Backoff { Class::Upstream } else { Class::User };
    DeliveryError { code: format!("Redshift.{code}"), message: message.into(), class, retry, not_before: None }
}

/// What an error of a session means; `doing` says what it was about.
pub fn of_session(error: &Error, doing: &str) -> DeliveryError {
    let Some(server) = error.as_db_error() else {
        let text = chain(error);
        // What stands here does not pass by itself.
        if text.contains("server does not support TLS") {
            let advice = "give it a certificate, or add sslmode=disable to ClusterJDBCURL if nobody else is on the way";
            return failed("SslNotSupported", format!("{doing}: {text}; {advice}"), Retry::AfterOperator);
        }
        if let Some(tls) = tls_error(error) {
            return failed("SslFailure", format!("{doing}: {text}; {}", advice(tls)), Retry::AfterOperator);
        }
        return failed("ConnectionFailed", format!("{doing}: {text}"), Retry::Backoff);
    };
    let (mut code, retry) = of_server(server.code().code(), server.message());
    // Said within a trigger or a function of the table, it is not the table that is missing.
    if NOT_THERE.contains(&code) && server.where_().is_some() {
        code = "DataLoadFailed";
    }
    let mut text = format!("{doing}: {} (SQLSTATE {})", server.message(), server.code().code());
    // What is said of a value quotes the record it is in, which is for the error area.
    let is_of_data = ["22", "23"].iter().any(|class| server.code().code().starts_with(class));
    let detail = server.detail().filter(|_| !is_of_data);
    let place = server.where_().map(|place| place.split(": \"").next().unwrap_or_default());
    for (what, more) in [("detail", detail), ("hint", server.hint()), ("where", place)] {
        if let Some(more) = more {
            text.push_str(&format!("; {what}: {more}"));
        }
    }
    failed(code, &text, retry)
}

/// What to do about an error of TLS.
fn advice(error: &rustls::Error) -> &'static str {
    use rustls::CertificateError as Certificate;
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return "the server and Hydrant have no TLS in common; see what it is set up for";
    };
    match certificate {
        Certificate::UnknownIssuer => {
            "the server's certificate is by an authority that is not trusted here: name its certificate (PEM) as \
             redshift.ca_file in the configuration of Hydrant"
        }
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
            "the server's certificate is for another host: have ClusterJDBCURL name the host as the certificate does"
        }
        Certificate::Expired | Certificate::ExpiredContext { .. } => "the server's certificate has expired: renew it",
        _ => "the server's certificate cannot be used: replace it, or see redshift.ca_file",
    }
}

/// An error of a session that just ended, told by what the server had said before, if it had.
pub fn with_last_words(error: DeliveryError, said: Option<Said>) -> DeliveryError {
    let Some(Said { state, message }) = said.filter(|_| error.code == "Redshift.ConnectionFailed") else {
        return error;
    };
    if error.message.contains(&message) {
        return error;
    }
    let (code, retry) = of_server(&state, &message);
    failed(code, format!("{}, behind {message} (SQLSTATE {state})", error.message), retry)
}

/// An error of a session that just ended, with what ended its connection, if that is known.
pub fn with_end(error: DeliveryError, end: Option<&str>) -> DeliveryError {
    match end {
        Some(end) if error.code == "Redshift.ConnectionFailed" && !error.message.contains(end) => {
            DeliveryError { message: format!("{}: {end}", error.message), ..error }
        }
        _ => error,
    }
}

/// Codes of what no other command would help: objects that the cluster cannot read, and the session.
const NOT_OF_COMMAND: &[&str] = &[
    "AccessDenied",
    "AuthenticationFailed",
    "IncorrectBucketRegion",
    "MissingS3File",
    "S3BucketAccessDenied",
    "SslFailure",
    "SslNotSupported",
];

/// Codes of a table that is not there.
const NOT_THERE: &[&str] = &["SchemaNotFound", "TableNotFound"];

/// Whether another command may do what this one failed to.
pub fn blames_command(error: &DeliveryError) -> bool {
    error.retry == Retry::AfterOperator && !NOT_OF_COMMAND.contains(&code_of(error))
}

/// Whether the table of the command is not there.
pub fn misses_table(error: &DeliveryError) -> bool {
    NOT_THERE.contains(&code_of(error))
}

fn code_of(error: &DeliveryError) -> &str {
    error.code.strip_prefix("Redshift.").unwrap_or_default()
}

/// So much of a text as is kept: what a secret was hidden in before.
pub fn cut(text: &str) -> &str {
    text.char_indices().nth(MAX_TEXT_CHARACTERS).map_or(text, |(end, _)| &text[..end])
}

/// By SQLSTATE, or the class of it.
const BY_STATE: &[(&str, &str, Retry)] = &[
    ("28P01", "AuthenticationFailed", Retry::AfterOperator),
    ("28000", "AuthenticationFailed", Retry::AfterOperator),
    ("3D000", "DatabaseNotFound", Retry::AfterOperator),
    ("3F000", "SchemaNotFound", Retry::AfterOperator),
    ("42P01", "TableNotFound", Retry::AfterOperator),
    ("42703", "ColumnNotFound", Retry::AfterOperator),
    ("42701", "ColumnSpecifiedMoreThanOnce", Retry::AfterOperator),
    ("42501", "InsufficientPrivilege", Retry::AfterOperator),
    ("42601", "SyntaxError", Retry::AfterOperator),
    ("0A000", "ArgumentNotSupported", Retry::AfterOperator),
    ("22P04", "ColumnMismatch", Retry::AfterOperator),
    ("23502", "ColumnNotNullWithoutDefault", Retry::AfterOperator),
    ("25006", "ReadOnlyCluster", Retry::Backoff),
    ("53100", "DiskFull", Retry::Backoff),
    ("53200", "OutOfMemory", Retry::Backoff),
    ("53300", "ConnectionsLimitExceeded", Retry::Backoff),
    ("57014", "QueryCancelled", Retry::Backoff),
    ("57P", "ConnectionFailed", Retry::Backoff),
    ("08", "ConnectionFailed", Retry::Backoff),
    ("22", "DataLoadFailed", Retry::AfterOperator),
    ("23", "DataLoadFailed", Retry::AfterOperator),
    ("42", "IncorrectCopyOptions", Retry::AfterOperator),
    ("40", "PSQLException", Retry::Backoff),
    ("53", "PSQLException", Retry::Backoff),
    ("55", "PSQLException", Retry::Backoff),
];

/// By what the text holds, in lower case; the first that fits counts.
const BY_TEXT: &[(&str, &str, Retry)] = &[
    ("sorry, too many clients", "TooManyClients", Retry::Backoff),
    ("too many connections", "ConnectionsLimitExceeded", Retry::Backoff),
    ("status 403", "S3BucketAccessDenied", Retry::AfterOperator),
    ("access denied", "S3BucketAccessDenied", Retry::AfterOperator),
    ("not authorized to assume", "AccessDenied", Retry::AfterOperator),
    ("nosuchkey", "MissingS3File", Retry::AfterOperator),
    ("key does not exist", "MissingS3File", Retry::AfterOperator),
    ("bucket does not exist", "MissingS3File", Retry::AfterOperator),
    ("must be addressed using the specified endpoint", "IncorrectBucketRegion", Retry::AfterOperator),
    ("permanentredirect", "IncorrectBucketRegion", Retry::AfterOperator),
    ("slowdown", "S3SlowDown", Retry::Backoff),
    ("nonexistent table", "TableNotFound", Retry::AfterOperator),
    ("disk space quota", "DiskSpaceQuotaExceeded", Retry::AfterOperator),
    ("disk full", "DiskFull", Retry::Backoff),
    ("out of memory", "OutOfMemory", Retry::Backoff),
    ("being resized", "Resize", Retry::Backoff),
    ("read-only mode", "ReadOnlyCluster", Retry::Backoff),
    ("canceling", "QueryCancelled", Retry::Backoff),
    ("cancelled", "QueryCancelled", Retry::Backoff),
    ("number of jsonpaths", "ColumnMismatch", Retry::AfterOperator),
    ("jsonpath", "InvalidJsonPathFormat", Retry::AfterOperator),
    ("delimiter", "Delimiter", Retry::AfterOperator),
    ("not compressed", "CompressionMismatch", Retry::AfterOperator),
    ("copy option", "IncorrectCopyOptions", Retry::AfterOperator),
    ("stl_load_errors", "DataLoadFailed", Retry::AfterOperator),
    ("sys_load_error", "DataLoadFailed", Retry::AfterOperator),
    ("load into table", "DataLoadFailed", Retry::AfterOperator),
];

/// Code and retry of an error that a server told.
pub fn of_server(state: &str, message: &str) -> (&'static str, Retry) {
    let text = message.to_ascii_lowercase();
    let by_text = || BY_TEXT.iter().find(|(needle, ..)| text.contains(needle));
    let by_state = || BY_STATE.iter().find(|(prefix, ..)| state.starts_with(prefix));
    // A state that says little, or less than the text.
    let says_little = state.is_empty() || state.starts_with("XX") || state == "53300";
    let found = if says_little { by_text().or_else(by_state) } else { by_state().or_else(by_text) };
    found.map_or(("PSQLException", Retry::Backoff), |(_, code, retry)| (*code, *retry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_a_connection_is_told_once() {
        let closed = failed("ConnectionFailed", "public.t: connection closed", Retry::Backoff);
        let ended = with_end(closed.clone(), Some("connection reset by peer"));
        assert_eq!(ended.message, "public.t: connection closed: connection reset by peer");
        assert_eq!(with_end(ended.clone(), Some("connection reset by peer")), ended);
        assert_eq!(with_end(closed.clone(), None), closed);
        let other = failed("DiskFull", "public.t: no room", Retry::Backoff);
        assert_eq!(with_end(other.clone(), Some("connection reset by peer")), other);
    }

    #[test]
    fn the_servers_last_words_are_told_where_a_session_ended() {
        let said = Said { state: "57P01".to_owned(), message: "terminating connection by command".to_owned() };
        let closed = failed("ConnectionFailed", "public.t: connection closed", Retry::Backoff);
        let told = with_last_words(closed.clone(), Some(said.clone()));
        assert_eq!(
            told.message,
            "public.t: connection closed, behind terminating connection by command (SQLSTATE 57P01)"
        );
        assert_eq!((told.code.as_str(), told.retry), ("Redshift.ConnectionFailed", Retry::Backoff));
        let full = Said { state: "53100".to_owned(), message: "no space left".to_owned() };
        assert_eq!(with_last_words(closed.clone(), Some(full)).code, "Redshift.DiskFull");
        assert_eq!(with_last_words(closed.clone(), None), closed);
        // What was told of a request stands.
        let refused = failed("TableNotFound", "public.t: no such table", Retry::AfterOperator);
        assert_eq!(with_last_words(refused.clone(), Some(said)), refused);
    }

    #[test]
    fn errors_of_tls_say_what_to_do() {
        for (certificate, expected) in [
            (rustls::CertificateError::UnknownIssuer, "redshift.ca_file"),
            (rustls::CertificateError::NotValidForName, "for another host"),
            (rustls::CertificateError::Expired, "renew it"),
            (rustls::CertificateError::BadEncoding, "replace it"),
        ] {
            assert!(advice(&rustls::Error::InvalidCertificate(certificate)).contains(expected));
        }
        assert!(advice(&rustls::Error::HandshakeNotComplete).contains("in common"));
    }

    #[test]
    fn errors_have_the_codes_of_the_service() {
        for (state, message, code, retry) in [
            ("28P01", "password authentication failed for user \"u\"", "AuthenticationFailed", Retry::AfterOperator),
            ("3D000", "database \"x\" does not exist", "DatabaseNotFound", Retry::AfterOperator),
            ("42P01", "relation \"t\" does not exist", "TableNotFound", Retry::AfterOperator),
            ("3F000", "schema \"s\" does not exist", "SchemaNotFound", Retry::AfterOperator),
            ("42703", "column \"c\" of relation \"t\" does not exist", "ColumnNotFound", Retry::AfterOperator),
            ("42601", "syntax error at or near \"x\"", "SyntaxError", Retry::AfterOperator),
            ("22P02", "invalid input syntax for type integer: \"x\"", "DataLoadFailed", Retry::AfterOperator),
            ("22P04", "missing data for column \"b\"", "ColumnMismatch", Retry::AfterOperator),
            ("53100", "could not extend file: No space left on device", "DiskFull", Retry::Backoff),
            ("53300", "sorry, too many clients already", "TooManyClients", Retry::Backoff),
            ("53300", "too many connections for role \"u\"", "ConnectionsLimitExceeded", Retry::Backoff),
            ("53300", "remaining connection slots are reserved", "ConnectionsLimitExceeded", Retry::Backoff),
            ("57P03", "the database system is starting up", "ConnectionFailed", Retry::Backoff),
            ("57014", "canceling statement due to statement timeout", "QueryCancelled", Retry::Backoff),
            ("40001", "could not serialize access", "PSQLException", Retry::Backoff),
            ("XX000", "Load into table 't' failed. Check 'stl_load_errors'.", "DataLoadFailed", Retry::AfterOperator),
            (
                "XX000",
                "S3ServiceException:Access Denied,Status 403,Error AccessDenied",
                "S3BucketAccessDenied",
                Retry::AfterOperator,
            ),
            (
                "XX000",
                "User arn:aws:redshift:… is not authorized to assume IAM Role",
                "AccessDenied",
                Retry::AfterOperator,
            ),
            ("XX000", "Cannot COPY into nonexistent table t", "TableNotFound", Retry::AfterOperator),
            ("XX000", "Disk Full", "DiskFull", Retry::Backoff),
            ("XX000", "something new", "PSQLException", Retry::Backoff),
            ("99999", "something new", "PSQLException", Retry::Backoff),
        ] {
            assert_eq!(of_server(state, message), (code, retry), "{state} {message}");
        }
    }
}
