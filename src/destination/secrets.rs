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

/// What a destination says goes into logs and error records; it may repeat the secret that it was given, which becomes
/// `(<what>)`.
pub fn without(mut error: DeliveryError, secret: Option<&str>, what: &str) -> DeliveryError {
    if let Some(secret) = secret {
        error.message = hidden(&error.message, secret, what);
    }
    error
}

/// `text` with `(<what>)` in place of the secret.
pub fn hidden(text: &str, secret: &str, what: &str) -> String {
    if secret.is_empty() { text.to_owned() } else { text.replace(secret, &format!("({what})")) }
}
