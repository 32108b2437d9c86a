//! The loop of one lane: cut, stages, seal, deliver, close (rules D1, D3, D12, D13). A stream has a lane, and with a
//! source backup a second one over the same log, with hints, seals and objects of its own (rule D9).
//!
//! From: `source` (records), `catalog` (definitions), `batch` (when to cut). Through: `stage`, `outbox`, `journal`.
//! To: `destination`.
//!
//! | file | responsibility |
//! |---|---|
//! | `supervisor` | a keeper for each stream of the catalog; what the operator asks and wishes |
//! | `keeper` | one stream's workers from start to stop, and its deletion |
//! | `opening`, `cursors` | a stream's log as lanes, which begin in the journal; what all of them have closed |
//! | `worker` | the loop of a lane |
//! | `sealing`, `stage_pool`, `behind` | a run from the cut to its stored seal; the threads for it, and those that come last |
//! | `pace`, `panics` | a run that cannot be staged is tried again; a stage that panics |
//! | `run`, `stages` | one run through the stages; these |
//! | `parcels`, `error_record` | what a run becomes; lines of the error area |
//! | `counts`, `originals` | the fates of its records and parts; what a fate is about |
//! | `learnt` | the tables of streams that have no schema |
//! | `requests` | a run as requests to an endpoint |
//! | `loads` | a run as a load into a table |
//! | `send`, `turning` | a seal's parcels, attempt by attempt; giving one up |
//! | `shuffle`, `partitioned` | a run into a spool chunk, and partitions of chunks into objects |
//! | `spool_reader`, `isolate` | what is cut of a partition; the records of it that make a stage panic |
//! | `spooled` | what waits between the halves of a delivery with dynamic partitioning |
//! | `status`, `health`, `deleted` | what all of it tells; how destinations fare; the sums of what is gone |
//!
//! Invariants: nothing is sent before its seal is stored. Seals of a lane are stored in order and closed in order;
//! several may be in flight. Sealed bytes and names never change, whatever revision, module or version runs by then.
//! Nothing is freed before its close is stored. A run that is not sealed did not happen.

mod behind;
mod counts;
mod cursors;
mod deleted;
mod error_record;
mod health;
mod isolate;
mod keeper;
mod learnt;
mod loads;
mod narrow;
mod opening;
mod originals;
mod pace;
mod panics;
mod parcels;
mod partitioned;
mod requests;
mod run;
mod sealing;
mod send;
mod shuffle;
mod spool_reader;
mod spooled;
mod stage_pool;
mod stages;
mod status;
mod supervisor;
mod turning;
mod worker;

#[cfg(test)]
mod tests;

pub use cursors::JournalCursors;
pub use deleted::{DeletedError, DeletedStreams};
pub use learnt::LearntTables;
pub use stage_pool::StagePool;
pub use supervisor::{Supervisor, SupervisorError};

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::destination::Router;
use crate::disk::Disk;
use crate::journal::Journal;
use crate::outbox::Outbox;
use crate::schemas::Schemas;
use crate::source::local::Logs;
use crate::stage::transform::TransformFolder;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Settings of delivery.
#[derive(Debug, Clone)]
pub struct DeliveryOptions {
    /// Seals of a lane that may be open while its destination answers.
    pub max_open_seals: usize,
    /// Seals of a lane that may be open while its destination fails (rule D13).
    pub max_open_seals_failing: usize,
    /// Runs of streams without a transform that are staged at the same time.
    pub stage_slots: usize,
    /// Runs of streams with a transform that are staged at the same time. More than there are processors: a guest that
    /// loops holds its slot until its time is over.
    pub transform_slots: usize,
    /// Objects sent at the same time, over all lanes; those that fail have half of them at most.
    pub send_slots: usize,
    /// Requests to endpoints under way at the same time, of each stream.
    pub requests_in_flight: usize,
    /// First pause after a failed attempt; doubles, with full jitter.
    pub backoff_first: Duration,
    /// Longest pause after a passing failure.
    pub backoff_longest: Duration,
    /// Longest pause where only the operator can help.
    pub operator_pause: Duration,
    /// How long a stop waits for attempts that run.
    pub stop_grace: Duration,
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, |n| n.get());
        Self {
            max_open_seals: 4,
            max_open_seals_failing: 2,
            stage_slots: cores,
            transform_slots: cores.max(2) * 2,
            send_slots: 32,
            requests_in_flight: 4,
            backoff_first: Duration::from_millis(100),
            backoff_longest: Duration::from_secs(30),
            operator_pause: Duration::from_secs(60),
            stop_grace: Duration::from_secs(10),
        }
    }
}

/// What the workers of a node share.
#[derive(Debug)]
pub struct DeliveryContext {
    /// The file system, for deleting streams' folders.
    pub disk: Arc<dyn Disk>,
    /// `<streams_dir>/<incarnation>/`.
    pub streams_dir: PathBuf,
    /// Definitions.
    pub catalog: Arc<Catalog>,
    /// Direct PUT logs.
    pub logs: Arc<Logs>,
    /// Seals and cursors.
    pub journal: Arc<Journal>,
    /// Ledgers of streams that are gone.
    pub deleted: Arc<DeletedStreams>,
    /// Sealed bytes.
    pub outbox: Arc<Outbox>,
    /// Where parcels go.
    pub destinations: Router,
    /// WASM modules.
    pub transforms: Arc<TransformFolder>,
    /// Tables for conversion.
    pub schemas: Arc<Schemas>,
    /// Tables that streams have learnt.
    pub learnt: LearntTables,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Region of the ARNs, handed to transforms.
    pub region: String,
    /// Settings.
    pub options: DeliveryOptions,
    /// Threads that stage runs, `options.stage_slots` of them.
    pub stages: StagePool,
    /// Threads that stage the runs of streams with a transform, `options.transform_slots` of them.
    pub transform_stages: StagePool,
    /// Permits of `options.send_slots`.
    pub send_permits: Arc<Semaphore>,
    /// Permits that a parcel needs besides while its lane's destination fails: one that does not answer must not take all
    /// slots from those that do.
    pub failing_permits: Arc<Semaphore>,
}
