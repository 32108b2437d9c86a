//! The streams that exist: definition, status, tags, and the request they were made of.
//!
//! From: `control` creates, changes and marks for deletion; `delivery` removes the row of a stream that is gone. To:
//! `delivery` adopts the newest definition at the next cut, `ingest` looks a name up once per put. One JSON file a
//! stream (`codec`) under the catalog folder.
//!
//! Invariants: a change is durable before it is visible, and visible before the call returns. Changes are made one at a
//! time. A row belongs to one incarnation; a row can only be removed by naming it.

mod codec;
#[cfg(test)]
mod power_tests;
#[cfg(test)]
mod tests;

use crate::disk::{Disk, create_dir_durable, replace_file};
use crate::fault::{Class, Fault, Retry};
use crate::stream::Incarnation;
use crate::stream::definition::Definition;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

/// Where in its life a stream is. Creation has no duration here, so there is no CREATING.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Takes and delivers records.
    Active,
    /// Takes no more records; delivers what is open, or throws it away.
    Deleting {
        /// AllowForceDelete: what is open is discarded.
        force: bool,
    },
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamRecord {
    /// What the data plane acts on.
    pub definition: Arc<Definition>,
    /// Where in its life it is.
    pub status: Status,
    /// When it was created, ms since the epoch.
    pub created_ms: i64,
    /// When its definition last changed, ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_ms: Option<i64>,
    /// The members of CreateDeliveryStream as given, without name and tags; Describe is made of them.
    pub request: serde_json::Value,
    /// Tags, extension members among them.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// What a change of a stream's definition brings; the rest of the row stays.
#[derive(Debug, Clone)]
pub struct Redefinition {
    /// Same name and incarnation, next revision.
    pub definition: Definition,
    /// See [`StreamRecord::request`].
    pub request: serde_json::Value,
    /// See [`StreamRecord::tags`].
    pub tags: BTreeMap<String, String>,
    /// When it is changed, ms since the epoch.
    pub updated_ms: i64,
}

/// Why the catalog could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The name is taken.
    #[error("the stream {0} exists already")]
    Exists(String),
    /// No such stream (or not this life of it).
    #[error("there is no stream {0}")]
    Unknown(String),
    /// Another change came first.
    #[error("the stream {name} has revision {current}, not {base}")]
    Changed {
        /// Which stream.
        name: String,
        /// Its revision.
        current: u64,
        /// The revision from which it was to be changed.
        base: u64,
    },
    /// It is being deleted.
    #[error("the stream {0} is being deleted")]
    Deleting(String),
    /// More streams than allowed.
    #[error("there are {quota} streams already, as many as allowed")]
    Full {
        /// Most streams.
        quota: usize,
    },
    /// The disk failed.
    #[error("cannot {doing} {path}: {error}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// A file was written by a newer version.
    #[error(
        "{path} has format {found}, this version of hydrant reads up to {known}: start the newer version, or restore \
         the data folder from before the upgrade"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format known.
        known: u64,
    },
    /// A file is not what was written.
    #[error("{path} is damaged ({reason}): restore it, or move it away to start without this stream")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Fault for CatalogError {
    fn class(&self) -> Class {
        match self {
            Self::Exists(_) | Self::Unknown(_) | Self::Changed { .. } | Self::Deleting(_) | Self::Full { .. } => {
                Class::User
            }
            Self::Io { .. } | Self::Newer { .. } | Self::Damaged { .. } => Class::Upstream,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Io { .. } => Retry::Backoff,
            Self::Newer { .. } | Self::Damaged { .. } => Retry::AfterOperator,
            Self::Exists(_) | Self::Unknown(_) | Self::Changed { .. } | Self::Deleting(_) | Self::Full { .. } => {
                Retry::Never
            }
        }
    }
}

/// All streams, in memory and on disk. Methods that change something block on the disk.
#[derive(Debug)]
pub struct Catalog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    rows: RwLock<BTreeMap<Arc<str>, Arc<StreamRecord>>>,
    /// Held by whoever writes a file, so that rows and files change in the same order.
    writer: Mutex<()>,
    changes: watch::Sender<u64>,
}

impl Catalog {
    /// Reads the catalog in `dir`, which is created if it is missing.
    pub fn open(disk: Arc<dyn Disk>, dir: PathBuf) -> Result<Self, CatalogError> {
        let io_error = |doing, path: &Path| {
            let path = path.to_owned();
            move |error| CatalogError::Io { doing, path, error }
        };
        create_dir_durable(disk.as_ref(), &dir).map_err(io_error("create", &dir))?;
        // ORDER: a row that a killed process renamed into place may be seen before it is durable; records must not be
        // acknowledged under it until it is.
        disk.sync_dir(&dir).map_err(io_error("sync", &dir))?;
        let mut rows = BTreeMap::new();
        for entry in disk.list(&dir).map_err(io_error("list", &dir))? {
            // A `.tmp` left by a crash was never a row; the next replacement of its file takes it away.
            let Some(name) = entry.name.strip_suffix(FILE_SUFFIX).filter(|_| !entry.is_dir) else { continue };
            let path = dir.join(&entry.name);
            let bytes = read_file(disk.as_ref(), &path).map_err(io_error("read", &path))?;
            let record = codec::decode(&bytes).map_err(|error| match error {
                codec::DecodeError::Newer { found } => {
                    CatalogError::Newer { path: path.clone(), found, known: codec::FORMAT }
                }
                codec::DecodeError::Damaged(reason) => CatalogError::Damaged { path: path.clone(), reason },
            })?;
            if record.definition.name.as_str() != name {
                let reason = format!("it holds the stream {}", record.definition.name);
                return Err(CatalogError::Damaged { path, reason });
            }
            rows.insert(Arc::from(name), Arc::new(record));
        }
        Ok(Self { disk, dir, rows: RwLock::new(rows), writer: Mutex::new(()), changes: watch::channel(0).0 })
    }

    /// The stream of this name.
    pub fn find(&self, name: &str) -> Option<Arc<StreamRecord>> {
        self.rows.read().get(name).cloned()
    }

    /// All streams, by name.
    pub fn all(&self) -> Vec<Arc<StreamRecord>> {
        self.rows.read().values().cloned().collect()
    }

    /// Number of streams.
    pub fn len(&self) -> usize {
        self.rows.read().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a stream unless its name is taken or there are `quota` already. Durable on `Ok`.
    pub fn create(&self, record: StreamRecord, quota: Option<usize>) -> Result<Arc<StreamRecord>, CatalogError> {
        let _writer = self.writer.lock();
        let name = record.definition.name.as_str();
        if self.find(name).is_some() {
            return Err(CatalogError::Exists(name.to_owned()));
        }
        if let Some(quota) = quota.filter(|quota| self.len() >= *quota) {
            return Err(CatalogError::Full { quota });
        }
        self.store(record)
    }

    /// Defines a stream anew, if the row of its incarnation is Active and still has the revision before: of changes made
    /// from one row, one wins. Durable on `Ok`; nothing has changed on any other outcome but a failure of the disk, after
    /// which the change may be found at the next start.
    pub fn redefine(&self, new: Redefinition) -> Result<Arc<StreamRecord>, CatalogError> {
        let _writer = self.writer.lock();
        let name = new.definition.name.as_str();
        let row = self.row_of(name, new.definition.incarnation)?;
        if row.status != Status::Active {
            return Err(CatalogError::Deleting(name.to_owned()));
        }
        let (current, base) = (row.definition.revision, new.definition.revision.saturating_sub(1));
        if current != base {
            return Err(CatalogError::Changed { name: name.to_owned(), current, base });
        }
        self.store(StreamRecord {
            definition: Arc::new(new.definition),
            status: row.status,
            created_ms: row.created_ms,
            updated_ms: Some(new.updated_ms),
            request: new.request,
            tags: new.tags,
        })
    }

    /// Marks a stream as being deleted. Marking it again is `Ok`; `force` stays once it was given. Durable on `Ok`.
    pub fn mark_deleting(&self, name: &str, force: bool) -> Result<Arc<StreamRecord>, CatalogError> {
        let _writer = self.writer.lock();
        let row = self.find(name).ok_or_else(|| CatalogError::Unknown(name.to_owned()))?;
        let force = match row.status {
            Status::Deleting { force: before } if before || !force => return Ok(row),
            _ => force,
        };
        self.store(StreamRecord { status: Status::Deleting { force }, ..StreamRecord::clone(&row) })
    }

    /// Takes the row of this incarnation away; the name is free afterwards. Durable on `Ok`.
    pub fn remove(&self, name: &str, incarnation: Incarnation) -> Result<(), CatalogError> {
        let _writer = self.writer.lock();
        self.row_of(name, incarnation)?;
        let path = self.path(name);
        let removed = match self.disk.remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            // Not there: removed by an attempt whose sync failed.
            _ => self.disk.sync_dir(&self.dir),
        };
        removed.map_err(|error| CatalogError::Io { doing: "remove", path, error })?;
        self.rows.write().remove(name);
        self.changed();
        Ok(())
    }

    /// A counter that moves with each change; whoever follows the catalog waits on it and reads [`Catalog::all`].
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn row_of(&self, name: &str, incarnation: Incarnation) -> Result<Arc<StreamRecord>, CatalogError> {
        self.find(name)
            .filter(|row| row.definition.incarnation == incarnation)
            .ok_or_else(|| CatalogError::Unknown(name.to_owned()))
    }

    /// Writes the row, then shows it. The writer's lock is held.
    fn store(&self, record: StreamRecord) -> Result<Arc<StreamRecord>, CatalogError> {
        let path = self.path(record.definition.name.as_str());
        codec::encode(&record)
            .and_then(|bytes| replace_file(self.disk.as_ref(), &path, &bytes))
            .map_err(|error| CatalogError::Io { doing: "write", path, error })?;
        let record = Arc::new(record);
        self.rows.write().insert(Arc::from(record.definition.name.as_str()), record.clone());
        self.changed();
        Ok(record)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// A stream's name has no `/`, and with the suffix it is never `.` or `..`.
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}{FILE_SUFFIX}"))
    }
}

const FILE_SUFFIX: &str = ".json";

fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let length = usize::try_from(file.len_bytes()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
