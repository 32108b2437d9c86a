//! The packed layout of the guest's side, as `transforms/wit` describes it.

use crate::bindings::exports::hydrant::transform::packed::{Failure, Guest, Invocation};
use crate::{Input, Output};

struct Component;
crate::bindings::export!(Component with_types_in crate::bindings);

impl Guest for Component {
    fn transform(invocation: Invocation, batch: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let outcome = crate::work(&invocation, unpack(&batch))?;
        let mut out = Vec::new();
        put_u32(&mut out, outcome.records.len() as u32);
        for record in &outcome.records {
            let start = out.len();
            put_u32(&mut out, 0);
            put_record(&mut out, record);
            let bytes = (out.len() - start - 4) as u32 - record.hidden_bytes;
            out[start..start + 4].copy_from_slice(&bytes.to_le_bytes());
        }
        put_u32(&mut out, outcome.logs.len() as u32);
        for line in &outcome.logs {
            out.push(line.level as u8);
            put_bytes(&mut out, line.message.as_bytes());
        }
        out.truncate(out.len() - outcome.cut_bytes);
        // Bytes that no cut of the same call can be made good with.
        out.resize(out.len() + outcome.extra_bytes, 0xff);
        Ok(if outcome.reaches_beyond { crate::beyond(out) } else { out })
    }
}

fn put_record(out: &mut Vec<u8>, record: &Output) {
    put_bytes(out, record.id.as_bytes());
    out.push(record.status);
    match &record.data {
        Some(data) => put_bytes(out, data),
        None => put_u32(out, u32::MAX),
    }
    if record.keys.is_empty() && record.table.is_none() && record.message.is_none() {
        return;
    }
    put_u32(out, record.keys.len() as u32);
    for (name, value) in &record.keys {
        put_bytes(out, name.as_bytes());
        put_bytes(out, value.as_bytes());
    }
    match &record.table {
        Some((database, table)) => {
            out.push(1);
            put_opt(out, Some(database));
            put_opt(out, Some(table));
            out.push(2);
        }
        None => out.push(0),
    }
    put_opt(out, record.message.as_deref());
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len() as u32);
    out.extend_from_slice(bytes);
}

fn put_opt(out: &mut Vec<u8>, text: Option<&str>) {
    out.push(text.is_some() as u8);
    if let Some(text) = text {
        put_bytes(out, text.as_bytes());
    }
}

fn unpack(mut batch: &[u8]) -> Vec<Input> {
    let count = take_u32(&mut batch);
    (0..count)
        .map(|_| {
            let bytes = take_u32(&mut batch) as usize;
            let (mut record, rest) = batch.split_at(bytes);
            batch = rest;
            let id = take_text(&mut record);
            let arrival_ms = take_u64(&mut record);
            let data = take_bytes(&mut record).to_vec();
            let metadata = match take(&mut record, 1)[0] {
                1 => {
                    let (number, sub) = (take_text(&mut record), take_u64(&mut record));
                    let (key, shard) = (take_text(&mut record), take_text(&mut record));
                    format!("kinesis {number} {sub} {key} {shard} {}", take_u64(&mut record))
                }
                2 => {
                    let (topic, offset) = (take_text(&mut record), take_text(&mut record));
                    format!("kafka {topic} {offset} {} {}", take_text(&mut record), take_u64(&mut record))
                }
                _ => "None None".into(),
            };
            Input { id, arrival_ms, data, metadata }
        })
        .collect()
}

fn take<'a>(from: &mut &'a [u8], bytes: usize) -> &'a [u8] {
    let (head, rest) = from.split_at(bytes);
    *from = rest;
    head
}

fn take_u32(from: &mut &[u8]) -> u32 {
    u32::from_le_bytes(take(from, 4).try_into().unwrap())
}

fn take_u64(from: &mut &[u8]) -> u64 {
    u64::from_le_bytes(take(from, 8).try_into().unwrap())
}

fn take_bytes<'a>(from: &mut &'a [u8]) -> &'a [u8] {
    let bytes = take_u32(from) as usize;
    take(from, bytes)
}

fn take_text(from: &mut &[u8]) -> String {
    String::from_utf8(take_bytes(from).to_vec()).unwrap()
}
