//! Multipart uploads: parts durable when answered, put together on completion.
//!
//! An upload is a folder `.hydrant/uploads/<bucket>/<id>/` with `upload.json`, and for each part `part-00001` and
//! `part-00001.json` (its checksum, bound to its version as an object's details are). It exists as long as
//! `upload.json` does. Completion copies the parts into one staged file and puts that like any other object, so a crash
//! leaves either the upload as it was, or the object, or both; the same Complete again gives the same object.

use super::details::{Details, DetailsFile, FORMAT, VersionDetails, etag_of};
use super::{Condition, ObjectInfo, Staged, Store, StoreError, stripe_of};
use crate::disk::{Disk, RealDisk, create_dir_durable};
use parking_lot::RwLockWriteGuard;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Smallest part that may be followed by another one, as at S3.
pub const PART_MIN_BYTES: u64 = 5 << 20;

/// Highest part number, as at S3.
pub const PART_MAX: i32 = 10_000;

const COPY_BYTES: usize = 256 * 1024;

/// An upload begun and not yet ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Upload {
    /// Format of the file it is kept in.
    pub format: u32,
    /// Its id; ids of one key sort by when they were begun.
    pub id: String,
    /// The object's key.
    pub key: String,
    /// When it was begun, in milliseconds since the epoch.
    pub initiated_ms: u64,
    /// What the object will have.
    pub details: Details,
    /// Checksum the parts come with, in S3's spelling.
    pub checksum_algorithm: Option<String>,
    /// Whether the object's checksum is that of its bytes, not one of its parts' checksums.
    pub full_object: bool,
}

/// A part that is there.
#[derive(Debug, Clone)]
pub struct PartInfo {
    /// From 1.
    pub number: i32,
    /// Its ETag, without quotes.
    pub etag: String,
    /// When it was put.
    pub modified: SystemTime,
    /// Its length.
    pub length_bytes: u64,
    /// Its checksum, algorithm and value, if it came with one.
    pub checksum: Option<(String, String)>,
}

/// A part as Complete names it.
#[derive(Debug, Clone)]
pub struct NamedPart {
    /// From 1.
    pub number: i32,
    /// The ETag its upload was answered with.
    pub etag: Option<String>,
    /// Checksum it must have.
    pub checksum: Option<String>,
}

/// How the parts' bytes are summed while they are put together.
pub trait Summing {
    /// The next bytes of the object.
    fn update(&mut self, data: &[u8]);
    /// The checksum of all of them, in base64.
    fn finish(self: Box<Self>) -> Option<String>;
}

/// What Complete asks for.
pub struct Completion<'a> {
    /// The parts in order.
    pub parts: &'a [NamedPart],
    /// When the object may be put.
    pub condition: &'a Condition,
    /// Length the object must have.
    pub length_bytes: Option<u64>,
    /// Checksum the object must have.
    pub checksum: Option<String>,
    /// Makes a sum of the named algorithm.
    pub summing: &'a dyn Fn(&str) -> Option<Box<dyn Summing>>,
}

fn part_path(dir: &Path, number: i32) -> PathBuf {
    dir.join(format!("part-{number:05}"))
}

fn absent(error: io::Error, otherwise: StoreError) -> StoreError {
    if error.kind() == ErrorKind::NotFound { otherwise } else { error.into() }
}

impl Store {
    /// Removes what a crash left of uploads whose beginning or end it cut short.
    pub(super) fn sweep_uploads(&self) -> io::Result<()> {
        for bucket in fs::read_dir(self.side.join("uploads"))? {
            for upload in fs::read_dir(bucket?.path())? {
                let dir = upload?.path();
                if !dir.join("upload.json").is_file() {
                    RealDisk.remove_dir_all(&dir)?;
                }
            }
        }
        Ok(())
    }

    fn uploads_dir(&self, bucket: &str) -> PathBuf {
        self.side.join("uploads").join(bucket)
    }

    /// The folder of an upload. Ids are names of folders: anything else than an id is unknown.
    fn upload_dir(&self, bucket: &str, id: &str) -> Result<PathBuf, StoreError> {
        let is_id = id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if is_id { Ok(self.uploads_dir(bucket).join(id)) } else { Err(StoreError::NoSuchUpload) }
    }

    fn write_upload(&self, id: &str) -> RwLockWriteGuard<'_, ()> {
        self.uploads[stripe_of(&id)].write()
    }

    /// Begins an upload.
    pub fn create_upload(
        &self,
        bucket: &str,
        key: &str,
        details: Details,
        checksum_algorithm: Option<&str>,
        full_object: bool,
    ) -> Result<Upload, StoreError> {
        let _buckets = self.buckets.read();
        self.check_bucket(bucket)?;
        crate::embedded::key_path::names_of(key)?;
        let since = self.stamp().duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanoseconds = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        let upload = Upload {
            format: FORMAT,
            id: format!("{nanoseconds:016x}{:016x}", fastrand::u64(..)),
            key: key.to_owned(),
            initiated_ms: nanoseconds / 1_000_000,
            details,
            checksum_algorithm: checksum_algorithm.map(str::to_owned),
            full_object,
        };
        let dir = self.upload_dir(bucket, &upload.id)?;
        create_dir_durable(&RealDisk, &dir)?;
        let mut staged = self.stage()?;
        staged.write(&[serde_json::to_vec(&upload).map_err(io::Error::from)?])?;
        staged.sync()?;
        RealDisk.rename(staged.path(), &dir.join("upload.json"))?;
        staged.placed();
        RealDisk.sync_dir(&dir)?;
        let uploads = self.uploads_dir(bucket);
        self.places.settle(&uploads)?;
        RealDisk.sync_dir(&uploads)?;
        Ok(upload)
    }

    /// An upload of this key.
    pub fn upload(&self, bucket: &str, key: &str, id: &str) -> Result<Upload, StoreError> {
        self.check_bucket(bucket)?;
        let upload = read_upload(&self.upload_dir(bucket, id)?)?.ok_or(StoreError::NoSuchUpload)?;
        if upload.key == key { Ok(upload) } else { Err(StoreError::NoSuchUpload) }
    }

    /// Makes `staged` a part. Durable when it returns.
    pub fn put_part(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        number: i32,
        staged: Staged,
        checksum: Option<(String, String)>,
    ) -> Result<PartInfo, StoreError> {
        let mut modified = self.stamp();
        let mut etag = staged.seal(modified)?;
        let _buckets = self.buckets.read();
        let _upload = self.write_upload(id);
        self.upload(bucket, key, id)?;
        let dir = self.upload_dir(bucket, id)?;
        let path = part_path(&dir, number);
        let details_path = path.with_extension("json");
        let current = match fs::metadata(&path) {
            Ok(metadata) => Some(etag_of(&metadata)?),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(e.into()),
        };
        if current.as_ref() == Some(&etag) {
            modified += Duration::from_secs(2);
            etag = staged.seal(modified)?;
        }
        let details = Details { checksums: checksum.iter().cloned().collect(), ..Details::default() };
        let mut versions = vec![VersionDetails { etag: etag.clone(), details }];
        if let Some(current) = current
            && let Some(details) = DetailsFile::read(&details_path)?.and_then(|file| file.take(&current))
        {
            versions.push(VersionDetails { etag: current, details });
        }
        // ORDER: as for objects, details before bytes.
        self.place_details(&DetailsFile { format: FORMAT, key: key.to_owned(), versions }, &details_path)?;
        RealDisk.rename(staged.path(), &path)?;
        RealDisk.sync_dir(&dir)?;
        let length_bytes = staged.length_bytes();
        staged.placed();
        Ok(PartInfo { number, etag, modified, length_bytes, checksum })
    }

    /// A staged copy of a range of a file, and its sum.
    pub fn stage_copy(
        &self,
        file: &mut File,
        first_byte: u64,
        length_bytes: u64,
        sum: Option<Box<dyn Summing>>,
    ) -> io::Result<(Staged, Option<String>)> {
        let mut staged = self.stage()?;
        file.seek(SeekFrom::Start(first_byte))?;
        let mut range = file.take(length_bytes);
        let Some(mut sum) = sum else {
            staged.write_from(&mut range)?;
            return Ok((staged, None));
        };
        copy_summing(&mut range, &mut staged, sum.as_mut())?;
        Ok((staged, sum.finish()))
    }

    /// The parts of an upload in order, those above `after`.
    pub fn parts(&self, bucket: &str, key: &str, id: &str, after: i32) -> Result<Vec<PartInfo>, StoreError> {
        self.upload(bucket, key, id)?;
        let dir = self.upload_dir(bucket, id)?;
        let mut parts = Vec::new();
        for entry in fs::read_dir(&dir).map_err(|e| absent(e, StoreError::NoSuchUpload))? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("part-")?.parse::<i32>().ok());
            if let Some(number) = number.filter(|number| *number > after)
                && let Some((part, _)) = open_part(&dir, number)?
            {
                parts.push(part);
            }
        }
        parts.sort_by_key(|part| part.number);
        Ok(parts)
    }

    /// All uploads of a bucket by key and beginning.
    pub fn uploads(&self, bucket: &str) -> Result<Vec<Upload>, StoreError> {
        self.check_bucket(bucket)?;
        let mut uploads = Vec::new();
        let entries = match fs::read_dir(self.uploads_dir(bucket)) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(uploads),
            other => other?,
        };
        for entry in entries {
            uploads.extend(read_upload(&entry?.path())?);
        }
        uploads.sort_by(|a, b| (a.key.as_bytes(), &a.id).cmp(&(b.key.as_bytes(), &b.id)));
        Ok(uploads)
    }

    /// Forgets an upload and its parts.
    pub fn abort_upload(&self, bucket: &str, key: &str, id: &str) -> Result<(), StoreError> {
        let _buckets = self.buckets.read();
        let _upload = self.write_upload(id);
        self.upload(bucket, key, id)?;
        Ok(self.remove_upload(bucket, id)?)
    }

    fn remove_upload(&self, bucket: &str, id: &str) -> io::Result<()> {
        let Ok(dir) = self.upload_dir(bucket, id) else { return Ok(()) };
        // ORDER: from here on it is none, whatever of it is still there.
        RealDisk.remove_file(&dir.join("upload.json"))?;
        RealDisk.sync_dir(&dir)?;
        RealDisk.remove_dir_all(&dir)
    }

    /// Puts the parts together and makes them the object of the key, if the condition holds then.
    pub fn complete_upload(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        completion: Completion<'_>,
    ) -> Result<ObjectInfo, StoreError> {
        let _buckets = self.buckets.read();
        let _upload = self.write_upload(id);
        let upload = self.upload(bucket, key, id)?;
        // Checked again when the object is put; here it spares the copy.
        self.check_condition(bucket, key, completion.condition)?;
        let (staged, checksum) = self.assemble(bucket, &upload, &completion)?;
        let mut details = upload.details;
        if let (Some(algorithm), Some(value)) = (upload.checksum_algorithm, checksum) {
            details.checksums.insert(algorithm, value);
            details.checksum_type = (!upload.full_object).then(|| "COMPOSITE".to_owned());
        }
        details.parts = u32::try_from(completion.parts.len()).ok();
        let info = self.put_locked(bucket, key, staged, details, completion.condition)?;
        self.remove_upload(bucket, id)?;
        Ok(info)
    }

    /// The object's bytes and checksum.
    pub(super) fn assemble(
        &self,
        bucket: &str,
        upload: &Upload,
        completion: &Completion<'_>,
    ) -> Result<(Staged, Option<String>), StoreError> {
        let parts = completion.parts;
        if !parts.is_sorted_by(|a, b| a.number < b.number) {
            return Err(StoreError::PartOrder);
        }
        let sum_of = |wanted: bool| match &upload.checksum_algorithm {
            Some(algorithm) if wanted => (completion.summing)(algorithm),
            _ => None,
        };
        let (mut whole, mut of_parts) = (sum_of(upload.full_object), sum_of(!upload.full_object));
        let dir = self.upload_dir(bucket, &upload.id)?;
        // All are looked at before the first is copied.
        let mut files = Vec::with_capacity(parts.len());
        for (at, named) in parts.iter().enumerate() {
            let invalid = || StoreError::InvalidPart(named.number);
            let (part, file) = open_part(&dir, named.number)?.ok_or_else(invalid)?;
            let stored = part.checksum.as_ref().map(|(_, value)| value);
            let other = named.etag.as_ref().is_some_and(|etag| *etag != part.etag)
                || named.checksum.as_ref().is_some_and(|wanted| stored != Some(wanted));
            if other {
                return Err(invalid());
            }
            if at + 1 < parts.len() && part.length_bytes < self.part_min_bytes {
                return Err(StoreError::PartTooSmall(named.number));
            }
            if let Some(sum) = &mut of_parts {
                let raw =
                    stored.and_then(|value| base64_simd::STANDARD.decode_to_vec(value).ok()).ok_or_else(invalid)?;
                sum.update(&raw);
            }
            files.push(file);
        }
        let mut staged = self.stage()?;
        for mut file in files {
            match &mut whole {
                Some(sum) => copy_summing(&mut file, &mut staged, sum.as_mut())?,
                None => staged.write_from(&mut file).map(drop)?,
            }
        }
        let whole = whole.and_then(Summing::finish);
        let of_parts = of_parts.and_then(Summing::finish).map(|value| format!("{value}-{}", parts.len()));
        let checksum = whole.or(of_parts);
        if completion.length_bytes.is_some_and(|wanted| wanted != staged.length_bytes()) {
            return Err(StoreError::WholeMismatch("size"));
        }
        // The count behind a checksum of checksums may be left out.
        let same = |wanted: &String| {
            checksum
                .as_ref()
                .is_some_and(|is| is == wanted || is.split_once('-').is_some_and(|(bare, _)| bare == wanted))
        };
        if completion.checksum.as_ref().is_some_and(|wanted| !same(wanted)) {
            return Err(StoreError::WholeMismatch("checksum"));
        }
        Ok((staged, checksum))
    }
}

fn copy_summing(file: &mut impl Read, staged: &mut Staged, sum: &mut dyn Summing) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                sum.update(&buffer[..read]);
                staged.write(&[&buffer[..read]])?;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn read_upload(dir: &Path) -> Result<Option<Upload>, StoreError> {
    let text = match fs::read(dir.join("upload.json")) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let upload: Upload = serde_json::from_slice(&text).map_err(io::Error::from)?;
    if upload.format > FORMAT {
        let what = format!("{} has format {}, and this version reads up to {FORMAT}", dir.display(), upload.format);
        return Err(io::Error::new(ErrorKind::InvalidData, what).into());
    }
    Ok(Some(upload))
}

fn open_part(dir: &Path, number: i32) -> Result<Option<(PartInfo, File)>, StoreError> {
    let path = part_path(dir, number);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let metadata = file.metadata()?;
    let etag = etag_of(&metadata)?;
    let details = DetailsFile::read(&path.with_extension("json"))?.and_then(|file| file.take(&etag));
    let checksum = details.and_then(|details| details.checksums.into_iter().next());
    let (modified, length_bytes) = (metadata.modified()?, metadata.len());
    Ok(Some((PartInfo { number, etag, modified, length_bytes, checksum }, file)))
}
