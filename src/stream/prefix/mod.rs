//! Prefix and ErrorOutputPrefix: text with expressions `!{namespace:value}`, parsed once, evaluated for each object.
//!
//! From: `control` checks a prefix with it when a stream is created, `destination` makes object keys with it. Pure: what
//! a prefix evaluates to depends on its text and the [`Facts`] alone, and random strings are hashes of the seal (rule
//! D2), so the same object always gets the same name. Neighbours: `expression` splits the text, `time_pattern` and
//! `time_text` do what java.time.format.DateTimeFormatter does, `zone` knows CustomTimeZone.

mod expression;
#[cfg(test)]
mod golden_tests;
mod time_pattern;
mod time_text;
mod zone;

pub use expression::{PrefixError, START};
pub use time_pattern::TimePattern;
pub use time_text::{DAYS, MONTHS};
pub use zone::{Moment, TimeZone};

use super::SealId;
use expression::Expression;
use std::collections::BTreeMap;

/// The longest prefix that the service takes, evaluated, an appended time folder included; in UTF-16 units.
pub const MAX_EVALUATED_UTF16: usize = 512;
/// Characters (UTF-16 units) of a random string.
const RANDOM_LENGTH: usize = 11;
/// What a random string is made of.
const RANDOM_DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The longest of the error output types that an S3 destination has.
const LONGEST_ERROR_TYPE: &str = "format-conversion-failed";

/// Where the value of a partition key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeySource {
    /// `partitionKeyFromQuery`: the jq query of a MetadataExtraction processor.
    Query,
    /// `partitionKeyFromLambda`: `metadata.partitionKeys` in a transform's answer.
    Lambda,
}

impl KeySource {
    /// The namespace in an expression.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Query => "partitionKeyFromQuery",
            Self::Lambda => "partitionKeyFromLambda",
        }
    }
}

/// Values of the partition keys of one object, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKeys {
    /// For `!{partitionKeyFromQuery:…}`.
    pub query: BTreeMap<String, String>,
    /// For `!{partitionKeyFromLambda:…}`.
    pub lambda: BTreeMap<String, String>,
}

impl PartitionKeys {
    /// The value of a key.
    pub fn get(&self, source: KeySource, key: &str) -> Option<&str> {
        let values = match source {
            KeySource::Query => &self.query,
            KeySource::Lambda => &self.lambda,
        };
        values.get(key).map(String::as_str)
    }
}

/// A part of a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Text as it is.
    Literal(String),
    /// `!{timestamp:<pattern>}`.
    Time(TimePattern),
    /// `!{firehose:random-string}`.
    RandomString,
    /// `!{firehose:error-output-type}`.
    ErrorOutputType,
    /// `!{partitionKeyFromQuery:<key>}`, `!{partitionKeyFromLambda:<key>}`.
    PartitionKey(KeySource, String),
}

/// A parsed Prefix or ErrorOutputPrefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    segments: Vec<Segment>,
}

/// What a prefix is evaluated with.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Arrival of the oldest record in the object, in the stream's time zone.
    pub moment: &'a Moment,
    /// The seal that the object belongs to.
    pub seal: SealId,
    /// Number of the parcel in the seal.
    pub parcel: u32,
    /// `processing-failed`, …; empty for an object of delivered records.
    pub error_output_type: &'a str,
    /// Values of the partition keys.
    pub partition_keys: &'a PartitionKeys,
}

/// Why a prefix says nothing about an object. Only one with partition keys gets there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// The facts hold no value for a partition key.
    #[error("no value for !{{{}:{key}}}", namespace.namespace())]
    MissingKey {
        /// Its namespace.
        namespace: KeySource,
        /// Its name.
        key: String,
    },
    /// The values make it longer than [`MAX_EVALUATED_UTF16`].
    #[error("the evaluated prefix has {length_utf16} characters, {MAX_EVALUATED_UTF16} are allowed")]
    TooLong {
        /// What it has.
        length_utf16: usize,
    },
}

/// How long a prefix can become.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Length {
    /// In UTF-16 units, as the service counts characters.
    pub utf16: usize,
    /// In bytes of UTF-8, as S3 counts keys.
    pub bytes: usize,
}

impl Length {
    fn of(text: &str) -> Self {
        Self { utf16: text.encode_utf16().count(), bytes: text.len() }
    }

    fn max(self, other: Self) -> Self {
        Self { utf16: self.utf16.max(other.utf16), bytes: self.bytes.max(other.bytes) }
    }
}

impl std::iter::Sum for Length {
    fn sum<I: Iterator<Item = Self>>(lengths: I) -> Self {
        lengths.fold(Self::default(), |a, b| Self { utf16: a.utf16 + b.utf16, bytes: a.bytes + b.bytes })
    }
}

/// Whether a segment of a key is one that S3 or other stores take for a step between folders: S3 takes no key that climbs
/// above the bucket, others none with such a segment.
pub fn is_dot_segment(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

impl Prefix {
    /// Parses a prefix. Expressions must be complete before any of them is looked into.
    pub fn parse(text: &str) -> Result<Self, PrefixError> {
        let mut segments = Vec::new();
        for (literal, expression) in expression::split(text)? {
            if !literal.is_empty() {
                segments.push(Segment::Literal(literal.to_owned()));
            }
            segments.extend(expression.map(segment).transpose()?);
        }
        Ok(Self { segments })
    }

    /// Its parts, in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether any expression is in it; if not, a time folder follows it.
    pub fn has_expressions(&self) -> bool {
        self.segments.iter().any(|segment| !matches!(segment, Segment::Literal(_)))
    }

    /// The partition keys in it, in order.
    pub fn partition_keys(&self) -> impl Iterator<Item = (KeySource, &str)> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::PartitionKey(source, key) => Some((*source, key.as_str())),
            _ => None,
        })
    }

    /// What it says about one object.
    pub fn evaluate(&self, facts: &Facts) -> Result<String, EvaluateError> {
        let (mut text, mut instances) = (String::new(), 0);
        for segment in &self.segments {
            match segment {
                Segment::Literal(literal) => text.push_str(literal),
                Segment::Time(pattern) => pattern.print(facts.moment, &mut text),
                Segment::RandomString => {
                    text.push_str(&random_string(facts.seal, facts.parcel, instances));
                    instances += 1;
                }
                Segment::ErrorOutputType => text.push_str(facts.error_output_type),
                Segment::PartitionKey(source, key) => match facts.partition_keys.get(*source, key) {
                    Some(value) => text.push_str(value),
                    None => return Err(EvaluateError::MissingKey { namespace: *source, key: key.clone() }),
                },
            }
        }
        // The others were measured when the stream was created, with the longest that they can become.
        let length_utf16 = text.encode_utf16().count();
        if length_utf16 > MAX_EVALUATED_UTF16 && self.partition_keys().next().is_some() {
            return Err(EvaluateError::TooLong { length_utf16 });
        }
        Ok(text)
    }

    /// Whether the keys it makes have a segment `.` or `..`, whatever the values of its expressions.
    pub fn has_dot_segment(&self) -> bool {
        let (mut text, moment) = (String::new(), TimeZone::UTC.at(0));
        for segment in &self.segments {
            match (segment, &moment) {
                (Segment::Literal(literal), _) => text.push_str(literal),
                (Segment::Time(pattern), Some(moment)) => pattern.print(moment, &mut text),
                _ => text.push('x'),
            }
        }
        // Something always follows what stands behind the last slash.
        text.rsplit('/').skip(1).any(is_dot_segment)
    }

    /// The longest that it can become in `zone`, whatever the time and the kind of error. Values of partition keys,
    /// which nobody knows before there are records, count as nothing.
    pub fn longest(&self, zone: TimeZone) -> Length {
        let longest = |segment: &Segment| match segment {
            Segment::Literal(literal) => Length::of(literal),
            Segment::Time(pattern) => pattern.longest(zone),
            Segment::RandomString => Length { utf16: RANDOM_LENGTH, bytes: RANDOM_LENGTH },
            Segment::ErrorOutputType => Length::of(LONGEST_ERROR_TYPE),
            Segment::PartitionKey(..) => Length::default(),
        };
        self.segments.iter().map(longest).sum()
    }
}

fn segment(expression: Expression) -> Result<Segment, PrefixError> {
    let key = |source| Ok(Segment::PartitionKey(source, expression.value.to_owned()));
    match (expression.namespace, expression.value) {
        ("timestamp", pattern) => Ok(Segment::Time(TimePattern::parse(pattern).ok_or(PrefixError::Value)?)),
        ("firehose", "random-string") => Ok(Segment::RandomString),
        ("firehose", "error-output-type") => Ok(Segment::ErrorOutputType),
        ("firehose", _) => Err(PrefixError::Value),
        ("partitionKeyFromQuery", _) => key(KeySource::Query),
        ("partitionKeyFromLambda", _) => key(KeySource::Lambda),
        (other, _) => Err(PrefixError::Namespace(other.to_owned())),
    }
}

/// Random string number `instance` of a prefix: depends on seal, parcel and instance alone.
fn random_string(seal: SealId, parcel: u32, instance: u32) -> String {
    let hash = seal.derive(&format!("random-string {instance}"), parcel);
    let mut rest = hash[..16].iter().fold(0, |number: u128, byte| number << 8 | u128::from(*byte));
    let digit = |_| {
        let digit = RANDOM_DIGITS[(rest % 62) as usize];
        rest /= 62;
        char::from(digit)
    };
    (0..RANDOM_LENGTH).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // 2026-07-13T14:05:09.364Z
    const ARRIVAL_MS: i64 = 1_783_951_509_364;

    fn evaluate(prefix: &str, parcel: u32, keys: &PartitionKeys) -> Result<String, EvaluateError> {
        let facts = Facts {
            moment: &TimeZone::UTC.at(ARRIVAL_MS).unwrap(),
            seal: "000102030405060708090a0b0c0d0e0f".parse().unwrap(),
            parcel,
            error_output_type: "processing-failed",
            partition_keys: keys,
        };
        Prefix::parse(prefix).unwrap().evaluate(&facts)
    }

    #[test]
    fn every_namespace_is_evaluated() {
        let keys = PartitionKeys {
            query: [("k".to_owned(), "q/1".to_owned())].into(),
            lambda: [("k".to_owned(), "l".to_owned())].into(),
        };
        for (prefix, expected) in [
            ("", ""),
            ("a$!}{/", "a$!}{/"),
            ("y=!{timestamp:yyyy}/m=!{timestamp:MM}/", "y=2026/m=07/"),
            ("!{firehose:error-output-type}/x", "processing-failed/x"),
            ("!{partitionKeyFromQuery:k}/!{partitionKeyFromLambda:k}/", "q/1/l/"),
            ("!{timestamp:'!{'}", "!{"),
        ] {
            assert_eq!(evaluate(prefix, 0, &keys).unwrap(), expected, "{prefix}");
        }
        let missing = EvaluateError::MissingKey { namespace: KeySource::Lambda, key: "K".to_owned() };
        assert_eq!(missing.to_string(), "no value for !{partitionKeyFromLambda:K}");
        assert_eq!(evaluate("!{partitionKeyFromLambda:K}", 0, &keys), Err(missing));
    }

    #[test]
    fn values_of_partition_keys_count() {
        let of = |length: usize| {
            let keys = PartitionKeys { query: [("k".to_owned(), "𝄞".repeat(length))].into(), ..Default::default() };
            evaluate("a/!{partitionKeyFromQuery:k}", 0, &keys)
        };
        assert_eq!(of(255).unwrap().chars().count(), 257);
        let error = of(256).unwrap_err();
        assert_eq!(error, EvaluateError::TooLong { length_utf16: 514 });
        assert_eq!(error.to_string(), "the evaluated prefix has 514 characters, 512 are allowed");
    }

    #[test]
    fn random_strings_differ_by_instance_and_parcel_and_repeat() {
        let twice = "!{firehose:random-string}/!{firehose:random-string}";
        let of = |parcel| evaluate(twice, parcel, &PartitionKeys::default()).unwrap();
        let text = of(0);
        let (first, second) = text.split_once('/').unwrap();
        for each in [first, second] {
            assert!(each.len() == RANDOM_LENGTH && each.bytes().all(|c| c.is_ascii_alphanumeric()), "{each}");
        }
        assert_ne!(first, second);
        assert_eq!(of(0), text);
        assert_ne!(of(1), text);
    }

    #[test]
    fn no_time_is_longer_than_the_longest() {
        let zones = ["UTC", "Asia/Katmandu", "Pacific/Kiritimati", "America/Adak", "Indian/Kerguelen", "Europe/Dublin"];
        let patterns = "A B D E EEEE F G GGGG H K L LLLL M MMMM N O OOOO Q QQQQ S W X XXX Y Z a c d e g h k m n q s u v \
                        vvvv w x y z zzzz 'é'";
        for zone in zones.map(|id| TimeZone::from_id(id).unwrap()) {
            for pattern in patterns.split_whitespace() {
                let prefix = Prefix::parse(&format!("!{{timestamp:{pattern}}}")).unwrap();
                let longest = prefix.longest(zone);
                let mut seen = Length::default();
                // Five hours and some, so that all hours and seconds come by; two years.
                for step in 0..3400 {
                    let mut text = String::new();
                    let moment = zone.at(ARRIVAL_MS + step * 18_671_211).unwrap();
                    let Segment::Time(pattern) = &prefix.segments()[0] else { panic!() };
                    pattern.print(&moment, &mut text);
                    seen = seen.max(Length::of(&text));
                }
                assert_eq!(seen, longest, "{pattern} in {zone:?}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_parsed_is_evaluated_within_its_length(
            text in "(!\\{(timestamp|firehose|other|):([A-Za-z]{1,5}|random-string|['\\[\\]#{ é-]{1,3}){1,4}\\}|[a-z/é!{}]{0,3}){0,5}",
            zone in proptest::sample::select(vec!["UTC", "Africa/Casablanca", "America/St_Johns", "Indian/Reunion"]),
            // 2026 to 2100.
            ms in 1_767_225_600_000i64..4_102_444_800_000,
        ) {
            if let Ok(prefix) = Prefix::parse(&text) {
                let zone = TimeZone::from_id(zone).unwrap();
                let facts = Facts {
                    moment: &zone.at(ms).unwrap(),
                    seal: crate::stream::Id128([7; 16]),
                    parcel: 1,
                    error_output_type: LONGEST_ERROR_TYPE,
                    partition_keys: &PartitionKeys::default(),
                };
                let (found, longest) = (Length::of(&prefix.evaluate(&facts).unwrap()), prefix.longest(zone));
                proptest::prop_assert!(found.max(longest) == longest, "{text}: {found:?}, {longest:?}");
                proptest::prop_assert_eq!(prefix.has_expressions(), text.contains(START));
            }
        }

        #[test]
        fn nothing_is_too_odd_to_be_parsed(text in ".{0,30}", pattern in ".{0,12}") {
            let _ = Prefix::parse(&text);
            let _ = TimePattern::parse(&pattern);
        }
    }

    #[test]
    fn lengths_of_the_other_segments() {
        let of = |text: &str| Prefix::parse(text).unwrap().longest(TimeZone::UTC);
        assert_eq!(of("日/!{firehose:random-string}"), Length { utf16: 13, bytes: 15 });
        assert_eq!(of("!{firehose:error-output-type}!{partitionKeyFromQuery:k}"), Length { utf16: 24, bytes: 24 });
    }
}
