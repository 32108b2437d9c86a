//! WASM transforms.
