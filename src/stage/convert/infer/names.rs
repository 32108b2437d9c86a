//! Which column or field a JSON key is learnt under.
//!
//! Used by `observe`, and by the decoder to tell a key that could have a column from one that never can.
//! Invariant: a name that comes out of here is found again by the key it came from (`rules` makes the key tables).

use super::super::decode::keys::KeyRules;
use std::collections::BTreeMap;

/// Longest name of a column or field, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// The deserializer's options about keys, those of a learnt table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// How keys are compared.
    pub keys: KeyRules,
    /// Normalised JSON key by column name in lower case.
    pub mappings: BTreeMap<String, String>,
    /// Name in lower case of the column that takes what no other takes; no key goes to it.
    pub reserved: Option<String>,
}

impl Names {
    /// The columns (`of_record`), or else fields of a struct, that take the values of `key`; none when it can have none.
    pub fn of(&self, key: &str, of_record: bool) -> Vec<String> {
        let normalised = self.keys.normalise(key);
        let mapped =
            self.mappings.iter().filter(|(_, mapped)| **mapped == normalised).map(|(column, _)| column.clone());
        let mut names: Vec<String> = mapped.collect();
        let is_mapped_column = self.mappings.contains_key(&normalised);
        // A mapped column is found by its mapped key alone, a field of that name by both.
        let has_own = match of_record {
            true => names.is_empty() && !is_mapped_column,
            false => names.is_empty() || is_mapped_column,
        };
        if has_own {
            // A field keeps its case; but putting underscores for dots may change what its lower case is.
            let is_normalised = of_record || (self.keys.dots_to_underscores && key.contains('.'));
            names.push(if is_normalised { normalised } else { key.to_owned() });
        }
        names.retain(|name| is_usable(name) && !(of_record && self.reserved.as_ref() == Some(name)));
        names
    }
}

/// Whether a column can have this name: not blank, no control character, not too long.
fn is_usable(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control)
}
