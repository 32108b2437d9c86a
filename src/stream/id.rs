//! Random 128-bit identities: of a stream's incarnation, of a seal; and what is derived from a seal's.
//!
//! Rule D2: keys, random strings, request and document ids are hashes of (seal id, parcel number), never of names or
//! positions, so a stream made again under an old name meets no old keys.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// 128 random bits, written as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id128(pub [u8; 16]);

/// One life of a stream: a stream made again under an old name is another incarnation. Also its folder's name.
pub type Incarnation = Id128;

/// Identity of a seal.
pub type SealId = Id128;

impl Id128 {
    /// A new random id from the operating system.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        // The system's generator fails only where the program could not have started (no such call in the kernel).
        getrandom::fill(&mut bytes).unwrap_or_else(|error| panic!("the system's random generator failed: {error}"));
        Self(bytes)
    }

    /// 32 bytes that depend on this id, `number` and `purpose` alone: SHA-256 over the three.
    pub fn derive(&self, purpose: &str, number: u32) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(number.to_le_bytes());
        hash.update(purpose.as_bytes());
        hash.finalize().into()
    }

    /// The UUID (version 8, lower case) that parcel `number` of this seal bears in its name.
    pub fn parcel_uuid(&self, number: u32) -> String {
        let mut b: [u8; 16] = [0; 16];
        b.copy_from_slice(&self.derive("parcel", number)[..16]);
        b[6] = (b[6] & 0x0f) | 0x80;
        b[8] = (b[8] & 0x3f) | 0x80;
        let h = Id128(b).to_string();
        format!("{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
    }
}

impl fmt::Display for Id128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not 32 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an id: expected 32 hex digits")]
pub struct BadId(String);

impl FromStr for Id128 {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId(text.to_owned());
        if text.len() != 32 || !text.is_ascii() {
            return Err(bad());
        }
        let mut bytes = [0; 16];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Id128 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id128 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_depend_on_seal_and_parcel_alone() {
        let id: SealId = "000102030405060708090a0b0c0d0e0f".parse().unwrap();
        assert_eq!(id.to_string().parse::<SealId>().unwrap(), id);
        assert_eq!(id.parcel_uuid(0), id.parcel_uuid(0));
        assert_ne!(id.parcel_uuid(0), id.parcel_uuid(1));
        assert_ne!(Id128::random(), Id128::random());
    }
}
