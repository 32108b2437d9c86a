//! Tables that Glue told, kept in a folder: what is delivered goes on after a restart, also while Glue cannot be asked.
//!
//! One file a table, named by a hash of what is asked for; replaced atomically. Form: JSON with a format number. A file
//! that cannot be read is reported and left out, since Glue can tell it again; a newer format is an error.

use crate::disk::{Disk, create_dir_durable, replace_file};
use crate::stage::convert::TableSchema;
use crate::stage::convert::ddl::parse_type;
use crate::stage::convert::schema::Field;
use crate::stream::definition::SchemaRef;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The newest format this program reads, and the one it writes.
pub const FORMAT: u64 = 1;
/// Longest file. Glue's own answers are bounded below it.
const MAX_FILE_BYTES: u64 = 64 << 20;
const SUFFIX: &str = ".json";

/// Which table is asked for, in which version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableKey {
    /// Region.
    pub region: String,
    /// CatalogId.
    pub catalog_id: String,
    /// DatabaseName.
    pub database: String,
    /// TableName.
    pub table: String,
    /// VersionId, or `LATEST`.
    pub version_id: String,
}

impl TableKey {
    /// What a stream's SchemaConfiguration names. Its role is nobody's here.
    pub fn of(wanted: &SchemaRef) -> Self {
        Self {
            region: wanted.region.clone(),
            catalog_id: wanted.catalog_id.clone(),
            database: wanted.database.clone(),
            table: wanted.table.clone(),
            version_id: wanted.version_id.clone(),
        }
    }

    /// Whether it is whatever version is the newest; others never change.
    pub fn is_latest(&self) -> bool {
        self.version_id == "LATEST"
    }

    fn file_name(&self) -> String {
        let mut hash = Sha256::new();
        for part in [&self.region, &self.catalog_id, &self.database, &self.table, &self.version_id] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let hex: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("{hex}{SUFFIX}")
    }
}

/// A table that Glue told.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptTable {
    /// What was asked for.
    pub key: TableKey,
    /// VersionId that Glue gave it.
    pub version: Option<String>,
    /// When this version was told first, ms since the epoch.
    pub told_ms: i64,
    /// Its columns.
    pub schema: Arc<TableSchema>,
}

#[derive(Serialize, Deserialize)]
struct Tag {
    format: u64,
}

#[derive(Serialize, Deserialize)]
struct Form {
    format: u64,
    key: TableKey,
    version: Option<String>,
    told_ms: i64,
    columns: Vec<Column>,
}

#[derive(Serialize, Deserialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Why bytes are no kept table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer program.
    #[error("it has format {0}, newer than this program knows ({FORMAT}); use the newer hydrant")]
    Newer(u64),
    /// Not a kept table.
    #[error("it is damaged: {0}")]
    Damaged(String),
}

/// The bytes of a table's file.
pub fn encode(table: &KeptTable) -> io::Result<Vec<u8>> {
    let columns = table.schema.columns.iter();
    let form = Form {
        format: FORMAT,
        key: table.key.clone(),
        version: table.version.clone(),
        told_ms: table.told_ms,
        columns: columns.map(|field| Column { name: field.name.clone(), kind: field.kind.to_string() }).collect(),
    };
    let mut bytes = serde_json::to_vec_pretty(&form)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The table in `bytes`.
pub fn decode(bytes: &[u8]) -> Result<KeptTable, DecodeError> {
    let damaged = |error: &dyn std::fmt::Display| DecodeError::Damaged(error.to_string());
    // The tag first: the rest of a newer file may not have this program's shape at all.
    let Tag { format } = serde_json::from_slice(bytes).map_err(|error| damaged(&error))?;
    match format {
        FORMAT => {}
        0 => return Err(damaged(&"format 0 never existed")),
        found => return Err(DecodeError::Newer(found)),
    }
    let form: Form = serde_json::from_slice(bytes).map_err(|error| damaged(&error))?;
    let field = |column: Column| {
        let kind = parse_type(&column.kind).map_err(|error| damaged(&format!("column '{}': {error}", column.name)))?;
        Ok(Field { name: column.name, kind })
    };
    let columns = form.columns.into_iter().map(field).collect::<Result<_, DecodeError>>()?;
    let schema = TableSchema::new(columns).map_err(|error| damaged(&error))?;
    Ok(KeptTable { key: form.key, version: form.version, told_ms: form.told_ms, schema: Arc::new(schema) })
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file of a newer program.
    #[error("{}: {error}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        error: DecodeError,
    },
    /// The folder cannot be made or read.
    #[error("{}: {error}", dir.display())]
    Io {
        /// The folder.
        dir: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// The folder of kept tables. Its calls block.
#[derive(Debug)]
pub struct KeptTables {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

impl KeptTables {
    /// Opens the folder at `dir`, making it if need be; with the tables in it.
    pub fn open(disk: Arc<dyn Disk>, dir: PathBuf) -> Result<(Self, Vec<KeptTable>), OpenError> {
        let io_error = |error| OpenError::Io { dir: dir.clone(), error };
        create_dir_durable(disk.as_ref(), &dir).map_err(io_error)?;
        let mut tables = Vec::new();
        for entry in disk.list(&dir).map_err(io_error)?.iter().filter(|entry| entry.name.ends_with(SUFFIX)) {
            let path = dir.join(&entry.name);
            let read = read(disk.as_ref(), &path).map_err(|error| DecodeError::Damaged(error.to_string()));
            match read.and_then(|bytes| decode(&bytes)) {
                Ok(table) => tables.push(table),
                Err(error @ DecodeError::Newer(_)) => return Err(OpenError::Newer { path, error }),
                Err(error @ DecodeError::Damaged(_)) => {
                    tracing::warn!(path = %path.display(), %error, "a kept table cannot be used; Glue is asked for it again");
                }
            }
        }
        Ok((Self { disk, dir }, tables))
    }

    /// Keeps a table in the place of what was kept for its key.
    pub fn keep(&self, table: &KeptTable) -> io::Result<()> {
        replace_file(self.disk.as_ref(), &self.dir.join(table.key.file_name()), &encode(table)?)
    }

    /// Forgets what was kept for a key.
    pub fn forget(&self, key: &TableKey) -> io::Result<()> {
        match self.disk.remove_file(&self.dir.join(key.file_name())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let len_bytes = file.len_bytes()?;
    if len_bytes > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("longer than {MAX_FILE_BYTES} bytes")));
    }
    let mut bytes = vec![0; len_bytes as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
