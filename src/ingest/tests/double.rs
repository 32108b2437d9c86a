//! A log in memory behind the seam.

use crate::ingest::{AppendError, Appended, FrameBody, Intake, LookupError, Sink};
use crate::stream::Incarnation;
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// Streams by name.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    sinks: Mutex<BTreeMap<String, Arc<MemorySink>>>,
}

/// A stream's records.
#[derive(Debug)]
pub(crate) struct MemorySink {
    incarnation: Incarnation,
    frames: Mutex<Vec<FrameBody>>,
    refusal: Mutex<Option<AppendError>>,
    not_active: Mutex<bool>,
    /// An append passes while it is open.
    gate: watch::Sender<bool>,
    /// Appends that came to the gate.
    reached: watch::Sender<u64>,
    /// Appends that were refused.
    refused: watch::Sender<u64>,
}

impl Streams {
    /// Adds an empty stream.
    pub(crate) fn add(&self, name: &str) -> Arc<MemorySink> {
        let sink = Arc::new(MemorySink {
            incarnation: Incarnation::random(),
            frames: Mutex::default(),
            refusal: Mutex::default(),
            not_active: Mutex::default(),
            gate: watch::Sender::new(true),
            reached: watch::Sender::new(0),
            refused: watch::Sender::new(0),
        });
        self.sinks.lock().insert(name.to_owned(), Arc::clone(&sink));
        sink
    }
}

impl MemorySink {
    /// Every frame's records.
    pub(crate) fn frames(&self) -> Vec<Vec<Vec<u8>>> {
        self.frames.lock().iter().map(records).collect()
    }

    /// Every record.
    pub(crate) fn records(&self) -> Vec<Vec<u8>> {
        self.frames().concat()
    }

    /// Lets appends fail.
    pub(crate) fn refuse(&self, error: Option<AppendError>) {
        *self.refusal.lock() = error;
    }

    /// Lets look-ups fail as for a stream that is being deleted.
    pub(crate) fn deactivate(&self) {
        *self.not_active.lock() = true;
    }

    /// Holds appends back until [`MemorySink::open`].
    pub(crate) fn shut(&self) {
        self.gate.send_replace(false);
    }

    /// Lets appends through.
    pub(crate) fn open(&self) {
        self.gate.send_replace(true);
    }

    /// Returns when an append has come.
    pub(crate) async fn reached(&self) {
        self.reached.subscribe().wait_for(|count| *count > 0).await.unwrap();
    }

    /// Returns when so many appends have been refused.
    pub(crate) async fn refused(&self, count: u64) {
        self.refused.subscribe().wait_for(|refused| *refused >= count).await.unwrap();
    }
}

/// The records of a frame.
pub(crate) fn records(frame: &FrameBody) -> Vec<Vec<u8>> {
    let mut rest = frame.payload.as_slice();
    let mut records = Vec::new();
    for length in &frame.lengths {
        let (record, tail) = rest.split_at(*length as usize);
        records.push(record.to_vec());
        rest = tail;
    }
    assert!(rest.is_empty(), "lengths do not add up to the payload");
    records
}

#[async_trait]
impl Sink for MemorySink {
    fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    async fn append(&self, body: FrameBody) -> Result<Appended, AppendError> {
        self.reached.send_modify(|count| *count += 1);
        self.gate.subscribe().wait_for(|open| *open).await.unwrap();
        if let Some(error) = self.refusal.lock().clone() {
            self.refused.send_modify(|count| *count += 1);
            return Err(error);
        }
        let mut frames = self.frames.lock();
        let first = frames.iter().map(|frame| frame.lengths.len() as u64).sum::<u64>() + 1;
        let last = first + body.lengths.len() as u64 - 1;
        frames.push(body);
        Ok(Appended { first, last })
    }
}

#[async_trait]
impl Intake for Streams {
    async fn lookup(&self, name: &str) -> Result<Arc<dyn Sink>, LookupError> {
        let sink = self.sinks.lock().get(name).cloned().ok_or(LookupError::Unknown)?;
        if *sink.not_active.lock() { Err(LookupError::NotActive) } else { Ok(sink) }
    }
}
