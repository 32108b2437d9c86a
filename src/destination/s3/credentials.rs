//! Fixed keys for the SDK, read from their places again and again.

use super::secret::{Secret, SecretError};
use super::settings::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result, future};
use std::time::{Duration, SystemTime};

/// How long keys are used before their places are read again.
const REREAD_AFTER: Duration = Duration::from_secs(60);

/// Hands out the keys of the settings.
#[derive(Debug)]
pub struct FixedKeys(Credentials);

impl FixedKeys {
    /// Keys at these places.
    pub fn new(keys: Credentials) -> Self {
        Self(keys)
    }

    fn read(&self) -> Result {
        let unreadable = |error: SecretError| CredentialsError::not_loaded(error);
        let session_token = self.0.session_token.as_ref().map(Secret::read).transpose().map_err(unreadable)?;
        Ok(aws_sdk_s3::config::Credentials::new(
            self.0.access_key_id.read().map_err(unreadable)?,
            self.0.secret_access_key.read().map_err(unreadable)?,
            session_token,
            // The SDK asks again when they "expire".
            Some(SystemTime::now() + REREAD_AFTER),
            "settings",
        ))
    }
}

impl ProvideCredentials for FixedKeys {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(self.read())
    }
}
