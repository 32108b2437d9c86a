//! All metrics of the process, in one list, and the functions that move them.
//!
//! Numbers of single streams are not here; they come from [`super::status`], so that the ledger on `/metrics` is the one that
//! is stored.

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;

use super::series::{Counter, Gauge, Histogram, Metric, Series};
use std::time::Duration;

macro_rules! counters {
    ($name:ident: $($labels:literal),+) => {
        static $name: [Counter; [$($labels),+].len()] = [$(Counter::new($labels)),+];
    };
}

// The order of the labels is that of the enum given in each comment.
// PutKind × Outcome
counters!(PUT_REQUESTS:
    r#"kind="put_record",outcome="accepted""#, r#"kind="put_record",outcome="refused""#,
    r#"kind="put_record",outcome="throttled""#, r#"kind="put_record",outcome="failed""#,
    r#"kind="put_record_batch",outcome="accepted""#, r#"kind="put_record_batch",outcome="refused""#,
    r#"kind="put_record_batch",outcome="throttled""#, r#"kind="put_record_batch",outcome="failed""#,
    r#"kind="records",outcome="accepted""#, r#"kind="records",outcome="refused""#,
    r#"kind="records",outcome="throttled""#, r#"kind="records",outcome="failed""#);
// PutKind
counters!(PUT_RECORDS: r#"kind="put_record""#, r#"kind="put_record_batch""#, r#"kind="records""#);
counters!(PUT_BYTES: r#"kind="put_record""#, r#"kind="put_record_batch""#, r#"kind="records""#);
counters!(PUT_BODY_BYTES: "");
static ACK: Histogram = Histogram::new();
static ADMITTED_BYTES: Gauge = Gauge::new();
counters!(CONTROL_REQUESTS: r#"outcome="ok""#, r#"outcome="error""#);
static CONNECTIONS: Gauge = Gauge::new();
counters!(CONNECTIONS_OPENED: "");
counters!(CONNECTION_FAULTS: "");
static LOG_SYNC: Histogram = Histogram::new();
counters!(LOG_SYNC_FAILURES: "");
counters!(LOG_WRITTEN_BYTES: "");
counters!(JOURNAL_WRITTEN_BYTES: "");
static JOURNAL_SYNC: Histogram = Histogram::new();
counters!(CUTS:
    r#"reason="size""#, r#"reason="interval""#, r#"reason="flush""#, r#"reason="stop""#, r#"reason="lane_end""#);
static SEAL: Histogram = Histogram::new();
counters!(SEALED_BYTES: "");
// Attempt
counters!(DELIVERY_ATTEMPTS:
    r#"outcome="delivered""#, r#"outcome="retry""#, r#"outcome="needs_operator""#, r#"outcome="fault""#);
static DELIVERY: Histogram = Histogram::new();
counters!(DELIVERED_BYTES: "");
// S3Outcome
counters!(S3_DELIVERIES: r#"outcome="clean""#, r#"outcome="found""#, r#"outcome="assumed""#, r#"outcome="failed""#);
counters!(S3_UPLOADS_ABORTED: "");
// RequestOutcome
counters!(
    HTTP_REQUESTS: r#"outcome="delivered""#,
    r#"outcome="refused""#,
    r#"outcome="failed""#,
    r#"outcome="invalid""#,
    r#"outcome="timed_out""#,
    r#"outcome="unanswered""#
);
// LoadOutcome
counters!(LOADS: r#"outcome="loaded""#, r#"outcome="refused""#, r#"outcome="failed""#);
counters!(MOVED_LOADS: "");
counters!(TURNS: "");
counters!(CLOSES: "");
counters!(STAGE_PANICS: "");

/// Every metric of the process, in the order of a record's path.
pub static ALL: &[Metric] = &[
    Metric {
        name: "hydrant_put_requests_total",
        help: "Put requests by entrance and outcome.",
        series: Series::Counters(&PUT_REQUESTS),
    },
    Metric {
        name: "hydrant_put_records_total",
        help: "Records acknowledged, by entrance.",
        series: Series::Counters(&PUT_RECORDS),
    },
    Metric {
        name: "hydrant_put_bytes_total",
        help: "Bytes of records acknowledged (decoded), by entrance.",
        series: Series::Counters(&PUT_BYTES),
    },
    Metric {
        name: "hydrant_put_body_bytes_total",
        help: "Bytes of put request bodies read.",
        series: Series::Counters(&PUT_BODY_BYTES),
    },
    Metric {
        name: "hydrant_ack_seconds",
        help: "Time from a put request's headers to its acknowledgement.",
        series: Series::Histogram(&ACK),
    },
    Metric {
        name: "hydrant_admitted_bytes",
        help: "Bytes of requests being worked on now.",
        series: Series::Gauge(&ADMITTED_BYTES),
    },
    Metric {
        name: "hydrant_control_requests_total",
        help: "Requests to the API's other operations.",
        series: Series::Counters(&CONTROL_REQUESTS),
    },
    Metric { name: "hydrant_connections", help: "Open connections.", series: Series::Gauge(&CONNECTIONS) },
    Metric {
        name: "hydrant_connections_opened_total",
        help: "Connections accepted.",
        series: Series::Counters(&CONNECTIONS_OPENED),
    },
    Metric {
        name: "hydrant_connection_faults_total",
        help: "Connections that ended by a fault: bad HTTP, time-out, failed TLS handshake, reset.",
        series: Series::Counters(&CONNECTION_FAULTS),
    },
    Metric {
        name: "hydrant_log_sync_seconds",
        help: "Time of one fdatasync of a stream's log.",
        series: Series::Histogram(&LOG_SYNC),
    },
    Metric {
        name: "hydrant_log_sync_failures_total",
        help: "Failed syncs of a log; each abandons a segment.",
        series: Series::Counters(&LOG_SYNC_FAILURES),
    },
    Metric {
        name: "hydrant_log_written_bytes_total",
        help: "Bytes of frames written to logs.",
        series: Series::Counters(&LOG_WRITTEN_BYTES),
    },
    Metric {
        name: "hydrant_journal_sync_seconds",
        help: "Time of one fdatasync of the journal.",
        series: Series::Histogram(&JOURNAL_SYNC),
    },
    Metric {
        name: "hydrant_journal_written_bytes_total",
        help: "Bytes of seals, turns and closes written to the journal, small parcels among them.",
        series: Series::Counters(&JOURNAL_WRITTEN_BYTES),
    },
    Metric { name: "hydrant_cuts_total", help: "Runs cut, by reason.", series: Series::Counters(&CUTS) },
    Metric {
        name: "hydrant_seal_seconds",
        help: "Time from a cut to its stored seal: stages, outbox, journal.",
        series: Series::Histogram(&SEAL),
    },
    Metric {
        name: "hydrant_sealed_bytes_total",
        help: "Finished bytes of sealed parcels.",
        series: Series::Counters(&SEALED_BYTES),
    },
    Metric {
        name: "hydrant_delivery_attempts_total",
        help: "Attempts to deliver a parcel, by outcome.",
        series: Series::Counters(&DELIVERY_ATTEMPTS),
    },
    Metric {
        name: "hydrant_delivery_seconds",
        help: "Time of one successful attempt.",
        series: Series::Histogram(&DELIVERY),
    },
    Metric {
        name: "hydrant_delivered_bytes_total",
        help: "Finished bytes of delivered parcels.",
        series: Series::Counters(&DELIVERED_BYTES),
    },
    Metric {
        name: "hydrant_s3_deliveries_total",
        help: "Attempts of S3 parcels: answered by a clean 200, found as an earlier attempt wrote it, assumed to be it \
               because the store says that it exists but does not show it, or failed.",
        series: Series::Counters(&S3_DELIVERIES),
    },
    Metric {
        name: "hydrant_s3_uploads_aborted_total",
        help: "Multipart uploads of failed attempts, aborted later.",
        series: Series::Counters(&S3_UPLOADS_ABORTED),
    },
    Metric {
        name: "hydrant_http_requests_total",
        help: "Attempts of requests to HTTP endpoints: delivered, refused for good (413), answered by another status, \
               by a 200 that is not one of the protocol, not within the time, or not at all.",
        series: Series::Counters(&HTTP_REQUESTS),
    },
    Metric {
        name: "hydrant_redshift_loads_total",
        help: "Attempts of loads into tables: loaded, refused by the cluster, or failed in passing.",
        series: Series::Counters(&LOADS),
    },
    Metric {
        name: "hydrant_redshift_moved_loads_total",
        help: "Loads made into another table than the one they were cut for.",
        series: Series::Counters(&MOVED_LOADS),
    },
    Metric {
        name: "hydrant_turns_total",
        help: "Parcels given up and turned to the error area.",
        series: Series::Counters(&TURNS),
    },
    Metric { name: "hydrant_closes_total", help: "Seals closed.", series: Series::Counters(&CLOSES) },
    Metric { name: "hydrant_stage_panics_total", help: "Panics in a stage.", series: Series::Counters(&STAGE_PANICS) },
];

/// The entrance of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutKind {
    /// PutRecord.
    Record,
    /// PutRecordBatch.
    Batch,
    /// `POST /streams/{name}/records`.
    Lines,
}

const OUTCOMES: usize = 4;

/// How a put that was not acknowledged ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutFailure {
    /// The request is wrong.
    Refused = 1,
    /// No room now.
    Throttled = 2,
    /// The log failed or the client went away.
    Failed = 3,
}

/// A put was acknowledged.
pub fn put_accepted(kind: PutKind, records: u64, bytes: u64, took: Duration) {
    PUT_REQUESTS[kind as usize * OUTCOMES].add(1);
    PUT_RECORDS[kind as usize].add(records);
    PUT_BYTES[kind as usize].add(bytes);
    ACK.observe(took);
}

/// A put was not acknowledged.
pub fn put_failed(kind: PutKind, failure: PutFailure) {
    PUT_REQUESTS[kind as usize * OUTCOMES + failure as usize].add(1);
}

/// A put's body of `bytes` was read.
pub fn put_body_read(bytes: u64) {
    PUT_BODY_BYTES[0].add(bytes);
}

/// `bytes` more (or, negative, fewer) of requests are being worked on.
pub fn admitted(bytes: i64) {
    ADMITTED_BYTES.add(bytes);
}

/// An operation other than the puts was answered.
pub fn control_answered(ok: bool) {
    CONTROL_REQUESTS[usize::from(!ok)].add(1);
}

/// A connection was accepted.
pub fn connection_opened() {
    CONNECTIONS_OPENED[0].add(1);
    CONNECTIONS.add(1);
}

/// A connection is gone.
pub fn connection_closed(by_fault: bool) {
    CONNECTION_FAULTS[0].add(u64::from(by_fault));
    CONNECTIONS.add(-1);
}

/// One fdatasync of a stream's log took that long.
pub fn log_synced(took: Duration) {
    LOG_SYNC.observe(took);
}

/// A sync of a log failed.
pub fn log_sync_failed() {
    LOG_SYNC_FAILURES[0].add(1);
}

/// Frames of `bytes` were written to a log.
pub fn log_written(bytes: u64) {
    LOG_WRITTEN_BYTES[0].add(bytes);
}

/// One fdatasync of the journal, for so many bytes, took that long.
pub fn journal_synced(took: Duration, written_bytes: u64) {
    JOURNAL_SYNC.observe(took);
    JOURNAL_WRITTEN_BYTES[0].add(written_bytes);
}

/// Why a run was cut. Mirrors the seal's cut reason, which this foundation does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Size reached.
    Size,
    /// Interval reached.
    Interval,
    /// Operator.
    Flush,
    /// Stop or delete.
    Stop,
    /// The source lane ended.
    LaneEnd,
}

/// A run was cut.
pub fn cut(reason: Cut) {
    CUTS[reason as usize].add(1);
}

/// A seal of `bytes` finished bytes was stored, that long after its cut.
pub fn sealed(bytes: u64, took: Duration) {
    SEAL.observe(took);
    SEALED_BYTES[0].add(bytes);
}

/// How an unsuccessful delivery attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptFailure {
    /// It will be tried again after a pause.
    Retry = 1,
    /// Only the operator can help.
    NeedsOperator = 2,
    /// The lane stops.
    Fault = 3,
}

/// A parcel of `bytes` was delivered by an attempt that took that long.
pub fn delivered(bytes: u64, took: Duration) {
    DELIVERY_ATTEMPTS[0].add(1);
    DELIVERED_BYTES[0].add(bytes);
    DELIVERY.observe(took);
}

/// An attempt failed.
pub fn attempt_failed(failure: AttemptFailure) {
    DELIVERY_ATTEMPTS[failure as usize].add(1);
}

/// How an attempt of an S3 parcel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum S3Outcome {
    /// The store answered a clean 200.
    Clean = 0,
    /// An earlier attempt had written the object.
    Found = 1,
    /// The store says the object exists but does not show it.
    Assumed = 2,
    /// It is to be made again.
    Failed = 3,
}

/// An attempt of an S3 parcel ended.
pub fn s3_attempted(outcome: S3Outcome) {
    S3_DELIVERIES[outcome as usize].add(1);
}

/// So many multipart uploads of failed attempts were aborted.
pub fn s3_uploads_aborted(uploads: u64) {
    S3_UPLOADS_ABORTED[0].add(uploads);
}

/// How an attempt of a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOutcome {
    /// Taken.
    Delivered = 0,
    /// Refused for good.
    Refused = 1,
    /// Another status.
    Failed = 2,
    /// A 200 that is not one of the protocol.
    Invalid = 3,
    /// No answer within the time.
    TimedOut = 4,
    /// No connection, or it broke.
    Unanswered = 5,
}

/// An attempt of a request to an HTTP endpoint ended.
pub fn request_ended(outcome: RequestOutcome) {
    HTTP_REQUESTS[outcome as usize].add(1);
}

/// How an attempt of a load ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadOutcome {
    /// It is in the table.
    Loaded = 0,
    /// Only the operator can help.
    Refused = 1,
    /// In passing.
    Failed = 2,
}

/// An attempt of a load ended.
pub fn load_ended(outcome: LoadOutcome) {
    LOADS[outcome as usize].add(1);
}

/// A load is in another table than the one it was sealed for.
pub fn load_moved() {
    MOVED_LOADS[0].add(1);
}

/// A parcel was given up.
pub fn turned() {
    TURNS[0].add(1);
}

/// A seal was closed.
pub fn closed() {
    CLOSES[0].add(1);
}

/// A stage panicked.
pub fn stage_panicked() {
    STAGE_PANICS[0].add(1);
}
