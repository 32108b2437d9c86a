//! Secrets that attempts need: hidden ones of the definition, and those that the configuration has for an ARN.
//!
//! From: `vault`, and a section's `secrets`. To: `http`, `redshift`, at each attempt, so that one that is changed counts at
//! once. What is said of one that cannot be had never says what it holds; the parcel waits, for its destination was never
//! asked.

use super::DeliveryError;
use super::s3::Secret;
use crate::fault::{Class, Fault, Retry};
use crate::stream::definition::Hidden;
use crate::vault::Vault;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a destination's secrets are.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Name of the configuration's section.
    pub section: &'static str,
    /// Its `secrets`, by ARN.
    pub by_arn: BTreeMap<String, Secret>,
    /// Those of definitions.
    pub vault: Arc<Vault>,
}

impl Secrets {
    /// What the text of the secret `arn` says, JSON of this form.
    pub async fn by_arn<T>(&self, arn: &str, form: &'static str) -> Result<T, DeliveryError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let secret = self.by_arn.get(arn).cloned();
        let read = tokio::task::spawn_blocking(move || secret.map(|secret| parsed(&secret, form))).await;
        let what = match read {
            Ok(Some(Ok(value))) => return Ok(value),
            Ok(Some(Err(what))) => what,
            Ok(None) => format!("the configuration has no such secret in {}.secrets", self.section),
            Err(died) => died.to_string(),
        };
        Err(unreadable(format!("the secret {arn}: {what}"), Class::User, Retry::AfterOperator))
    }

    /// What was hidden; `what` names it.
    pub async fn shown(&self, hidden: &Hidden, what: &str) -> Result<String, DeliveryError> {
        let (vault, hidden) = (self.vault.clone(), hidden.clone());
        match tokio::task::spawn_blocking(move || vault.show(&hidden)).await {
            Ok(Ok(text)) => Ok(text),
            Ok(Err(error)) => Err(unreadable(format!("{what}: {error}"), error.class(), error.retry())),
            Err(died) => Err(unreadable(died.to_string(), Class::Bug, Retry::Backoff)),
        }
    }
}

fn parsed<T: DeserializeOwned>(secret: &Secret, form: &str) -> Result<T, String> {
    let text = secret.read().map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|_| format!("it is no JSON of the form {form}"))
}

fn unreadable(message: String, class: Class, retry: Retry) -> DeliveryError {
    DeliveryError { code: "Secret.Unreadable".to_owned(), message, class, retry, not_before: None }
}

/// `text` with `(<what>)` in place of the secret. What a destination says goes into logs and error records, and it may repeat
/// the secret that it was given: as it is, or as JSON, a URL or base64 have it. To be called before the text is cut, for a
/// part of the secret is not found.
pub fn hidden(text: &str, secret: &str, what: &str) -> String {
    // As a header has it.
    let secret = secret.trim();
    let base64 = base64_of(secret);
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        if let Some(length) = repeated(rest, secret).or_else(|| in_base64(rest, &base64)) {
            shown.extend(["(", what, ")"]);
            rest = &rest[length..];
        } else {
            shown.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    shown
}

/// Length of the secret at the beginning of `text`, each character in any form.
fn repeated(text: &str, secret: &str) -> Option<usize> {
    let mut characters = secret.chars();
    let mut ends: Vec<usize> = lengths(text, characters.next()?).collect();
    for c in characters {
        if ends.is_empty() {
            return None;
        }
        // A form may be the beginning of another.
        ends = ends.iter().flat_map(|end| lengths(&text[*end..], c).map(move |length| end + length)).collect();
        ends.sort_unstable();
        ends.dedup();
    }
    ends.last().copied()
}

/// Lengths of the forms of a character at the beginning of `text`.
fn lengths(text: &str, c: char) -> impl Iterator<Item = usize> {
    let (mut utf8, mut utf16) = ([0; 4], [0; 2]);
    let bytes = c.encode_utf8(&mut utf8).bytes().map(u32::from);
    let units = c.encode_utf16(&mut utf16).iter().map(|unit| u32::from(*unit));
    let is_plus = c == ' ' && text.starts_with('+');
    [
        text.starts_with(c).then_some(c.len_utf8()),
        text.strip_prefix('\\').filter(|text| text.starts_with(c)).map(|_| 1 + c.len_utf8()),
        in_hex(text, "\\u", 4, units),
        in_hex(text, "%", 2, bytes),
        is_plus.then_some(1),
    ]
    .into_iter()
    .flatten()
}

/// Length of `values`, each as `before` and so many hexadecimal digits, at the beginning of `text`.
fn in_hex(text: &str, before: &str, digits: usize, values: impl Iterator<Item = u32>) -> Option<usize> {
    let mut rest = text;
    for value in values {
        let number = rest.strip_prefix(before)?.get(..digits)?;
        (u32::from_str_radix(number, 16) == Ok(value)).then_some(())?;
        rest = &rest[before.len() + digits..];
    }
    Some(text.len() - rest.len())
}

/// The secret in base64, in the usual alphabet and that of URLs, without its last bytes, which depend on what follows them.
/// Short ones are looked for in no such text: what they become may stand anywhere.
fn base64_of(secret: &str) -> Vec<String> {
    const LEAST_BYTES: usize = 6;
    let whole = &secret.as_bytes()[..secret.len() / 3 * 3];
    if whole.len() < LEAST_BYTES {
        return Vec::new();
    }
    let usual = base64_simd::STANDARD.encode_to_string(whole);
    vec![usual.replace('+', "-").replace('/', "_"), usual]
}

/// Length of the secret at the beginning of `text`, as one of `forms` and the base64 of its last bytes.
fn in_base64(text: &str, forms: &[String]) -> Option<usize> {
    let (form, rest) = forms.iter().find_map(|form| Some((form, text.strip_prefix(&**form)?)))?;
    let is_digit = |c: &char| c.is_ascii_alphanumeric() || "+/-_=".contains(*c);
    Some(form.len() + rest.chars().take(4).take_while(is_digit).count())
}

#[cfg(test)]
mod tests {
    use super::hidden;
    use proptest::prelude::*;

    #[test]
    fn a_secret_is_hidden_in_all_forms_in_which_it_may_be_repeated() {
        let secret = r#" ab"cd\SECR9/+é "#;
        for said in [
            r#"ab"cd\SECR9/+é"#,
            r#"ab\"cd\\SECR9/+é"#,
            r#"ab\"cd\\SECR9\/+\u00e9"#,
            r#"ab\u0022cd\\SECR9/\u002B\u00E9"#,
            "ab%22cd%5CSECR9%2F%2B%C3%A9",
            "ab%22cd%5cSECR9/%2b%c3%a9",
            "YWIiY2RcU0VDUjkvK8Op",
            "YWIiY2RcU0VDUjkvK8Op==",
            "YWIiY2RcU0VDUjkvK8OpCg==",
            "YWIiY2RcU0VDUjkvK8Op",
        ] {
            let text = format!("bad key <{said}>, <{said}>");
            assert_eq!(hidden(&text, secret, "key"), "bad key <(key)>, <(key)>", "{said}");
        }
        assert_eq!(hidden("?>>?>>? Pz4-Pz4-Pw Pz4+Pz4+Pw==", "?>>?>>?", "key"), "(key) (key) (key)");
        assert_eq!(hidden("a+b a%20b a b", "a b", "key"), "(key) (key) (key)");
        assert_eq!(hidden(r"\\ \\\\", r"\\", "key"), "(key) (key)");
        assert_eq!(hidden("nothing of it: ab\"cd\\", secret, "key"), "nothing of it: ab\"cd\\");
        assert_eq!(hidden("no key", "", "key"), "no key");
    }

    proptest! {
        #[test]
        fn what_is_no_secret_stays_as_it_is(text in "\\PC{0,60}", secret in "[A-Z]{12}") {
            prop_assert_eq!(hidden(&text, &secret, "key"), text);
        }

        #[test]
        fn no_form_of_it_is_left(before in "\\PC{0,9}", secret in "[ -~é𝄞]{1,20}", behind in "\\PC{0,9}") {
            prop_assume!(!secret.trim().is_empty());
            let json = serde_json::Value::from(secret.trim()).to_string();
            for form in [secret.trim(), &json[1..json.len() - 1]] {
                let text = hidden(&format!("{before}{form}{behind}"), &secret, "k");
                prop_assert!(text.contains("(k)"), "{}", text);
            }
        }
    }
}
