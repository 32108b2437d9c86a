//! Joins ingest with the catalog and the local logs: a stream's name finds the log that takes its records.

use crate::catalog::{Catalog, Status};
use crate::ingest::{AppendError, Appended, FrameBody, Intake, LogSink, LookupError, Sink};
use crate::source::local::Logs;
use crate::stage::decompress::looks_like_payload;
use crate::stream::Incarnation;
use crate::wire::Compatibility;
use async_trait::async_trait;
use std::sync::Arc;

/// The streams of this node.
#[derive(Debug)]
pub struct LocalIntake {
    catalog: Arc<Catalog>,
    logs: Arc<Logs>,
    compatibility: Compatibility,
}

impl LocalIntake {
    /// Streams of `catalog`, records into `logs`.
    pub fn new(catalog: Arc<Catalog>, logs: Arc<Logs>, compatibility: Compatibility) -> Self {
        Self { catalog, logs, compatibility }
    }
}

#[async_trait]
impl Intake for LocalIntake {
    async fn lookup(&self, name: &str) -> Result<Arc<dyn Sink>, LookupError> {
        let record = self.catalog.find(name).ok_or(LookupError::Unknown)?;
        if record.status != Status::Active {
            return Err(LookupError::NotActive);
        }
        let incarnation = record.definition.incarnation;
        let log = self.logs.get(incarnation).await.map_err(|error| LookupError::Unavailable(error.to_string()))?;
        let sink = LogSink::new(incarnation, log);
        if self.compatibility == Compatibility::Strict && record.definition.processors.decompress.is_some() {
            return Ok(Arc::new(SubscriptionSink(sink)));
        }
        Ok(Arc::new(sink))
    }
}

/// Takes records of CloudWatch Logs subscriptions alone. The service goes by who calls, this by what the records are.
struct SubscriptionSink(LogSink);

#[async_trait]
impl Sink for SubscriptionSink {
    fn incarnation(&self) -> Incarnation {
        self.0.incarnation()
    }

    fn allows_source(&self, body: &FrameBody) -> bool {
        let mut rest = body.payload.as_slice();
        body.lengths.iter().all(|length| {
            let (record, tail) = rest.split_at_checked(*length as usize).unwrap_or((rest, &[]));
            rest = tail;
            looks_like_payload(record)
        })
    }

    async fn append(&self, body: FrameBody) -> Result<Appended, AppendError> {
        self.0.append(body).await
    }
}
