//! Giving a request or a load up: an error parcel is made of it, and the turn that says so is stored (rule D3).
//!
//! From: `send`, when no attempt of the parcel runs. Through: `stage::request`, which takes the sealed body of a request
//! apart again; `loads`.
//! Invariants: the error parcel's bytes are durable before the turn, the turn before the first byte of it is sent. Whenever
//! something of a turn runs it holds the lane's lock `turning`; over its pauses it does not.

use super::error_record::{self, EndpointFailure};
use super::loads;
use super::parcels::{error_parcel, store};
use super::send::{Sender, Sent};
use super::stage_pool::JobDied;
use crate::destination::DeliveryError;
use crate::destination::retry::Tried;
use crate::destination::s3::key::{ObjectName, error_key};
use crate::failpoint;
use crate::fault::{Fault, Retry};
use crate::outbox::Outbox;
use crate::record::{ErrorKind, ParcelBytes, ParcelReader};
use crate::stage::request::{notes, read::Records};
use crate::stream::definition::Definition;
use crate::stream::seal::{Parcel, ParcelKind, Request, Seal, Tally, Turn};
use crate::task::panic_message;
use crate::telemetry::metrics;
use std::io::{self, Write};
use std::sync::Arc;
use tokio::sync::OwnedMutexGuard;

/// What the numbers of error parcels of turns have more than those of the parcels given up: each is new in its seal.
pub const TURNED: u32 = 1 << 31;

/// Bytes of a body that are summed at once.
const PIECE_BYTES: usize = 256 << 10;

/// The lane's lock on giving up. Who ends the senders waits for it, so nothing of a turn is under way when the parcel is
/// attempted again.
type Turning = OwnedMutexGuard<()>;

/// What is known of a parcel that is given up.
pub struct GivenUp {
    pub outbox: Arc<Outbox>,
    /// The newest.
    pub definition: Arc<Definition>,
    pub seal: Seal,
    pub parcel: Parcel,
    attempts: u64,
    code: String,
    message: String,
    ended_ms: i64,
}

/// The sealed bytes of a request that is given up.
struct Sealed {
    request: Request,
    body: Arc<dyn ParcelBytes>,
    notes: Arc<dyn ParcelBytes>,
}

/// Stores the turn of a parcel, trying again while the disk fails. `None`: there is no room for its error parcel, which
/// may be larger than the request; as nothing was stored the request is to be attempted again, for if its endpoint takes
/// it there will be room. `Err`: how sending its seal ends without a turn.
pub async fn turn(
    sender: &Sender,
    seal: &Seal,
    parcel: &Parcel,
    tried: &Tried,
    error: &DeliveryError,
) -> Result<Option<Arc<Turn>>, Sent> {
    let (context, options) = (&sender.context, &sender.context.options);
    let mut pause = options.backoff_first;
    let (mut staged, mut is_full) = (None, false);
    loop {
        // Not held over a pause: other parcels of the lane may be given up meanwhile.
        let mut turning = sender.turning.clone().lock_owned().await;
        if staged.is_none() {
            let (outcome, held) = stage(sender, seal, parcel, tried, error, turning).await?;
            turning = held;
            staged = match outcome {
                Ok(turn) => Some(turn),
                Err(error) => {
                    is_full = error.kind() == io::ErrorKind::StorageFull;
                    sender.status.trouble(format!("an error parcel could not be made: {error}"), Retry::Backoff, pause);
                    None
                }
            };
        }
        if let Some((turn, inline)) = &staged {
            match store_turn(sender, turn.clone(), inline.clone(), turning).await {
                Ok(()) => {
                    failpoint::crash_at(failpoint::AFTER_TURN);
                    metrics::turned();
                    sender.status.recovered();
                    sender.status.turned((seal.number, parcel.number), turn.refused);
                    return Ok(Some(Arc::new(turn.clone())));
                }
                Err((Retry::Backoff, text)) => sender.status.trouble(text, Retry::Backoff, pause),
                Err((_, text)) => return Err(Sent::Faulted(text)),
            }
        } else {
            drop(turning);
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = pause.saturating_mul(2).min(context.options.backoff_longest),
            () = sender.stop.asked() => return Err(Sent::Stopped),
        }
        if is_full {
            return Ok(None);
        }
    }
}

/// Stores a turn once. On a task of its own: a sender that is dropped meanwhile must not leave behind a turn that nobody
/// waits for.
async fn store_turn(sender: &Sender, turn: Turn, inline: Vec<u8>, turning: Turning) -> Result<(), (Retry, String)> {
    let journal = sender.context.journal.clone();
    #[allow(clippy::disallowed_methods, reason = "has a result; `turning` is held until it ends")]
    let stored = tokio::spawn(async move {
        let _held = turning;
        journal.turn(turn, inline).await
    });
    match stored.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err((error.retry(), format!("a turn could not be stored: {error}"))),
        Err(died) => Err((Retry::Never, format!("storing a turn died: {died}"))),
    }
}

/// Makes the turn and its error parcel, durable. The inner error passes. The job has the lock until it ends, whoever waits
/// for it, and then gives it back.
async fn stage(
    sender: &Sender,
    seal: &Seal,
    parcel: &Parcel,
    tried: &Tried,
    error: &DeliveryError,
    turning: Turning,
) -> Result<(io::Result<(Turn, Vec<u8>)>, Turning), Sent> {
    // Without a definition the stream is gone, and its lane with it.
    let Some(definition) = sender.newest() else { return Err(Sent::Stopped) };
    let given_up = GivenUp {
        outbox: sender.context.outbox.clone(),
        definition,
        seal: seal.clone(),
        parcel: parcel.clone(),
        attempts: tried.failed,
        code: error.code.clone(),
        message: error.message.clone(),
        ended_ms: sender.context.clock.wall_ms(),
    };
    let job: Box<dyn FnOnce() -> io::Result<(Turn, Vec<u8>)> + Send> = match parcel.kind.clone() {
        ParcelKind::Request(request) => {
            let Some(notes) = sender.context.journal.notes(seal.id, parcel.number) else {
                return Err(Sent::Faulted(format!("internal error: the journal has no notes of {}", parcel.key)));
            };
            let body = match sender.open(seal, parcel).await {
                Ok(body) => body,
                Err(error) => return Ok((Err(error), turning)),
            };
            Box::new(move || given_up.of_request(&Sealed { request, body, notes }))
        }
        ParcelKind::Load(load) => Box::new(move || loads::turn(&given_up, &load)),
        ParcelKind::Data | ParcelKind::Error(_) => {
            return Err(Sent::Faulted(format!("internal error: the object {} was given up", parcel.key)));
        }
    };
    match sender.context.stages.run(move || (job(), turning)).await {
        Ok((Err(error), _)) if error.kind() == io::ErrorKind::InvalidData => Err(Sent::Faulted(error.to_string())),
        Ok(staged) => Ok(staged),
        Err(JobDied::Panicked(panic)) => Err(Sent::Faulted(format!(
            "internal error: giving a parcel up panicked: {}",
            panic_message(panic.as_ref())
        ))),
        Err(JobDied::Stopped) => Err(Sent::Stopped),
    }
}

impl GivenUp {
    /// The turn that puts `instead` in the parcel's place.
    pub fn turn(&self, instead: Parcel, refused: Tally) -> Turn {
        Turn {
            seal: self.seal.id,
            lane: self.seal.lane.clone(),
            parcel: self.parcel.number,
            attempts: self.attempts,
            last_error: shortened(&format!("{}: {}", self.code, self.message)),
            instead,
            refused,
        }
    }

    fn of_request(&self, sealed: &Sealed) -> io::Result<(Turn, Vec<u8>)> {
        let (Self { outbox, definition, seal, parcel, .. }, request) = (self, &sealed.request);
        let (incarnation, number) = (seal.lane.incarnation, TURNED | parcel.number);
        let name = ObjectName {
            stream: &definition.name,
            revision: definition.revision,
            oldest_arrival_ms: request.oldest_arrival_ms,
            seal: seal.id,
            parcel: number,
            extension: "",
        };
        let kind = ErrorKind::HttpEndpointFailed;
        let key = error_key(&definition.s3, &name, kind.as_str()).map_err(io::Error::other)?;
        // One that was dropped before its turn was stored may have left its file.
        outbox.discard(incarnation, seal.id, number)?;
        let mut draft = outbox.begin(incarnation, seal.id, number);
        self.write_lines(sealed, &mut draft)?;
        let mut inline = Vec::new();
        let stored = store(outbox, draft, &mut inline)?;
        let instead = error_parcel(&definition.s3, number, kind, key, parcel.records, stored);
        let refused = Tally { records: parcel.records, bytes: request.source_bytes };
        Ok((self.turn(instead, refused), inline))
    }

    fn write_lines(&self, sealed: &Sealed, out: &mut impl Write) -> io::Result<()> {
        let Sealed { request, body, notes } = sealed;
        let mut noted = vec![0; request.notes.length_bytes as usize];
        notes.read_exact_at(&mut noted, 0)?;
        // Nobody may have read the body since it was sealed.
        let body_crc32c = crc32c_of(body.as_ref(), self.parcel.length_bytes)?;
        let sums = [(crc32c::crc32c(&noted), request.notes.crc32c), (body_crc32c, self.parcel.crc32c)];
        if let Some((found, sealed)) = sums.into_iter().find(|(found, sealed)| found != sealed) {
            return Err(damaged(format!("CRC-32C {found:08x}, {sealed:08x} was sealed")));
        }
        let notes = notes::read(&noted)?;
        if notes.len() as u64 != self.parcel.records {
            return Err(damaged(format!("notes of {} records, {} were sealed", notes.len(), self.parcel.records)));
        }
        let body = ParcelReader::new(body.clone(), self.parcel.length_bytes);
        let is_gzip = self.parcel.content_encoding.is_some();
        let mut records = Records::of(request.format, is_gzip, body)?;
        let mut line = Vec::new();
        for note in notes {
            line.clear();
            let failure = EndpointFailure {
                code: &self.code,
                message: &self.message,
                attempts: self.attempts,
                ended_ms: self.ended_ms,
                arrival_ms: note.arrival_ms,
                sequence: note.sequence,
                part: note.part,
            };
            error_record::write_endpoint_line(&mut line, &failure, records.next_base64(&note)?)?;
            out.write_all(&line)?;
        }
        Ok(())
    }
}

fn crc32c_of(body: &dyn ParcelBytes, length: u64) -> io::Result<u32> {
    let mut piece = vec![0; PIECE_BYTES];
    let (mut sum, mut offset_bytes) = (0, 0);
    while offset_bytes < length {
        let length_bytes = (length - offset_bytes).min(PIECE_BYTES as u64);
        let piece = &mut piece[..length_bytes as usize];
        body.read_exact_at(piece, offset_bytes)?;
        sum = crc32c::crc32c_append(sum, piece);
        offset_bytes += length_bytes;
    }
    Ok(sum)
}

/// Bytes of a request that are not those that were sealed.
fn damaged(what: String) -> io::Error {
    let text = format!("a request that is given up has {what}: the data folder is damaged");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// The text of a failure as it is kept: an endpoint may say much.
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(2000) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
