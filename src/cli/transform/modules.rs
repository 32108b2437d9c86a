//! A component from any file, loaded as the service loads those of its folder.
//!
//! What was compiled is kept in the user's cache, as the service keeps it in its data folder: a component made of
//! JavaScript or Python takes many seconds.

use super::shape::{Kind, Shape};
use super::text::escaped;
use crate::app::code_dir;
use crate::cli::Failure;
use crate::disk::RealDisk;
use crate::stage::transform::{Host, LoadError, Module, TransformLimits};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// A component that the service would take.
pub(super) struct Loaded {
    /// Ready to be called.
    pub module: Arc<Module>,
    /// What that took.
    pub took: Duration,
    /// It was compiled before.
    pub was_kept: bool,
}

/// Reads `file` and compiles it, or finds it compiled. `is_metered`: it counts its fuel.
pub(super) fn load(file: &Path, is_metered: bool) -> Result<Loaded, Failure> {
    let wasm = read(file)?;
    let host = Arc::new(Host::new(TransformLimits::default(), kept_code())?);
    let began = Instant::now();
    let module = Module::compile(&host, &wasm, is_metered)
        .map_err(|error| format!("{}: {}", file.display(), reason(&wasm, &error)))?;
    let took = began.elapsed();
    Ok(Loaded { module: Arc::new(module), took, was_kept: host.found_compiled() > 0 })
}

/// The bytes of `file`.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let cannot = |error| format!("cannot read {}: {error}", file.display());
    let meta = fs::metadata(file).map_err(cannot)?;
    if meta.is_dir() {
        return Err(format!("{} is a folder; give a .wasm file", file.display()).into());
    }
    if meta.len() > MAX_FILE_BYTES {
        return Err(format!("{} is larger than 1 GiB, which no component is", file.display()).into());
    }
    Ok(fs::read(file).map_err(cannot)?)
}

/// Compiles a component with the limits of the service, and what that takes.
pub(super) fn compile(wasm: &[u8]) -> Result<(Result<Module, LoadError>, Duration), Failure> {
    let host = Arc::new(Host::new(TransformLimits::default(), None)?);
    let began = Instant::now();
    let module = Module::compile(&host, wasm, false);
    Ok((module, began.elapsed()))
}

/// Compiles a component that was just made, and keeps its code for the commands that follow.
pub(super) fn compile_and_keep(wasm: &[u8]) -> Result<Arc<Module>, Failure> {
    let host = Arc::new(Host::new(TransformLimits::default(), kept_code())?);
    let module = Module::compile(&host, wasm, false);
    Ok(Arc::new(module.map_err(|error| format!("the component would be refused: {}", escaped(&error.to_string())))?))
}

/// Why the service does not take these bytes, on a line, for a person who has them at hand.
pub(super) fn reason(wasm: &[u8], error: &LoadError) -> String {
    match Shape::of(wasm).kind {
        Kind::Other => "it is no WebAssembly".to_owned(),
        Kind::CoreModule => "it is a core module, not a component; `hydrant transform wrap` makes one of it".to_owned(),
        Kind::Component => escaped(&error.to_string()),
    }
}

/// The folder of this user for what can be made again, if there is one.
pub(super) fn cache_dir() -> Option<PathBuf> {
    let dir = |name: &str| env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let cache = dir("XDG_CACHE_HOME").or_else(|| Some(dir("HOME")?.join(".cache")))?;
    Some(cache.join("hydrant"))
}

/// The folder of this user for compiled code, if there is one.
fn kept_code() -> Option<PathBuf> {
    code_dir(&RealDisk, &cache_dir()?.join("compiled"))
}
