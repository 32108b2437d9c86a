//! The command line: one file a command, and what service commands share.
//!
//! Standard output is for results, standard error for logs and errors, whose texts say what to do. Exit codes of the
//! commands that are no service: 0 done, 1 done in part, 2 not done.

/// A line on standard output. Nobody may be reading it any more (`hydrant put … | head`): what was done is done all the
/// same, so this is no panic as with `println!`.
macro_rules! say {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($line)*);
    }};
}

pub mod check;
pub mod convert;
pub mod demo;
pub mod dev;
mod input;
pub mod put;
pub mod schema;
pub mod serve;
pub mod transform;

use crate::app::{App, AppOptions};
use crate::config::LogSettings;
use crate::telemetry::logging::{self, LogFormat};
use clap::{Parser, Subcommand};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// A self-hosted Amazon Data Firehose: the same API, every acknowledged record in exactly one object.
#[derive(Debug, Parser)]
#[command(name = "hydrant", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// What is logged to standard error: error, warn, info, debug, trace, or a filter such as hydrant::delivery=debug
    /// [default: $HYDRANT_LOG, else info; warn for commands that are no service]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log: Option<String>,
    /// How it is written [default: text; of serve: what its configuration says]
    #[arg(long, global = true, value_enum)]
    pub log_format: Option<LogFormat>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    Demo(demo::DemoArgs),
    Dev(dev::DevArgs),
    Put(put::PutArgs),
    Convert(convert::ConvertArgs),
    Schema(schema::SchemaArgs),
    Transform(transform::TransformArgs),
    Check(check::CheckArgs),
    Serve(serve::ServeArgs),
}

/// Why a command was not done: a text for a person.
pub type Failure = Box<dyn Error + Send + Sync>;

impl Cli {
    /// Form and level of logs: what the command line says goes before what the configuration says.
    fn logs(&self, configured: Option<&LogSettings>) -> (LogFormat, Option<String>) {
        let format = self.log_format.or(configured.and_then(|log| log.format)).unwrap_or_default();
        let level = self.log.clone().or_else(|| configured.and_then(|log| log.level.clone()));
        (format, level)
    }
}

impl Command {
    /// Level of logs where nobody chose one.
    fn default_level(&self) -> &'static str {
        match self {
            Self::Dev(_) | Self::Serve(_) => "info",
            Self::Demo(_) | Self::Put(_) | Self::Convert(_) | Self::Schema(_) | Self::Transform(_) | Self::Check(_) => {
                "warn"
            }
        }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // A service's configuration says how it logs, so it is read before the first line is logged.
    let config = match &cli.command {
        Command::Serve(args) => match args.load() {
            Ok(config) => Some(config),
            Err(code) => return code,
        },
        _ => None,
    };
    let (format, level) = cli.logs(config.as_ref().map(|config| &config.log));
    if let Err(error) = logging::init(format, level.as_deref(), cli.command.default_level()) {
        eprintln!("hydrant: {error}");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("hydrant: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        match cli.command {
            Command::Demo(args) => args.run().await,
            Command::Dev(args) => args.run().await,
            Command::Put(args) => done(args.run().await),
            Command::Convert(args) => done(args.run()),
            Command::Schema(args) => done(args.run()),
            Command::Transform(args) => done(args.run()),
            Command::Check(args) => done(args.run()),
            Command::Serve(_) => match config {
                Some(config) => serve::run(config).await,
                None => ExitCode::FAILURE,
            },
        }
    })
}

fn done(done: Result<ExitCode, Failure>) -> ExitCode {
    done.unwrap_or_else(|error| {
        eprintln!("hydrant: {error}");
        ExitCode::from(2)
    })
}

/// Warns of a folder that somebody named, since it is not the default, but that is not there.
fn warn_if_missing(setting: &str, dir: &Path, default: &Path) {
    if dir != default && !dir.is_dir() {
        tracing::warn!(setting, dir = %dir.display(), "this folder does not exist: nothing can be found in it");
    }
}

/// Runs a service until SIGTERM or SIGINT; `ready` makes the line that is printed once it answers.
pub async fn run_service(options: AppOptions, ready: impl FnOnce(&App) -> serde_json::Value) -> ExitCode {
    let (mut terminate, mut interrupt) = match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        (Err(error), _) | (_, Err(error)) => {
            eprintln!("hydrant: cannot wait for signals: {error}");
            return ExitCode::FAILURE;
        }
    };
    let app = match App::start(options).await {
        Ok(app) => app,
        Err(error) => {
            eprintln!("hydrant: {error}");
            return ExitCode::FAILURE;
        }
    };
    say!("{}", ready(&app));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!(
        "stopping: requests in flight are answered, deliveries get their grace; a second signal ends at once"
    );
    tokio::select! {
        () = app.stop() => ExitCode::SUCCESS,
        _ = terminate.recv() => ExitCode::FAILURE,
        _ = interrupt.recv() => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_goes_before_the_configuration() {
        let configured = LogSettings { level: Some("warn".to_owned()), format: Some(LogFormat::Text) };
        let logs = |line: &str, configured| Cli::try_parse_from(line.split(' ')).unwrap().logs(configured);
        let serve = "hydrant serve --config c.yaml";
        let given = (LogFormat::Json, Some("debug".to_owned()));
        assert_eq!(logs(&format!("{serve} --log-format json --log debug"), Some(&configured)), given);
        assert_eq!(logs(serve, Some(&configured)), (LogFormat::Text, Some("warn".to_owned())));
        let json = LogSettings { level: None, format: Some(LogFormat::Json) };
        assert_eq!(logs(serve, Some(&json)), (LogFormat::Json, None));
        assert_eq!(logs("hydrant check --log-format json", None), (LogFormat::Json, None));
        assert_eq!(logs("hydrant check", None), (LogFormat::Text, None));
    }

    #[test]
    fn the_command_line_is_consistent_and_every_argument_is_explained() {
        Cli::command().debug_assert();
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
        }
    }
}
