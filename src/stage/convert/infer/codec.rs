//! The form in which a learnt table is kept: one line of JSON.
//!
//! `{"form":"hydrant-learnt-table","version":1,"revision":R,"first_seal":S,"declared":D,"closed":false,
//! "columns":[[name,type],…]}`, where D is a text, absent in files of old, and a type is `"boolean"`, `"bigint"`, `"bigint-large"` (beyond 2^53 was seen), `"double"`, `"string"`,
//! `{"array":type}` or `{"struct":[[name,type],…]}`. What is read is held to the bounds of `tree`.

use super::names::MAX_NAME_BYTES;
use super::observe::MAX_LEVELS;
use super::shape::{Shape, Shapes};
use super::tree::MAX_LEARNT_FIELDS;
use serde_json::{Value, json};
use std::collections::HashSet;

const FORM: &str = "hydrant-learnt-table";
const VERSION: u64 = 1;

/// A file that is no learnt table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Of a later program.
    #[error("the learnt table has format version {0}, this program knows up to {VERSION}: run the newer program")]
    Newer(u64),
    /// Damaged.
    #[error("not a learnt table: {0}")]
    Damaged(String),
}

/// A learnt table as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptTable {
    /// Counts the declared tables of a stream, from 1.
    pub revision: u64,
    /// Number of the seal with which it is declared. Once there is one of that number, it has used this table. 0: none.
    pub first_seal: u64,
    /// What is declared with that seal; once it would be something else, the table is declared anew.
    pub declared: Option<String>,
    /// The columns.
    pub shapes: Shapes,
}

/// The kept form of a learnt table.
pub fn encode(table: &KeptTable) -> Vec<u8> {
    let mut form = json!({
        "form": FORM,
        "version": VERSION,
        "revision": table.revision,
        "first_seal": table.first_seal,
    });
    if let Some(declared) = &table.declared {
        form["declared"] = json!(declared);
    }
    form["closed"] = json!(table.shapes.closed);
    form["columns"] = fields(&table.shapes.columns);
    format!("{form}\n").into_bytes()
}

fn fields(fields: &[(String, Shape)]) -> Value {
    fields.iter().map(|(name, shape)| json!([name, kind(shape)])).collect()
}

fn kind(shape: &Shape) -> Value {
    match shape {
        Shape::Boolean => json!("boolean"),
        Shape::Integer { large: false } => json!("bigint"),
        Shape::Integer { large: true } => json!("bigint-large"),
        Shape::Double => json!("double"),
        Shape::Text { .. } => json!("string"),
        Shape::Array(item) => json!({"array": kind(item)}),
        Shape::Struct(of) => json!({"struct": fields(of)}),
    }
}

/// The learnt table that was kept.
pub fn decode(text: &[u8]) -> Result<KeptTable, CodecError> {
    let damaged = |what: &str| CodecError::Damaged(what.to_owned());
    let json: Value = serde_json::from_slice(text).map_err(|error| CodecError::Damaged(error.to_string()))?;
    if json["form"] != FORM {
        return Err(damaged("another form"));
    }
    match json["version"].as_u64() {
        Some(VERSION) => {}
        Some(newer) if newer > VERSION => return Err(CodecError::Newer(newer)),
        _ => return Err(damaged("no version")),
    }
    let revision = json["revision"].as_u64().ok_or_else(|| damaged("no revision"))?;
    let first_seal = json["first_seal"].as_u64().ok_or_else(|| damaged("no first_seal"))?;
    let declared = match &json["declared"] {
        Value::Null => None,
        declared => Some(declared.as_str().ok_or_else(|| damaged("'declared' is no text"))?.to_owned()),
    };
    let closed = json["closed"].as_bool().ok_or_else(|| damaged("no 'closed'"))?;
    let mut left = MAX_LEARNT_FIELDS;
    let columns = read_fields(&json["columns"], 1, &mut left).ok_or_else(|| damaged("columns"))?;
    Ok(KeptTable { revision, first_seal, declared, shapes: Shapes { columns, closed } })
}

fn read_fields(json: &Value, level: usize, left: &mut usize) -> Option<Vec<(String, Shape)>> {
    let entries = json.as_array().filter(|entries| !entries.is_empty())?;
    *left = left.checked_sub(entries.len())?;
    let mut names = HashSet::new();
    let field = |entry: &Value| {
        let [name, kind] = &entry.as_array()?[..] else { return None };
        let name = name.as_str().filter(|name| !name.is_empty() && name.len() <= MAX_NAME_BYTES)?;
        names.insert(name.to_lowercase()).then_some(())?;
        Some((name.to_owned(), read_kind(kind, level, left)?))
    };
    entries.iter().map(field).collect()
}

fn read_kind(json: &Value, level: usize, left: &mut usize) -> Option<Shape> {
    if level > MAX_LEVELS {
        return None;
    }
    Some(match json {
        Value::String(kind) => match kind.as_str() {
            "boolean" => Shape::Boolean,
            "bigint" => Shape::Integer { large: false },
            "bigint-large" => Shape::Integer { large: true },
            "double" => Shape::Double,
            "string" => Shape::Text { empty: false },
            _ => return None,
        },
        Value::Object(of) if of.len() == 1 => match (of.get("array"), of.get("struct")) {
            (Some(item), _) => Shape::Array(Box::new(read_kind(item, level + 1, left)?)),
            (_, Some(fields)) => Shape::Struct(read_fields(fields, level + 1, left)?),
            _ => return None,
        },
        _ => return None,
    })
}
