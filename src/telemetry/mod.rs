//! Metrics and logs: what the operator sees.
//!
//! - [`metrics`]: the list of all metrics and the named functions that call sites use; nothing else knows a metric's name.
//! - [`series`]: counters, gauges and histograms, which the list is made of.
//! - [`exposition`]: the Prometheus text of them, and of the streams' status.
//! - [`status`]: what a stream tells about itself, and what an operator may ask of it. The data plane implements it, the
//!   admin listener shows it.
//! - [`logging`]: structured logs to standard error.
//!
//! A foundation: it knows no domain type, so every module may count and log.

pub mod exposition;
pub mod logging;
pub mod metrics;
mod series;
pub mod status;

pub use logging::LogFormat;
