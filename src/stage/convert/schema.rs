//! The columns a table declares, with their Hive types.
//!
//! From: `ddl` and `glue` parse it, `infer` learns it, `schemas` holds it. To: `columns` makes columns of it,
//! `writer/types` a Parquet schema.
//! Invariants: at least one column; no two names on one level are equal when case is ignored; no type is nested deeper
//! than [`MAX_DEPTH`].

use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fmt;

/// Deepest nesting of a column's type: `int` is 1, `array<int>` 2.
pub const MAX_DEPTH: usize = 64;
/// Most columns and struct fields of one table, counted over all levels.
pub const MAX_FIELDS: usize = 20_000;
/// Most digits of a decimal.
pub const MAX_PRECISION: u8 = 38;

/// A Hive type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HiveType {
    /// 8-bit integer.
    TinyInt,
    /// 16-bit integer.
    SmallInt,
    /// 32-bit integer.
    Int,
    /// 64-bit integer.
    BigInt,
    /// 32-bit float.
    Float,
    /// 64-bit float.
    Double,
    /// True or false.
    Boolean,
    /// Text.
    String,
    /// Text cut to this many characters.
    Char(u32),
    /// Text cut to this many characters.
    Varchar(u32),
    /// Bytes.
    Binary,
    /// Date and time without a zone.
    Timestamp,
    /// A day.
    Date,
    /// A decimal number.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits behind the point, at most `precision`.
        scale: u8,
    },
    /// A list.
    Array(Box<HiveType>),
    /// A map; the key is a primitive type.
    Map(Box<HiveType>, Box<HiveType>),
    /// Named fields.
    Struct(Vec<Field>),
}

/// A column, or a field of a struct.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    /// Name: lower case for a column, as written for a struct's field.
    pub name: String,
    /// Type.
    pub kind: HiveType,
}

/// The columns of a table, partition columns left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSchema {
    /// Columns in order.
    pub columns: Vec<Field>,
    /// SHA-256 of the columns' names and types, hex: the same for the same columns, wherever they were declared.
    pub version: String,
}

/// Columns that cannot stand together in a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// No column at all.
    #[error("the table has no columns")]
    Empty,
    /// Two equal names on one level.
    #[error("'{0}' is declared twice (names are compared without case)")]
    Twice(String),
    /// Nested too deep.
    #[error("column '{0}': its type is nested deeper than {MAX_DEPTH} levels")]
    Deep(String),
    /// Too many columns and fields.
    #[error("the table has more than {MAX_FIELDS} columns and fields")]
    Many,
}

impl TableSchema {
    /// A table of these columns. Column names become lower case, as in Glue.
    pub fn new(mut columns: Vec<Field>) -> Result<Self, SchemaError> {
        if columns.is_empty() {
            return Err(SchemaError::Empty);
        }
        for column in &mut columns {
            column.name = column.name.to_lowercase();
            if column.kind.depth() > MAX_DEPTH {
                return Err(SchemaError::Deep(column.name.clone()));
            }
        }
        let mut left = MAX_FIELDS;
        check_names(&columns, &mut left)?;
        let mut hash = Sha256::new();
        for column in &columns {
            hash.update(format!("{column}\n"));
        }
        let version = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { columns, version })
    }
}

fn check_names(fields: &[Field], left: &mut usize) -> Result<(), SchemaError> {
    *left = left.checked_sub(fields.len()).ok_or(SchemaError::Many)?;
    let mut names = HashSet::new();
    for field in fields {
        if !names.insert(field.name.to_lowercase()) {
            return Err(SchemaError::Twice(field.name.clone()));
        }
        check_type(&field.kind, left)?;
    }
    Ok(())
}

fn check_type(kind: &HiveType, left: &mut usize) -> Result<(), SchemaError> {
    match kind {
        HiveType::Array(item) => check_type(item, left),
        HiveType::Map(_, value) => check_type(value, left),
        HiveType::Struct(fields) => check_names(fields, left),
        _ => Ok(()),
    }
}

impl HiveType {
    /// Levels of nesting, 1 for a primitive type.
    pub fn depth(&self) -> usize {
        1 + match self {
            Self::Array(item) => item.depth(),
            Self::Map(key, value) => key.depth().max(value.depth()),
            Self::Struct(fields) => fields.iter().map(|field| field.kind.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// Whether it holds no other type.
    pub fn is_primitive(&self) -> bool {
        !matches!(self, Self::Array(_) | Self::Map(..) | Self::Struct(_))
    }
}

impl fmt::Display for HiveType {
    /// Hive's notation, as Glue writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TinyInt => f.write_str("tinyint"),
            Self::SmallInt => f.write_str("smallint"),
            Self::Int => f.write_str("int"),
            Self::BigInt => f.write_str("bigint"),
            Self::Float => f.write_str("float"),
            Self::Double => f.write_str("double"),
            Self::Boolean => f.write_str("boolean"),
            Self::String => f.write_str("string"),
            Self::Char(length) => write!(f, "char({length})"),
            Self::Varchar(length) => write!(f, "varchar({length})"),
            Self::Binary => f.write_str("binary"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Date => f.write_str("date"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Array(item) => write!(f, "array<{item}>"),
            Self::Map(key, value) => write!(f, "map<{key},{value}>"),
            Self::Struct(fields) => {
                f.write_str("struct<")?;
                for (i, field) in fields.iter().enumerate() {
                    let comma = if i == 0 { "" } else { "," };
                    write!(f, "{comma}{}:{}", quoted(&field.name), field.kind)?;
                }
                f.write_str(">")
            }
        }
    }
}

impl fmt::Display for Field {
    /// `name type`, as in a table's declaration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", quoted(&self.name), self.kind)
    }
}

/// The name in backticks unless it is a plain word.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.is_empty() && name.chars().all(plain) { name.to_owned() } else { format!("`{}`", name.replace('`', "``")) }
}
