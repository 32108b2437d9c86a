//! The types of `transforms/wit/transform.wit`: borrowed on the way in; on the way out ids and data stay in the memory of
//! the guest, and what is rare is owned.
//!
//! Names and order must be those of the WIT; loading a module checks its types against these.

use wasmtime::component::{ComponentType, Lift, Lower, WasmList, WasmStr};

/// Export of world `transform`.
pub const TRANSFORMER: &str = "hydrant:transform/transformer@1.0.0";
/// Export of world `transform-packed`.
pub const PACKED: &str = "hydrant:transform/packed@1.0.0";
/// The function in either.
pub const FUNCTION: &str = "transform";

#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub struct KinesisMetadata<'a> {
    #[component(name = "sequence-number")]
    pub sequence_number: &'a str,
    #[component(name = "subsequence-number")]
    pub subsequence_number: u64,
    #[component(name = "partition-key")]
    pub partition_key: &'a str,
    #[component(name = "shard-id")]
    pub shard_id: &'a str,
    #[component(name = "approximate-arrival-timestamp")]
    pub approximate_arrival_timestamp: u64,
}

#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub struct KafkaMetadata<'a> {
    #[component(name = "topic")]
    pub topic: &'a str,
    #[component(name = "offset")]
    pub offset: &'a str,
    #[component(name = "partition-id")]
    pub partition_id: &'a str,
    #[component(name = "approximate-arrival-timestamp")]
    pub approximate_arrival_timestamp: u64,
}

#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub struct InputRecord<'a> {
    #[component(name = "record-id")]
    pub record_id: &'a str,
    #[component(name = "approximate-arrival-timestamp")]
    pub approximate_arrival_timestamp: u64,
    #[component(name = "data")]
    pub data: &'a [u8],
    #[component(name = "kinesis-metadata")]
    pub kinesis_metadata: Option<&'a KinesisMetadata<'a>>,
    #[component(name = "kafka-metadata")]
    pub kafka_metadata: Option<&'a KafkaMetadata<'a>>,
}

#[derive(ComponentType, Lower, Clone, Debug)]
#[component(record)]
pub struct Invocation<'a> {
    #[component(name = "invocation-id")]
    pub invocation_id: &'a str,
    #[component(name = "delivery-stream-arn")]
    pub delivery_stream_arn: &'a str,
    #[component(name = "source-arn")]
    pub source_arn: Option<&'a str>,
    #[component(name = "region")]
    pub region: &'a str,
    #[component(name = "function-arn")]
    pub function_arn: &'a str,
    #[component(name = "now-ms")]
    pub now_ms: u64,
    #[component(name = "seed")]
    pub seed: u64,
    #[component(name = "time-limit-ms")]
    pub time_limit_ms: u64,
    #[component(name = "memory-limit-bytes")]
    pub memory_limit_bytes: u64,
    #[component(name = "variables")]
    pub variables: &'a [(&'a str, &'a str)],
}

#[derive(ComponentType, Lift, Clone, Copy, Debug, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub enum Status {
    #[component(name = "ok")]
    Ok,
    #[component(name = "dropped")]
    Dropped,
    #[component(name = "processing-failed")]
    ProcessingFailed,
}

#[derive(ComponentType, Lift, Clone, Copy, Debug, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub enum Operation {
    #[component(name = "insert")]
    Insert,
    #[component(name = "update")]
    Update,
    #[component(name = "delete")]
    Delete,
}

#[derive(ComponentType, Lift, Clone, Debug)]
#[component(record)]
pub struct OtfMetadata {
    #[component(name = "destination-database-name")]
    pub destination_database_name: Option<Box<str>>,
    #[component(name = "destination-table-name")]
    pub destination_table_name: Option<Box<str>>,
    #[component(name = "operation")]
    pub operation: Option<Operation>,
}

/// Of a batch there are thousands at once, so that its size counts.
#[derive(ComponentType, Lift)]
#[component(record)]
pub struct OutputRecord {
    #[component(name = "record-id")]
    pub record_id: WasmStr,
    #[component(name = "status")]
    pub status: Status,
    #[component(name = "data")]
    pub data: Option<WasmList<u8>>,
    #[component(name = "partition-keys")]
    pub partition_keys: Box<[Key]>,
    #[component(name = "otf-metadata")]
    pub otf_metadata: Option<OtfMetadata>,
    #[component(name = "message")]
    pub message: Option<Box<str>>,
}

/// Name and value of a partition key.
pub type Key = (Box<str>, Box<str>);

#[derive(ComponentType, Lift, Clone, Copy, Debug, PartialEq, Eq)]
#[component(enum)]
#[repr(u8)]
pub enum LogLevel {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

#[derive(ComponentType, Lift, Clone, Debug, PartialEq, Eq)]
#[component(record)]
pub struct LogLine {
    #[component(name = "level")]
    pub level: LogLevel,
    #[component(name = "message")]
    pub message: String,
}

impl LogLine {
    /// All that it says, for comparisons.
    pub fn text(&self) -> String {
        format!("line {} {:?}", self.level as u8, self.message)
    }
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub struct Outcome {
    #[component(name = "records")]
    pub records: Vec<OutputRecord>,
    #[component(name = "logs")]
    pub logs: Vec<LogLine>,
}

#[derive(ComponentType, Lift, Clone, Debug)]
#[component(record)]
pub struct Failure {
    #[component(name = "message")]
    pub message: String,
    #[component(name = "logs")]
    pub logs: Vec<LogLine>,
}
