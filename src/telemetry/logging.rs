//! Structured logs to standard error: text for people, JSON for collectors. Standard output stays for results.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// The environment variable that sets the level when no flag does.
pub const LEVEL_ENV: &str = "HYDRANT_LOG";

/// Form of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogSetupError {
    /// The level is not understood.
    #[error(
        "the log level '{0}' is not understood: use error, warn, info, debug or trace, or hydrant::delivery=debug,info"
    )]
    BadLevel(String),
    /// Something else set it up before.
    #[error("logging is set up already")]
    Already,
}

/// Sets up the process's logs. `level` is a flag's value; without it [`LEVEL_ENV`] decides, without that `default`.
pub fn init(format: LogFormat, level: Option<&str>, default: &str) -> Result<(), LogSetupError> {
    let from_env = std::env::var(LEVEL_ENV).ok();
    let filter = filter(level.or(from_env.as_deref()).unwrap_or(default))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match format {
        LogFormat::Text => builder.with_ansi(false).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    set.map_err(|_| LogSetupError::Already)
}

fn filter(level: &str) -> Result<EnvFilter, LogSetupError> {
    EnvFilter::builder().parse(level).map_err(|_| LogSetupError::BadLevel(level.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_targets_are_understood_and_nonsense_is_not() {
        assert!(filter("info").is_ok());
        assert!(filter("hydrant::delivery=debug,info").is_ok());
        assert!(matches!(filter("hydrant=loud"), Err(LogSetupError::BadLevel(_))));
    }
}
