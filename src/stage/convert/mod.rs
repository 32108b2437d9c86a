//! JSON to columns.
