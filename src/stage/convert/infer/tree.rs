//! The tree of what was seen: for each column, field and item the kinds of its values.
//!
//! `observe` grows it, `shape` is what it exports. A node only gains kinds, and what is exported follows from the kinds
//! alone, so that a type only widens (null → boolean | bigint → double | array | struct → string), and the order of
//! records does not matter, but for the order of fields and for the limits.

use super::super::decode::keys::{KeyRules, Keys};
use super::shape::{Shape, Shapes};
use std::collections::HashMap;

/// Most columns and fields of a learnt table, counted over all levels.
pub const MAX_LEARNT_FIELDS: usize = 4000;
/// Most fields of one struct: with more of them its keys are data, and it becomes text.
pub const MAX_STRUCT_FIELDS: usize = 512;

/// true or false.
pub const BOOLEAN: u8 = 1;
/// A number without fraction and exponent that fits 64 bits.
pub const INTEGER: u8 = 2;
/// One beyond 2^53.
pub const LARGE: u8 = 4;
/// A number with fraction or exponent that a double can hold.
pub const FRACTION: u8 = 8;
/// An array.
pub const ARRAY: u8 = 16;
/// An object.
pub const OBJECT: u8 = 32;
/// A string, or what only a text can hold: then it is the only kind.
pub const TEXT: u8 = 64;

/// The values of a column, field or item.
#[derive(Debug, Default)]
pub struct Node {
    /// Kinds seen; 0 when all were null.
    pub seen: u8,
    /// Of an array.
    pub item: Option<Box<Node>>,
    /// Of an object.
    pub fields: Option<Box<Fields>>,
}

/// The fields of an object, or the columns.
#[derive(Debug)]
pub struct Fields {
    /// Finds the entry number of a key; the fields it leads to are kept here, since they grow.
    pub keys: Keys,
    rules: KeyRules,
    /// Fields by entry number.
    pub targets: Vec<Target>,
    /// In the order in which their keys were first seen.
    pub list: Vec<(String, Node)>,
    by_name: HashMap<String, u32>,
    /// Those that are part of what was frozen, in its order.
    frozen: Vec<u32>,
}

/// Where the values of a key go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Not known yet.
    Unresolved,
    /// To no column, now and for ever.
    Nowhere,
    /// To this field.
    One(u32),
    /// To these.
    Many(Box<[u32]>),
}

/// How many more fields there may be.
#[derive(Debug)]
pub struct Budget {
    left: usize,
    /// A column was refused for want of them.
    pub closed: bool,
}

impl Budget {
    /// That of an empty table.
    pub fn new(closed: bool) -> Self {
        Self { left: MAX_LEARNT_FIELDS, closed }
    }
}

/// A struct that cannot take a field: it has to become text.
#[derive(Debug)]
pub struct Overfull;

/// The kinds, or text alone where nothing else holds them all.
fn settled(seen: u8) -> u8 {
    let kinds = [BOOLEAN, INTEGER | LARGE | FRACTION, ARRAY, OBJECT];
    let kinds = kinds.iter().filter(|kind| seen & **kind != 0).count();
    let is_inexact = seen & (LARGE | FRACTION) == LARGE | FRACTION;
    if seen & TEXT != 0 || kinds > 1 || is_inexact { TEXT } else { seen }
}

impl Node {
    /// Adds kinds. What lies below a node that became text is dropped.
    pub fn note(&mut self, seen: u8, budget: &mut Budget) {
        self.seen = settled(self.seen | seen);
        if self.seen == TEXT {
            budget.left += self.count();
            (self.item, self.fields) = (None, None);
        }
    }

    /// Fields below it.
    fn count(&self) -> usize {
        let item = self.item.as_ref().map_or(0, |item| item.count());
        item + self.fields.as_ref().map_or(0, |fields| fields.count())
    }

    /// Adds what `other` has seen.
    pub fn join(&mut self, other: Self, budget: &mut Budget) {
        self.note(other.seen, budget);
        if self.seen == TEXT {
            return;
        }
        if let Some(item) = other.item {
            self.item.get_or_insert_default().join(*item, budget);
        }
        if let Some(fields) = other.fields {
            let mine = self.fields.get_or_insert_with(|| Box::new(Fields::new(fields.rules)));
            if mine.join(*fields, false, budget).is_err() {
                self.note(TEXT, budget);
            }
        }
    }

    /// What it is exported as; nothing while all its values were null.
    pub fn shape(&self) -> Option<Shape> {
        Some(match self.seen {
            0 => return None,
            TEXT => Shape::Text { empty: false },
            ARRAY => {
                let item = self.item.as_ref().and_then(|item| item.shape());
                Shape::Array(Box::new(item.unwrap_or(Shape::Text { empty: true })))
            }
            OBJECT => {
                let fields = self.fields.as_ref().map_or_else(Vec::new, |fields| fields.shapes());
                if fields.is_empty() { Shape::Text { empty: true } } else { Shape::Struct(fields) }
            }
            BOOLEAN => Shape::Boolean,
            seen if seen & FRACTION != 0 => Shape::Double,
            seen => Shape::Integer { large: seen & LARGE != 0 },
        })
    }

    /// Makes what is exported now hold for ever: order of fields, and text where only empty values were seen.
    pub fn freeze(&mut self, budget: &mut Budget) {
        let is_empty = matches!(self.shape(), Some(Shape::Text { empty: true }));
        if is_empty {
            self.note(TEXT, budget);
        }
        if self.seen == ARRAY {
            let item = self.item.get_or_insert_default();
            if item.seen == 0 {
                item.note(TEXT, budget);
            }
            item.freeze(budget);
        }
        if let Some(fields) = &mut self.fields {
            fields.freeze(budget);
        }
    }

    /// The node that exports `shape`.
    fn of(shape: &Shape, rules: KeyRules, budget: &mut Budget) -> Self {
        let leaf = |seen| Self { seen, item: None, fields: None };
        match shape {
            Shape::Boolean => leaf(BOOLEAN),
            Shape::Integer { large: false } => leaf(INTEGER),
            Shape::Integer { large: true } => leaf(INTEGER | LARGE),
            Shape::Double => leaf(FRACTION),
            Shape::Text { .. } => leaf(TEXT),
            Shape::Array(item) => Self { item: Some(Box::new(Self::of(item, rules, budget))), ..leaf(ARRAY) },
            Shape::Struct(fields) => Self { fields: Some(Box::new(Fields::of(fields, rules, budget))), ..leaf(OBJECT) },
        }
    }
}

impl Fields {
    /// None yet.
    pub fn new(rules: KeyRules) -> Self {
        Self {
            keys: Keys::new(HashMap::new(), rules),
            rules,
            targets: Vec::new(),
            list: Vec::new(),
            by_name: HashMap::new(),
            frozen: Vec::new(),
        }
    }

    /// The fields that export `shapes`.
    pub fn of(shapes: &[(String, Shape)], rules: KeyRules, budget: &mut Budget) -> Self {
        let mut fields = Self::new(rules);
        for (number, (name, shape)) in (0u32..).zip(shapes) {
            budget.left = budget.left.saturating_sub(1);
            fields.by_name.insert(name.to_lowercase(), number);
            fields.list.push((name.clone(), Node::of(shape, rules, budget)));
            fields.frozen.push(number);
        }
        fields
    }

    /// The field of that name if there is one.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.by_name.get(&name.to_lowercase()).copied()
    }

    /// Adds a field, or says why that cannot be. A column beyond the limit closes the table: `Ok(None)`.
    pub fn add(&mut self, name: String, of_record: bool, budget: &mut Budget) -> Result<Option<u32>, Overfull> {
        let is_full = budget.left == 0 || (!of_record && self.list.len() >= MAX_STRUCT_FIELDS);
        if of_record && (is_full || budget.closed) {
            budget.closed = true;
            return Ok(None);
        }
        if is_full {
            return Err(Overfull);
        }
        budget.left -= 1;
        let number = self.list.len() as u32;
        self.by_name.insert(name.to_lowercase(), number);
        self.list.push((name, Node::default()));
        Ok(Some(number))
    }

    /// Adds what `other` has seen.
    pub fn join(&mut self, other: Self, of_record: bool, budget: &mut Budget) -> Result<(), Overfull> {
        for (name, node) in other.list {
            let number = match self.find(&name) {
                Some(number) => Some(number),
                None => self.add(name, of_record, budget)?,
            };
            if let Some(number) = number {
                self.list[number as usize].1.join(node, budget);
            }
        }
        Ok(())
    }

    fn count(&self) -> usize {
        self.list.len() + self.list.iter().map(|(_, node)| node.count()).sum::<usize>()
    }

    /// The frozen fields, then the others that have a type, in order.
    pub fn shapes(&self) -> Vec<(String, Shape)> {
        let others = (0u32..).take(self.list.len()).filter(|number| !self.frozen.contains(number));
        let in_order = self.frozen.iter().copied().chain(others);
        let named = in_order.map(|number| &self.list[number as usize]);
        named.filter_map(|(name, node)| Some((name.clone(), node.shape()?))).collect()
    }

    /// See [`Node::freeze`].
    pub fn freeze(&mut self, budget: &mut Budget) {
        for (number, (_, node)) in (0u32..).zip(&mut self.list) {
            if node.seen != 0 {
                node.freeze(budget);
                if !self.frozen.contains(&number) {
                    self.frozen.push(number);
                }
            }
        }
    }

    /// What it is as a table.
    pub fn table(&self, budget: &Budget) -> Shapes {
        Shapes { columns: self.shapes(), closed: budget.closed }
    }
}
