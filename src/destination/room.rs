//! Room in the heap for the pieces of bodies under way: one bound for all bodies that share it.
//!
//! To: `body`. Nobody waits for room, or bodies that nobody takes would hold up those of others. In its place pieces become
//! smaller the less room is left, down to [`LEAST_PIECE_BYTES`], which each gets beyond the bound if need be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The piece that a body gets when there is no room.
pub const LEAST_PIECE_BYTES: u64 = 4 << 10;
/// A piece takes no more than this part of what is left, so that it is never gone all at once.
const SHARE: u64 = 16;

/// See the module.
#[derive(Debug)]
pub struct Room {
    left_bytes: AtomicU64,
}

/// Room that a piece has until it is dropped.
#[derive(Debug)]
pub struct Taken {
    room: Arc<Room>,
    /// Out of the room.
    counted_bytes: u64,
    length_bytes: u64,
}

/// A piece in its room.
#[derive(Debug)]
pub struct Piece {
    bytes: Vec<u8>,
    _taken: Option<Taken>,
}

impl Piece {
    /// A piece, and the room that it has.
    pub fn new(bytes: Vec<u8>, taken: Option<Taken>) -> Self {
        Self { bytes, _taken: taken }
    }
}

impl Room {
    /// Room for so many bytes.
    pub fn new(bytes: u64) -> Self {
        Self { left_bytes: AtomicU64::new(bytes) }
    }

    /// Room for a piece of `wanted_bytes`, or for a smaller one.
    pub fn take(self: &Arc<Self>, wanted_bytes: u64) -> Taken {
        let mut counted_bytes = 0;
        let take = |left: u64| {
            let length_bytes = wanted_bytes.min((left / SHARE).max(LEAST_PIECE_BYTES));
            counted_bytes = length_bytes.min(left);
            Some(left - counted_bytes)
        };
        // Never refused.
        let _ = self.left_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        let length_bytes = counted_bytes.max(wanted_bytes.min(LEAST_PIECE_BYTES));
        Taken { room: self.clone(), counted_bytes, length_bytes }
    }
}

impl Taken {
    /// Length of the piece that there is room for.
    pub fn length_bytes(&self) -> u64 {
        self.length_bytes
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.left_bytes.fetch_add(self.counted_bytes, Ordering::Relaxed);
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_smaller_and_nobody_waits() {
        let whole = 1 << 20;
        let room = Arc::new(Room::new(whole));
        let mut held: Vec<Taken> = Vec::new();
        let mut before = u64::MAX;
        for _ in 0..1000 {
            let taken = room.take(256 << 10);
            assert!(taken.length_bytes() <= before && taken.length_bytes() >= LEAST_PIECE_BYTES);
            before = taken.length_bytes();
            held.push(taken);
        }
        let counted: u64 = held.iter().map(|taken| taken.counted_bytes).sum();
        assert_eq!((held[0].length_bytes(), before, counted), (whole / SHARE, LEAST_PIECE_BYTES, whole));
        assert_eq!(room.take(10).length_bytes(), 10);
        drop(held);
        assert_eq!(room.left_bytes.load(Ordering::Relaxed), whole);
        assert_eq!(room.take(100).length_bytes(), 100);
    }
}
