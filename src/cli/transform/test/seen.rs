//! What an observed stage did: its calls in sums, and of the batch at hand the guest's lines and what it said of records.

use crate::record::Origin;
use crate::stage::transform::{Answer, Call, LogLine, Observer, Operation};
use parking_lot::Mutex;
use std::time::Duration;

/// Most bytes of log lines that are kept of a batch.
const LOG_BYTES: usize = 16 << 20;

/// What a guest says of a record beside its data.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// Partition keys, as they came.
    pub keys: Vec<(String, String)>,
    /// Where the record goes in a destination of open tables.
    pub otf: Option<Otf>,
}

/// Database, table and operation, each if given.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Otf {
    pub database: Option<String>,
    pub table: Option<String>,
    pub operation: Option<Operation>,
}

/// Lines of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CallLog {
    pub first: Origin,
    pub last: Origin,
    pub lines: Vec<LogLine>,
    /// Lines that are not kept.
    pub left_out: u64,
}

/// Of all calls.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Totals {
    pub calls: u64,
    pub failed_calls: u64,
    pub took: Duration,
    /// The most an instance had.
    pub memory_bytes: u64,
    /// The most a call used, where it is counted.
    pub fuel: Option<u64>,
}

/// Of a batch, in the order of its records.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub logs: Vec<CallLog>,
    pub told: Vec<(Origin, Told)>,
    log_bytes: usize,
}

/// Sees what goes on.
#[derive(Default)]
pub(super) struct Seen {
    state: Mutex<(Totals, Batch)>,
}

impl Seen {
    /// Of all calls so far.
    pub fn totals(&self) -> Totals {
        self.state.lock().0
    }

    /// Of the calls since the last time this was asked.
    pub fn take(&self) -> Batch {
        let mut batch = std::mem::take(&mut self.state.lock().1);
        batch.logs.sort_by_key(|log| log.first);
        batch.told.sort_by_key(|(origin, _)| *origin);
        batch
    }
}

impl Observer for Seen {
    fn called(&self, call: &Call<'_>) {
        let (totals, batch) = &mut *self.state.lock();
        totals.calls += 1;
        totals.failed_calls += u64::from(call.failure.is_some());
        totals.took += call.took;
        totals.memory_bytes = totals.memory_bytes.max(call.used.memory_bytes);
        totals.fuel = totals.fuel.max(call.used.fuel);
        if call.lines.is_empty() {
            return;
        }
        let mut log = CallLog { first: call.first, last: call.last, lines: Vec::new(), left_out: 0 };
        for line in call.lines {
            if batch.log_bytes + line.message.len() > LOG_BYTES {
                log.left_out += 1;
            } else {
                batch.log_bytes += line.message.len();
                log.lines.push(line.clone());
            }
        }
        batch.logs.push(log);
    }

    fn answered(&self, origin: Origin, answer: &Answer<'_>) {
        let keys: Vec<_> = answer.keys.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let otf = answer.otf.map(|otf| Otf {
            database: otf.database.map(str::to_owned),
            table: otf.table.map(str::to_owned),
            operation: otf.operation,
        });
        let told = Told { keys, otf };
        if told != Told::default() {
            self.state.lock().1.told.push((origin, told));
        }
    }
}
