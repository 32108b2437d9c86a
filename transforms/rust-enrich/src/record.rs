//! One record: its objects, and what becomes of them together.

use crate::grammar::Text;
use crate::object::{plain, Object};
use crate::scan::{self, Mark};
use crate::settings::Settings;
use crate::write::{write_parsed, write_scanned, Added};
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

/// Settings at work, with room that is used again.
pub struct Enricher {
    settings: Settings,
    added: Added,
    marks: Vec<Mark>,
}

impl Enricher {
    pub fn new(settings: Settings) -> Self {
        let added = Added::of(&settings);
        Self { settings, added, marks: Vec::new() }
    }

    /// Appends the lines of a record to `out`; what was written is worth something only if it is ok.
    pub fn enrich(&mut self, data: &[u8], arrival_ms: u64, out: &mut Vec<u8>) -> Verdict {
        let (text, start) = (Text(data), out.len());
        let (mut at, mut keys) = (between(text, 0), None);
        while at < data.len() {
            let names = &self.settings.names;
            let Some(object) = scan::object(text, at, names, &mut self.marks) else {
                out.truncate(start);
                return self.enrich_parsed(data, arrival_ms, out);
            };
            // Of a name that occurs twice the first one counts; a scanned value is text.
            let marks = &self.marks;
            let value = |name: usize| marks.iter().find(|mark| mark.name == name).map(|mark| &data[mark.value..mark.upto]);
            let value = |name| value(name).and_then(|value| std::str::from_utf8(value).ok());
            keys.get_or_insert_with(|| partition_keys(&self.settings, value));
            if !is_dropped(&self.settings, value) {
                write_scanned(data, &object, marks, names, &mut self.added, arrival_ms, out);
            }
            at = between(text, object.upto);
        }
        verdict(keys, out.len() > start)
    }

    /// The same with the parser alone.
    fn enrich_parsed(&mut self, data: &[u8], arrival_ms: u64, out: &mut Vec<u8>) -> Verdict {
        let Ok(text) = std::str::from_utf8(data) else { return first_error(SliceRead::new(data)) };
        let start = out.len();
        let mut keys = None;
        for (objects, object) in StreamDeserializer::<_, Object>::new(StrRead::new(text)).enumerate() {
            let object = match object {
                Ok(object) => object,
                Err(error) => return failed(objects, &error),
            };
            let value = |name| object.get(self.settings.names.name(name));
            keys.get_or_insert_with(|| partition_keys(&self.settings, value));
            if !is_dropped(&self.settings, value) {
                write_parsed(&object, &self.settings.names, &mut self.added, arrival_ms, out);
            }
        }
        verdict(keys, out.len() > start)
    }
}

/// The place after the blanks between objects.
#[inline(always)]
fn between(text: Text, mut at: usize) -> usize {
    while matches!(text.at(at), b' ' | b'\n' | b'\t' | b'\r') {
        at += 1;
    }
    at
}

/// `value`: JSON text of the member with that number.
fn is_dropped<'a>(settings: &Settings, value: impl Fn(usize) -> Option<&'a str>) -> bool {
    settings.drop.iter().any(|(name, dropped)| value(*name).is_some_and(|value| plain(value) == *dropped))
}

/// The partition keys that are there, with their plain values.
fn partition_keys<'a>(settings: &Settings, value: impl Fn(usize) -> Option<&'a str>) -> Vec<(String, String)> {
    let key = |name: &usize| Some((settings.names.name(*name).to_owned(), plain(value(*name)?).into_owned()));
    settings.partition.iter().filter_map(key).collect()
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
