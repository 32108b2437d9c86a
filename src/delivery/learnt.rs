//! The tables that streams without a schema have learnt, each in a file of its stream's folder.
//!
//! From: `run`, which learns and stores. The form is that of `stage::convert::infer::codec`. Invariants: a table only
//! widens, and is durable before a seal uses it (rule D3). A table is declared with the first seal that uses it, and anew
//! with the first one whose data lie elsewhere or are written otherwise because the stream was updated; each time under
//! a revision of its own. With which seal is stored before that seal, so that a run that is cut anew declares it, and if
//! the stream no longer converts by then, the next one that does.

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
    /// Of the streams whose folders were looked into; `None`: there was no table.
    loaded: Mutex<HashMap<Incarnation, Option<Arc<Learnt>>>>,
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
        if let Some(Some(loaded)) = self.loaded.lock().get(&incarnation) {
            return Ok(Some(Arc::clone(loaded)));
        }
        let path = self.path(incarnation);
        let file = match self.disk.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.loaded.lock().insert(incarnation, None);
                return Ok(None);
            }
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

    /// Stores what was learnt for the run of seal `number`, if it is more than was known. `declared` says what that seal
    /// declares of the new table.
    pub fn store(
        &self,
        incarnation: Incarnation,
        shapes: Shapes,
        number: u64,
        declared: impl FnOnce(&LearntTable) -> Result<String, StageRunError>,
    ) -> Result<(), StageRunError> {
        let known = self.load(incarnation)?;
        let Some(table) = shapes.table().filter(|_| known.as_ref().is_none_or(|known| known.kept.shapes != shapes))
        else {
            return Ok(());
        };
        let revision = known.map_or(0, |known| known.kept.revision) + 1;
        let declared = Some(declared(&table)?);
        self.keep(incarnation, Learnt { kept: KeptTable { revision, first_seal: number, declared, shapes }, table })
    }

    /// The revision under which seal `number`, which uses `learnt`, declares it; `None`: that was done before.
    /// `is_as_created`: the stream was never updated.
    pub fn declare(
        &self,
        incarnation: Incarnation,
        learnt: &Learnt,
        number: u64,
        declared: String,
        is_as_created: bool,
    ) -> Result<Option<u64>, StageRunError> {
        let Learnt { kept, table } = learnt;
        // A file without it is of a program that could not update streams.
        if kept.declared.as_ref().map_or(is_as_created, |known| *known == declared) {
            return Ok((kept.first_seal == number).then_some(kept.revision));
        }
        let was_declared = kept.first_seal != 0 && kept.first_seal != number;
        let revision = kept.revision + u64::from(was_declared);
        let kept = KeptTable { revision, first_seal: number, declared: Some(declared), shapes: kept.shapes.clone() };
        self.keep(incarnation, Learnt { kept, table: table.clone() })?;
        Ok(Some(revision))
    }

    /// Seal `number` does not convert by a learnt table: one that was to be declared with it is not. A table that is
    /// damaged holds up nothing that does not use it.
    pub fn unused(&self, incarnation: Incarnation, number: u64) -> Result<(), StageRunError> {
        let known = self.loaded.lock().get(&incarnation).cloned();
        let learnt = match known {
            Some(looked) => looked,
            None => match self.load(incarnation) {
                Err(StageRunError::NotReady { .. }) => None,
                looked => looked?,
            },
        };
        let Some(learnt) = learnt else { return Ok(()) };
        if learnt.kept.first_seal != number {
            return Ok(());
        }
        let kept = KeptTable { first_seal: 0, declared: Some(String::new()), ..learnt.kept.clone() };
        self.keep(incarnation, Learnt { kept, table: learnt.table.clone() })
    }

    fn keep(&self, incarnation: Incarnation, learnt: Learnt) -> Result<(), StageRunError> {
        // ORDER: the table, then the seal that uses it: later tables must widen this one.
        replace_file(&*self.disk, &self.path(incarnation), &codec::encode(&learnt.kept))?;
        failpoint::crash_at(failpoint::AFTER_LEARN);
        self.note(incarnation, learnt);
        Ok(())
    }

    /// What is told of a table that was loaded.
    pub fn status(&self, incarnation: Incarnation) -> Option<LearntStatus> {
        let learnt = self.loaded.lock().get(&incarnation).cloned()??;
        Some(LearntStatus { revision: learnt.kept.revision, columns: learnt.kept.shapes.columns.len() as u64 })
    }

    /// The stream is gone.
    pub fn forget(&self, incarnation: Incarnation) {
        self.loaded.lock().remove(&incarnation);
    }

    fn note(&self, incarnation: Incarnation, learnt: Learnt) -> Arc<Learnt> {
        let learnt = Arc::new(learnt);
        self.loaded.lock().insert(incarnation, Some(Arc::clone(&learnt)));
        learnt
    }

    fn path(&self, incarnation: Incarnation) -> PathBuf {
        self.streams_dir.join(incarnation.to_string()).join(FILE)
    }
}
