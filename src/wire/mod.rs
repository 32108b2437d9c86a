//! AWS JSON 1.1 without the transport: targets, errors, shapes, record ids.
//!
//! From: `server` hands headers and bodies in. To: `control` and `ingest` answer with [`ApiError`]. Nothing here knows
//! HTTP beyond a status number, and nothing does I/O.

mod error;
mod nearest;
mod patterns;
mod record_id;
mod shape;
mod target;
#[cfg(test)]
mod tests;
mod violations;

pub use error::ApiError;
pub use nearest::nearest;
pub use patterns::Pattern;
pub use record_id::record_id;
pub use shape::{Compatibility, Findings, Member, Shape, Text, check, parse, without_nulls};
pub use target::{OPERATIONS, TARGET_PREFIX, operation};
pub use violations::Violations;
