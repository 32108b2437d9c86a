//! Names in the bucket folders: finding, putting and removing an object's file, and making that durable.
//!
//! An object lies at its plain path, or, when it came where a folder has its name, at its marked one
//! ([`key_path::beside_folder`]); never at both. One lock serialises every change of names, so the choice between the
//! two cannot be raced; nothing is synced under it except new folders.
//!
//! A folder is *settled* when its entry, and those of all folders above it, are known to be durable. What was found in a
//! folder not settled since the start (left by a killed process, say) is made durable before anybody is told of it.

use super::StoreError;
use crate::disk::{Disk, RealDisk};
use crate::embedded::key_path;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Settled folders remembered; beyond it they are found out anew.
const SETTLED_MAX: usize = 65_536;

/// The folders with the buckets in them.
#[derive(Debug)]
pub(super) struct Places {
    root: PathBuf,
    names: Mutex<Settled>,
}

#[derive(Debug, Default)]
struct Settled {
    folders: HashSet<PathBuf>,
    /// Moves with each removal, so that a sync that began before it settles nothing.
    removals: u64,
}

/// An object's file that is there.
#[derive(Debug)]
pub(super) struct Found {
    pub path: PathBuf,
    pub metadata: Metadata,
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

impl Places {
    pub fn new(root: PathBuf) -> Self {
        Self { root, names: Mutex::default() }
    }

    pub fn bucket(&self, bucket: &str) -> PathBuf {
        self.root.join(bucket)
    }

    pub fn check_bucket(&self, bucket: &str) -> Result<(), StoreError> {
        match fs::metadata(self.bucket(bucket)) {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => Err(StoreError::NoSuchBucket),
            Err(e) if is_absence(&e) => Err(StoreError::NoSuchBucket),
            Err(e) => Err(e.into()),
        }
    }

    /// The folder and the last name of a key's plain path.
    fn split(&self, bucket: &str, key: &str) -> Result<(PathBuf, Vec<String>, String), StoreError> {
        let mut folders = key_path::names_of(key)?;
        let last = folders.pop().unwrap_or_default();
        Ok((self.bucket(bucket), folders, last))
    }

    /// The file of an object.
    pub fn find(&self, bucket: &str, key: &str) -> Result<Option<Found>, StoreError> {
        let (mut dir, folders, last) = self.split(bucket, key)?;
        dir.extend(folders);
        // Plain first: an object is moved from plain to marked, so in this order it is met once at least.
        for path in [dir.join(&last), dir.join(key_path::beside_folder(&last))] {
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => return Ok(Some(Found { path, metadata })),
                Ok(_) => {}
                Err(e) if is_absence(&e) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(None)
    }

    /// Renames `staged` to the place of the key, making folders as needed, and makes that durable. `fresh` says that the
    /// object was not there before: then it is taken away again if it cannot be made durable.
    pub fn put(&self, staged: &Path, bucket: &str, key: &str, fresh: bool) -> Result<(), StoreError> {
        let (bucket_dir, folders, last) = self.split(bucket, key)?;
        let names = self.names.lock();
        self.check_bucket(bucket)?;
        // Folders whose entries change here are synced whatever is known of them.
        let mut changed = Vec::new();
        let mut dir = bucket_dir;
        for name in folders {
            let child = dir.join(&name);
            if make_folder(&child)? {
                changed.push(dir);
            }
            dir = child;
        }
        let plain = dir.join(&last);
        let marked = dir.join(key_path::beside_folder(&last));
        let target = if plain.is_dir() || marked.is_file() { marked } else { plain };
        RealDisk.rename(staged, &target)?;
        changed.push(dir.clone());
        let removals = names.removals;
        let unsettled: Vec<PathBuf> = self.chain(&dir).filter(|above| !names.folders.contains(above)).collect();
        drop(names);

        let synced = unsettled
            .iter()
            .chain(changed.iter().filter(|dir| !unsettled.contains(dir)))
            .try_for_each(|dir| RealDisk.sync_dir(dir));
        if let Err(error) = synced {
            // ORDER: nobody was told of the object, whose lock the caller holds. What cannot be made durable must not
            // answer "exists already" to the retry.
            if fresh {
                let _names = self.names.lock();
                let _ = RealDisk.remove_file(&target);
            }
            return Err(error.into());
        }
        self.remember(unsettled, removals);
        Ok(())
    }

    /// Makes sure that what is seen in this folder stays.
    pub fn settle(&self, dir: &Path) -> io::Result<()> {
        let (unsettled, removals) = {
            let names = self.names.lock();
            let unsettled: Vec<PathBuf> = self.chain(dir).filter(|above| !names.folders.contains(above)).collect();
            (unsettled, names.removals)
        };
        unsettled.iter().try_for_each(|dir| RealDisk.sync_dir(dir))?;
        self.remember(unsettled, removals);
        Ok(())
    }

    #[cfg(test)]
    pub fn is_settled(&self, dir: &Path) -> bool {
        self.names.lock().folders.contains(dir)
    }

    /// `dir` and the folders above it, down to the root.
    fn chain(&self, dir: &Path) -> impl Iterator<Item = PathBuf> + '_ {
        let depth = dir.components().count().saturating_sub(self.root.components().count());
        dir.ancestors().take(depth + 1).map(Path::to_owned).collect::<Vec<_>>().into_iter()
    }

    fn remember(&self, folders: Vec<PathBuf>, removals: u64) {
        if folders.is_empty() {
            return;
        }
        let mut names = self.names.lock();
        if names.removals == removals {
            if names.folders.len() >= SETTLED_MAX {
                names.folders.clear();
            }
            names.folders.extend(folders);
        }
    }

    /// Removes the object's file and the folders it leaves empty, durably. `false` where there was none.
    pub fn remove(&self, bucket: &str, key: &str) -> Result<bool, StoreError> {
        let lowest = {
            let mut names = self.names.lock();
            let Some(found) = self.find(bucket, key)? else { return Ok(false) };
            RealDisk.remove_file(&found.path)?;
            let bucket_dir = self.bucket(bucket);
            let mut dir = found.path;
            dir.pop();
            while dir != bucket_dir && fs::remove_dir(&dir).is_ok() {
                names.removals += 1;
                names.folders.remove(&dir);
                dir.pop();
            }
            dir
        };
        // A folder removed meanwhile took the entry with it; the one above it was synced by whoever did that.
        match RealDisk.sync_dir(&lowest) {
            Err(e) if is_absence(&e) => Ok(true),
            other => Ok(other.map(|()| true)?),
        }
    }

    /// Makes a bucket. `false` where it is there already.
    pub fn create_bucket(&self, bucket: &str) -> io::Result<bool> {
        let _names = self.names.lock();
        let dir = self.bucket(bucket);
        let made = !dir.is_dir();
        RealDisk.create_dir(&dir)?;
        RealDisk.sync_dir(&self.root)?;
        Ok(made)
    }

    /// Removes a bucket that holds no file.
    pub fn delete_bucket(&self, bucket: &str) -> Result<(), StoreError> {
        let mut names = self.names.lock();
        self.check_bucket(bucket)?;
        names.removals += 1;
        names.folders.clear();
        match remove_empty_tree(&self.bucket(bucket)) {
            Ok(()) => Ok(RealDisk.sync_dir(&self.root)?),
            Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty => Err(StoreError::BucketNotEmpty),
            Err(e) => Err(e.into()),
        }
    }
}

/// Makes one folder. An object that has its name moves to its marked one. `true` where something changed.
fn make_folder(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Ok(false),
        Ok(_) => {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            RealDisk.rename(path, &path.with_file_name(key_path::beside_folder(name)))?;
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    RealDisk.create_dir(path)?;
    Ok(true)
}

/// Removes folders only; stops at the first that holds something else.
fn remove_empty_tree(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        remove_empty_tree(&entry.path())?;
    }
    fs::remove_dir(dir)
}
