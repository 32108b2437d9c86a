//! A scripted proxy in front of an S3 server, to see what the S3 destination makes of faults.
//!
//! `message` reads and writes HTTP/1.1 messages as bytes; `proxy` plays the script; `upstream` is the real server with
//! the judge's own look at it; `matrix` says which faults meet which calls; `scenario` delivers parcels through the proxy
//! and compares; `service` does so with a whole service and its ledger.

pub mod matrix;
pub mod message;
pub mod proxy;
pub mod scenario;
pub mod service;
pub mod upstream;
