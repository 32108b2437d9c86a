//! WASM transforms: the records of a chunk through a guest component, in place of a Lambda function.
//!
//! From: `delivery` loads the [`Module`] a stream names at the cut and makes a [`Stage`](crate::stage::Stage) of it.
//! To: `convert` or `compress` with what passed; the error area with what was refused.
//!
//! The contract with guests is `transforms/wit/transform.wit`. From the inside out:
//! - [`host`]: the engine and its limits; [`turns`]: how calls that take long share processors;
//! - [`abi`]: the contract's types; [`packed`]: its packed layout;
//! - [`lasting`]: what is left out of a component; [`adapted`]: what is put in; [`flat`]: the answer it then leaves;
//! - [`module`]: one validated component and one call of it; [`load_error`]: why there is none; [`reply`]: what a call
//!   returned; [`folder`]: the modules of a folder, reloaded on change;
//! - [`id`]: record ids; [`verdict`]: what an answer says of each record; [`cause`]: codes and messages;
//! - [`last_words`]: what a guest said before it trapped; [`halving`]: which records make a call fail; [`harvest`]: what
//!   calls have come to; [`guest_log`]: guest lines into the log; [`observe`]: who sees them instead; [`stage`]: all
//!   together.
//!
//! Invariants: a guest has no imports, so no clock, files or network; every call runs on a fresh instance under limits
//! of time, memory and output; whatever a guest does, every record passes, is dropped or is refused, exactly once.

mod abi;
mod adapted;
mod cause;
mod flat;
mod folder;
mod guest_log;
mod halving;
mod harvest;
mod host;
mod id;
mod last_words;
mod lasting;
mod load_error;
mod module;
mod observe;
mod packed;
mod reply;
mod stage;
mod turns;
mod verdict;

#[cfg(test)]
mod adapter_memory_tests;
#[cfg(test)]
mod adapter_tests;
#[cfg(test)]
mod enrich_tests;
#[cfg(test)]
mod proptests;
#[cfg(test)]
mod tests;

pub use abi::{LogLevel, LogLine, Operation, PACKED, TRANSFORMER};
pub use flat::flat_texts;
pub use folder::{TransformFolder, file_name};
pub use host::{Host, HostError, Interrupted, TransformLimits};
pub use load_error::LoadError;
pub use module::{Module, Used};
pub use observe::{Call, Observer};
pub use packed::packed_texts;
pub use stage::InvocationInfo;
pub use verdict::Answer;
