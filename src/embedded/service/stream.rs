//! Bodies in and out, a batch at a time: at most about a MiB of a body is in memory.

use super::{Expected, S3Store, refuse, store_error};
use crate::embedded::store::Staged;
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use s3s::dto::StreamingBlob;
use s3s::stream::{ByteStream, RemainingLength};
use s3s::{S3Error, S3ErrorCode, S3Result, StdError};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Bytes of a body collected before they are hashed and written in one go.
const BATCH_BYTES: usize = 512 * 1024;

/// Bytes read from a file at once.
const READ_BYTES: usize = 256 * 1024;

/// A body that was received: most of it written, the last batch still in memory so that a small body costs one
/// change of threads.
pub struct Received {
    staged: Option<Staged>,
    expected: Expected,
    tail: Vec<Bytes>,
}

impl Received {
    /// Writes the rest and verifies the whole. Blocks.
    pub fn finish(self, store: &crate::embedded::store::Store) -> S3Result<(Staged, Option<(&'static str, String)>)> {
        let mut staged = match self.staged {
            Some(staged) => staged,
            None => store.stage().map_err(|e| store_error(e.into()))?,
        };
        let expected = write_batch(&mut staged, self.expected, &self.tail).map_err(|e| store_error(e.into()))?;
        Ok((staged, expected.verify()?))
    }
}

fn write_batch(staged: &mut Staged, mut expected: Expected, batch: &[Bytes]) -> io::Result<Expected> {
    for chunk in batch {
        expected.update(chunk);
    }
    staged.write(batch)?;
    Ok(expected)
}

/// Receives a body to its end; refuses one that is shorter or longer than announced.
pub async fn receive(
    service: &S3Store,
    body: Option<StreamingBlob>,
    mut expected: Expected,
    content_length: Option<i64>,
) -> S3Result<Received> {
    let mut staged = None;
    let mut tail = Vec::new();
    let (mut tail_bytes, mut total_bytes) = (0usize, 0u64);
    if let Some(mut body) = body {
        while let Some(chunk) = body.try_next().await.map_err(|error| body_error(&error))? {
            tail_bytes += chunk.len();
            total_bytes += chunk.len() as u64;
            tail.push(chunk);
            if tail_bytes >= BATCH_BYTES {
                let batch = std::mem::take(&mut tail);
                tail_bytes = 0;
                let (file, sums) = service
                    .blocking(move |store| {
                        let mut file: Staged = match staged {
                            Some(file) => file,
                            None => store.stage().map_err(|e| store_error(e.into()))?,
                        };
                        let sums = write_batch(&mut file, expected, &batch).map_err(|e| store_error(e.into()))?;
                        Ok((file, sums))
                    })
                    .await?;
                staged = Some(file);
                expected = sums;
            }
        }
    }
    if content_length.is_some_and(|announced| u64::try_from(announced) != Ok(total_bytes)) {
        return Err(refuse(S3ErrorCode::IncompleteBody, "The body has not the length its headers announce."));
    }
    Ok(Received { staged, expected, tail })
}

/// What a broken body means. The causes are types of the server crate that it keeps to itself, hence told by their text.
fn body_error(error: &StdError) -> S3Error {
    let text = error.to_string();
    if text.contains("Sha256Mismatch") {
        let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        let mut refusal =
            refuse(S3ErrorCode::from_bytes(b"XAmzContentSHA256Mismatch").unwrap_or(S3ErrorCode::BadDigest), message);
        refusal.set_status_code(http::StatusCode::BAD_REQUEST);
        refusal
    } else if text.contains("SignatureMismatch") {
        refuse(S3ErrorCode::SignatureDoesNotMatch, "The signature of a chunk of the body does not match.")
    } else {
        refuse(S3ErrorCode::IncompleteBody, "The body ended early or was not in the announced form.")
    }
}

/// A range of a file as a response body.
pub struct FileBody {
    state: State,
    file: Arc<File>,
    offset_bytes: u64,
    left_bytes: u64,
}

enum State {
    Idle,
    Reading(tokio::task::JoinHandle<io::Result<Bytes>>),
    Failed,
}

impl FileBody {
    /// `length_bytes` bytes from `offset_bytes` on.
    pub fn stream(file: File, offset_bytes: u64, length_bytes: u64) -> StreamingBlob {
        StreamingBlob::new(Self { state: State::Idle, file: Arc::new(file), offset_bytes, left_bytes: length_bytes })
    }
}

fn read_at(file: &File, offset_bytes: u64, length_bytes: usize) -> io::Result<Bytes> {
    let mut buffer = vec![0; length_bytes];
    file.read_exact_at(&mut buffer, offset_bytes)?;
    Ok(buffer.into())
}

impl Stream for FileBody {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Failed => return Poll::Ready(None),
                State::Idle if this.left_bytes == 0 => return Poll::Ready(None),
                State::Idle => {
                    let length = usize::try_from(this.left_bytes).unwrap_or(READ_BYTES).min(READ_BYTES);
                    let (file, offset) = (this.file.clone(), this.offset_bytes);
                    this.state = State::Reading(tokio::task::spawn_blocking(move || read_at(&file, offset, length)));
                }
                State::Reading(task) => {
                    let read = std::task::ready!(Pin::new(task).poll(context));
                    this.state = State::Failed;
                    return Poll::Ready(Some(match read {
                        Ok(Ok(bytes)) => {
                            this.state = State::Idle;
                            this.offset_bytes += bytes.len() as u64;
                            this.left_bytes -= bytes.len() as u64;
                            Ok(bytes)
                        }
                        Ok(Err(error)) => Err(error.into()),
                        Err(died) => Err(died.into()),
                    }));
                }
            }
        }
    }
}

impl ByteStream for FileBody {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(usize::try_from(self.left_bytes).unwrap_or(usize::MAX))
    }
}
