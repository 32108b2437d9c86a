//! Reading members of a checked request: types are right by then, absent and null are the same.

use serde_json::Value;

/// A member that is given.
pub fn given<'a>(of: &'a Value, name: &str) -> Option<&'a Value> {
    of.get(name).filter(|value| !value.is_null())
}

/// A member some levels down.
pub fn given_at<'a>(of: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(of, |value, name| given(value, name))
}

/// A string.
pub fn text<'a>(of: &'a Value, name: &str) -> Option<&'a str> {
    given(of, name)?.as_str()
}

/// A string that is not empty.
pub fn filled<'a>(of: &'a Value, name: &str) -> Option<&'a str> {
    text(of, name).filter(|text| !text.is_empty())
}

/// A number of at least 0.
pub fn number(of: &Value, name: &str) -> Option<u64> {
    given(of, name)?.as_u64()
}

/// A truth value.
pub fn flag(of: &Value, name: &str) -> Option<bool> {
    given(of, name)?.as_bool()
}

/// The items of a list; none when it is absent.
pub fn items<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    given(of, name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
