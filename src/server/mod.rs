//! Listeners and routes: HTTP on the outside, the operations of the API on the inside.
//!
//! - [`listener`]: accept loop, TLS, time-outs, graceful stop. Knows nothing of what is served.
//! - [`api`]: AWS JSON 1.1 and `POST /streams/{name}/records`.
//! - [`admin`]: health, metrics, streams, for the operator.
//! - `body`: request bodies, bounded in length and time; `stall`: answers, bounded in time; `answer`: what all answers
//!   have in common.
//!
//! Invariants: no body is read before its bytes are admitted; no request is without a bound in bytes and in time; a
//! request in flight when the stop is asked gets its answer.

pub mod admin;
mod answer;
pub mod api;
mod body;
pub mod listener;
mod stall;
mod tls;

#[cfg(test)]
mod tests;

pub use admin::Admin;
pub use answer::Answer;
pub use api::{Api, ControlPlane};
pub use body::BodyLimits;
pub use listener::{ConnectionLimits, ListenError, Listener, ListenerOptions, Routes};
pub use tls::TlsFiles;
