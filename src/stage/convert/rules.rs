//! The deserializer's options, resolved and checked: how keys find columns and how values become typed ones.
//!
//! From: the stream's definition. To: `decode`. Two dialects: OpenXJsonSerDe and HiveJsonSerDe.

use super::decode::joda::{BadFormat, TimestampFormat};
use super::decode::keys::{KeyRules, Keys};
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
}

/// A deserializer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How values are read.
    pub dialect: Dialect,
    keys: KeyRules,
    /// Normalised JSON key by column name in lower case.
    mappings: BTreeMap<String, String>,
    /// Name in lower case of the column that takes what no other takes; no key goes to it.
    unknown_fields: Option<String>,
}

impl Rules {
    /// The rules of `spec`, or why there are none.
    pub fn new(spec: &ConvertSpec) -> Result<Self, super::ConvertError> {
        let mut rules = Self::of(&spec.deserializer)?;
        rules.unknown_fields = spec.unknown_fields_column.as_ref().map(|name| name.to_lowercase());
        match &rules.unknown_fields {
            Some(name) if rules.mappings.contains_key(name) => Err(super::ConvertError::MappedUnknown(name.clone())),
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
                Ok(Self { dialect: Dialect::OpenX, keys, mappings, unknown_fields: None })
            }
            Deserializer::Hive { timestamp_formats } => {
                let formats = timestamp_formats.iter().map(|text| TimestampFormat::compile(text));
                // AWS's text shows the whole list.
                let formats: Result<_, _> = formats.collect::<Result<_, _>>().map_err(|bad| match bad {
                    BadFormat::Invalid(_) => BadFormat::Invalid(timestamp_formats.join(",")),
                    unsupported @ BadFormat::Unsupported(..) => unsupported,
                });
                let keys = KeyRules { lower: true, dots_to_underscores: false };
                let dialect = Dialect::Hive(formats?);
                Ok(Self { dialect, keys, mappings: BTreeMap::new(), unknown_fields: None })
            }
        }
    }

    /// The key table of the table's columns. A mapped column is found by its mapped key alone, that of unknown fields
    /// by none.
    pub fn column_keys(&self, columns: &[Field]) -> Keys {
        self.table(columns, |name, mapped| match &self.unknown_fields {
            Some(unknown) if *unknown == name.to_lowercase() => Vec::new(),
            _ => vec![mapped.unwrap_or(name)],
        })
    }

    /// Which of the columns takes unknown fields.
    pub fn unknown_fields(&self, columns: &[Field]) -> Option<usize> {
        let name = self.unknown_fields.as_ref()?;
        columns.iter().position(|column| column.name == *name)
    }

    /// The key table of a struct. A mapping also holds for fields of that name, which keep their own names besides.
    pub fn field_keys(&self, fields: &[Field]) -> Keys {
        self.table(fields, |name, mapped| std::iter::once(name).chain(mapped).collect())
    }

    fn table(&self, fields: &[Field], keys: impl Fn(String, Option<String>) -> Vec<String>) -> Keys {
        let mut names: HashMap<Box<[u8]>, Vec<u16>> = HashMap::new();
        for (number, field) in (0u16..).zip(fields) {
            let name = if self.keys.lower { field.name.to_lowercase() } else { field.name.clone() };
            let mapped = self.mappings.get(&field.name.to_lowercase()).cloned();
            for key in keys(name, mapped) {
                let fields = names.entry(key.into_bytes().into()).or_default();
                if !fields.contains(&number) {
                    fields.push(number);
                }
            }
        }
        Keys::new(names.into_iter().map(|(name, fields)| (name, fields.into())).collect(), self.keys)
    }
}
