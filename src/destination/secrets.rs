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
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
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

/// What a destination says goes into logs and error records; it may repeat the secret that it was given, which becomes
/// `(<what>)`.
pub fn without(mut error: DeliveryError, secret: Option<&str>, what: &str) -> DeliveryError {
    if let Some(secret) = secret {
        error.message = hidden(&error.message, secret, what);
    }
    error
}

/// `text` with `(<what>)` in place of the secret, in the forms in which others may repeat it as well: as a JSON string has
/// it, a URL, or base64. To be called before the text is cut, for a part of the secret is not found.
pub fn hidden(text: &str, secret: &str, what: &str) -> String {
    // As a header has it.
    let secret = secret.trim();
    let mut text = text.to_owned();
    for form in forms(secret).iter().filter(|form| !form.is_empty()) {
        text = text.replace(form, &format!("({what})"));
    }
    text
}

/// Longer ones first, for one may be in another.
fn forms(secret: &str) -> Vec<String> {
    let json = serde_json::Value::from(secret).to_string();
    let json = json[1..json.len() - 1].to_owned();
    let ascii: String = json.chars().map(|c| if c.is_ascii() { c.to_string() } else { escaped(c) }).collect();
    let slashed = |json: &str| json.replace('/', "\\/");
    // Two characters may stand anywhere.
    let base64 = if secret.len() < 6 { String::new() } else { base64_simd::STANDARD_NO_PAD.encode_to_string(secret) };
    let url = percent_encoding::utf8_percent_encode(secret, UNRESERVED).to_string();
    let mut forms = vec![secret.to_owned(), slashed(&json), json, slashed(&ascii), ascii, base64, url];
    forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    forms.dedup();
    forms
}

/// A character as JSON in ASCII has it.
fn escaped(c: char) -> String {
    c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// All but the characters that RFC 3986, 2.3, leaves as they are.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::hidden;

    #[test]
    fn a_secret_is_hidden_in_all_forms_in_which_it_may_be_repeated() {
        let secret = r#" ab"cd\SECR9/+é "#;
        for said in [
            r#"ab"cd\SECR9/+é"#,
            r#"ab\"cd\\SECR9/+é"#,
            r#"ab\"cd\\SECR9\/+\u00e9"#,
            "ab%22cd%5CSECR9%2F%2B%C3%A9",
            "YWIiY2RcU0VDUjkvK8Op",
        ] {
            let text = format!("bad key <{said}>, <{said}>");
            assert_eq!(hidden(&text, secret, "key"), "bad key <(key)>, <(key)>", "{said}");
        }
        assert_eq!(hidden("nothing of it", secret, "key"), "nothing of it");
        assert_eq!(hidden("no key", "", "key"), "no key");
    }
}
