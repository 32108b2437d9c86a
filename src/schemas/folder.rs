//! The folder of schemas: `DATABASE.TABLE.sql` (a table declaration) or `DATABASE.TABLE.json` (a Glue table).
//!
//! Asked through `Schemas`, and by commands. A file is parsed again only when its
//! modification time or length changed.

use crate::fault::{Class, Fault, Retry};
use crate::stage::convert::TableSchema;
use crate::stage::convert::ddl::parse_table;
use crate::stage::convert::glue::parse_glue_table;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// Longest schema file.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Schemas by database and table.
#[derive(Debug)]
pub struct SchemaFolder {
    dir: PathBuf,
    cached: Mutex<HashMap<PathBuf, Cached>>,
}

#[derive(Debug)]
struct Cached {
    modified: Option<SystemTime>,
    len: u64,
    schema: Arc<TableSchema>,
}

/// A schema that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Neither file is there.
    #[error("there is no schema for table '{database}.{table}': expected {} or {}", sql.display(), json.display())]
    Missing {
        /// DatabaseName.
        database: String,
        /// TableName.
        table: String,
        /// The declaration looked for.
        sql: PathBuf,
        /// The Glue table looked for.
        json: PathBuf,
    },
    /// Both files are there.
    #[error("table '{database}.{table}' has two schemas, {} and {}: remove one", sql.display(), json.display())]
    Ambiguous {
        /// DatabaseName.
        database: String,
        /// TableName.
        table: String,
        /// The declaration.
        sql: PathBuf,
        /// The Glue table.
        json: PathBuf,
    },
    /// Names that cannot be part of a file's name.
    #[error("'{0}' cannot name a schema: it holds '/', '\\' or begins with '.'")]
    Name(String),
    /// The file's text is wrong.
    #[error("{}: {what}", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        what: String,
    },
    /// The file cannot be read.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl Fault for LoadError {
    fn class(&self) -> Class {
        match self {
            Self::Io { .. } => Class::Upstream,
            _ => Class::User,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Name(_) => Retry::Never,
            Self::Io { .. } => Retry::Backoff,
            _ => Retry::AfterOperator,
        }
    }
}

impl SchemaFolder {
    /// The folder at `dir`; it need not exist before it is asked.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), cached: Mutex::default() }
    }

    /// The schema of a table as its file says now. Glue's names are lower case, so the names are looked up as given
    /// first, then in lower case.
    pub fn load(&self, database: &str, table: &str) -> Result<Arc<TableSchema>, LoadError> {
        for name in [database, table] {
            if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
                return Err(LoadError::Name(name.to_owned()));
            }
        }
        let lower = (database.to_lowercase(), table.to_lowercase());
        let mut names = vec![(database, table)];
        if (lower.0.as_str(), lower.1.as_str()) != (database, table) {
            names.push((&lower.0, &lower.1));
        }
        for (database, table) in names {
            let sql = self.dir.join(format!("{database}.{table}.sql"));
            let json = self.dir.join(format!("{database}.{table}.json"));
            match (self.read(&sql)?, self.read(&json)?) {
                (Some(_), Some(_)) => {
                    let (database, table) = (database.to_owned(), table.to_owned());
                    return Err(LoadError::Ambiguous { database, table, sql, json });
                }
                (Some(schema), None) | (None, Some(schema)) => return Ok(schema),
                (None, None) => {}
            }
        }
        Err(LoadError::Missing {
            database: database.to_owned(),
            table: table.to_owned(),
            sql: self.dir.join(format!("{database}.{table}.sql")),
            json: self.dir.join(format!("{database}.{table}.json")),
        })
    }

    fn read(&self, path: &Path) -> Result<Option<Arc<TableSchema>>, LoadError> {
        let io_error = |error| LoadError::Io { path: path.to_owned(), error };
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(error)),
        };
        let (modified, len) = (metadata.modified().ok(), metadata.len());
        if let Some(cached) = self.cached.lock().get(path)
            && (cached.modified, cached.len) == (modified, len)
            && modified.is_some()
        {
            return Ok(Some(Arc::clone(&cached.schema)));
        }
        let schema = Arc::new(parse_file(path, len)?);
        let cached = Cached { modified, len, schema: Arc::clone(&schema) };
        self.cached.lock().insert(path.to_owned(), cached);
        Ok(Some(schema))
    }
}

/// The table that one file declares: DDL, or the JSON of a Glue table where its name ends in `.json`.
pub fn load_file(path: &Path) -> Result<TableSchema, LoadError> {
    let metadata = fs::metadata(path).map_err(|error| LoadError::Io { path: path.to_owned(), error })?;
    parse_file(path, metadata.len())
}

fn parse_file(path: &Path, len: u64) -> Result<TableSchema, LoadError> {
    let bad = |what| LoadError::Bad { path: path.to_owned(), what };
    if len > MAX_FILE_BYTES {
        return Err(bad(format!("a schema file has at most {MAX_FILE_BYTES} bytes")));
    }
    let text = fs::read(path).map_err(|error| LoadError::Io { path: path.to_owned(), error })?;
    let text = String::from_utf8(text).map_err(|_| bad("the file is not UTF-8".to_owned()))?;
    if path.extension().is_some_and(|extension| extension == "json") {
        parse_glue_table(&text).map_err(|error| bad(error.to_string()))
    } else {
        parse_table(&text).map_err(|error| bad(error.to_string()))
    }
}
