//! Hydrant: a self-hosted Amazon Data Firehose.
//!
//! The modules in the order in which a record meets them, as far as imports allow: these go down only
//! (`tests/architecture.rs` holds the table: a module knows what stands above it). ARCHITECTURE.md follows one record
//! through them.

// The bans of clippy.toml are about what serves; a test may break a file by hand and spawn what it likes.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

// Foundations: no domain word in them.

/// What went wrong, as data.
pub mod fault;

/// Wall and monotonic time.
pub mod clock;

/// Named crash points.
pub mod failpoint;

/// Owned tasks, and the order to stop.
pub mod task;

/// The file system, real and faulty.
pub mod disk;

/// Metrics and logs.
pub mod telemetry;

// Vocabulary: types without I/O.

/// Records as slices of shared buffers.
pub mod record;

/// Name, definition, lane, position, seal.
pub mod stream;

/// AWS JSON 1.1: targets, errors, shapes.
pub mod wire;

// What both planes share: control writes it, ingest and delivery read it.

/// Secrets of definitions, enciphered where they are stored.
pub mod vault;

/// Definitions and their revisions.
pub mod catalog;

// Data plane, in the order data flows.

/// Direct PUT records on disk, acknowledged once synced.
pub mod log;

/// Lanes to read from: the local log; later Kinesis and Kafka.
pub mod source;

/// Put requests into the log.
pub mod ingest;

/// Where a run of records is cut.
pub mod batch;

/// Transform, convert, compress.
pub mod stage;

/// What a parcel is to the outside: S3 and other places it goes to.
pub mod destination;

/// Tables to convert to: files, AWS Glue.
pub mod schemas;

/// Where sealed bytes wait.
pub mod outbox;

/// Records by partition, between the halves of a delivery.
pub mod spool;

/// Seals, turns and closes, and the cursor they move.
pub mod journal;

/// The loop of one lane: cut, stages, seal, deliver, close.
pub mod delivery;

// Control plane.

/// The API's operations on definitions.
pub mod control;

/// The configuration file.
pub mod config;

// Edges.

/// Listeners and routes.
pub mod server;

/// The S3 server that demo and dev embed.
pub mod embedded;

/// Wiring, start and stop order.
pub mod app;

/// One file a command.
pub mod cli;

#[cfg(test)]
mod fuzz_tests;
