//! Structured logs to standard error: text for people, JSON for collectors. Standard output stays for results.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
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

/// Sets up the process's logs. `level` is a flag's value; without it [`LEVEL_ENV`] decides, unless it is empty; without
/// that `default`.
pub fn init(format: LogFormat, level: Option<&str>, default: &str) -> Result<(), LogSetupError> {
    let from_env = std::env::var(LEVEL_ENV).ok().filter(|level| !level.trim().is_empty());
    let filter = filter(level.or(from_env.as_deref()).unwrap_or(default))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match format {
        LogFormat::Text => builder.with_ansi(false).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    set.map_err(|_| LogSetupError::Already)
}

/// Whether `level` is a level, or levels by module.
pub fn is_understood(level: &str) -> bool {
    filter(level).is_ok()
}

fn filter(level: &str) -> Result<EnvFilter, LogSetupError> {
    // A word alone that is no level is a module to the library, and all the rest falls silent: `inof` for `info`.
    let misspelt = |word: &str| {
        let plain = !word.is_empty() && word.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
        plain && word.parse::<LevelFilter>().is_err() && word != env!("CARGO_CRATE_NAME")
    };
    let bad = || LogSetupError::BadLevel(level.to_owned());
    if level.split(',').any(|part| misspelt(part.trim())) {
        return Err(bad());
    }
    EnvFilter::builder().parse(level).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_targets_are_understood_and_nonsense_is_not() {
        for good in
            ["info", "WARN", "off", "0", "hydrant", "hydrant::delivery=debug,info", "warn, hydrant::log", "h2=off"]
        {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["hydrant=loud", "inof", "hydrant=debug,inof", "7"] {
            assert!(matches!(filter(bad), Err(LogSetupError::BadLevel(_))), "{bad}");
        }
    }
}
