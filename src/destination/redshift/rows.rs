//! The bytes of a staged object as those that COPY takes from its standard input: read, decompressed and shaped on a thread
//! that may block, handed over piece by piece.
//!
//! Invariant: the last piece comes only when the object's checksum was found right, so damaged bytes are never committed.

use super::copy::Shape;
use super::end_mark::EndMark;
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
use std::thread::{self, JoinHandle};
use tokio::sync::{mpsc, oneshot};

/// Bytes handed over at once.
const PIECE_BYTES: usize = 128 << 10;
/// Pieces that may wait for the connection.
const PIECES_AHEAD: usize = 2;

/// Of a thread that reads.
const STACK_BYTES: usize = 512 << 10;

/// The rows of an object under way.
#[derive(Debug)]
pub struct Rows {
    pieces: mpsc::Receiver<Bytes>,
    /// Comes when the thread has nothing left to do; it ends as well once the receiver of pieces is gone.
    reading: oneshot::Receiver<Result<(), DeliveryError>>,
    thread: Result<JoinHandle<()>, String>,
}

impl Rows {
    /// Those of the object whose bytes a load has. `columns`: of the lines that its records become, if they are JSON; else
    /// `is_csv`: as it is, they are CSV.
    pub fn of(consignment: &Consignment, columns: Option<Columns>, is_csv: bool) -> Self {
        let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
        let parcel = &consignment.parcel;
        let source = Source {
            bytes: consignment.bytes.clone(),
            length_bytes: parcel.length_bytes,
            crc32c: parcel.crc32c,
            is_gzip: parcel.content_encoding.as_deref() == Some("gzip"),
            columns,
            is_csv,
        };
        // A thread of its own: it waits as long as the cluster takes nothing, and those for blocking work are for all.
        let (said, reading) = oneshot::channel();
        let started = thread::Builder::new().name("load-rows".to_owned()).stack_size(STACK_BYTES).spawn(move || {
            // Who asked may be gone: then nobody wants the outcome.
            let _ = said.send(source.read_into(sender));
        });
        Self { pieces, reading, thread: started.map_err(|error| error.to_string()) }
    }

    /// The next piece; none: all are there.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.pieces.recv().await
    }

    /// Whether all of it was handed over and right.
    pub async fn end(mut self) -> Result<(), DeliveryError> {
        self.pieces.close();
        let thread = self.thread.map_err(|error| LocalFault::Unreadable(error).error())?;
        let ended = self.reading.await;
        let died = || LocalFault::Unreadable("the thread that reads it died".to_owned()).error();
        thread.join().map_err(|_| died())?;
        ended.unwrap_or_else(|_| Err(died()))
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
    is_csv: bool,
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
        let mut end_mark = EndMark::new(self.is_csv);
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
                let taken = match &mut lines {
                    None => end_mark.look(&buffer[..length]).and_then(|()| pieces.write_all(&buffer[..length])),
                    Some(lines) => lines.push(&buffer[..length], &mut pieces),
                };
                match taken {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(Broken::Unwanted),
                    // Damaged bytes may look so as well: the checksum says which.
                    Err(error) => break Err(error),
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
        end_mark.finish().map_err(|error| Broken::Data(error.to_string()))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::GzEncoder;

    #[derive(Debug)]
    struct Memory(Vec<u8>);

    impl ParcelBytes for Memory {
        fn length_bytes(&self) -> u64 {
            self.0.len() as u64
        }
        fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
            let at = offset_bytes as usize;
            buffer.copy_from_slice(self.0.get(at..at + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        }
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// The pieces, and how reading ended.
    fn read(bytes: Vec<u8>, crc32c: u32, is_gzip: bool, columns: Option<Columns>) -> (Vec<u8>, Result<(), String>) {
        let (sender, mut pieces) = mpsc::channel(1000);
        let length_bytes = bytes.len() as u64;
        let source = Source { bytes: Arc::new(Memory(bytes)), length_bytes, crc32c, is_gzip, columns, is_csv: true };
        let ended = source.read_into(sender).map_err(|error| error.code);
        let mut all = Vec::new();
        while let Ok(piece) = pieces.try_recv() {
            all.extend_from_slice(&piece);
        }
        (all, ended)
    }

    #[test]
    fn objects_become_rows() {
        let text: Vec<u8> = (0..100_000u32).flat_map(|i| format!("{i},x\n").into_bytes()).collect();
        let packed = gzip(&text);
        assert_eq!(read(text.clone(), crc32c::crc32c(&text), false, None), (text.clone(), Ok(())));
        assert_eq!(read(packed.clone(), crc32c::crc32c(&packed), true, None), (text, Ok(())));
        let json = gzip(b"{\"a\":1}{\"a\":\"b\"}");
        let columns = Some(Columns::Named { names: vec!["a".to_owned()], any_case: false });
        assert_eq!(read(json.clone(), crc32c::crc32c(&json), true, columns), (b"\"1\"\n\"b\"\n".to_vec(), Ok(())));
    }

    #[test]
    fn damaged_bytes_never_end_well_nor_whole() {
        let text = vec![b'x'; 3 * PIECE_BYTES];
        let packed = gzip(&text);
        for (bytes, is_gzip) in [(text.clone(), false), (packed.clone(), true)] {
            let (rows, ended) = read(bytes.clone(), crc32c::crc32c(&bytes) ^ 1, is_gzip, None);
            assert!(rows.len() < text.len());
            assert_eq!(ended, Err("Outbox.Damaged".to_owned()));
        }
        // Sealed so: not what the options say, but no damage.
        let short = &packed[..packed.len() / 2];
        let (_, ended) = read(short.to_vec(), crc32c::crc32c(short), true, None);
        assert_eq!(ended, Err("Redshift.DataLoadFailed".to_owned()));
        let half = b"{\"a\":".to_vec();
        let (rows, ended) = read(half.clone(), crc32c::crc32c(&half), false, Some(Columns::Whole));
        assert_eq!((rows, ended), (Vec::new(), Err("Redshift.DataLoadFailed".to_owned())));
    }

    #[test]
    fn what_ends_all_data_for_the_server_fails_unless_it_is_damage() {
        let bytes = b"1,a\n\\.\n2,b\n".to_vec();
        let (_, ended) = read(bytes.clone(), crc32c::crc32c(&bytes), false, None);
        assert!(ended.unwrap_err().starts_with("Redshift.DataLoadFailed"));
        let (_, ended) = read(bytes, 1, false, None);
        assert!(ended.unwrap_err().starts_with("Outbox.Damaged"));
    }
}
