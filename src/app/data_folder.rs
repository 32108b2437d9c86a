//! The data folder: every path in it is spelled here, and its format is checked before anything is read.
//!
//! ```text
//! LOCK  FORMAT  catalog/<name>.json  deleted.json  secrets.key  journal/  streams/<incarnation>/{log,outbox}/  tables/ (of AWS Glue)  compiled/ (transforms)  s3/ (embedded store)
//! ```

use crate::disk::{Disk, LockError, create_dir_durable, replace_file};
use std::io;
use std::path::{Path, PathBuf};

/// Format of the folder as a whole; its parts carry version tags of their own.
const FORMAT: u32 = 1;

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// In use, or not lockable.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Made by a newer program.
    #[error(
        "the data folder {dir} has format {found}, newer than this program knows ({FORMAT}); use the newer hydrant"
    )]
    Newer {
        /// The folder.
        dir: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Not a data folder.
    #[error("{0} is not a data folder of hydrant: its file FORMAT cannot be understood")]
    Foreign(PathBuf),
    /// A file stands in its place.
    #[error("{0} is a file, not a data folder; choose another with --data-dir, or data_dir in the configuration")]
    File(PathBuf),
    /// Cannot be made or read.
    #[error(
        "cannot use the data folder {dir}: {error}; choose another with --data-dir, or data_dir in the configuration"
    )]
    Io {
        /// The folder.
        dir: PathBuf,
        /// The cause.
        error: io::Error,
    },
}

/// Paths of a data folder.
#[derive(Debug, Clone)]
pub struct DataFolder {
    root: PathBuf,
}

impl DataFolder {
    /// The folder at `root`, made if it is missing.
    pub fn open(disk: &dyn Disk, root: PathBuf) -> Result<Self, DataFolderError> {
        let root = std::path::absolute(&root).unwrap_or(root);
        match create_dir_durable(disk, &root) {
            Ok(()) => Ok(Self { root }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(DataFolderError::File(root)),
            Err(error) => Err(DataFolderError::Io { dir: root, error }),
        }
    }

    /// Checks the format tag, or writes it into a new folder. The folder must be locked.
    pub fn check_format(&self, disk: &dyn Disk) -> Result<(), DataFolderError> {
        let path = self.root.join("FORMAT");
        let io_error = |error| DataFolderError::Io { dir: self.root.clone(), error };
        let mut text = Vec::new();
        match disk.open(&path) {
            Ok(file) => {
                text.resize(file.len_bytes().map_err(io_error)?.min(64) as usize, 0);
                file.read_exact_at(&mut text, 0).map_err(io_error)?;
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return replace_file(disk, &path, format!("{FORMAT}\n").as_bytes()).map_err(io_error);
            }
            Err(e) => return Err(io_error(e)),
        }
        match std::str::from_utf8(&text).ok().and_then(|t| t.trim().parse::<u32>().ok()) {
            Some(found) if found <= FORMAT => Ok(()),
            Some(found) => Err(DataFolderError::Newer { dir: self.root.clone(), found }),
            None => Err(DataFolderError::Foreign(self.root.clone())),
        }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Definitions.
    pub fn catalog(&self) -> PathBuf {
        self.root.join("catalog")
    }

    /// Seals and closes.
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// Ledgers of streams that are gone.
    pub fn deleted(&self) -> PathBuf {
        self.root.join("deleted.json")
    }

    /// The key of streams' secrets.
    pub fn secrets_key(&self) -> PathBuf {
        self.root.join("secrets.key")
    }

    /// Tables that AWS Glue told.
    pub fn tables(&self) -> PathBuf {
        self.root.join("tables")
    }

    /// Compiled code of transforms.
    pub fn compiled(&self) -> PathBuf {
        self.root.join("compiled")
    }

    /// Logs and outboxes.
    pub fn streams(&self) -> PathBuf {
        self.root.join("streams")
    }
}

/// Where the embedded S3 keeps its objects in a data folder.
pub fn embedded_s3_root(data_dir: &Path) -> PathBuf {
    data_dir.join("s3")
}
