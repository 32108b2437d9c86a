//! Tests of the puts: the parser against its oracle, the service against a log in memory.

mod corpus;
pub(crate) mod double;
mod oracle;
mod requests;
mod service;
