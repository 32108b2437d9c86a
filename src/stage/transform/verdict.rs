//! What an answer says of each record of a batch. Pure: the rules of Firehose about ids, statuses and data.

use super::abi::{Key, Operation, Status};
use super::flat;
use super::id::Ids;
use super::packed;
use crate::record::Slot;

/// What a guest's answer says of one record, in either world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// `None`: a number without meaning.
    pub status: Option<Status>,
    /// The record that goes on.
    pub data: Option<&'a [u8]>,
    /// The guest's text.
    pub message: Option<&'a str>,
    /// Its partition keys.
    pub keys: Keys<'a>,
    /// Its table; only observers look at it.
    pub otf: Option<Otf<'a>>,
}

impl Answer<'_> {
    /// All that it says, for comparisons.
    pub fn text(&self, record_id: &[u8]) -> String {
        let Answer { status, data, message, keys, otf } = self;
        let keys: Vec<_> = keys.pairs().collect();
        let operation = |otf: &Otf<'_>| otf.operation.map_or(0, |operation| operation as u8 + 1);
        let table = otf.as_ref().map(|otf| (otf.database, otf.table, operation(otf)));
        let status = status.map(|status| status as u8);
        format!("{record_id:?} {status:?} {data:?} {keys:?} {table:?} {message:?}")
    }
}

/// Where a record goes in a destination of open tables; what is left out the stream decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Otf<'a> {
    /// Database.
    pub database: Option<&'a str>,
    /// Table.
    pub table: Option<&'a str>,
    /// What is done there.
    pub operation: Option<Operation>,
}

/// Partition keys of an answer, in the form they came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys<'a> {
    /// Names and values.
    List(&'a [Key]),
    /// The same packed, back to back, looked through.
    Packed(&'a [u8]),
    /// The same in memory of the guest, so many from that place, looked through.
    Flat { memory: &'a [u8], at: u32, count: u32 },
}

impl Keys<'_> {
    /// Of an answer that has none.
    pub const NONE: Self = Self::Packed(&[]);
}

impl<'a> Keys<'a> {
    /// Names and values as they came; a name may come twice.
    pub fn pairs(mut self) -> impl Iterator<Item = (&'a str, &'a str)> {
        std::iter::from_fn(move || match &mut self {
            Self::List(pairs) => pairs.split_off_first().map(|(name, value)| (&name[..], &value[..])),
            Self::Packed(bytes) => packed::take_key(bytes),
            Self::Flat { memory, at, count } => flat::take_key(memory, at, count),
        })
    }
}

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// Goes on with these bytes, to the partition of these keys.
    Passed(&'a [u8], Keys<'a>),
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

/// Collects the verdicts on the records of a batch.
pub struct Judge<'b, 'a> {
    slots: &'b [Slot],
    ids: &'b Ids,
    verdicts: Vec<Verdict<'a>>,
    likely: usize,
}

impl<'b, 'a> Judge<'b, 'a> {
    /// No answer came yet.
    pub fn new(slots: &'b [Slot], ids: &'b Ids) -> Self {
        Self { slots, ids, verdicts: vec![Verdict::Missing; slots.len()], likely: 0 }
    }

    /// Takes one record of the answer. Any bytes may be its id; those that are none of the batch say nothing.
    pub fn hear(&mut self, record_id: &[u8], answer: Answer<'a>) {
        let Some(index) = self.ids.find(self.slots, self.likely, record_id) else { return };
        self.likely = index + 1;
        let verdict = &mut self.verdicts[index];
        *verdict = if *verdict == Verdict::Missing { of_answer(answer) } else { Verdict::Duplicated };
    }

    /// One verdict for each slot, in their order.
    pub fn verdicts(self) -> Vec<Verdict<'a>> {
        self.verdicts
    }
}

fn of_answer(answer: Answer<'_>) -> Verdict<'_> {
    match (answer.status, answer.data) {
        (Some(Status::Ok), Some(data)) => Verdict::Passed(data, answer.keys),
        (Some(Status::Ok), None) => Verdict::NullData(answer.message),
        (Some(Status::Dropped), _) => Verdict::Dropped,
        (Some(Status::ProcessingFailed), _) => Verdict::Failed(answer.message),
        (None, _) => Verdict::BadStatus,
    }
}
