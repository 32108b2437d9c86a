//! The transforms folder: `NAME.wasm`, or `NAME@VERSION.wasm` for an ARN with a version.
//!
//! A module is compiled when a stream first asks for it and again when its file changed; streams share it. A file that
//! went bad or is gone does no harm to who uses it: the module in use stays, and the problem is reported until mended.

use super::host::{Host, HostError, TransformLimits};
use super::load_error::LoadError;
use super::module::Module;
use crate::stream::definition::TransformSpec;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// The version that means "the newest", which is the file without a version.
const NEWEST: &str = "$LATEST";

/// A component above it takes seconds to compile.
const LARGE_BYTES: usize = 4 << 20;

/// Transforms by name. Calls block: they read files and compile.
pub struct TransformFolder {
    dir: PathBuf,
    host: Arc<Host>,
    loaded: Mutex<HashMap<Key, Arc<Mutex<Loaded>>>>,
    /// Of `loaded`, to be asked for while a file is being compiled.
    problems: Mutex<HashMap<Key, LoadError>>,
}

/// A file, and whether its code counts fuel.
type Key = (String, bool);

impl std::fmt::Debug for TransformFolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransformFolder").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// What is known of one file.
#[derive(Default)]
struct Loaded {
    module: Option<Arc<Module>>,
    /// The state of the file that was looked at last, good or bad.
    seen: Option<Stamp>,
    problem: Option<LoadError>,
}

/// Tells a changed file from an unchanged one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    len_bytes: u64,
    modified: (i64, i64),
}

impl TransformFolder {
    /// A folder, which need not exist yet. Compiled code is kept in memory, once a process.
    pub fn new(dir: PathBuf, limits: TransformLimits) -> Result<Self, HostError> {
        Self::keeping_code(dir, limits, None)
    }

    /// As [`Self::new`], with compiled code kept in `code_dir` as well. Who can write there can have the service run what
    /// they like; what is there must be what was written, so a folder is not used beyond a power cut.
    pub fn keeping_code(dir: PathBuf, limits: TransformLimits, code_dir: Option<PathBuf>) -> Result<Self, HostError> {
        Ok(Self {
            dir,
            host: Arc::new(Host::new(limits, code_dir)?),
            loaded: Mutex::default(),
            problems: Mutex::default(),
        })
    }

    /// The module a stream names, as its file is now; the one before when the file is not usable now.
    pub fn load(&self, spec: &TransformSpec) -> Result<Arc<Module>, LoadError> {
        let file_name = file_name(spec)?;
        let key = (file_name, spec.fuel.is_some());
        let (file_name, is_metered) = &key;
        let entry = Arc::clone(self.loaded.lock().entry(key.clone()).or_default());
        let mut loaded = entry.lock();
        if let Err(problem) = self.refresh(file_name, *is_metered, &mut loaded) {
            if loaded.module.is_some() {
                let text = problem.to_string();
                tracing::warn!(file_name, "transform not replaced, the one loaded before stays: {text}");
            }
            loaded.problem = Some(problem);
        }
        match &loaded.problem {
            Some(problem) => self.problems.lock().insert(key.clone(), problem.clone()),
            None => self.problems.lock().remove(&key),
        };
        match (&loaded.module, &loaded.problem) {
            (Some(module), _) => Ok(Arc::clone(module)),
            (None, Some(problem)) => Err(problem.clone()),
            (None, None) => Err(LoadError::NotFound(file_name.clone())),
        }
    }

    /// Whether the file a stream names can be used as it is now, even if a module from before is in use.
    pub fn examine(&self, spec: &TransformSpec) -> Result<(), LoadError> {
        self.load(spec)?;
        self.problem(spec).map_or(Ok(()), Err)
    }

    /// Why the newest file of this transform is not in use, if it is not. As of the last `load`; never waits for one.
    pub fn problem(&self, spec: &TransformSpec) -> Option<LoadError> {
        self.problems.lock().get(&(file_name(spec).ok()?, spec.fuel.is_some())).cloned()
    }

    /// Brings `loaded` up to date. An error is returned once for each state of the file.
    fn refresh(&self, file_name: &str, is_metered: bool, loaded: &mut Loaded) -> Result<(), LoadError> {
        let path = self.dir.join(file_name);
        let unusable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => LoadError::NotFound(path.display().to_string()),
            _ => LoadError::Unreadable { file: path.display().to_string(), reason: error.to_string() },
        };
        let stamp = match std::fs::metadata(&path) {
            Ok(metadata) => Stamp {
                inode: metadata.ino(),
                len_bytes: metadata.len(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
            },
            Err(error) => {
                let news = loaded.seen.take().is_some() || loaded.problem.is_none();
                return if news { Err(unusable(error)) } else { Ok(()) };
            }
        };
        if loaded.seen == Some(stamp) {
            return Ok(());
        }
        let wasm = std::fs::read(&path).map_err(unusable)?;
        // The stamp is older than what was read: a change in between is seen at the next look.
        loaded.seen = Some(stamp);
        let (found_before, began) = (self.host.found_compiled(), Instant::now());
        if wasm.len() > LARGE_BYTES {
            // Made of JavaScript or Python: who waits for the stream should know what for.
            tracing::info!(
                file_name,
                bytes = wasm.len(),
                "transform being loaded; to compile it for the first time takes a while"
            );
        }
        let module = Module::compile(&self.host, &wasm, is_metered)?;
        let (sha256_hex, replaces) = (&module.sha256_hex, loaded.module.is_some());
        let found_compiled = self.host.found_compiled() > found_before;
        let took_ms = began.elapsed().as_millis() as u64;
        tracing::info!(file_name, sha256_hex, replaces, found_compiled, took_ms, "transform loaded");
        loaded.module = Some(Arc::new(module));
        loaded.problem = None;
        Ok(())
    }
}

/// The file of a transform. Names come from an ARN, so nothing in them may lead out of the folder.
pub fn file_name(spec: &TransformSpec) -> Result<String, LoadError> {
    let good = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        (1..=140).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('.')
    };
    let version = spec.version.as_deref().filter(|version| *version != NEWEST);
    match [Some(spec.function.as_str()), version].into_iter().flatten().find(|name| !good(name)) {
        Some(bad) => Err(LoadError::BadName(bad.to_owned())),
        None => Ok(match version {
            Some(version) => format!("{}@{version}.wasm", spec.function),
            None => format!("{}.wasm", spec.function),
        }),
    }
}
