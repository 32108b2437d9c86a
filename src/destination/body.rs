//! The body of an upload or a request: a range of a parcel, read in pieces on threads that may block.
//!
//! From: [`ParcelBytes`]. To: the HTTP client. At most two pieces are in the heap, whatever the parcel's size, and those of
//! bodies that share a `room` are within that. The bytes are summed on their way; when the sum is not the
//! expected one the last piece is withheld, so that the store never has a whole body of damaged bytes to keep.

use super::room::{Piece, Room, Taken};
use crate::destination::{DeliveryError, ParcelBytes};
use crate::fault::{Class, Retry};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::future::Future;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Bytes read at once.
const PIECE_BYTES: u64 = 256 << 10;

/// Why a body broke on this side of the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocalFault {
    /// The bytes cannot be read.
    #[error("the parcel's bytes cannot be read from the data folder: {0}")]
    Unreadable(String),
    /// The bytes are not those that were sealed.
    #[error("the parcel's bytes have CRC-32C {found:08x}, {expected:08x} was sealed: the data folder is damaged")]
    Damaged {
        /// Checksum in the seal.
        expected: u32,
        /// Checksum of what was read.
        found: u32,
    },
    /// What it was sent for has ended.
    #[error("what it was sent for ended before all of it was sent")]
    Over,
}

impl LocalFault {
    /// What an attempt fails with for it.
    pub fn error(&self) -> DeliveryError {
        let (code, retry) = match self {
            // What has ended is not told as this; see `Sending`.
            Self::Unreadable(_) | Self::Over => ("Outbox.Unreadable", Retry::Backoff),
            Self::Damaged { .. } => ("Outbox.Damaged", Retry::Never),
        };
        let message = self.to_string();
        DeliveryError { code: code.to_owned(), message, class: Class::Upstream, retry, not_before: None }
    }
}

/// What the sender knows of a body that the HTTP client has.
#[derive(Debug, Default)]
pub struct Progress {
    fault: OnceLock<LocalFault>,
    taken_bytes: AtomicU64,
    is_all_taken: AtomicBool,
    all_taken: Notify,
    is_over: AtomicBool,
}

impl Progress {
    /// The fault the body broke with. What the HTTP client makes of it cannot be told from the store's.
    pub fn fault(&self) -> Option<&LocalFault> {
        self.fault.get()
    }

    /// Bytes handed to the connection so far.
    pub fn taken_bytes(&self) -> u64 {
        self.taken_bytes.load(Ordering::Relaxed)
    }

    /// Whether the last byte was handed to the connection.
    pub fn is_all_taken(&self) -> bool {
        self.is_all_taken.load(Ordering::Relaxed)
    }

    fn set_all_taken(&self) {
        self.is_all_taken.store(true, Ordering::Relaxed);
        self.all_taken.notify_one();
    }

    /// Returns when the last byte was handed to the connection. For one waiter.
    pub async fn all_taken(&self) {
        self.all_taken.notified().await;
    }
}

/// What a body is sent for. When this is dropped, with an answer or because nobody waits for one any more, nothing more of
/// the body is sent: what is on its way is cut off. For receivers that act on requests; in a store, what is still put after
/// an attempt is the same object.
#[derive(Debug, Default)]
pub struct Sending {
    pub progress: Arc<Progress>,
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.progress.is_over.store(true, Ordering::Relaxed);
    }
}

/// A body of known length.
#[derive(Debug)]
pub struct ParcelBody {
    bytes: Arc<dyn ParcelBytes>,
    /// First byte not yet asked for.
    next: u64,
    /// End of the range.
    upto: u64,
    /// Bytes not yet handed over.
    left_bytes: u64,
    crc32c: u32,
    expected_crc32c: u32,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    progress: Arc<Progress>,
    room: Option<Arc<Room>>,
}

impl ParcelBody {
    /// The bytes of `range`, whose CRC-32C must be `expected_crc32c`.
    pub fn new(bytes: Arc<dyn ParcelBytes>, range: Range<u64>, expected_crc32c: u32, progress: Arc<Progress>) -> Self {
        if range.is_empty() {
            progress.set_all_taken();
        }
        Self {
            bytes,
            next: range.start,
            upto: range.end,
            left_bytes: range.end - range.start,
            crc32c: 0,
            expected_crc32c,
            reading: None,
            progress,
            room: None,
        }
    }

    /// With pieces in this room.
    pub fn within(self, room: Arc<Room>) -> Self {
        Self { room: Some(room), ..self }
    }

    fn read_ahead(&mut self) {
        let wanted_bytes = PIECE_BYTES.min(self.upto - self.next);
        if wanted_bytes == 0 || self.reading.is_some() {
            return;
        }
        let taken = self.room.as_ref().map(|room| room.take(wanted_bytes));
        let length_bytes = taken.as_ref().map_or(wanted_bytes, Taken::length_bytes);
        let (bytes, offset_bytes) = (Arc::clone(&self.bytes), self.next);
        self.next += length_bytes;
        self.reading = Some(tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; length_bytes as usize];
            bytes.read_exact_at(&mut piece, offset_bytes)?;
            Ok(Bytes::from_owner(Piece::new(piece, taken)))
        }));
    }

    fn broken(&self, fault: LocalFault) -> LocalFault {
        // Only the first fault matters.
        let _ = self.progress.fault.set(fault.clone());
        fault
    }
}

impl Body for ParcelBody {
    type Data = Bytes;
    type Error = LocalFault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, LocalFault>>> {
        let this = self.get_mut();
        if this.left_bytes == 0 {
            return Poll::Ready(None);
        }
        if this.progress.is_over.load(Ordering::Relaxed) {
            return Poll::Ready(Some(Err(LocalFault::Over)));
        }
        this.read_ahead();
        let Some(reading) = this.reading.as_mut() else { return Poll::Ready(None) };
        let read = ready!(Pin::new(reading).poll(cx));
        this.reading = None;
        let piece = match read {
            Ok(Ok(piece)) => piece,
            Ok(Err(error)) => return Poll::Ready(Some(Err(this.broken(LocalFault::Unreadable(error.to_string()))))),
            Err(died) => return Poll::Ready(Some(Err(this.broken(LocalFault::Unreadable(died.to_string()))))),
        };
        this.crc32c = crc32c::crc32c_append(this.crc32c, &piece);
        if this.left_bytes == piece.len() as u64 && this.crc32c != this.expected_crc32c {
            let fault = LocalFault::Damaged { expected: this.expected_crc32c, found: this.crc32c };
            return Poll::Ready(Some(Err(this.broken(fault))));
        }
        this.left_bytes -= piece.len() as u64;
        this.progress.taken_bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
        if this.left_bytes == 0 {
            this.progress.set_all_taken();
        }
        this.read_ahead();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left_bytes == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left_bytes)
    }
}

/// The CRC-32C of `range`, read piece by piece on a thread that may block.
pub async fn crc32c_of(bytes: Arc<dyn ParcelBytes>, range: Range<u64>) -> Result<u32, LocalFault> {
    let summed = tokio::task::spawn_blocking(move || -> io::Result<u32> {
        let mut piece = vec![0; PIECE_BYTES.min(range.end - range.start) as usize];
        let (mut sum, mut at) = (0, range.start);
        while at < range.end {
            let length_bytes = PIECE_BYTES.min(range.end - at);
            let piece = &mut piece[..length_bytes as usize];
            bytes.read_exact_at(piece, at)?;
            sum = crc32c::crc32c_append(sum, piece);
            at += length_bytes;
        }
        Ok(sum)
    });
    match summed.await {
        Ok(Ok(sum)) => Ok(sum),
        Ok(Err(error)) => Err(LocalFault::Unreadable(error.to_string())),
        Err(died) => Err(LocalFault::Unreadable(died.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::room::LEAST_PIECE_BYTES;
    use super::*;
    use http_body_util::BodyExt;
    use parking_lot::Mutex;

    /// Bytes that remember what was asked of them.
    #[derive(Debug)]
    struct Watched {
        bytes: Vec<u8>,
        reads: Mutex<Vec<(u64, usize)>>,
    }

    impl Watched {
        fn new(length_bytes: usize) -> Arc<Self> {
            let bytes = (0..length_bytes).map(|i| (i * 31 % 251) as u8).collect();
            Arc::new(Self { bytes, reads: Mutex::default() })
        }
    }

    impl ParcelBytes for Watched {
        fn length_bytes(&self) -> u64 {
            self.bytes.len() as u64
        }
        fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
            self.reads.lock().push((offset_bytes, buffer.len()));
            let at = offset_bytes as usize;
            let found = self.bytes.get(at..at + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(found);
            Ok(())
        }
    }

    #[tokio::test]
    async fn hands_over_the_range_in_pieces() {
        let bytes = Watched::new(3 * PIECE_BYTES as usize + 17);
        for range in [0..bytes.length_bytes(), 5..6, 7..PIECE_BYTES + 7, 9..9, PIECE_BYTES..3 * PIECE_BYTES + 1] {
            bytes.reads.lock().clear();
            let expected = &bytes.bytes[range.start as usize..range.end as usize];
            let sum = crc32c::crc32c(expected);
            assert_eq!(crc32c_of(bytes.clone(), range.clone()).await.unwrap(), sum);
            let progress = Arc::new(Progress::default());
            let body = ParcelBody::new(bytes.clone(), range.clone(), sum, progress.clone());
            assert_eq!(body.size_hint().exact(), Some(expected.len() as u64));
            assert_eq!(body.collect().await.unwrap().to_bytes(), expected, "{range:?}");
            assert!(progress.fault().is_none());
            progress.all_taken().await;
            assert!(bytes.reads.lock().iter().all(|(_, length)| *length as u64 <= PIECE_BYTES));
        }
    }

    #[tokio::test]
    async fn pieces_are_as_large_as_there_is_room() {
        let bytes = Watched::new(3 * PIECE_BYTES as usize + 17);
        let sum = crc32c::crc32c(&bytes.bytes);
        let body = |room: &Arc<Room>| {
            let whole = 0..bytes.length_bytes();
            ParcelBody::new(bytes.clone(), whole, sum, Arc::default()).within(room.clone())
        };
        let room = Arc::new(Room::new(16 * PIECE_BYTES));
        let mut waits = body(&room);
        let first = waits.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first.len() as u64, PIECE_BYTES);
        // What waits takes away from what the others have, and gives it back.
        assert!(room.take(PIECE_BYTES).length_bytes() < PIECE_BYTES);
        assert_eq!(body(&room).collect().await.unwrap().to_bytes(), bytes.bytes);
        drop(waits);
        drop(first);
        let none = Arc::new(Room::new(0));
        bytes.reads.lock().clear();
        assert_eq!(body(&none).collect().await.unwrap().to_bytes(), bytes.bytes);
        assert!(bytes.reads.lock().iter().all(|(_, length)| *length as u64 <= LEAST_PIECE_BYTES));
    }

    #[tokio::test]
    async fn what_is_over_is_cut_off() {
        let bytes = Watched::new(3 * PIECE_BYTES as usize);
        let sending = Sending::default();
        let progress = sending.progress.clone();
        let mut body = ParcelBody::new(bytes.clone(), 0..bytes.length_bytes(), 1, progress.clone());
        body.frame().await.unwrap().unwrap();
        drop(sending);
        assert_eq!(body.frame().await.unwrap().unwrap_err(), LocalFault::Over);
        // It is nobody's fault.
        assert!(progress.fault().is_none() && !progress.is_all_taken());
    }

    #[tokio::test]
    async fn damaged_bytes_never_go_out_whole() {
        let bytes = Watched::new(2 * PIECE_BYTES as usize);
        let progress = Arc::new(Progress::default());
        let mut body = ParcelBody::new(bytes.clone(), 0..bytes.length_bytes(), 1, progress.clone());
        let first = body.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap().len() as u64, PIECE_BYTES);
        let found = crc32c::crc32c(&bytes.bytes);
        assert_eq!(body.frame().await.unwrap().unwrap_err(), LocalFault::Damaged { expected: 1, found });
        assert_eq!(progress.fault(), Some(&LocalFault::Damaged { expected: 1, found }));
    }

    #[tokio::test]
    async fn a_short_file_is_a_local_fault() {
        let bytes = Watched::new(10);
        let progress = Arc::new(Progress::default());
        let body = ParcelBody::new(bytes.clone(), 0..11, 0, progress.clone());
        assert!(body.collect().await.is_err());
        assert!(matches!(progress.fault(), Some(LocalFault::Unreadable(_))));
        assert!(crc32c_of(bytes, 0..11).await.is_err());
    }
}
