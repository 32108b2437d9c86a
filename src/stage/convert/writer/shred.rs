//! Columns into the leaves of Parquet: which slots each has, and at which levels.
//!
//! From: `mod`, a column of the table at a time. To: the chunk writers of its leaves. Algorithm: record shredding of
//! Melnik et al., "Dremel: Interactive Analysis of Web-Scale Datasets" (2010), as Apache Parquet, Nested Encoding, has
//! it. The slots of a node are worked out from those of the node around it; where that has a value, the next bit of
//! `valid` tells whether this node has one.

use super::super::columns::{Bits, Column, Data};
use super::super::schema::HiveType;
use super::chunk::{ChunkWriter, ClosedChunk, Levels};
use parquet::errors::{ParquetError, Result};
use rayon::prelude::*;
use std::borrow::Cow;

/// A column of the table, or a part of one, with the chunks of its leaves.
pub enum Node {
    /// A primitive type.
    Leaf(Box<ChunkWriter>),
    /// An array.
    List(Box<Node>),
    /// A map.
    Map(Box<[Node; 2]>),
    /// A struct.
    Struct(Vec<Node>),
}

/// The slots of a node, for those inside it.
enum Slots<'a> {
    /// One a row, each with a value: the table itself.
    Rows(usize),
    /// See [`Levels::Nested`]; a slot has a value where its definition level is `full`.
    Levels { def: Vec<u8>, rep: Cow<'a, [u8]>, full: u8, lists: u8 },
}

impl Node {
    /// A node of type `kind`; `leaf` makes its chunks, in the order of the schema.
    pub fn new(kind: &HiveType, leaf: &mut dyn FnMut(&HiveType) -> Result<ChunkWriter>) -> Result<Self> {
        Ok(match kind {
            HiveType::Array(item) => Self::List(Box::new(Self::new(item, leaf)?)),
            HiveType::Map(key, value) => Self::Map(Box::new([Self::new(key, leaf)?, Self::new(value, leaf)?])),
            HiveType::Struct(fields) => {
                Self::Struct(fields.iter().map(|field| Self::new(&field.kind, leaf)).collect::<Result<_>>()?)
            }
            primitive => Self::Leaf(Box::new(leaf(primitive)?)),
        })
    }

    /// Takes `rows` values of a column of the table.
    pub fn write(&mut self, column: &Column, rows: usize) -> Result<()> {
        self.write_in(column, &Slots::Rows(rows))
    }

    fn write_in(&mut self, column: &Column, outer: &Slots) -> Result<()> {
        match (self, &column.data) {
            (Self::List(item), Data::List { ends, items }) => item.write_in(items, &outer.entries(&column.valid, ends)),
            (Self::Map(nodes), Data::Map { ends, keys, values }) => {
                let entries = outer.entries(&column.valid, ends);
                let [key, value] = &mut **nodes;
                key.write_required(keys, &entries)?;
                value.write_in(values, &entries)
            }
            (Self::Struct(nodes), Data::Struct(record)) => {
                let inner = outer.members(&column.valid);
                let fields = nodes.par_iter_mut().zip(&record.fields).with_max_len(1);
                fields.try_for_each(|(node, field)| node.write_in(field, &inner))
            }
            (Self::Leaf(chunk), _) => match outer {
                Slots::Rows(rows) => {
                    chunk.write(column, Levels::Flat { valid: &column.valid, rows: *rows });
                    Ok(())
                }
                Slots::Levels { rep, .. } => {
                    chunk.write(column, Levels::Nested { def: &outer.defined(&column.valid), rep });
                    Ok(())
                }
            },
            _ => Err(mismatch(column)),
        }
    }

    /// The keys of a map: each slot that is there has one.
    fn write_required(&mut self, column: &Column, outer: &Slots) -> Result<()> {
        match (self, outer) {
            (Self::Leaf(chunk), Slots::Levels { def, rep, .. }) => {
                chunk.write(column, Levels::Nested { def, rep });
                Ok(())
            }
            _ => Err(mismatch(column)),
        }
    }

    /// Shows its chunks, in the order of the schema.
    pub fn each_chunk<'a>(&'a mut self, take: &mut impl FnMut(&'a mut ChunkWriter)) {
        match self {
            Self::Leaf(chunk) => take(chunk),
            Self::List(item) => item.each_chunk(take),
            Self::Map(nodes) => nodes.iter_mut().for_each(|node| node.each_chunk(take)),
            Self::Struct(nodes) => nodes.iter_mut().for_each(|node| node.each_chunk(take)),
        }
    }

    /// Ends its chunks, in the order of the schema.
    pub fn close(self, closed: &mut Vec<ClosedChunk>) -> Result<()> {
        match self {
            Self::Leaf(chunk) => closed.push(chunk.close()?),
            Self::List(item) => item.close(closed)?,
            Self::Map(nodes) => nodes.into_iter().try_for_each(|node| node.close(closed))?,
            Self::Struct(nodes) => nodes.into_iter().try_for_each(|node| node.close(closed))?,
        }
        Ok(())
    }
}

/// A broken invariant.
fn mismatch(column: &Column) -> ParquetError {
    ParquetError::General(format!("the column '{}' is not of the type it is written as", column.name))
}

impl Slots<'_> {
    /// Definition levels of a node inside, whose values are where `valid` says.
    fn defined(&self, valid: &Bits) -> Vec<u8> {
        match self {
            Self::Rows(rows) => (0..*rows).map(|row| u8::from(valid.get(row))).collect(),
            Self::Levels { def, full, .. } => {
                let mut at = 0;
                let level = |level: &u8| {
                    if level != full {
                        return *level;
                    }
                    at += 1;
                    full + u8::from(valid.get(at - 1))
                };
                def.iter().map(level).collect()
            }
        }
    }

    /// The slots of a struct inside.
    fn members(&self, valid: &Bits) -> Slots<'_> {
        let def = self.defined(valid);
        match self {
            Self::Rows(_) => Slots::Levels { def, rep: Cow::Borrowed(&[]), full: 1, lists: 0 },
            Self::Levels { rep, full, lists, .. } => {
                Slots::Levels { def, rep: Cow::Borrowed(rep), full: full + 1, lists: *lists }
            }
        }
    }

    /// The slots of the entries of a list or map inside: one for each entry, and one for each that is null or empty.
    fn entries(&self, valid: &Bits, ends: &[i32]) -> Slots<'static> {
        let (outer, full, lists) = match self {
            Self::Rows(_) => (&[][..], 0, 0),
            Self::Levels { rep, full, lists, .. } => (&rep[..], *full, *lists),
        };
        let defined = self.defined(valid);
        let (is_there, entry) = (full + 1, full + 2);
        let room = defined.len() + ends.last().map_or(0, |end| *end as usize);
        let (mut def, mut rep) = (Vec::with_capacity(room), Vec::with_capacity(room));
        let mut lengths = ends.windows(2).map(|ends| (ends[1] - ends[0]) as usize);
        for (slot, level) in defined.into_iter().enumerate() {
            let length = if level == is_there { lengths.next().unwrap_or(0) } else { 0 };
            rep.push(outer.get(slot).copied().unwrap_or(0));
            if length == 0 {
                def.push(level);
            } else {
                def.resize(def.len() + length, entry);
                rep.resize(rep.len() + length - 1, lists + 1);
            }
        }
        Slots::Levels { def, rep: Cow::Owned(rep), full: entry, lists: lists + 1 }
    }
}
