//! The vocabulary of a stream: name, definition, prefix, lane, position, seal. Types without I/O.

pub mod definition;
pub mod id;
pub mod name;
pub mod number_set;
pub mod position;
pub mod prefix;
pub mod seal;

pub use id::{Id128, Incarnation, SealId};
pub use name::StreamName;
pub use number_set::NumberSet;
pub use position::{Position, Run};
