//! Schemas: the tables that streams with format conversion name, wherever they are.
//!
//! From: `control` asks when a stream is created, `delivery` at a cut. Behind it: `folder` (files of the operator, which
//! win) and, if configured, `glue` (AWS Glue over its API, with its last answers kept on disk by `kept`).
//!
//! Invariant: a cut does not wait for Glue. A table that was had before is used as it was told last, whatever Glue does by
//! then, and asked for again beside the cuts; a cut whose table was never told fails at once, and is tried again.

pub mod folder;
pub mod glue;

#[cfg(test)]
mod tests;

pub use folder::{LoadError, SchemaFolder};
pub use glue::{Glue, GlueError, GlueSettings, OpenError};

use crate::fault::{Class, Fault, Retry};
use crate::stage::convert::TableSchema;
use crate::stream::definition::SchemaRef;
use glue::TableKey;
use std::path::PathBuf;
use std::sync::Arc;

/// All schemas of this installation.
#[derive(Debug)]
pub struct Schemas {
    folder: SchemaFolder,
    glue: Option<Arc<Glue>>,
}

/// A table that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its columns.
    pub schema: Arc<TableSchema>,
    /// The VersionId that Glue gives it, empty if it gives none; `None`: it comes from a file.
    pub glue_version: Option<String>,
}

/// A table that cannot be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LookupError {
    /// Of the folder.
    #[error(transparent)]
    Folder(Arc<LoadError>),
    /// Not in the folder, and not to be had of Glue.
    #[error("table '{database}.{table}': {error}")]
    Glue {
        /// DatabaseName.
        database: String,
        /// TableName.
        table: String,
        /// Why.
        error: GlueError,
    },
}

impl LookupError {
    /// The error code of the reference.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Folder(error) => match **error {
                LoadError::Bad { .. } | LoadError::Ambiguous { .. } => "DataFormatConversion.InvalidSchema",
                LoadError::Missing { .. } | LoadError::Name(_) | LoadError::Io { .. } => {
                    "DataFormatConversion.EntityNotFound"
                }
            },
            Self::Glue { error, .. } => error.code(),
        }
    }
}

impl Fault for LookupError {
    fn class(&self) -> Class {
        match self {
            Self::Folder(error) => error.class(),
            Self::Glue { error, .. } => error.class(),
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Folder(error) => error.retry(),
            Self::Glue { error, .. } => error.retry(),
        }
    }
}

impl Schemas {
    /// Those of the folder at `dir`, and those of Glue behind them.
    pub fn new(dir: impl Into<PathBuf>, glue: Option<Arc<Glue>>) -> Self {
        Self { folder: SchemaFolder::new(dir), glue }
    }

    /// The table as a cut takes it: a file as it is now, Glue's as it was told last. Glue is asked, but not waited for,
    /// where it never told the table. Reads the folder.
    pub fn current(&self, wanted: &SchemaRef) -> Result<Found, LookupError> {
        self.find(wanted, Glue::current)
    }

    /// The table as it is now; Glue is asked for it, and waited for until it answers or its time is over. Blocks.
    pub fn newest(&self, wanted: &SchemaRef) -> Result<Found, LookupError> {
        self.find(wanted, Glue::newest)
    }

    fn find(
        &self,
        wanted: &SchemaRef,
        ask: fn(&Glue, &TableKey) -> Result<Arc<glue::KeptTable>, GlueError>,
    ) -> Result<Found, LookupError> {
        let SchemaRef { database, table, .. } = wanted;
        match (self.folder.load(database, table), &self.glue) {
            (Ok(schema), _) => Ok(Found { schema, glue_version: None }),
            (Err(LoadError::Missing { .. }), Some(glue)) => match ask(glue, &TableKey::of(wanted)) {
                Ok(kept) => Ok(Found {
                    schema: Arc::clone(&kept.schema),
                    glue_version: Some(kept.version.clone().unwrap_or_default()),
                }),
                Err(error) => Err(LookupError::Glue { database: database.clone(), table: table.clone(), error }),
            },
            (Err(error), _) => Err(LookupError::Folder(Arc::new(error))),
        }
    }

    /// Why Glue's newest version of a table is not in use, if it is Glue's.
    pub fn problem(&self, wanted: &SchemaRef) -> Option<String> {
        let problem = self.glue.as_ref()?.problem(&TableKey::of(wanted))?;
        self.is_of_glue(wanted).then(|| problem.to_string())
    }

    /// Whether no file stands in the way of Glue's table.
    pub fn is_of_glue(&self, wanted: &SchemaRef) -> bool {
        let in_folder = || self.folder.load(&wanted.database, &wanted.table);
        self.glue.is_some() && matches!(in_folder(), Err(LoadError::Missing { .. }))
    }
}
