//! The encoder of a table that has no column yet: no record had a value.
//!
//! A Parquet file needs a column, so nothing can be delivered; each record is refused, one that is not valid with its
//! own cause.

use super::super::decode::Decoder;
use super::super::rejection::Rejection;
use super::super::rules::Rules;
use super::super::schema::{Field, HiveType, SchemaError, TableSchema};
use crate::record::{Chunk, Refused};
use crate::stage::Encoder;
use std::io::{self, Write};
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub struct Unlearnt {
    decoder: Decoder,
}

impl Unlearnt {
    /// For records read by `rules`.
    pub fn new(rules: &Rules) -> Result<Self, SchemaError> {
        // It is never written.
        let column = Field { name: "none".to_owned(), kind: HiveType::String };
        Ok(Self { decoder: Decoder::new(&Arc::new(TableSchema::new(vec![column])?), rules) })
    }
}

impl Encoder for Unlearnt {
    fn push(&mut self, chunk: &Chunk, _sink: &mut dyn Write) -> io::Result<Vec<Refused>> {
        let refused = chunk.slots.iter().map(|slot| {
            let rejection = match self.decoder.record(chunk.bytes(slot), false) {
                Ok(()) => Rejection::NoValue,
                Err(rejection) if rejection.is_unfit() => Rejection::NoValue,
                Err(rejection) => *rejection,
            };
            self.decoder.columns.truncate(0);
            self.decoder.rows = 0;
            self.decoder.spread_bytes = 0;
            Refused { origin: slot.origin, cause: rejection.cause() }
        });
        Ok(refused.collect())
    }

    fn finish(self: Box<Self>, _sink: &mut dyn Write) -> io::Result<u64> {
        Ok(0)
    }
}
