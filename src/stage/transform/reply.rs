//! What a call returned, read where the guest left it: its instance lives as long as the reply.
//!
//! From: [`super::module`]. To: [`super::stage`], record by record. Nothing of a record is copied here; components are
//! loaded without what would free an answer once it is returned ([`super::lasting`]).

use super::abi::{LogLine, Outcome};
use super::flat;
use super::host::Confined;
use super::module::CallError;
use super::packed;
use super::verdict::{Answer, Keys, Otf};
use wasmtime::Store;
use wasmtime::component::WasmList;

/// An answer, still in the form it came in.
pub struct Reply {
    pub(super) store: Store<Confined>,
    pub(super) answer: Returned,
    /// What of an answer is taken.
    pub(super) limit_bytes: usize,
}

/// By the way it was called.
pub enum Returned {
    List(Outcome),
    Packed(WasmList<u8>),
    /// An outcome at that place in memory, and all of it.
    Flat(u32, WasmList<u8>),
}

impl Reply {
    /// Tells `see` of each record of the answer and its id, and returns the guest's lines. What was told of an answer that
    /// turns out to be malformed is void.
    pub fn read<'a>(&'a self, mut see: impl FnMut(&[u8], Answer<'a>)) -> Result<Vec<LogLine>, CallError> {
        match &self.answer {
            Returned::Packed(output) => packed::unpack(output.as_le_slice(&self.store), see)
                .map_err(|error| CallError::Malformed(error.to_string())),
            Returned::Flat(at, memory) => flat::read(memory.as_le_slice(&self.store), *at, self.limit_bytes, see)
                .map_err(|error| malformed(error, self.limit_bytes)),
            Returned::List(outcome) => {
                for record in &outcome.records {
                    let record_id = record
                        .record_id
                        .to_str(&self.store)
                        .map_err(|error| CallError::Malformed(error.root_cause().to_string()))?;
                    let answer = Answer {
                        status: Some(record.status),
                        data: record.data.as_ref().map(|data| data.as_le_slice(&self.store)),
                        message: record.message.as_deref(),
                        keys: Keys::List(&record.partition_keys),
                        otf: record.otf_metadata.as_ref().map(|otf| Otf {
                            database: otf.destination_database_name.as_deref(),
                            table: otf.destination_table_name.as_deref(),
                            operation: otf.operation,
                        }),
                    };
                    see(record_id.as_bytes(), answer);
                }
                Ok(outcome.logs.iter().take(packed::MOST_LINES).cloned().collect())
            }
        }
    }
}

/// The error for an answer in memory that cannot be taken.
pub fn malformed(error: flat::Malformed, limit_bytes: usize) -> CallError {
    match error {
        flat::Malformed::TooLarge => CallError::OutputTooLarge { limit_bytes },
        error => CallError::Malformed(error.to_string()),
    }
}
