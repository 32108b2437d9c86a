//! Joins ingest with the catalog and the local logs: a stream's name finds the log that takes its records.

use crate::catalog::{Catalog, Status};
use crate::ingest::{Intake, LogSink, LookupError, Sink};
use crate::source::local::Logs;
use async_trait::async_trait;
use std::sync::Arc;

/// The streams of this node.
#[derive(Debug)]
pub struct LocalIntake {
    catalog: Arc<Catalog>,
    logs: Arc<Logs>,
}

impl LocalIntake {
    /// Streams of `catalog`, records into `logs`.
    pub fn new(catalog: Arc<Catalog>, logs: Arc<Logs>) -> Self {
        Self { catalog, logs }
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
        Ok(Arc::new(LogSink::new(incarnation, log)))
    }
}
