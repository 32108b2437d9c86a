//! What a program may use for one record, and how it stops.
//!
//! Steps and bytes are counted, not time: the same record ends the same way on every machine.

use super::value::Value;

/// Steps of one record: evaluations, elements and blocks of 32 bytes looked at.
pub const MAX_STEPS: u64 = 1_000_000;
/// Bytes that one record may allocate, all of them added up.
pub const MAX_BYTES: u64 = 64 << 20;
/// Evaluations inside of each other on the stack of the caller.
pub const SHALLOW_NESTING: u32 = 150;
/// Evaluations inside of each other on a stack of [`DEEP_STACK_BYTES`].
pub const DEEP_NESTING: u32 = 6000;
/// A stack for programs that nest deeper; only what is used of it is taken.
pub const DEEP_STACK_BYTES: usize = 64 << 20;

/// Why an evaluation ended early.
#[derive(Debug, Clone)]
pub enum Stop {
    /// jq's error with its value.
    Error(Value),
    /// `break` to the label of that number.
    Break(u64),
    /// A limit was reached; no `try` catches it.
    Limit(&'static str),
    /// Evaluations nest deeper than the run allows.
    Deep,
}

impl Stop {
    /// An error whose value is a text.
    pub fn error(text: impl AsRef<str>) -> Self {
        Self::Error(Value::text(text.as_ref()))
    }
}

/// What is left of the limits.
#[derive(Debug)]
pub struct Run {
    steps: u64,
    bytes: u64,
    nesting: u32,
    max_nesting: u32,
    labels: u64,
}

impl Default for Run {
    fn default() -> Self {
        Self::nesting_to(SHALLOW_NESTING)
    }
}

impl Run {
    /// A run with all limits before it.
    pub fn nesting_to(max_nesting: u32) -> Self {
        Self { steps: MAX_STEPS, bytes: MAX_BYTES, nesting: 0, max_nesting, labels: 0 }
    }

    /// Takes `steps`.
    #[inline]
    pub fn take_steps(&mut self, steps: u64) -> Result<(), Stop> {
        match self.steps.checked_sub(steps) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => Err(Stop::Limit("it takes too many steps")),
        }
    }

    /// Takes `bytes` of memory, and the steps to fill them.
    pub fn take_bytes(&mut self, bytes: usize) -> Result<(), Stop> {
        self.take_steps(bytes as u64 / 32)?;
        match self.bytes.checked_sub(bytes as u64) {
            Some(left) => {
                self.bytes = left;
                Ok(())
            }
            None => Err(Stop::Limit("it takes too much memory")),
        }
    }

    /// Begins an evaluation inside of another.
    #[inline]
    pub fn enter(&mut self) -> Result<(), Stop> {
        self.take_steps(1)?;
        if self.nesting >= self.max_nesting {
            return Err(Stop::Deep);
        }
        self.nesting += 1;
        Ok(())
    }

    /// Ends it.
    #[inline]
    pub fn leave(&mut self) {
        self.nesting -= 1;
    }

    /// A new label.
    pub fn label(&mut self) -> u64 {
        self.labels += 1;
        self.labels
    }
}
