//! A value on its way through a program, with the path to it where one is wanted.
//!
//! Used by `eval` and `update`. As in jq, a value is taken for the one at its path if it is the same in memory.

use super::value::Value;
use std::rc::Rc;

/// A value on its way, and the path to it if one is wanted.
#[derive(Debug, Clone)]
pub struct Item {
    pub value: Value,
    pub track: Option<Track>,
}

/// How a value was reached.
#[derive(Debug, Clone)]
pub struct Track {
    path: Option<Rc<Key>>,
    /// The value at the path.
    at: Value,
}

#[derive(Debug)]
struct Key {
    before: Option<Rc<Key>>,
    key: Value,
}

impl Item {
    /// A value whose path does not matter.
    pub fn plain(value: Value) -> Self {
        Self { value, track: None }
    }

    /// Another value in its place, with the path of this.
    pub fn with(&self, value: Value) -> Self {
        Self { value, track: self.track.clone() }
    }

    /// Whether the value still is the one at its path.
    pub fn is_path(&self) -> bool {
        self.track.as_ref().is_none_or(|track| track.at.identical(&self.value))
    }

    /// The element `value` at `key` of this.
    pub fn inside(&self, key: &Value, value: Value) -> Self {
        let track = self.track.as_ref().map(|track| Track {
            path: Some(Rc::new(Key { before: track.path.clone(), key: key.clone() })),
            at: value.clone(),
        });
        Self { value, track }
    }

    /// A value from which paths begin.
    pub fn tracked(value: Value) -> Self {
        Self { track: Some(Track { path: None, at: value.clone() }), value }
    }

    /// The keys of the path, outermost first.
    pub fn keys(&self) -> Vec<Value> {
        let mut keys = Vec::new();
        let mut at = self.track.as_ref().and_then(|track| track.path.as_ref());
        while let Some(key) = at {
            keys.push(key.key.clone());
            at = key.before.as_ref();
        }
        keys.reverse();
        keys
    }
}
