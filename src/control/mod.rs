//! The API's operations on definitions, one a file, over the catalog.
//!
//! From: `server` hands over an operation's name and body; `config` makes sure of the streams a file lists. To:
//! `catalog`. The data plane is never called: it follows the catalog by itself.
//!
//! Order of a check: JSON types, names, violations of the model (`model`, by `wire::check`); extension members given as
//! tags (`extensions`); rules with the service's texts (`rules`); members whose function is missing, refused by name.
//! `plan` does all of it without I/O and ends in a `Definition`, with `targets` for where records go and `stages` for what is
//! done to them; `secrets` hides what nobody is shown. An update goes the same way, with what `merge` makes of the stored
//! request and it; `files` looks at what a definition names.

mod create;
mod defaults;
mod delete;
mod describe;
mod ensure;
pub mod extensions;
mod files;
mod list;
mod members;
mod merge;
mod model;
mod plan;
mod rules;
mod secrets;
mod stages;
mod targets;
#[cfg(test)]
mod tests;
mod update;

pub use ensure::Ensured;
pub use plan::{Plan, plan, problems};

use crate::catalog::{Catalog, CatalogError};
use crate::clock::Clock;
use crate::schemas::Schemas;
use crate::stage::transform::TransformFolder;
use crate::vault::Vault;
use crate::wire::{ApiError, Compatibility, OPERATIONS};
use serde_json::Value;
use std::sync::Arc;

/// What the operations need to know of this installation.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Account id in ARNs and messages.
    pub account_id: String,
    /// Region in ARNs.
    pub region: String,
    /// Whether the limits that the service has for its own sake hold.
    pub compatibility: Compatibility,
    /// The region of tables whose SchemaConfiguration names none, if AWS Glue is configured.
    pub glue_region: Option<String>,
    /// Whether `http://` URLs of endpoints may name other machines.
    pub allow_http: bool,
    /// Whether sessions with clusters on other machines may go without TLS.
    pub allow_plain: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            account_id: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            compatibility: Compatibility::Relaxed,
            glue_region: None,
            allow_http: false,
            allow_plain: false,
        }
    }
}

impl Rules {
    /// Most streams: the service's quota in us-east-1 when strict, else none.
    pub fn stream_quota(&self) -> Option<usize> {
        (self.compatibility == Compatibility::Strict).then_some(5_000)
    }

    /// The ARN of a stream.
    pub fn stream_arn(&self, name: &str) -> String {
        format!("arn:aws:firehose:{}:{}:deliverystream/{name}", self.region, self.account_id)
    }
}

/// The control plane. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Control {
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
    rules: Arc<Rules>,
    folders: Folders,
}

/// Where the files are that streams name. One that is there must be usable when its stream is created; one that is
/// missing may come before the first cut.
#[derive(Debug, Clone)]
pub struct Folders {
    /// Tables for conversion.
    pub schemas: Arc<Schemas>,
    /// Modules.
    pub transforms: Arc<TransformFolder>,
    /// Secrets.
    pub vault: Arc<Vault>,
}

impl Control {
    /// Operations over `catalog`. A new stream is checked against its files in `folders`.
    pub fn new(catalog: Arc<Catalog>, clock: Arc<dyn Clock>, rules: Rules, folders: Folders) -> Self {
        Self { catalog, clock, rules: Arc::new(rules), folders }
    }

    /// The installation's rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Does one operation: the answer's body as JSON, or the error to answer with.
    pub async fn handle(&self, operation: &str, body: &[u8]) -> Result<Vec<u8>, ApiError> {
        type Operation = fn(&Control, Value) -> Result<Value, ApiError>;
        let operation: Operation = match operation {
            "CreateDeliveryStream" => create::create,
            "DeleteDeliveryStream" => delete::delete,
            "DescribeDeliveryStream" => describe::describe,
            "ListDeliveryStreams" => list::list,
            "UpdateDestination" => update::update,
            other => return Err(unknown_operation(other)),
        };
        let request = crate::wire::parse(body)?;
        let answer = self.blocking(move |control| operation(control, request)).await?;
        Ok(answer.to_string().into_bytes())
    }

    /// Makes sure that a stream given in CreateDeliveryStream's members exists with exactly these settings; one that has
    /// others is updated.
    pub async fn ensure(&self, request: Value) -> Result<Ensured, ApiError> {
        self.blocking(move |control| ensure::ensure(control, request)).await
    }

    /// Runs `work`, which may wait for the disk, where waiting is allowed.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let control = self.clone();
        match tokio::task::spawn_blocking(move || work(&control)).await {
            Ok(result) => result,
            Err(error) => {
                tracing::error!(%error, "an operation ended abnormally");
                Err(ApiError::internal_failure("The operation ended abnormally; the log says more."))
            }
        }
    }

    /// The answer to a failure of the catalog while it worked on stream `name`.
    fn catalog_error(&self, name: &str, error: CatalogError) -> ApiError {
        match error {
            CatalogError::Exists(_) => ApiError::stream_exists(name, &self.rules.account_id),
            CatalogError::Unknown(_) => ApiError::stream_not_found(name, &self.rules.account_id),
            CatalogError::Deleting(_) => ApiError::stream_deleting(name, &self.rules.account_id),
            CatalogError::Changed { current, base, .. } => {
                ApiError::concurrent_modification(name, &current.to_string(), &base.to_string())
            }
            CatalogError::Full { quota } => {
                let names: Vec<_> = self.catalog.all().iter().map(|row| row.definition.name.to_string()).collect();
                ApiError::stream_quota(quota, &names)
            }
            error @ (CatalogError::Io { .. } | CatalogError::Newer { .. } | CatalogError::Damaged { .. }) => {
                tracing::error!(stream = name, %error, "the catalog could not be changed");
                ApiError::internal_failure("The catalog could not be changed; the log says more.")
            }
        }
    }
}

fn unknown_operation(operation: &str) -> ApiError {
    if OPERATIONS.contains(&operation) {
        ApiError::unknown_operation(format!("{operation} is not built yet in this version of Hydrant."))
    } else {
        ApiError::unknown_operation(format!("'{operation}' is not an operation of Amazon Data Firehose."))
    }
}
