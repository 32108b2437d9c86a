//! Fixed keys for the SDK, read from their places again and again.

use super::secret::{Secret, SecretError};
use super::settings::Credentials;
use crate::clock::Clock;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result, future};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// How long keys are used before their places are read again.
const REREAD_AFTER: Duration = Duration::from_secs(60);

/// Hands out the keys of the settings.
#[derive(Debug)]
pub struct FixedKeys {
    keys: Credentials,
    clock: Arc<dyn Clock>,
}

impl FixedKeys {
    /// Keys at these places; `clock` tells when they were read.
    pub fn new(keys: Credentials, clock: Arc<dyn Clock>) -> Self {
        Self { keys, clock }
    }

    fn read(&self) -> Result {
        let unreadable = |error: SecretError| CredentialsError::not_loaded(error);
        let session_token = self.keys.session_token.as_ref().map(Secret::read).transpose().map_err(unreadable)?;
        let now = Duration::from_millis(u64::try_from(self.clock.wall_ms()).unwrap_or(0));
        Ok(aws_sdk_s3::config::Credentials::new(
            self.keys.access_key_id.read().map_err(unreadable)?,
            self.keys.secret_access_key.read().map_err(unreadable)?,
            session_token,
            // The SDK asks again when they "expire".
            Some(UNIX_EPOCH + now + REREAD_AFTER),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct At(i64);

    impl Clock for At {
        fn wall_ms(&self) -> i64 {
            self.0
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }

    #[tokio::test]
    async fn keys_are_good_for_a_minute_from_when_they_were_read() {
        for (now_ms, expiry_ms) in [(1_783_951_509_364, 1_783_951_569_364), (-5, 60_000)] {
            let keys = FixedKeys::new(Credentials::fixed("id", "key"), Arc::new(At(now_ms)));
            let handed_out = keys.provide_credentials().await.unwrap();
            assert_eq!(handed_out.expiry(), Some(UNIX_EPOCH + Duration::from_millis(expiry_ms)));
            assert_eq!((handed_out.access_key_id(), handed_out.secret_access_key()), ("id", "key"));
        }
    }
}
