//! Partition keys that a transform tells with its verdict on a record.
//!
//! From: `transform`, with the pairs of an answer. To: the bytes of `keys`, after those of a query. Of what a transform
//! tells only what the prefix names counts, so that no other key makes a partition of its own.

use super::keys::{put, refusal};
use crate::record::Cause;
use crate::stream::prefix::{KeySource, MAX_EVALUATED_UTF16, Prefix, PrefixError};

/// The keys `!{partitionKeyFromLambda:…}` of a prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LambdaKeys {
    /// In order, each once.
    names: Vec<String>,
}

impl LambdaKeys {
    /// Those that a prefix names; none of them is an answer's own affair.
    pub fn of_prefix(prefix: &str) -> Result<Self, PrefixError> {
        let prefix = Prefix::parse(prefix)?;
        let of_lambda = |(source, name): (KeySource, &str)| (source == KeySource::Lambda).then(|| name.to_owned());
        let mut names: Vec<String> = prefix.partition_keys().filter_map(of_lambda).collect();
        names.sort_unstable();
        names.dedup();
        Ok(Self { names })
    }

    /// Whether no key is wanted.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Appends the bytes for the keys of one record to `key`, from what was told of it. `Err`: why it has none, and
    /// `key` is as it was. `values` is room that is used again.
    pub fn append<'a>(
        &self,
        told: impl Iterator<Item = (&'a str, &'a str)>,
        values: &mut Vec<Option<&'a str>>,
        key: &mut Vec<u8>,
    ) -> Result<(), Cause> {
        if self.is_empty() {
            return Ok(());
        }
        values.clear();
        values.resize(self.names.len(), None);
        for (name, value) in told {
            let Ok(at) = self.names.binary_search_by(|wanted| wanted.as_str().cmp(name)) else { continue };
            if values[at].replace(value).is_some() {
                return Err(refusal(format!("partitionKeys has the key {name} more than once")));
            }
        }
        for (name, value) in self.names.iter().zip(&*values) {
            let Some(value) = value.filter(|value| !value.is_empty()) else {
                return Err(refusal(format!("partitionKeys values must not be null or empty: {name}")));
            };
            // A longer one is in no prefix that can be evaluated. Not shorter in bytes than in UTF-16 units.
            if value.len() > MAX_EVALUATED_UTF16 && value.encode_utf16().count() > MAX_EVALUATED_UTF16 {
                let text = format!("partitionKeys value of {name} has more than {MAX_EVALUATED_UTF16} characters");
                return Err(refusal(text));
            }
        }
        for (name, value) in self.names.iter().zip(&*values) {
            key.push(b'l');
            put(key, name);
            put(key, value.unwrap_or_default());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::{Partitioner, parse};
    use super::*;

    fn appended(prefix: &str, told: &[(&str, &str)]) -> Result<Vec<u8>, String> {
        let keys = LambdaKeys::of_prefix(prefix).unwrap();
        let (mut values, mut key) = (vec![Some("old")], b"head".to_vec());
        let outcome = keys.append(told.iter().copied(), &mut values, &mut key);
        assert!(key.starts_with(b"head"));
        match outcome {
            Ok(()) => Ok(key.split_off(4)),
            Err(cause) => {
                assert_eq!(key, b"head");
                assert_eq!(cause.kind.as_str(), "partitioning-failed");
                assert_eq!(cause.code, "DynamicPartitioning.MetadataExtractionFailed");
                Err(cause.message)
            }
        }
    }

    const PREFIX: &str = "!{partitionKeyFromLambda:b}/!{partitionKeyFromQuery:q}/!{partitionKeyFromLambda:a}/\
                          !{partitionKeyFromLambda:b}/";

    #[test]
    fn what_the_prefix_names_is_taken_and_nothing_else() {
        let one = appended(PREFIX, &[("a", "1"), ("b", "é/x"), ("c", "other")]).unwrap();
        assert_eq!(one, appended(PREFIX, &[("q", ""), ("q", ""), ("b", "é/x"), ("a", "1")]).unwrap());
        let keys = parse(&one).unwrap();
        assert!(keys.query.is_empty());
        assert_eq!(keys.lambda.into_iter().collect::<Vec<_>>(), [("a".into(), "1".into()), ("b".into(), "é/x".into())]);
        assert_eq!(appended("p/!{partitionKeyFromQuery:q}/", &[("a", "1"), ("a", "")]).unwrap(), b"");
        // Behind the keys of a query they are read with them.
        let mut both = Vec::new();
        Partitioner::new("{q:.q}").unwrap().key_of(br#"{"q":"1"}"#, &mut both).unwrap();
        both.extend(one);
        let keys = parse(&both).unwrap();
        assert_eq!((keys.query.len(), keys.lambda.len()), (1, 2));
    }

    #[test]
    fn records_without_all_keys_are_refused() {
        let null = |name: &str| Err(format!("partitionKeys values must not be null or empty: {name}"));
        assert_eq!(appended(PREFIX, &[]), null("a"));
        assert_eq!(appended(PREFIX, &[("a", "1")]), null("b"));
        assert_eq!(appended(PREFIX, &[("a", ""), ("b", "1")]), null("a"));
        assert_eq!(
            appended(PREFIX, &[("a", "1"), ("b", "1"), ("a", "1")]),
            Err("partitionKeys has the key a more than once".to_owned())
        );
        assert!(appended(PREFIX, &[("a", &"😀".repeat(256)), ("b", "1")]).is_ok());
        assert_eq!(
            appended(PREFIX, &[("a", &"😀".repeat(257)), ("b", "1")]),
            Err("partitionKeys value of a has more than 512 characters".to_owned())
        );
    }
}
