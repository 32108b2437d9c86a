//! Joins records byte for byte and compresses them.
