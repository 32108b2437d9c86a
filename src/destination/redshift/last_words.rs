//! What a server said last, heard on the wire.
//!
//! From: `connect`, around the stream that a session's messages come by. The client library tells of an error where a request
//! waits for it. One that comes with the end of a session, or while rows are sent, goes with the connection, and "connection
//! closed" is all that is told. An error behind which the server was ready again is over.
//!
//! Format: PostgreSQL, "Message Formats": a byte, a length that counts itself, the content.

use parking_lot::Mutex;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longest error that is kept, in bytes.
const MAX_ERROR_BYTES: usize = 16 << 10;
/// Kind and length of a message.
const HEAD_BYTES: usize = 5;

/// An error of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// SQLSTATE.
    pub state: String,
    /// Its message.
    pub message: String,
}

/// What was heard of a session; clones share it.
#[derive(Debug, Clone, Default)]
pub struct LastWords(Arc<Mutex<Ear>>);

/// A stream that is listened to, unless it has no `words`: the messages are inside of another one then.
#[derive(Debug)]
pub struct Heard<S> {
    stream: S,
    words: Option<LastWords>,
}

#[derive(Debug, Default)]
struct Ear {
    head: Vec<u8>,
    /// Bytes of the message's content that are still to come.
    left_bytes: usize,
    content: Vec<u8>,
    /// Something was said that is no message.
    is_lost: bool,
    error: Option<Said>,
}

impl LastWords {
    /// The error that nothing came behind.
    pub fn error(&self) -> Option<Said> {
        self.0.lock().error.clone()
    }
}

impl<S> Heard<S> {
    /// `stream`, of which `words` hears what comes.
    pub fn new(stream: S, words: Option<LastWords>) -> Self {
        Self { stream, words }
    }
}

impl Ear {
    fn hear(&mut self, mut bytes: &[u8]) {
        if self.is_lost {
            return;
        }
        while !bytes.is_empty() {
            if self.head.len() < HEAD_BYTES {
                let (head, rest) = bytes.split_at(bytes.len().min(HEAD_BYTES - self.head.len()));
                self.head.extend_from_slice(head);
                bytes = rest;
                let [_, a, b, c, d] = self.head[..] else { continue };
                let length = u32::from_be_bytes([a, b, c, d]) as usize;
                match length.checked_sub(HEAD_BYTES - 1) {
                    Some(left_bytes) => self.left_bytes = left_bytes,
                    None => {
                        self.is_lost = true;
                        return;
                    }
                }
            } else {
                let (content, rest) = bytes.split_at(bytes.len().min(self.left_bytes));
                if self.head[0] == b'E' {
                    let room = MAX_ERROR_BYTES - self.content.len();
                    self.content.extend_from_slice(&content[..content.len().min(room)]);
                }
                (self.left_bytes, bytes) = (self.left_bytes - content.len(), rest);
            }
            if self.head.len() == HEAD_BYTES && self.left_bytes == 0 {
                self.end_message();
            }
        }
    }

    fn end_message(&mut self) {
        match self.head[0] {
            b'E' => self.error = Some(said(&self.content)),
            // Ready for the next query.
            b'Z' => self.error = None,
            _ => {}
        }
        self.head.clear();
        self.content.clear();
    }
}

/// The fields of an error: each a byte that says which, and a text with a zero behind it.
fn said(content: &[u8]) -> Said {
    let field = |kind: u8| {
        let field = content.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(&[kind]));
        field.map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
    };
    Said { state: field(b'C'), message: field(b'M') }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if let Some(words) = &this.words {
            words.0.lock().hear(&buffer.filled()[before..]);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, content: &[u8]) -> Vec<u8> {
        [&[kind], &(content.len() as u32 + 4).to_be_bytes()[..], content].concat()
    }

    fn heard(bytes: &[u8], piece_bytes: usize) -> Option<Said> {
        let mut ear = Ear::default();
        bytes.chunks(piece_bytes).for_each(|piece| ear.hear(piece));
        ear.error
    }

    #[test]
    fn the_error_that_nothing_comes_behind_is_kept_however_it_is_cut() {
        let error = message(b'E', b"SFATAL\0VFATAL\0C57P01\0Mby \xffcommand\0Fx.c\0\0");
        let (data, ready) = (message(b'D', &[b'E'; 70]), message(b'Z', b"I"));
        let said = Some(Said { state: "57P01".to_owned(), message: "by \u{fffd}command".to_owned() });
        for piece_bytes in [1, 2, 5, 7, 1000] {
            assert_eq!(heard(&[&data[..], &message(b'1', b""), &error].concat(), piece_bytes), said);
            assert_eq!(heard(&[&error[..], &data].concat(), piece_bytes), said);
            // It was of a statement, and is over.
            assert_eq!(heard(&[&error[..], &ready].concat(), piece_bytes), None);
            assert_eq!(heard(&[&error[..], &ready, &error].concat(), piece_bytes), said);
            assert_eq!(heard(&error[..error.len() - 1], piece_bytes), None);
            // No messages at all.
            assert_eq!(heard(b"HTTP/1.1 200 OK\r\n\r\n", piece_bytes), None);
            assert_eq!(heard(&[b"E\0\0\0\x03", &error[..]].concat(), piece_bytes), None);
        }
        let long = heard(&message(b'E', &[b"C53100\0M", &[b'x'; 40_000][..]].concat()), 4096).unwrap();
        assert_eq!(long.state, "53100");
        assert!(long.message.len() < MAX_ERROR_BYTES);
    }
}
