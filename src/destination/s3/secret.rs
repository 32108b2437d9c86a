//! A secret in the settings: shown by nothing, read at each use.
//!
//! Written in the configuration as `{env: NAME}` or `{file: PATH}`. Reading at each use
//! lets a rotated file take effect without a restart (rule D5).

use std::fmt;
use std::path::PathBuf;

/// A secret, or the place it is read from. `Debug` shows the place, never the text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(Place);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Place {
    Text(String),
    Env(String),
    File(PathBuf),
}

/// A secret that could not be read. Says where, never what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set, or not UTF-8.
    #[error("the environment variable {0} is not set; set it where hydrant is started")]
    Env(String),
    /// The file cannot be read.
    #[error("the secret file {path} cannot be read: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
}

impl Secret {
    /// A secret known now.
    pub fn text(text: impl Into<String>) -> Self {
        Self(Place::Text(text.into()))
    }

    /// A secret in an environment variable.
    pub fn env(name: impl Into<String>) -> Self {
        Self(Place::Env(name.into()))
    }

    /// A secret in a file; line ends after it do not belong to it.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Place::File(path.into()))
    }

    /// The secret as it is now.
    pub fn read(&self) -> Result<String, SecretError> {
        match &self.0 {
            Place::Text(text) => Ok(text.clone()),
            Place::Env(name) => std::env::var(name).map_err(|_| SecretError::Env(name.clone())),
            Place::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => {
                    Err(SecretError::File { path: path.display().to_string(), reason: error.kind().to_string() })
                }
            },
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Text(_) => f.write_str("Secret(hidden)"),
            Place::Env(name) => write!(f, "Secret(env {name})"),
            Place::File(path) => write!(f, "Secret(file {})", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_from_its_place_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "hush-1\r\n").unwrap();
        let from_file = Secret::file(&path);
        assert_eq!(from_file.read().unwrap(), "hush-1");
        std::fs::write(&path, "hush-2").unwrap();
        assert_eq!(from_file.read().unwrap(), "hush-2");

        let plain = Secret::text("hush-3");
        assert_eq!(plain.read().unwrap(), "hush-3");
        assert!(!format!("{plain:?} {from_file:?}").contains("hush"));

        assert_eq!(
            Secret::env("HYDRANT_NO_SUCH_VARIABLE").read(),
            Err(SecretError::Env("HYDRANT_NO_SUCH_VARIABLE".to_owned()))
        );
    }
}
