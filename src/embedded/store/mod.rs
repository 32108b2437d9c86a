//! The store behind the embedded S3: objects as plain files, whole or not there at all, across crashes and races.
//!
//! ```text
//! <root>/<bucket>/<path of the key>              the objects, for any tool to read
//! <root>/.hydrant/LOCK                           one process a root
//!                /FORMAT                         version of this layout
//!                /tmp/<random>                   what is being written; emptied at the start
//!                /meta/<bucket>/<xx>/<hash>.json details of the objects
//!                /uploads/<bucket>/<id>/         multipart uploads not completed yet
//! ```
//!
//! All of it must be one file system, since files are renamed from `tmp` to their places.
//!
//! A write in order: bytes into `tmp`, synced; under the key's lock the condition is checked, the details written and
//! synced, the bytes renamed to their place and the folders synced. The rename is the instant at which the object
//! changes; the answer leaves after the last sync. Readers take the same lock shared, so nobody is told of what a power
//! cut could still take back. All calls block and belong on threads that may.
//!
//! Neighbours: `key_path` (names), `place` (folders), `details` (what is kept besides the bytes), `list`, `uploads`.

mod details;
mod error;
mod list;
mod place;
mod staged;
pub mod uploads;

pub use details::{Details, ObjectInfo};
pub use error::StoreError;
pub use list::{ListEntry, ListQuery, Page};
pub use staged::Staged;

use crate::clock::Clock;
use crate::disk::{Disk, FolderLock, RealDisk, create_dir_durable, replace_file};
use details::{DetailsFile, FORMAT, VersionDetails, etag_of};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use place::{Found, Places};
use sha2::{Digest, Sha256};
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Locks for keys, shared by hash.
const STRIPES: usize = 256;

/// Version of the folder layout.
const LAYOUT_VERSION: u32 = 1;

/// What must hold for a write to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    None,
    /// There is no object (If-None-Match: *).
    Absent,
    /// There is an object, of this ETag if one is named (If-Match).
    Present(Option<String>),
}

impl Condition {
    /// Whether it holds for the object there is now. If-Match on nothing is `NoSuchKey`, as at S3.
    pub fn check(&self, current_etag: Option<&str>) -> Result<(), StoreError> {
        match (self, current_etag) {
            (Self::None, _) | (Self::Absent, None) | (Self::Present(None), Some(_)) => Ok(()),
            (Self::Present(Some(wanted)), Some(etag)) if wanted == etag => Ok(()),
            (Self::Present(_), None) => Err(StoreError::NoSuchKey),
            (Self::Absent | Self::Present(_), Some(_)) => Err(StoreError::PreconditionFailed),
        }
    }
}

/// A bucket as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketInfo {
    /// Its name.
    pub name: String,
    /// When it was made, as well as the file system knows.
    pub created: SystemTime,
}

/// The objects and buckets below one root folder. See the module.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    side: PathBuf,
    places: Places,
    /// Held shared by what writes into a bucket, alone by what removes one. Taken before a key's or an upload's lock.
    buckets: RwLock<()>,
    keys: Vec<RwLock<()>>,
    uploads: Vec<RwLock<()>>,
    clock: Arc<dyn Clock>,
    part_min_bytes: u64,
    /// The last modification time given out, in nanoseconds.
    last_stamp: AtomicU64,
    _lock: FolderLock,
}

impl Store {
    /// The same store with another smallest size of a part that is not the last.
    pub fn with_part_minimum(self, part_min_bytes: u64) -> Self {
        Self { part_min_bytes, ..self }
    }

    /// Opens the store at `root`, made if missing, and removes what a crash left unfinished.
    pub fn open(root: &Path, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let side = root.join(".hydrant");
        for dir in ["tmp", "meta", "uploads"] {
            create_dir_durable(&RealDisk, &side.join(dir))?;
        }
        let lock = FolderLock::take(&side).map_err(io::Error::other)?;
        check_format(&side)?;
        for left_over in fs::read_dir(side.join("tmp"))? {
            RealDisk.remove_file(&left_over?.path())?;
        }
        RealDisk.sync_dir(&side)?;
        RealDisk.sync_dir(root)?;
        if let Some(parent) = fs::canonicalize(root)?.parent() {
            RealDisk.sync_dir(parent)?;
        }
        let stripes = || (0..STRIPES).map(|_| RwLock::new(())).collect();
        let store = Self {
            root: root.to_owned(),
            places: Places::new(root.to_owned()),
            buckets: RwLock::new(()),
            keys: stripes(),
            uploads: stripes(),
            clock,
            part_min_bytes: uploads::PART_MIN_BYTES,
            last_stamp: AtomicU64::new(0),
            _lock: lock,
            side,
        };
        store.sweep_uploads()?;
        Ok(store)
    }

    fn key_lock(&self, bucket: &str, key: &str) -> &RwLock<()> {
        &self.keys[stripe_of(&(bucket, key))]
    }

    fn read_key(&self, bucket: &str, key: &str) -> RwLockReadGuard<'_, ()> {
        self.key_lock(bucket, key).read()
    }

    fn write_key(&self, bucket: &str, key: &str) -> RwLockWriteGuard<'_, ()> {
        self.key_lock(bucket, key).write()
    }

    /// Modification time for a new version: later than all before it in this process.
    fn stamp(&self) -> SystemTime {
        let now = u64::try_from(self.clock.wall_ms()).unwrap_or(0).saturating_mul(1_000_000);
        let mut last = self.last_stamp.load(Ordering::Relaxed);
        loop {
            let next = now.max(last + 1);
            match self.last_stamp.compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return UNIX_EPOCH + Duration::from_nanos(next),
                Err(seen) => last = seen,
            }
        }
    }

    // Buckets.

    /// Makes a bucket. [`StoreError::BucketExists`] where it is there.
    pub fn create_bucket(&self, bucket: &str) -> Result<(), StoreError> {
        if self.places.create_bucket(bucket)? { Ok(()) } else { Err(StoreError::BucketExists) }
    }

    /// [`StoreError::NoSuchBucket`] where it is not there.
    pub fn check_bucket(&self, bucket: &str) -> Result<(), StoreError> {
        self.places.check_bucket(bucket)
    }

    /// Removes an empty bucket, with the multipart uploads begun in it.
    pub fn delete_bucket(&self, bucket: &str) -> Result<(), StoreError> {
        let _buckets = self.buckets.write();
        self.places.delete_bucket(bucket)?;
        for kind in ["meta", "uploads"] {
            match RealDisk.remove_dir_all(&self.side.join(kind).join(bucket)) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// All buckets by name: the folders whose names a bucket may have.
    pub fn buckets(&self) -> Result<Vec<BucketInfo>, StoreError> {
        let mut buckets = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !s3s::path::check_bucket_name(&name) {
                continue;
            }
            let Ok(metadata) = fs::metadata(entry.path()) else { continue };
            if metadata.is_dir() {
                let created = metadata.created().or_else(|_| metadata.modified())?;
                buckets.push(BucketInfo { name, created });
            }
        }
        buckets.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(buckets)
    }

    // Objects.

    /// A file to write an object or a part to.
    pub fn stage(&self) -> io::Result<Staged> {
        Staged::create(&self.side.join("tmp"))
    }

    /// Makes `staged` the object of this key, if the condition holds then. Durable when it returns.
    pub fn put(
        &self,
        bucket: &str,
        key: &str,
        staged: Staged,
        details: Details,
        condition: &Condition,
    ) -> Result<ObjectInfo, StoreError> {
        let _buckets = self.buckets.read();
        self.put_locked(bucket, key, staged, details, condition)
    }

    /// As `put`, for callers that hold `buckets`.
    fn put_locked(
        &self,
        bucket: &str,
        key: &str,
        staged: Staged,
        details: Details,
        condition: &Condition,
    ) -> Result<ObjectInfo, StoreError> {
        let mut modified = self.stamp();
        let mut etag = staged.seal(modified)?;
        let _key = self.write_key(bucket, key);
        self.check_bucket(bucket)?;
        let current = self.current(bucket, key)?;
        let current_etag = current.as_ref().map(|(_, etag)| etag.as_str());
        if let Err(refusal) = condition.check(current_etag) {
            self.settle(current.as_ref())?;
            return Err(refusal);
        }
        if current_etag == Some(&etag) {
            // A file system with coarse times: two versions of one length must differ.
            modified += Duration::from_secs(2);
            etag = staged.seal(modified)?;
        }
        // ORDER: details before bytes; see `details`.
        self.write_details(bucket, key, &etag, &details, current_etag)?;
        self.places.put(staged.path(), bucket, key, current.is_none())?;
        let length_bytes = staged.length_bytes();
        staged.placed();
        Ok(ObjectInfo { etag, modified, length_bytes, details })
    }

    /// Writes the details of the version to come, keeping those of the current one.
    fn write_details(
        &self,
        bucket: &str,
        key: &str,
        etag: &str,
        details: &Details,
        current_etag: Option<&str>,
    ) -> Result<(), StoreError> {
        let path = self.details_path(bucket, key);
        let mut versions = vec![VersionDetails { etag: etag.to_owned(), details: details.clone() }];
        if let Some(current_etag) = current_etag
            && let Some(details) = DetailsFile::read(&path)?.and_then(|file| file.take(current_etag))
        {
            versions.push(VersionDetails { etag: current_etag.to_owned(), details });
        }
        let file = DetailsFile { format: FORMAT, key: key.to_owned(), versions };
        if let Some(shard) = path.parent() {
            if !shard.is_dir() {
                create_dir_durable(&RealDisk, shard)?;
            }
            self.places.settle(shard)?;
        }
        Ok(self.place_details(&file, &path)?)
    }

    /// Puts a file of details at `path`, durably, in place of the one there.
    fn place_details(&self, file: &DetailsFile, path: &Path) -> io::Result<()> {
        let mut staged = self.stage()?;
        staged.write(&[serde_json::to_vec(file).map_err(io::Error::from)?])?;
        staged.sync()?;
        RealDisk.rename(staged.path(), path)?;
        staged.placed();
        path.parent().map_or(Ok(()), |dir| RealDisk.sync_dir(dir))
    }

    /// Whether a condition holds now; it may not any more when it matters.
    fn check_condition(&self, bucket: &str, key: &str, condition: &Condition) -> Result<(), StoreError> {
        let _key = self.read_key(bucket, key);
        let current = self.current(bucket, key)?;
        condition.check(current.as_ref().map(|(_, etag)| etag.as_str())).or_else(|refusal| {
            self.settle(current.as_ref())?;
            Err(refusal)
        })
    }

    fn details_path(&self, bucket: &str, key: &str) -> PathBuf {
        let hash = Sha256::digest(key.as_bytes());
        let hex = hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        self.side.join("meta").join(bucket).join(&hex[..2]).join(format!("{}.json", &hex[2..]))
    }

    fn current(&self, bucket: &str, key: &str) -> Result<Option<(Found, String)>, StoreError> {
        let Some(found) = self.places.find(bucket, key)? else { return Ok(None) };
        let etag = etag_of(&found.metadata)?;
        Ok(Some((found, etag)))
    }

    fn settle(&self, current: Option<&(Found, String)>) -> io::Result<()> {
        match current.and_then(|(found, _)| found.path.parent()) {
            Some(dir) => self.places.settle(dir),
            None => Ok(()),
        }
    }

    /// The object and its bytes. The handle keeps this version, whatever is put under the key afterwards.
    pub fn open_object(&self, bucket: &str, key: &str) -> Result<(File, ObjectInfo), StoreError> {
        let _key = self.read_key(bucket, key);
        self.check_bucket(bucket)?;
        loop {
            let Some((found, _)) = self.current(bucket, key)? else { return Err(StoreError::NoSuchKey) };
            let file = match File::open(&found.path) {
                Ok(file) => file,
                // Moved to its marked name in between.
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => return Err(e.into()),
            };
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                continue;
            }
            let etag = etag_of(&metadata)?;
            let current = Some((found, etag.clone()));
            self.settle(current.as_ref())?;
            let details = DetailsFile::read(&self.details_path(bucket, key))?.and_then(|file| file.take(&etag));
            let info = ObjectInfo {
                etag,
                modified: metadata.modified()?,
                length_bytes: metadata.len(),
                details: details.unwrap_or_default(),
            };
            return Ok((file, info));
        }
    }

    /// The object without its bytes.
    pub fn head(&self, bucket: &str, key: &str) -> Result<ObjectInfo, StoreError> {
        self.open_object(bucket, key).map(|(_, info)| info)
    }

    /// Removes an object, if the condition holds. One that is not there is removed already.
    pub fn remove(&self, bucket: &str, key: &str, condition: &Condition) -> Result<(), StoreError> {
        let _buckets = self.buckets.read();
        let _key = self.write_key(bucket, key);
        self.check_bucket(bucket)?;
        let current = self.current(bucket, key)?;
        condition.check(current.as_ref().map(|(_, etag)| etag.as_str()))?;
        // ORDER: details without bytes mean nothing; bytes without details would show with defaults.
        if self.places.remove(bucket, key)? {
            match RealDisk.remove_file(&self.details_path(bucket, key)) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// One page of a bucket's keys.
    pub fn list(&self, bucket: &str, query: &ListQuery) -> Result<Page, StoreError> {
        self.check_bucket(bucket)?;
        list::list(&self.places.bucket(bucket), query)
    }
}

fn stripe_of(value: &impl Hash) -> usize {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    (hasher.finish() % STRIPES as u64) as usize
}

fn check_format(side: &Path) -> io::Result<()> {
    let path = side.join("FORMAT");
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(version) if version <= LAYOUT_VERSION => Ok(()),
            _ => Err(io::Error::new(
                ErrorKind::InvalidData,
                format!(
                    "{} says format {:?}; this version of hydrant reads up to {LAYOUT_VERSION}. Use a newer hydrant or \
                     another folder",
                    path.display(),
                    text.trim()
                ),
            )),
        },
        Err(e) if e.kind() == ErrorKind::NotFound => {
            replace_file(&RealDisk, &path, format!("{LAYOUT_VERSION}\n").as_bytes())
        }
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod proptests;
#[cfg(test)]
mod tests;
