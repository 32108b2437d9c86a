//! What an answer says of each record of a batch. Pure: the rules of Firehose about ids, statuses and data.

use super::abi::Status;
use super::id::Ids;
use crate::record::Slot;

/// One record of a guest's answer, in either world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Any bytes; only those of the batch mean something.
    pub record_id: &'a [u8],
    /// `None`: a number without meaning.
    pub status: Option<Status>,
    /// The record that goes on.
    pub data: Option<&'a [u8]>,
    /// The guest's text.
    pub message: Option<&'a str>,
}

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// Goes on with these bytes.
    Passed(&'a [u8]),
    /// Ends here on purpose.
    Dropped,
    /// The guest refused it, with its text.
    Failed(Option<&'a str>),
    /// Its id did not come back.
    Missing,
    /// Its id came back more than once.
    Duplicated,
    /// Its status has no meaning.
    BadStatus,
    /// It is ok without data; with the guest's text.
    NullData(Option<&'a str>),
}

/// One verdict for each of `slots`, in their order. Answers with unknown ids say nothing.
pub fn judge<'a>(slots: &[Slot], ids: &Ids, answers: &[Answer<'a>]) -> Vec<Verdict<'a>> {
    let mut verdicts = vec![Verdict::Missing; slots.len()];
    let mut likely = 0;
    for answer in answers {
        let Some(index) = ids.find(slots, likely, answer.record_id) else { continue };
        likely = index + 1;
        verdicts[index] = if verdicts[index] == Verdict::Missing { of_answer(answer) } else { Verdict::Duplicated };
    }
    verdicts
}

fn of_answer<'a>(answer: &Answer<'a>) -> Verdict<'a> {
    match (answer.status, answer.data) {
        (Some(Status::Ok), Some(data)) => Verdict::Passed(data),
        (Some(Status::Ok), None) => Verdict::NullData(answer.message),
        (Some(Status::Dropped), _) => Verdict::Dropped,
        (Some(Status::ProcessingFailed), _) => Verdict::Failed(answer.message),
        (None, _) => Verdict::BadStatus,
    }
}
