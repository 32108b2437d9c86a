//! The records of a run as requests, in place of one object: bodies are begun, filled and made durable one after the
//! other.
//!
//! From: `stages`, which hands over what the stages before let pass. Through: `stage::request`, `outbox`. To: the run's
//! parcels. Invariant: each record it is given is in one body, or refused.

use super::originals::Originals;
use super::parcels::{FinishedParcels, store};
use super::run::{RunPlan, StageRunError};
use crate::outbox::{Draft, Outbox};
use crate::record::{Cause, Chunk, ErrorKind, Refused};
use crate::stage::request::{self, Body, Ended, Item};
use crate::stream::SealId;
use crate::stream::definition::HttpTarget;
use crate::stream::seal::{Notes, Parcel, ParcelKind, Request};
use std::sync::Arc;

/// Requests from which on a run takes no more records.
const MAX_REQUESTS: usize = 256;
/// Bytes in the journal, of bodies and notes, from which on it takes none.
const MAX_INLINE_BYTES: usize = 8 << 20;

/// Requests of one run.
pub struct Requests {
    outbox: Arc<Outbox>,
    seal: SealId,
    staged_ms: i64,
    target: HttpTarget,
    common_attributes: Option<String>,
    delimiter: String,
    /// Number of the last record before the run.
    base: u64,
    under_way: Option<UnderWay>,
    finished: FinishedParcels,
    records: u64,
    /// A record with its delimiter.
    delimited: Vec<u8>,
}

struct UnderWay {
    body: Body,
    draft: Draft,
    source_bytes: u64,
}

impl Requests {
    /// None yet, of the run that `plan` stages.
    pub fn begin(outbox: Arc<Outbox>, plan: &RunPlan, target: HttpTarget, seal: SealId, staged_ms: i64) -> Self {
        let definition = &plan.definition;
        Self {
            finished: FinishedParcels::new(outbox.clone(), definition.incarnation),
            outbox,
            seal,
            staged_ms,
            common_attributes: common_attributes(&target.common_attributes),
            target,
            delimiter: definition.processors.append_delimiter.clone().unwrap_or_default(),
            base: plan.from.number().unwrap_or(0),
            under_way: None,
            records: 0,
            delimited: Vec::new(),
        }
    }

    /// Puts records into requests; returns those that no request can take.
    pub fn push(&mut self, passed: &Chunk, originals: &Originals<'_>) -> Result<Vec<Refused>, StageRunError> {
        let mut refused = Vec::new();
        let mut delimited = std::mem::take(&mut self.delimited);
        for (slot, mut bytes) in passed.iter() {
            if !self.delimiter.is_empty() {
                delimited.clear();
                delimited.extend_from_slice(bytes);
                delimited.extend_from_slice(self.delimiter.as_bytes());
                bytes = &delimited;
            }
            if let Some(message) = request::refusal(self.target.format, bytes) {
                let (kind, code) = (ErrorKind::HttpEndpointFailed, "HttpEndpoint.InvalidRecord".to_owned());
                refused.push(Refused { origin: slot.origin, cause: Cause { kind, code, message, attempts: 0 } });
                continue;
            }
            let sequence = self.base + 1 + slot.origin.ordinal;
            let arrival_ms = originals.arrival_ms(slot.origin)?;
            let item = Item { bytes, sequence, part: slot.origin.part, arrival_ms };
            let counted_bytes = originals.counted_bytes(slot.origin)?;
            let under_way = self.with_room(bytes.len())?;
            under_way.body.push(&item, &mut under_way.draft)?;
            under_way.source_bytes += counted_bytes;
        }
        self.delimited = delimited;
        Ok(refused)
    }

    /// Whether a run with these is as large as a seal should be: small bodies and all notes lie in the journal.
    pub fn is_full(&self) -> bool {
        self.finished.parcels.len() >= MAX_REQUESTS || self.finished.inline.len() >= MAX_INLINE_BYTES
    }

    /// Ends the last request; the parcels, and the number of records in them.
    pub fn finish(mut self) -> Result<(FinishedParcels, u64), StageRunError> {
        self.end_request()?;
        Ok((self.finished, self.records))
    }

    /// A body with room for a record of this length.
    fn with_room(&mut self, record_bytes: usize) -> Result<&mut UnderWay, StageRunError> {
        if self.under_way.as_ref().is_some_and(|under_way| !under_way.body.has_room(record_bytes)) {
            self.end_request()?;
        }
        let number = self.finished.parcels.len() as u32;
        Ok(self.under_way.get_or_insert_with(|| UnderWay {
            body: Body::begin(self.target.format, self.target.gzip, &self.seal.parcel_uuid(number), self.staged_ms),
            draft: self.outbox.begin(self.finished.incarnation, self.seal, number),
            source_bytes: 0,
        }))
    }

    fn end_request(&mut self) -> Result<(), StageRunError> {
        let Some(UnderWay { body, mut draft, source_bytes }) = self.under_way.take() else { return Ok(()) };
        let number = self.finished.parcels.len() as u32;
        let Ended { records, oldest_arrival_ms, notes } = body.finish(&mut draft)?;
        let ((length_bytes, crc32c), place) = store(&self.outbox, draft, &mut self.finished.inline)?;
        let noted = Notes {
            offset_bytes: self.finished.inline.len() as u64,
            length_bytes: notes.len() as u64,
            crc32c: crc32c::crc32c(&notes),
        };
        self.finished.inline.extend_from_slice(&notes);
        self.records += records;
        self.finished.parcels.push(Parcel {
            number,
            kind: ParcelKind::Request(Request {
                format: self.target.format,
                common_attributes: self.common_attributes.clone(),
                source_bytes,
                oldest_arrival_ms,
                notes: noted,
            }),
            bucket: String::new(),
            key: self.seal.parcel_uuid(number),
            content_type: request::content_type(self.target.format).to_owned(),
            content_encoding: self.target.gzip.then(|| "gzip".to_owned()),
            kms_key: None,
            length_bytes,
            crc32c,
            records,
            place,
        });
        Ok(())
    }
}

/// The value of the header with the common attributes, as the service writes it. All of it is ASCII: other characters
/// are escaped.
fn common_attributes(attributes: &[(String, String)]) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let members: serde_json::Map<_, _> =
        attributes.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let text = serde_json::json!({ "commonAttributes": members }).to_string();
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => ascii.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| ascii.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    Some(ascii)
}

#[cfg(test)]
mod tests {
    use super::common_attributes;

    #[test]
    fn common_attributes_are_ascii_json() {
        assert_eq!(common_attributes(&[]), None);
        let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let text = common_attributes(&[attribute("b", "1\"\n"), attribute("ä", "𝄞")]).unwrap();
        assert_eq!(text, r#"{"commonAttributes":{"b":"1\"\n","\u00e4":"\ud834\udd1e"}}"#);
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["commonAttributes"]["ä"], "𝄞");
    }
}
