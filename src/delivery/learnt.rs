//! The tables that streams without a schema have learnt, each in a file of its stream's folder.
//!
//! From: `run`, which learns and stores. The form is that of `stage::convert::infer::codec`. Invariant: a table only
//! widens, and is durable before a seal uses it (rule D3).

use super::run::StageRunError;
use crate::disk::{Disk, replace_file};
use crate::failpoint;
use crate::stage::convert::infer::codec::{self, KeptTable};
use crate::stage::convert::infer::{LearntTable, Shapes};
use crate::stream::Incarnation;
use crate::telemetry::status::LearntStatus;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Name of the file in the stream's folder.
const FILE: &str = "learnt.json";

/// Learnt tables by the streams they are of.
#[derive(Debug)]
pub struct LearntTables {
    disk: Arc<dyn Disk>,
    streams_dir: PathBuf,
    loaded: Mutex<HashMap<Incarnation, Arc<Learnt>>>,
}

/// A learnt table, ready to be used.
#[derive(Debug)]
pub struct Learnt {
    /// As it is kept.
    pub kept: KeptTable,
    /// As the encoder needs it.
    pub table: LearntTable,
}

impl LearntTables {
    /// Those of the streams in `<streams_dir>/<incarnation>/`.
    pub fn new(disk: Arc<dyn Disk>, streams_dir: PathBuf) -> Self {
        Self { disk, streams_dir, loaded: Mutex::default() }
    }

    /// The stream's table; none before it has learnt one.
    pub fn load(&self, incarnation: Incarnation) -> Result<Option<Arc<Learnt>>, StageRunError> {
        if let Some(loaded) = self.loaded.lock().get(&incarnation) {
            return Ok(Some(Arc::clone(loaded)));
        }
        let path = self.path(incarnation);
        let file = match self.disk.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut text = vec![0; usize::try_from(file.len_bytes()?).map_err(io::Error::other)?];
        file.read_exact_at(&mut text, 0)?;
        let unusable = |what: String| StageRunError::NotReady {
            code: "DataFormatConversion.InvalidSchema",
            message: format!(
                "{}: {what}; put the file back from a copy, or remove it: then the stream learns anew",
                path.display()
            ),
        };
        let kept = codec::decode(&text).map_err(|error| unusable(error.to_string()))?;
        let table = kept.shapes.table().ok_or_else(|| unusable("its columns are no table".to_owned()))?;
        Ok(Some(self.note(incarnation, Learnt { kept, table })))
    }

    /// Stores what was learnt for the run of seal `number`, if it is more than was known.
    pub fn store(&self, incarnation: Incarnation, shapes: Shapes, number: u64) -> Result<(), StageRunError> {
        let known = self.load(incarnation)?;
        let Some(table) = shapes.table().filter(|_| known.as_ref().is_none_or(|known| known.kept.shapes != shapes))
        else {
            return Ok(());
        };
        let revision = known.map_or(0, |known| known.kept.revision) + 1;
        let kept = KeptTable { revision, first_seal: number, shapes };
        // ORDER: the table, then the seal that uses it: later tables must widen this one.
        replace_file(&*self.disk, &self.path(incarnation), &codec::encode(&kept))?;
        failpoint::crash_at(failpoint::AFTER_LEARN);
        self.note(incarnation, Learnt { kept, table });
        Ok(())
    }

    /// What is told of a table that was loaded.
    pub fn status(&self, incarnation: Incarnation) -> Option<LearntStatus> {
        let learnt = self.loaded.lock().get(&incarnation).cloned()?;
        Some(LearntStatus { revision: learnt.kept.revision, columns: learnt.kept.shapes.columns.len() as u64 })
    }

    /// The stream is gone.
    pub fn forget(&self, incarnation: Incarnation) {
        self.loaded.lock().remove(&incarnation);
    }

    fn note(&self, incarnation: Incarnation, learnt: Learnt) -> Arc<Learnt> {
        let learnt = Arc::new(learnt);
        self.loaded.lock().insert(incarnation, Arc::clone(&learnt));
        learnt
    }

    fn path(&self, incarnation: Incarnation) -> PathBuf {
        self.streams_dir.join(incarnation.to_string()).join(FILE)
    }
}
