//! Multipart uploads. (being written)
