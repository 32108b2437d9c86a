//! PutRecord and PutRecordBatch: from the body's bytes straight into a frame body.
//!
//! One pass: base64 is decoded from where it stands into the frame's payload, without anything per record on the heap.
//! Errors in the order of the service: the JSON and its types (SerializationException), then every violation of the
//! model in one message (ValidationException), then the size of the batch (InvalidArgumentException). A request is
//! refused whole.

use super::json::{Malformed, RawString, Reader};
use super::{FrameBody, MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_RECORD_BYTES};
use crate::stream::name::{MAX_LENGTH, PATTERN};
use crate::wire::{ApiError, Pattern, Violations, nearest};

/// A valid request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// DeliveryStreamName, of valid form.
    pub stream: String,
    /// Its records.
    pub body: FrameBody,
}

/// Reads the body of a PutRecord.
pub fn parse_put_record(body: &[u8]) -> Result<Put, ApiError> {
    parse(body, Shape::Record)
}

/// Reads the body of a PutRecordBatch.
pub fn parse_put_record_batch(body: &[u8]) -> Result<Put, ApiError> {
    parse(body, Shape::Batch)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Record,
    Batch,
}

impl Shape {
    /// The member that holds what is put.
    fn records(self) -> &'static str {
        match self {
            Self::Record => "Record",
            Self::Batch => "Records",
        }
    }
}

/// What is wrong with one record. Its number in the request, from 0.
#[derive(Debug, Clone, Copy)]
enum Flaw {
    NullRecord(usize),
    NullData(usize),
    TooLong(usize, usize),
}

/// What the body says, `null` being the same as absent.
#[derive(Debug)]
struct Found {
    name: Option<String>,
    records_given: bool,
    body: FrameBody,
    flaws: Vec<Flaw>,
    /// For strings with escapes, used again and again.
    scratch: Vec<u8>,
    /// What a fault's text is followed by; empty while there is none.
    fault_detail: String,
}

impl Found {
    /// Notes a flaw of the record that is being read. Those beyond the most a batch may have are not told one by one:
    /// the batch is refused for their number, and a body of 8 MiB can hold more than a million of them.
    fn flaw(&mut self, flaw: Flaw) {
        if self.body.lengths.len() < MAX_BATCH_RECORDS {
            self.flaws.push(flaw);
        }
    }
}

fn parse(body: &[u8], shape: Shape) -> Result<Put, ApiError> {
    let mut found = Found {
        name: None,
        records_given: false,
        // Never too small, so decoding does not allocate; three quarters of a body that is nearly all base64.
        body: FrameBody { payload: Vec::with_capacity(body.len() / 4 * 3), ..FrameBody::default() },
        flaws: Vec::new(),
        scratch: Vec::new(),
        fault_detail: String::new(),
    };
    read(body, shape, &mut found).map_err(|fault| {
        ApiError::serialization(format!("{}{} (at byte {})", fault.what, found.fault_detail, fault.at))
    })?;
    check(found, shape)
}

fn read(body: &[u8], shape: Shape, found: &mut Found) -> Result<(), Malformed> {
    let reader = &mut Reader::new(body);
    let (mut name_seen, mut records_seen) = (false, false);
    reader.skip_whitespace();
    reader.object(|reader, member| match (member.value(&mut found.scratch)?, shape) {
        (b"DeliveryStreamName", _) => {
            once(&mut name_seen, &member)?;
            if !reader.null() {
                let name = reader.string("DeliveryStreamName is a string")?;
                found.name = Some(name.text(&mut found.scratch)?.to_owned());
            }
            Ok(())
        }
        (b"Record", Shape::Record) => {
            once(&mut records_seen, &member)?;
            found.records_given = true;
            record(reader, found)
        }
        (b"Records", Shape::Batch) => {
            once(&mut records_seen, &member)?;
            if reader.null() {
                return Ok(());
            }
            found.records_given = true;
            found.body.lengths.reserve(MAX_BATCH_RECORDS);
            reader.array(|reader| {
                record(reader, found).inspect_err(|_| {
                    let number = found.body.lengths.len() + 1;
                    found.fault_detail.push_str(&format!(" in record {number}"));
                })
            })
        }
        (name, _) => {
            found.fault_detail = unknown(name, &["DeliveryStreamName", shape.records()]);
            Err(member.malformed("unknown member:"))
        }
    })?;
    reader.end()
}

fn once(seen: &mut bool, member: &RawString<'_>) -> Result<(), Malformed> {
    if std::mem::replace(seen, true) { Err(member.malformed("a member given twice")) } else { Ok(()) }
}

/// An unknown member's name, if it is not too long to repeat, and the known one it may have been meant to be.
#[cold]
fn unknown(name: &[u8], known: &[&str]) -> String {
    const LONGEST_BYTES: usize = 64;
    let name = match std::str::from_utf8(name) {
        Ok(name) if name.len() <= LONGEST_BYTES => name,
        _ => return " a name that is long or no text".to_owned(),
    };
    match nearest(name, known.iter().copied()) {
        Some(known) => format!(" '{name}'; did you mean '{known}'?"),
        None => format!(" '{name}'"),
    }
}

fn record(reader: &mut Reader<'_>, found: &mut Found) -> Result<(), Malformed> {
    let number = found.body.lengths.len();
    let before = found.body.payload.len();
    if reader.null() {
        found.flaw(Flaw::NullRecord(number));
    } else {
        let (mut seen, mut given) = (false, false);
        reader.object(|reader, member| {
            let name = member.value(&mut found.scratch)?;
            if name != b"Data" {
                found.fault_detail = unknown(name, &["Data"]);
                return Err(member.malformed("unknown member of a record:"));
            }
            once(&mut seen, &member)?;
            if !reader.null() {
                given = true;
                let data = reader.string("Data is a string of base64")?;
                let base64 = data.value(&mut found.scratch)?;
                base64_simd::STANDARD
                    .decode_append(base64, &mut found.body.payload)
                    .map_err(|_| data.malformed("Data is not base64"))?;
            }
            Ok(())
        })?;
        if !given {
            found.flaw(Flaw::NullData(number));
        }
    }
    let length = found.body.payload.len() - before;
    if length > MAX_RECORD_BYTES {
        found.flaw(Flaw::TooLong(number, length));
    }
    // One beyond 32 bits is flawed and goes no further.
    found.body.lengths.push(u32::try_from(length).unwrap_or(u32::MAX));
    Ok(())
}

fn check(found: Found, shape: Shape) -> Result<Put, ApiError> {
    let mut violations = Violations::default();
    check_name(found.name.as_deref(), &mut violations);
    if !found.records_given {
        let path = if shape == Shape::Batch { "records" } else { "record" };
        violations.add(path, "not be null");
    } else if shape == Shape::Batch && found.body.lengths.is_empty() {
        violations.add("records", "have length greater than or equal to 1");
    } else if shape == Shape::Batch && found.body.lengths.len() > MAX_BATCH_RECORDS {
        violations.add("records", format_args!("have length less than or equal to {MAX_BATCH_RECORDS}"));
    }
    for flaw in &found.flaws {
        let path = |number: usize, tail: &str| match shape {
            Shape::Record => format!("record{tail}"),
            Shape::Batch => format!("records.{}.member{tail}", number + 1),
        };
        match *flaw {
            Flaw::NullRecord(number) => violations.add(&path(number, ""), "not be null"),
            Flaw::NullData(number) => violations.add(&path(number, ".data"), "not be null"),
            Flaw::TooLong(number, length) => {
                let constraint = format_args!("have length less than or equal to {MAX_RECORD_BYTES}");
                violations.add_blob_length(length, &path(number, ".data"), constraint);
            }
        }
    }
    violations.finish()?;
    if shape == Shape::Batch && found.body.payload.len() > MAX_BATCH_BYTES {
        return Err(ApiError::batch_too_large());
    }
    // Checked just above: a missing name is a violation.
    Ok(Put { stream: found.name.unwrap_or_default(), body: found.body })
}

fn check_name(name: Option<&str>, violations: &mut Violations) {
    const PATH: &str = "deliveryStreamName";
    let Some(name) = name else { return violations.add(PATH, "not be null") };
    // A name of megabytes is not worth repeating.
    let shown: String = name.chars().take(256).collect();
    if name.is_empty() {
        violations.add_with_value(&shown, PATH, "have length greater than or equal to 1");
    }
    // The service counts UTF-16 units, as Java does.
    if name.encode_utf16().count() > MAX_LENGTH {
        violations.add_with_value(&shown, PATH, format_args!("have length less than or equal to {MAX_LENGTH}"));
    }
    if !(Pattern::STREAM_NAME.matches)(name) {
        violations.add_with_value(&shown, PATH, format_args!("satisfy regular expression pattern: {PATTERN}"));
    }
}
