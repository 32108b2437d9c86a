//! Keeps the text of a panic where the service looks for it when a call has trapped, so that it stands in the error record
//! and in the log. Without it a panic says no more than that it happened.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

#[repr(C)]
struct LastWords {
    mark: [u8; 16],
    text: AtomicPtr<u8>,
    text_bytes: AtomicUsize,
}

#[used]
static LAST_WORDS: LastWords =
    LastWords { mark: *b"hydrant.lastword", text: AtomicPtr::new(null_mut()), text_bytes: AtomicUsize::new(0) };

/// Has panics leave their text; to be called first.
pub fn keep() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.to_string().leak();
        LAST_WORDS.text_bytes.store(text.len(), Ordering::Relaxed);
        LAST_WORDS.text.store(text.as_mut_ptr(), Ordering::Relaxed);
    }));
}
