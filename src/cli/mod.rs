//! The command line: one file a command, and what service commands share.

pub mod dev;

use crate::app::{App, AppOptions};
use crate::telemetry::logging::{self, LogFormat};
use clap::{Parser, Subcommand};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// A self-hosted Amazon Data Firehose: the same API, every acknowledged record in exactly one object.
#[derive(Debug, Parser)]
#[command(name = "hydrant", version, arg_required_else_help = true)]
pub struct Cli {
    /// What is logged to standard error: error, warn, info, debug, trace, or a filter such as hydrant::delivery=debug
    /// [default: $HYDRANT_LOG, else info]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log: Option<String>,
    /// How it is written
    #[arg(long, global = true, value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    Dev(dev::DevArgs),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = logging::init(cli.log_format, cli.log.as_deref(), "info") {
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
            Command::Dev(args) => args.run().await,
        }
    })
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
    println!("{}", ready(&app));
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
