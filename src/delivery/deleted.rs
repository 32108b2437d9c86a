//! What became of the records of streams that are gone: their ledgers, summed up and kept in a file of the data folder.
//!
//! From: `supervisor`, which counts a stream before it forgets it. To: `/metrics`, where the ledgers of the streams that
//! are there and these sums together hold every record that was ever acknowledged. Form of the file: JSON with a format
//! number, replaced atomically.
//!
//! Invariant: a stream is counted once, however often its deletion is begun. Until its catalog row is gone it is
//! *leaving*: noted by its incarnation, shown as a stream still, not yet part of the sums.

use crate::disk::{Disk, replace_file};
use crate::stream::Incarnation;
use crate::stream::seal::Fates;
use crate::telemetry::status::{Deleted, Ledger};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// The newest format this program reads, and the one it writes.
const FORMAT: u64 = 1;

/// Why the sums cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DeletedError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Written by a newer program.
    #[error("{path} has format {found}, newer than this program knows ({FORMAT}); use the newer hydrant")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// Not what this program wrote.
    #[error("{path} is damaged: {reason}; without it the sums of deleted streams begin at zero")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The sums. Calls other than [`DeletedStreams::count`] and [`DeletedStreams::open`] do not wait for the disk.
#[derive(Debug)]
pub struct DeletedStreams {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    sums: Mutex<Sums>,
    /// Held over a replacement of the file.
    writing: Mutex<()>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Sums {
    /// Streams that are gone.
    streams: u64,
    /// What became of their records.
    fates: Fates,
    /// Streams that are counted, but may still have a row in the catalog.
    leaving: BTreeMap<Incarnation, Fates>,
}

impl Sums {
    fn left(&mut self, incarnation: Incarnation) {
        if let Some(fates) = self.leaving.remove(&incarnation) {
            self.streams += 1;
            self.fates += fates;
        }
    }
}

impl DeletedStreams {
    /// The sums in the file at `path`, which need not exist. `has_row` says whether the catalog still has a stream: one
    /// that was leaving and has none is gone. Blocks.
    pub fn open(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        has_row: impl Fn(Incarnation) -> bool,
    ) -> Result<Self, DeletedError> {
        let mut sums = match read(&*disk, &path) {
            Ok(bytes) => decode(&bytes).map_err(|refusal| refusal.of(&path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Sums::default(),
            Err(error) => return Err(DeletedError::Io { path, error }),
        };
        let gone: Vec<_> = sums.leaving.keys().copied().filter(|incarnation| !has_row(*incarnation)).collect();
        gone.into_iter().for_each(|incarnation| sums.left(incarnation));
        Ok(Self { disk, path, sums: Mutex::new(sums), writing: Mutex::default() })
    }

    /// Counts a stream that is about to go; durable on return. One that was counted before keeps the fates it had then,
    /// which are returned. Where the file cannot be written the sums hold for this process, and are written with the
    /// next stream's: a full disk must not keep anybody from deleting. Blocks.
    pub fn count(&self, incarnation: Incarnation, fates: Fates) -> Fates {
        let _writing = self.writing.lock();
        let mut draft = self.sums.lock().clone();
        if let Some(counted) = draft.leaving.get(&incarnation) {
            return *counted;
        }
        draft.leaving.insert(incarnation, fates);
        let written = encode(&draft).and_then(|bytes| replace_file(&*self.disk, &self.path, &bytes));
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, "the ledger of a deleted stream could not be stored");
        }
        // What left meanwhile stays as it is: the file says the same of it in the older way.
        self.sums.lock().leaving.insert(incarnation, fates);
        fates
    }

    /// What was counted of a stream that is leaving.
    pub fn leaving(&self, incarnation: Incarnation) -> Option<Fates> {
        self.sums.lock().leaving.get(&incarnation).copied()
    }

    /// A stream's catalog row is gone: from now on it is part of the sums.
    pub fn left(&self, incarnation: Incarnation) {
        self.sums.lock().left(incarnation);
    }

    /// The sums.
    pub fn sums(&self) -> Deleted {
        let sums = self.sums.lock();
        Deleted { streams: sums.streams, ledger: ledger(&sums.fates) }
    }
}

/// The ledger of records that all have a fate.
pub fn ledger(fates: &Fates) -> Ledger {
    super::status::ledger(fates, Default::default())
}

fn read(disk: &dyn Disk, path: &std::path::Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let length = usize::try_from(file.len_bytes()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[derive(Serialize)]
struct Written<'a> {
    format: u64,
    deleted: &'a Sums,
}

#[derive(Deserialize)]
struct Tag {
    format: u64,
}

#[derive(Deserialize)]
struct Read {
    deleted: Sums,
}

#[derive(Debug, PartialEq)]
enum Refusal {
    Newer(u64),
    Damaged(String),
}

impl Refusal {
    fn of(self, path: &std::path::Path) -> DeletedError {
        let path = path.to_owned();
        match self {
            Self::Newer(found) => DeletedError::Newer { path, found },
            Self::Damaged(reason) => DeletedError::Damaged { path, reason },
        }
    }
}

fn encode(sums: &Sums) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(&Written { format: FORMAT, deleted: sums })?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Result<Sums, Refusal> {
    let damaged = |error: serde_json::Error| Refusal::Damaged(error.to_string());
    // The tag first: the rest of a newer file may not have this program's shape at all.
    let Tag { format } = serde_json::from_slice(bytes).map_err(damaged)?;
    match format {
        FORMAT => Ok(serde_json::from_slice::<Read>(bytes).map_err(damaged)?.deleted),
        0 => Err(Refusal::Damaged("format 0 never existed".to_owned())),
        found => Err(Refusal::Newer(found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::faulty::FaultyDisk;
    use crate::stream::Id128;
    use crate::stream::seal::Tally;
    use proptest::prelude::*;
    use std::path::Path;

    const PATH: &str = "/deleted.json";

    fn fates(n: u64) -> Fates {
        let tally = |records| Tally { records, bytes: records * 10 };
        Fates { delivered: tally(n), refused: tally(n + 1), dropped: tally(n + 2), discarded: tally(n + 3), split: 0 }
    }

    fn sums() -> Sums {
        Sums { streams: 3, fates: fates(10), leaving: BTreeMap::from([(Id128([7; 16]), fates(1))]) }
    }

    fn open(disk: &FaultyDisk, rows: &[Incarnation]) -> DeletedStreams {
        DeletedStreams::open(Arc::new(disk.clone()), PATH.into(), |incarnation| rows.contains(&incarnation)).unwrap()
    }

    #[test]
    fn a_stream_is_counted_once_wherever_its_deletion_is_cut_off() {
        let (a, b) = (Id128([1; 16]), Id128([2; 16]));
        let disk = FaultyDisk::new();
        let deleted = open(&disk, &[a, b]);
        assert_eq!(deleted.count(a, fates(1)), fates(1));
        assert_eq!((deleted.leaving(a), deleted.sums().streams), (Some(fates(1)), 0));

        // Counted, then the power goes before the row does: the second attempt finds a log that is gone already.
        let disk = disk.power_cut(1);
        let deleted = open(&disk, &[a, b]);
        assert_eq!(deleted.count(a, Fates::default()), fates(1));
        deleted.left(a);
        assert_eq!((deleted.leaving(a), deleted.sums()), (None, Deleted { streams: 1, ledger: ledger(&fates(1)) }));
        deleted.left(a);
        assert_eq!(deleted.sums().streams, 1);

        // The row went too, but the file still says that it is leaving.
        let disk = disk.power_cut(2);
        let deleted = open(&disk, &[b]);
        assert_eq!(deleted.sums(), Deleted { streams: 1, ledger: ledger(&fates(1)) });
        deleted.count(b, fates(5));
        deleted.left(b);
        let mut both = fates(1);
        both += fates(5);
        let deleted = open(&disk.power_cut(3), &[]);
        assert_eq!(deleted.sums(), Deleted { streams: 2, ledger: ledger(&both) });
        let ledger = deleted.sums().ledger;
        let fates = [ledger.delivered, ledger.refused, ledger.dropped, ledger.discarded];
        assert_eq!(ledger.received.records, fates.iter().map(|count| count.records).sum::<u64>());
    }

    #[test]
    fn a_disk_that_fails_keeps_nobody_from_deleting() {
        let disk = FaultyDisk::new();
        let deleted = open(&disk, &[]);
        drop(disk.power_cut(0));
        deleted.count(Id128([1; 16]), fates(1));
        deleted.left(Id128([1; 16]));
        assert_eq!(deleted.sums().ledger, ledger(&fates(1)));
    }

    #[test]
    fn the_golden_file_is_read_and_written_unchanged() {
        const GOLDEN: &str = include_str!("../../tests/golden/deleted/deleted-v1.json");
        if std::env::var_os("HYDRANT_BLESS").is_some() {
            std::fs::write("tests/golden/deleted/deleted-v1.json", encode(&sums()).unwrap()).unwrap();
        }
        assert_eq!(decode(GOLDEN.as_bytes()), Ok(sums()));
        assert_eq!(String::from_utf8(encode(&sums()).unwrap()).unwrap(), GOLDEN);
    }

    #[test]
    fn foreign_files_are_refused() {
        assert_eq!(decode(br#"{"format": 2}"#), Err(Refusal::Newer(2)));
        for bytes in [&b""[..], b"{}", br#"{"format": 0}"#, br#"{"format": 1}"#, br#"{"format": 1, "deleted": 7}"#] {
            assert!(matches!(decode(bytes), Err(Refusal::Damaged(_))), "{bytes:?}");
        }
        let disk = FaultyDisk::new();
        replace_file(&disk, Path::new(PATH), b"{").unwrap();
        let opened = DeletedStreams::open(Arc::new(disk), PATH.into(), |_| false);
        assert!(matches!(opened, Err(DeletedError::Damaged { .. })));
    }

    proptest! {
        #[test]
        fn sums_round_trip(streams: u64, n in 0..u64::MAX / 20, ids in proptest::collection::vec(any::<[u8; 16]>(), 0..5)) {
            let leaving = ids.into_iter().map(|id| (Id128(id), fates(n))).collect();
            let sums = Sums { streams, fates: fates(n), leaving };
            prop_assert_eq!(decode(&encode(&sums).unwrap()), Ok(sums));
        }
    }
}
