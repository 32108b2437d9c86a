//! What a record of JSON objects is by another parser. Shared with the fuzz target.

use serde::de::IgnoredAny;

/// How many objects pass, and whether a rest is refused.
pub fn objects(record: &[u8]) -> (usize, bool) {
    let valid = std::str::from_utf8(record).map_or_else(|error| error.valid_up_to(), str::len);
    let (mut from, mut passed) = (0, 0);
    loop {
        from += record[from..].iter().take_while(|byte| b" \n\r\t".contains(byte)).count();
        if from == record.len() && passed > 0 {
            return (passed, false);
        }
        if record.get(from) != Some(&b'{') {
            return (passed, true);
        }
        let mut values = serde_json::Deserializer::from_slice(&record[from..]).into_iter::<IgnoredAny>();
        let is_good = values.next().is_some_and(|value| value.is_ok());
        let end = from + values.byte_offset();
        if !is_good || end > valid {
            return (passed, true);
        }
        (from, passed) = (end, passed + 1);
    }
}
