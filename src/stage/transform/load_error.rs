//! Why a component cannot be used. From: [`super::module`] and [`super::folder`]. To: whoever names a transform.

use super::abi;
use crate::fault::{Class, Fault, Retry};

/// A component that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoadError {
    /// Not a name of a function or version.
    #[error("'{0}' does not name a transform: 1 to 140 of a-z, A-Z, 0-9, '_', '-' and, inside, '.'")]
    BadName(String),
    /// No such file.
    #[error("there is no transform {0}")]
    NotFound(String),
    /// The file cannot be read.
    #[error("transform {file} cannot be read: {reason}")]
    Unreadable {
        /// Its path.
        file: String,
        /// The system's words.
        reason: String,
    },
    /// A component that the engine does not take: cut off, damaged, or with features that it does not know.
    #[error("not a component that can be used, cut off or damaged perhaps: {0}")]
    Invalid(String),
    /// Not a component.
    #[error(
        "not a WebAssembly component (`hydrant transform wrap` makes one of a core module or of a Lambda handler): {0}"
    )]
    NotAComponent(String),
    /// It wants something of the host.
    #[error("it imports {}; a transform may import no function", .0.join(", "))]
    Imports(Vec<String>),
    /// It exports neither world.
    #[error("it exports neither {} nor {}, but {}", abi::TRANSFORMER, abi::PACKED, .0.join(", "))]
    NoWorld(Vec<String>),
    /// The function has other types.
    #[error("its function has not the types of the contract: {0}")]
    Types(String),
    /// It cannot even be instantiated.
    #[error("it does not start: {0}")]
    Start(String),
}

impl Fault for LoadError {
    fn class(&self) -> Class {
        match self {
            Self::Unreadable { .. } => Class::Upstream,
            _ => Class::User,
        }
    }

    fn retry(&self) -> Retry {
        Retry::AfterOperator
    }
}
