//! The deserializer's options, resolved and checked: how keys find columns and how values become typed ones.
//!
//! From: the stream's definition. To: `decode`. Dialects: OpenXJsonSerDe, HiveJsonSerDe, and that of learnt tables.

use super::decode::joda::{BadFormat, TimestampFormat};
use super::decode::keys::{KeyRules, Keys};
use super::infer::Names;
use super::schema::Field;
use crate::stream::definition::{ConvertSpec, Deserializer};
use std::collections::{BTreeMap, HashMap};

/// How values are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dialect {
    /// OpenXJsonSerDe: numeric strings become numbers, nested values may become text.
    OpenX,
    /// HiveJsonSerDe: no such coercions; timestamps by these formats, then by Hive's default one.
    Hive(Vec<TimestampFormat>),
    /// A learnt table: no coercion but to text, where everything has a place; what would be changed by its column, or has
    /// none, does not fit.
    Strict(Box<Strict>),
}

/// What the decoder must know of a learnt table besides its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strict {
    /// Which columns keys may have.
    pub names: Names,
    /// There will be no more columns.
    pub closed: bool,
}

/// A deserializer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How values are read.
    pub dialect: Dialect,
    names: Names,
}

impl Rules {
    /// The rules of `spec`, or why there are none.
    pub fn new(spec: &ConvertSpec) -> Result<Self, super::ConvertError> {
        let mut rules = Self::of(&spec.deserializer)?;
        rules.names.reserved = spec.unknown_fields_column.as_ref().map(|name| name.to_lowercase());
        match &rules.names.reserved {
            Some(name) if rules.names.mappings.contains_key(name) => {
                Err(super::ConvertError::MappedUnknown(name.clone()))
            }
            _ => Ok(rules),
        }
    }

    fn of(deserializer: &Deserializer) -> Result<Self, super::ConvertError> {
        match deserializer {
            Deserializer::OpenX { case_insensitive, key_mappings, dots_to_underscores } => {
                let keys = KeyRules { lower: *case_insensitive, dots_to_underscores: *dots_to_underscores };
                let mut mappings = BTreeMap::new();
                for (column, key) in key_mappings {
                    if mappings.insert(column.to_lowercase(), keys.normalise(key)).is_some() {
                        return Err(super::ConvertError::Mapping(column.clone()));
                    }
                }
                Ok(Self::with(Dialect::OpenX, keys, mappings))
            }
            Deserializer::Hive { timestamp_formats } => {
                let formats = timestamp_formats.iter().map(|text| TimestampFormat::compile(text));
                // AWS's text shows the whole list.
                let formats: Result<_, _> = formats.collect::<Result<_, _>>().map_err(|bad| match bad {
                    BadFormat::Invalid(_) => BadFormat::Invalid(timestamp_formats.join(",")),
                    unsupported @ BadFormat::Unsupported(..) => unsupported,
                });
                let keys = KeyRules { lower: true, dots_to_underscores: false };
                Ok(Self::with(Dialect::Hive(formats?), keys, BTreeMap::new()))
            }
        }
    }

    fn with(dialect: Dialect, keys: KeyRules, mappings: BTreeMap<String, String>) -> Self {
        Self { dialect, names: Names { keys, mappings, reserved: None } }
    }

    /// The rules of a learnt table, from what `spec` says about keys.
    pub fn strict(spec: &ConvertSpec, closed: bool) -> Result<Self, super::ConvertError> {
        Self::new(spec)?.made_strict(closed)
    }

    /// Those of one that is learnt and not written.
    pub fn strict_keys(deserializer: &Deserializer) -> Result<Self, super::ConvertError> {
        Self::of(deserializer)?.made_strict(false)
    }

    fn made_strict(self, closed: bool) -> Result<Self, super::ConvertError> {
        let Self { names, .. } = self;
        if !names.keys.lower {
            return Err(super::ConvertError::CaseSensitive);
        }
        Ok(Self { dialect: Dialect::Strict(Box::new(Strict { names: names.clone(), closed })), names })
    }

    /// Which columns keys go to.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The key table of the table's columns. A mapped column is found by its mapped key alone, that of unknown fields
    /// by none.
    pub fn column_keys(&self, columns: &[Field]) -> Keys {
        self.table(columns, |name, mapped| match &self.names.reserved {
            Some(unknown) if *unknown == name.to_lowercase() => Vec::new(),
            _ => vec![mapped.unwrap_or(name)],
        })
    }

    /// Which of the columns takes unknown fields.
    pub fn unknown_fields(&self, columns: &[Field]) -> Option<usize> {
        let name = self.names.reserved.as_ref()?;
        columns.iter().position(|column| column.name == *name)
    }

    /// The key table of a struct. A mapping also holds for fields of that name, which keep their own names besides.
    pub fn field_keys(&self, fields: &[Field]) -> Keys {
        self.table(fields, |name, mapped| std::iter::once(name).chain(mapped).collect())
    }

    fn table(&self, fields: &[Field], keys: impl Fn(String, Option<String>) -> Vec<String>) -> Keys {
        let mut names: HashMap<Box<[u8]>, Vec<u16>> = HashMap::new();
        let Names { keys: rules, mappings, .. } = &self.names;
        for (number, field) in (0u16..).zip(fields) {
            let name = if rules.lower { field.name.to_lowercase() } else { field.name.clone() };
            let mapped = mappings.get(&field.name.to_lowercase()).cloned();
            for key in keys(name, mapped) {
                let fields = names.entry(key.into_bytes().into()).or_default();
                if !fields.contains(&number) {
                    fields.push(number);
                }
            }
        }
        Keys::new(names.into_iter().map(|(name, fields)| (name, fields.into())).collect(), *rules)
    }
}
