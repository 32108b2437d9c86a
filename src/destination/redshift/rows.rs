//! The bytes of a staged object as those that COPY takes from its standard input: read, decompressed and shaped on a thread
//! that may block, handed over piece by piece.
//!
//! Invariant: the last piece comes only when the object's checksum was found right, so damaged bytes are never committed.

use super::copy::Shape;
use super::errors::failed;
use super::json::{Columns, Lines};
use crate::destination::body::LocalFault;
use crate::destination::{Consignment, DeliveryError, ParcelBytes};
use crate::fault::Retry;
use crate::record::ParcelReader;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use std::io::{self, Read, Write};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Bytes handed over at once.
const PIECE_BYTES: usize = 128 << 10;
/// Pieces that may wait for the connection.
const PIECES_AHEAD: usize = 2;

/// The rows of an object under way.
#[derive(Debug)]
pub struct Rows {
    pieces: mpsc::Receiver<Bytes>,
    reading: JoinHandle<Result<(), DeliveryError>>,
}

impl Rows {
    /// Those of the object whose bytes a load has. `columns`: of the lines that its records become, if they are JSON.
    pub fn of(consignment: &Consignment, columns: Option<Columns>) -> Self {
        let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
        let parcel = &consignment.parcel;
        let source = Source {
            bytes: consignment.bytes.clone(),
            length_bytes: parcel.length_bytes,
            crc32c: parcel.crc32c,
            is_gzip: parcel.content_encoding.as_deref() == Some("gzip"),
            columns,
        };
        Self { pieces, reading: tokio::task::spawn_blocking(move || source.read_into(sender)) }
    }

    /// The next piece; none: all are there.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.pieces.recv().await
    }

    /// Whether all of it was handed over and right.
    pub async fn end(mut self) -> Result<(), DeliveryError> {
        self.pieces.close();
        match self.reading.await {
            Ok(ended) => ended,
            Err(died) => Err(LocalFault::Unreadable(died.to_string()).error()),
        }
    }
}

/// Columns of the lines that `shape` makes of records; `names` are those of the table.
pub fn columns(shape: Shape, names: Vec<String>) -> Option<Columns> {
    match shape {
        Shape::AsIs => None,
        Shape::Members { any_case } => Some(Columns::Named { names, any_case }),
        Shape::Whole => Some(Columns::Whole),
    }
}

struct Source {
    bytes: Arc<dyn ParcelBytes>,
    length_bytes: u64,
    crc32c: u32,
    is_gzip: bool,
    columns: Option<Columns>,
}

/// What ends reading.
enum Broken {
    /// The bytes, on this side.
    Local(LocalFault),
    /// The records.
    Data(String),
    /// Nobody takes pieces any more.
    Unwanted,
}

impl Source {
    fn read_into(self, pieces: mpsc::Sender<Bytes>) -> Result<(), DeliveryError> {
        match self.pump(Pieces { pieces, piece: Vec::new() }) {
            Ok(()) => Ok(()),
            Err(Broken::Local(fault)) => Err(fault.error()),
            Err(Broken::Data(what)) => {
                let message = format!("the records are not what CopyOptions say: {what}");
                Err(failed("DataLoadFailed", message, Retry::AfterOperator))
            }
            Err(Broken::Unwanted) => Err(failed("ConnectionFailed", "the session ended", Retry::Backoff)),
        }
    }

    fn pump(self, mut pieces: Pieces) -> Result<(), Broken> {
        if self.bytes.length_bytes() != self.length_bytes {
            return Err(Broken::Local(LocalFault::Damaged { expected: self.crc32c, found: 0 }));
        }
        let raw = ParcelReader::new(self.bytes, self.length_bytes);
        let mut summed = Summed { raw, crc32c: 0, has_failed: false };
        let mut lines = self.columns.map(Lines::new);
        let mut buffer = vec![0; PIECE_BYTES];
        let read = {
            let mut reader: Box<dyn Read + '_> =
                if self.is_gzip { Box::new(MultiGzDecoder::new(&mut summed)) } else { Box::new(&mut summed) };
            loop {
                let length = match reader.read(&mut buffer) {
                    Ok(0) => break Ok(()),
                    Ok(length) => length,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => break Err(error),
                };
                match &mut lines {
                    None => pieces.write_all(&buffer[..length]).map_err(|_| Broken::Unwanted)?,
                    Some(lines) => lines.push(&buffer[..length], &mut pieces).map_err(|error| match error.kind() {
                        io::ErrorKind::BrokenPipe => Broken::Unwanted,
                        _ => Broken::Data(error.to_string()),
                    })?,
                }
            }
        };
        if let Err(error) = &read
            && summed.has_failed
        {
            return Err(Broken::Local(LocalFault::Unreadable(error.to_string())));
        }
        // What cannot be decompressed is damaged, or was not sealed so: the checksum says which.
        io::copy(&mut summed, &mut io::sink())
            .map_err(|error| Broken::Local(LocalFault::Unreadable(error.to_string())))?;
        if summed.crc32c != self.crc32c {
            return Err(Broken::Local(LocalFault::Damaged { expected: self.crc32c, found: summed.crc32c }));
        }
        read.map_err(|error| Broken::Data(error.to_string()))?;
        if let Some(lines) = &mut lines {
            lines.finish().map_err(|malformed| Broken::Data(malformed.to_string()))?;
        }
        pieces.flush().map_err(|_| Broken::Unwanted)
    }
}

/// Sums what is read.
struct Summed {
    raw: ParcelReader,
    crc32c: u32,
    has_failed: bool,
}

impl Read for Summed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.raw.read(buffer);
        match read {
            Ok(length) => self.crc32c = crc32c::crc32c_append(self.crc32c, &buffer[..length]),
            Err(_) => self.has_failed = true,
        }
        read
    }
}

/// Hands pieces over. The last one waits for `flush`.
struct Pieces {
    pieces: mpsc::Sender<Bytes>,
    piece: Vec<u8>,
}

impl Pieces {
    fn hand_over(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        self.pieces.blocking_send(piece.into()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() >= PIECE_BYTES {
            self.hand_over()?;
        }
        self.piece.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() { Ok(()) } else { self.hand_over() }
    }
}
