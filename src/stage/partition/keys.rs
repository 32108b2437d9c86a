//! A record's partition keys, and the bytes that stand for them in the spool.
//!
//! From: `query`, `lambda`. The bytes name the keys, so that they can be read by another revision of the stream. Layout, for each
//! key: `q` (query) or `l` (lambda), length of the name, name, length of the value, value; lengths are u32 LE. Keys of
//! one kind are in the order of their names, those of queries first, so that equal keys are equal bytes.

use super::query::{FAILURE_CODE, Query, QueryError};
use crate::record::{Cause, ErrorKind};
use crate::stream::prefix::PartitionKeys;

/// Tells the keys of records.
#[derive(Debug)]
pub struct Partitioner {
    query: Query,
    /// Places of the query's keys in the order of their names, each with what stands before its value.
    order: Vec<(usize, Vec<u8>)>,
}

impl Partitioner {
    /// By a MetadataExtractionQuery.
    pub fn new(query: &str) -> Result<Self, QueryError> {
        let query = Query::parse(query)?;
        let mut order: Vec<usize> = (0..query.keys().len()).collect();
        order.sort_by_key(|at| &query.keys()[*at]);
        let head = |at: usize| {
            let mut head = vec![b'q'];
            put(&mut head, &query.keys()[at]);
            (at, head)
        };
        let order = order.into_iter().map(head).collect();
        Ok(Self { query, order })
    }

    /// Replaces `key` by the bytes for the keys of a record. `Err`: why it has none.
    pub fn key_of(&self, record: &[u8], key: &mut Vec<u8>) -> Result<(), Cause> {
        let values = self.query.evaluate(record).map_err(|failure| refusal(failure.to_string()))?;
        key.clear();
        for (at, head) in &self.order {
            key.extend_from_slice(head);
            put(key, &values[*at]);
        }
        Ok(())
    }
}

/// The cause of a record that cannot be put into a partition.
pub fn refusal(message: String) -> Cause {
    Cause { kind: ErrorKind::PartitioningFailed, code: FAILURE_CODE.to_owned(), message, attempts: 1 }
}

/// Appends a length and a text.
pub(super) fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// The keys that bytes stand for; `None` if they are none of [`Partitioner::key_of`].
pub fn parse(mut bytes: &[u8]) -> Option<PartitionKeys> {
    let mut keys = PartitionKeys::default();
    while let Some((kind, rest)) = bytes.split_first() {
        bytes = rest;
        let (name, value) = (take(&mut bytes)?, take(&mut bytes)?);
        match kind {
            b'q' => keys.query.insert(name, value),
            b'l' => keys.lambda.insert(name, value),
            _ => return None,
        };
    }
    Some(keys)
}

fn take(bytes: &mut &[u8]) -> Option<String> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_are_equal_bytes_and_come_back() {
        let key = |query: &str, record: &str| {
            let mut key = b"what was there before".to_vec();
            Partitioner::new(query).unwrap().key_of(record.as_bytes(), &mut key).map(|()| key)
        };
        let one = key("{b:.x,a:.y}", r#"{"x":"é","y":1.0}"#).unwrap();
        assert_eq!(one, key("{a:.y,b:.x}", r#"{"y":1,"x":"\u00e9","z":0}"#).unwrap());
        let keys = parse(&one).unwrap();
        assert_eq!(keys.query.into_iter().collect::<Vec<_>>(), [("a".into(), "1".into()), ("b".into(), "é".into())]);
        let refused = key("{a:.y}", "{}").unwrap_err();
        assert_eq!((refused.kind, refused.code.as_str()), (ErrorKind::PartitioningFailed, FAILURE_CODE));
        assert!(refused.message.contains("partitionKeys values must not be null or empty"), "{}", refused.message);
        for cut in 1..one.len() {
            assert!(parse(&one[..cut]).is_none_or(|keys| keys.query.len() == 1), "{cut}");
        }
        assert_eq!(parse(b"x\0\0\0\0\0\0\0\0"), None);
    }
}
