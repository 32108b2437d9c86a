//! Nothing: the benchmark is `stages.rs`.
