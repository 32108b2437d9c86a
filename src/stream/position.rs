//! Where a record stands in its lane.
//!
//! A position is opaque bytes that order as the lane does, with a sub-position for the parts of one outer record
//! (aggregated Kinesis records). Direct PUT uses the record's number, 8 bytes big-endian, counted from 1; a Kinesis
//! sequence number is its decimal digits padded to 56; a Kafka offset is 8 bytes big-endian.
//! Text form, also the persisted one: `<hex>` or `<hex>.<sub>` when `sub` is not 0.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Longest key in bytes; a Kinesis sequence number needs 56.
pub const MAX_KEY_BYTES: usize = 64;

/// A position in a lane. Ordered by key bytes, then sub-position.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    key: Box<[u8]>,
    sub: u64,
}

impl Position {
    /// The position before every record: the empty key.
    pub fn start() -> Self {
        Self::default()
    }

    /// The position of record number `number` of a Direct PUT log.
    pub fn from_number(number: u64) -> Self {
        Self { key: Box::new(number.to_be_bytes()), sub: 0 }
    }

    /// The record number of a Direct PUT position; 0 for the start. `None` for positions of other sources.
    pub fn number(&self) -> Option<u64> {
        if self.key.is_empty() {
            return Some(0);
        }
        Some(u64::from_be_bytes(self.key.as_ref().try_into().ok()?))
    }

    /// Ordering bytes.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Part of the outer record, from 0.
    pub fn sub(&self) -> u64 {
        self.sub
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.key {
            write!(f, "{byte:02x}")?;
        }
        if self.sub != 0 {
            write!(f, ".{}", self.sub)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            Some(number) if self.sub == 0 => write!(f, "#{number}"),
            _ => write!(f, "{self}"),
        }
    }
}

/// A text that is not a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a position: expected hex digits, optionally '.' and a number")]
pub struct BadPosition(String);

impl FromStr for Position {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let bad = || BadPosition(text.to_owned());
        let (hex, sub) = match text.split_once('.') {
            Some((hex, sub)) => (hex, sub.parse().map_err(|_| bad())?),
            None => (text, 0),
        };
        if hex.len() % 2 != 0 || hex.len() > 2 * MAX_KEY_BYTES || !hex.is_ascii() {
            return Err(bad());
        }
        let key = (0..hex.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).map_err(|_| bad()))
            .collect::<Result<_, _>>()?;
        Ok(Self { key, sub })
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A run of a lane, `(from, to]`: everything after `from` up to and including `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Exclusive start: the last sealed `to`, or the start.
    pub from: Position,
    /// Inclusive end.
    pub to: Position,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_orders_like_numbers() {
        let mut last = Position::start();
        for number in [1u64, 2, 255, 256, 1 << 40, u64::MAX] {
            let position = Position::from_number(number);
            assert!(last < position);
            assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
            assert_eq!(position.number(), Some(number));
            last = position;
        }
        let parted = Position { key: b"4961"[..].into(), sub: 7 };
        assert_eq!(parted.to_string().parse::<Position>().unwrap(), parted);
    }

    #[test]
    fn foreign_text_is_refused() {
        for text in ["0", "zz", "00.x", "éé", &"00".repeat(MAX_KEY_BYTES + 1)] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }
}
