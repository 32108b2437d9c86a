//! One record: its objects, and what becomes of them together.

use crate::object::Object;
use crate::scan;
use crate::settings::Settings;
use serde_json::de::{Read, SliceRead, StrRead};
use serde_json::StreamDeserializer;

/// What becomes of a record.
pub enum Verdict {
    /// It goes on as the lines that were written, with these partition keys.
    Ok(Vec<(String, String)>),
    /// All its objects were dropped.
    Dropped,
    /// It is not what is expected, and why.
    Failed(String),
}

/// Appends the lines of a record to `out`; what was written is worth something only if it is ok.
pub fn enrich(settings: &Settings, data: &[u8], arrival_ms: u64, out: &mut Vec<u8>) -> Verdict {
    // Looked through once for all of its texts.
    let Ok(text) = std::str::from_utf8(data) else { return first_error(SliceRead::new(data)) };
    let start = out.len();
    let (mut at, mut keys) = (0, None);
    while let Some((object, end)) = scan::object(text, at) {
        keys.get_or_insert_with(|| settings.partition_keys(&object));
        settings.write(text, &object, arrival_ms, out);
        at = end;
        if at == text.len() {
            return verdict(keys, out.len() > start);
        }
    }
    out.truncate(start);
    enrich_parsed(settings, text, arrival_ms, out)
}

/// The same with the parser alone.
fn enrich_parsed(settings: &Settings, text: &str, arrival_ms: u64, out: &mut Vec<u8>) -> Verdict {
    let start = out.len();
    let mut keys = None;
    for (objects, object) in StreamDeserializer::<_, Object>::new(StrRead::new(text)).enumerate() {
        match object {
            Ok(object) => {
                keys.get_or_insert_with(|| settings.partition_keys(&object));
                settings.write(text, &object, arrival_ms, out);
            }
            Err(error) => return failed(objects, &error),
        }
    }
    verdict(keys, out.len() > start)
}

/// `keys`: of the first object, if there is one.
fn verdict(keys: Option<Vec<(String, String)>>, is_written: bool) -> Verdict {
    match keys {
        None => Verdict::Failed("the record holds no JSON object".into()),
        Some(_) if !is_written => Verdict::Dropped,
        Some(keys) => Verdict::Ok(keys),
    }
}

/// Why bytes that are not text are refused.
fn first_error<'de>(bytes: impl Read<'de>) -> Verdict {
    for (objects, object) in StreamDeserializer::<_, Object>::new(bytes).enumerate() {
        if let Err(error) = object {
            return failed(objects, &error);
        }
    }
    Verdict::Failed("the record is not UTF-8".into())
}

fn failed(objects: usize, error: &serde_json::Error) -> Verdict {
    Verdict::Failed(format!("object {} of the record: {error}", objects + 1))
}
