//! Codes and messages of the error records, as Firehose writes them; what a guest has to say follows its sentence.

use super::module::CallError;
use super::verdict::Verdict;
use crate::record::{Cause, ErrorKind};

/// Longest text of a guest in an error record.
const LONGEST_DETAIL_BYTES: usize = 1024;

const FUNCTION_ERROR: &str = "The Lambda function was successfully invoked but it returned an error result.";
const TIMED_OUT: &str =
    "The Lambda function invocation timed out. Increase the Timeout setting in the Lambda function.";
const MISSING: &str =
    "One or more record Ids were not returned. Ensure that the Lambda function returns all received record Ids.";
const DUPLICATED: &str = "Multiple records were returned with the same record Id. Ensure that the Lambda function \
                          returns a unique record Id for each record.";
const PROCESSING_FAILED: &str = "ProcessingFailed status set for record";
const NULL_DATA: &str = "The data field cannot be null when the SourceType is DirectPut or KinesisStreamAsSource and \
                         processing result is Ok. The value field cannot be null when the SourceType is MSKAsSource \
                         and processing result is Ok.";
const BAD_STATUS: &str = "The result field must be one of Ok, Dropped and ProcessingFailed.";
const NOT_ALONE: &str = "This record was not tried alone, because its batch had spent its time for failed calls; it may \
                         not be the cause.";
const MALFORMED: &str = "The answer of the Lambda function cannot be read.";

/// The cause in a verdict; `None` for a record that passed or was dropped.
pub fn of_verdict(verdict: &Verdict<'_>) -> Option<Cause> {
    let (code, message) = match verdict {
        Verdict::Passed(..) | Verdict::Dropped => return None,
        Verdict::Missing => ("Lambda.MissingRecordId", MISSING.to_owned()),
        Verdict::Duplicated => ("Lambda.DuplicatedRecordId", DUPLICATED.to_owned()),
        Verdict::BadStatus => ("Lambda.InvalidReturnFormat", BAD_STATUS.to_owned()),
        Verdict::NullData(text) => ("Lambda.InvalidReturnFormat", with_detail(NULL_DATA, " ", *text)),
        Verdict::Failed(text) => ("Lambda.ProcessingFailedStatus", with_detail(PROCESSING_FAILED, ": ", *text)),
    };
    Some(cause(code, message, 1))
}

/// The cause of a failed call, after `attempts` of them.
pub fn of_call(error: &CallError, attempts: u32) -> Cause {
    let (code, sentence) = told(error);
    cause(code, with_detail(sentence, " ", Some(&error.detail())), attempts)
}

/// The cause of records that took part in so many failed calls and were given up before one was called alone; `error`
/// is that of the last call of their batch that failed.
pub fn of_given_up(error: &CallError, failed_calls: u32) -> Cause {
    let (code, sentence) = told(error);
    let begin = format!("{sentence} {NOT_ALONE}");
    cause(code, with_detail(&begin, " The last of them: ", Some(&error.detail())), failed_calls)
}

/// Code and sentence of a failed call.
fn told(error: &CallError) -> (&'static str, &'static str) {
    match error {
        CallError::TimedOut { .. } => ("Lambda.FunctionTimedOut", TIMED_OUT),
        CallError::Malformed(_) => ("Lambda.InvalidReturnFormat", MALFORMED),
        CallError::Failed { .. }
        | CallError::Trapped(_)
        | CallError::OutOfFuel { .. }
        | CallError::OutOfMemory { .. }
        | CallError::OutputTooLarge { .. }
        | CallError::NotStarted(_)
        | CallError::Interrupted => ("Lambda.FunctionError", FUNCTION_ERROR),
    }
}

fn cause(code: &str, message: String, attempts: u32) -> Cause {
    Cause { kind: ErrorKind::ProcessingFailed, code: code.to_owned(), message, attempts }
}

fn with_detail(sentence: &str, between: &str, detail: Option<&str>) -> String {
    match detail.map(str::trim) {
        None | Some("") => sentence.to_owned(),
        Some(detail) => format!("{sentence}{between}{}", shortened(detail, LONGEST_DETAIL_BYTES)),
    }
}

/// The beginning of `text`, cut between characters.
pub fn shortened(text: &str, longest_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(longest_bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_not_tried_alone_is_told_so_under_the_same_code() {
        let error = CallError::TimedOut { limit_ms: 1000 };
        let (alone, given_up) = (of_call(&error, 4), of_given_up(&error, 2));
        assert_eq!((&given_up.code, given_up.attempts), (&alone.code, 2));
        assert!(given_up.message.starts_with(TIMED_OUT) && given_up.message.contains("was not tried alone"));
        assert!(given_up.message.ends_with(&format!(" The last of them: {}", error.detail())), "{}", given_up.message);
        assert!(!alone.message.contains("alone"));
    }
}
