//! JSON values as jq 1.6 holds them: every number a double, objects in insertion order.
//!
//! Shared by all of `query`. Invariant: a value made by a program is nested at most [`MAX_DEPTH`] deep, so that code
//! that walks or drops it may recurse; each array and object knows how deep it is.

use super::limits::{Run, Stop};
use indexmap::IndexMap;
use std::cmp::Ordering;
use std::sync::Arc;

/// Deepest nesting of a value; jq 1.6 prints no deeper.
pub const MAX_DEPTH: u16 = 256;
/// What an element costs of the memory that a run may take.
const ELEMENT_BYTES: usize = 32;

/// A JSON value.
#[derive(Debug, Clone)]
pub enum Value {
    Null,
    Bool(bool),
    Number(f64),
    String(Arc<str>),
    Array(Arc<List>),
    Object(Arc<Map>),
}

/// The elements of an array.
#[derive(Debug, Clone, Default)]
pub struct List {
    items: Vec<Value>,
    depth: u16,
}

/// The fields of an object.
#[derive(Debug, Clone, Default)]
pub struct Map {
    fields: IndexMap<Arc<str>, Value>,
    depth: u16,
}

impl std::ops::Deref for List {
    type Target = [Value];
    fn deref(&self) -> &[Value] {
        &self.items
    }
}

impl std::ops::Deref for Map {
    type Target = IndexMap<Arc<str>, Value>;
    fn deref(&self) -> &Self::Target {
        &self.fields
    }
}

impl Map {
    /// Keys in the order of their bytes.
    pub fn sorted_keys(&self) -> Vec<Arc<str>> {
        let mut keys: Vec<_> = self.fields.keys().cloned().collect();
        keys.sort_unstable();
        keys
    }
}

fn deeper(depth: u16, of: &Value) -> Result<u16, Stop> {
    let depth = depth.max(of.depth() + 1);
    if depth > MAX_DEPTH { Err(Stop::Limit("a value is nested too deep")) } else { Ok(depth) }
}

impl Value {
    /// A string.
    pub fn text(text: &str) -> Self {
        Self::String(text.into())
    }

    /// An array of `items`.
    pub fn array(run: &mut Run, items: Vec<Value>) -> Result<Self, Stop> {
        run.take_bytes(items.len() * ELEMENT_BYTES)?;
        let mut depth = 1;
        for item in &items {
            depth = deeper(depth, item)?;
        }
        Ok(Self::Array(Arc::new(List { items, depth })))
    }

    /// An object of `fields`, of which the last with a key counts.
    pub fn object(run: &mut Run, fields: impl IntoIterator<Item = (Arc<str>, Value)>) -> Result<Self, Stop> {
        let mut object = Self::empty_object();
        for (key, value) in fields {
            object = object.with_field(run, key, value)?;
        }
        Ok(object)
    }

    /// `{}`.
    pub fn empty_object() -> Self {
        Self::Object(Arc::new(Map { fields: IndexMap::new(), depth: 1 }))
    }

    /// `[]`.
    pub fn empty_array() -> Self {
        Self::Array(Arc::new(List { items: Vec::new(), depth: 1 }))
    }

    /// An array whose elements are at most `depth - 1` deep; for the parser, which counts the depth itself.
    pub fn parsed_array(items: Vec<Value>) -> Self {
        let depth = items.iter().map(Self::depth).max().unwrap_or(0) + 1;
        Self::Array(Arc::new(List { items, depth }))
    }

    /// An object, likewise.
    pub fn parsed_object(fields: IndexMap<Arc<str>, Value>) -> Self {
        let depth = fields.values().map(Self::depth).max().unwrap_or(0) + 1;
        Self::Object(Arc::new(Map { fields, depth }))
    }

    /// This object with `key` set; in place if nobody else has it.
    pub fn with_field(mut self, run: &mut Run, key: Arc<str>, value: Value) -> Result<Self, Stop> {
        if let Self::Object(map) = &mut self {
            let copied = if Arc::strong_count(map) > 1 { map.len() } else { 0 };
            run.take_bytes((copied + 2) * ELEMENT_BYTES + key.len())?;
            let map = Arc::make_mut(map);
            map.depth = deeper(map.depth, &value)?;
            map.fields.insert(key, value);
        }
        Ok(self)
    }

    /// This object without `key`.
    pub fn without_field(mut self, run: &mut Run, key: &str) -> Result<Self, Stop> {
        if let Self::Object(map) = &mut self {
            run.take_bytes(map.len() * ELEMENT_BYTES)?;
            Arc::make_mut(map).fields.shift_remove(key);
        }
        Ok(self)
    }

    /// This array with the element at `index` set, nulls between.
    pub fn with_item(mut self, run: &mut Run, index: usize, value: Value) -> Result<Self, Stop> {
        if let Self::Array(list) = &mut self {
            let copied = if Arc::strong_count(list) > 1 { list.len() } else { 0 };
            let grown = (index + 1).saturating_sub(list.len());
            run.take_bytes((copied + grown + 1).saturating_mul(ELEMENT_BYTES))?;
            let list = Arc::make_mut(list);
            list.depth = deeper(list.depth, &value)?;
            if index >= list.items.len() {
                list.items.resize(index + 1, Value::Null);
            }
            list.items[index] = value;
        }
        Ok(self)
    }

    /// This array and the elements of `more`.
    pub fn with_items(mut self, run: &mut Run, more: &[Value]) -> Result<Self, Stop> {
        // Nothing more leaves the very same array, which is what counts where a path is wanted.
        if let Self::Array(list) = &mut self
            && !more.is_empty()
        {
            let copied = if Arc::strong_count(list) > 1 { list.len() } else { 0 };
            run.take_bytes((copied + more.len()) * ELEMENT_BYTES)?;
            let list = Arc::make_mut(list);
            for item in more {
                list.depth = deeper(list.depth, item)?;
            }
            list.items.extend_from_slice(more);
        }
        Ok(self)
    }

    /// Levels of nesting; 0 for a scalar.
    pub fn depth(&self) -> u16 {
        match self {
            Self::Array(list) => list.depth,
            Self::Object(map) => map.depth,
            _ => 0,
        }
    }

    /// jq's name of the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// Place of the kind in jq's order; true and false are two kinds.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Null => 1,
            Self::Bool(false) => 2,
            Self::Bool(true) => 3,
            Self::Number(_) => 4,
            Self::String(_) => 5,
            Self::Array(_) => 6,
            Self::Object(_) => 7,
        }
    }

    /// Neither null nor false.
    pub fn truthy(&self) -> bool {
        !matches!(self, Self::Null | Self::Bool(false))
    }

    /// jq's order. Not total: NaN is below every number, itself included.
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => {
                if a.is_nan() || a < b {
                    Ordering::Less
                } else if a == b {
                    Ordering::Equal
                } else {
                    Ordering::Greater
                }
            }
            (Self::String(a), Self::String(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Self::Array(a), Self::Array(b)) => {
                let unequal = a.iter().zip(b.iter()).map(|(a, b)| a.order(b)).find(|order| order.is_ne());
                unequal.unwrap_or_else(|| a.len().cmp(&b.len()))
            }
            (Self::Object(a), Self::Object(b)) => {
                let (keys, others) = (a.sorted_keys(), b.sorted_keys());
                keys.cmp(&others).then_with(|| {
                    let orders = keys.iter().map(|key| a[key].order(&b[key]));
                    orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
                })
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }

    /// Whether jq finds the two equal.
    pub fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            // Not even looked into, so that a NaN inside is equal to itself.
            (Self::Object(a), Self::Object(b)) if Arc::ptr_eq(a, b) => true,
            (Self::Array(a), Self::Array(b)) if Arc::ptr_eq(a, b) => true,
            (Self::Object(a), Self::Object(b)) => {
                a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| value.equals(other)))
            }
            (Self::Array(a), Self::Array(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.equals(b)),
            _ => self.order(other).is_eq(),
        }
    }

    /// Whether the two are the same value in memory, which is how jq checks that a path is still one.
    pub fn identical(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.to_bits() == b.to_bits(),
            (Self::String(a), Self::String(b)) => Arc::ptr_eq(a, b),
            (Self::Array(a), Self::Array(b)) => Arc::ptr_eq(a, b),
            (Self::Object(a), Self::Object(b)) => Arc::ptr_eq(a, b),
            _ => self.rank() == other.rank(),
        }
    }

    /// How much walking over it costs, in steps.
    pub fn weight(&self) -> u64 {
        match self {
            Self::String(text) => 1 + text.len() as u64 / 32,
            Self::Array(list) => 1 + list.iter().map(Self::weight).sum::<u64>(),
            Self::Object(map) => {
                let fields = map.iter().map(|(key, value)| 1 + key.len() as u64 / 32 + value.weight());
                1 + fields.sum::<u64>()
            }
            _ => 1,
        }
    }
}

/// Indices of `keys` in jq's order, equal ones as they came. A merge sort like glibc's, so that an order that is not
/// total (NaN) ends as jq's does.
pub fn sorted(keys: &[Value]) -> Vec<usize> {
    fn sort(keys: &[Value], part: &mut [usize], spare: &mut Vec<usize>) {
        if part.len() <= 1 {
            return;
        }
        let middle = part.len() / 2;
        sort(keys, &mut part[..middle], spare);
        sort(keys, &mut part[middle..], spare);
        spare.clear();
        let (mut left, mut right) = (0, middle);
        while left < middle && right < part.len() {
            let (a, b) = (part[left], part[right]);
            if keys[a].order(&keys[b]).then(a.cmp(&b)).is_le() {
                spare.push(a);
                left += 1;
            } else {
                spare.push(b);
                right += 1;
            }
        }
        spare.extend_from_slice(&part[left..middle]);
        let merged = spare.len();
        part[..merged].copy_from_slice(spare);
    }
    let mut order: Vec<usize> = (0..keys.len()).collect();
    sort(keys, &mut order, &mut Vec::with_capacity(keys.len()));
    order
}
