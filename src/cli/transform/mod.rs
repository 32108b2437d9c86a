//! `hydrant transform …`: transforms at the desk: made from a template, wrapped, looked at, tried, measured.
//!
//! `calls` has what `test` and `bench` share: a stream's settings as options, and records off a file; `modules` loads a
//! component as the service does; `text` is how all print what is foreign. `new` and `wrap` make components or what becomes
//! one, the others run them.

mod bench;
mod calls;
mod inspect;
mod modules;
mod new;
mod shape;
mod test;
mod text;
mod wrap;

use super::Failure;
use clap::Subcommand;
use std::process::ExitCode;

/// Make, wrap, inspect, test and measure WebAssembly transforms
#[derive(Debug, Clone, clap::Args)]
pub struct TransformArgs {
    /// What to do
    #[command(subcommand)]
    pub command: TransformCommand,
}

/// The commands below `transform`.
#[derive(Debug, Clone, Subcommand)]
pub enum TransformCommand {
    New(new::NewArgs),
    Wrap(wrap::WrapArgs),
    Inspect(inspect::InspectArgs),
    Test(test::TestArgs),
    Bench(bench::BenchArgs),
}

impl TransformArgs {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self.command {
            TransformCommand::New(args) => args.run(),
            TransformCommand::Wrap(args) => args.run(),
            TransformCommand::Inspect(args) => args.run(),
            TransformCommand::Test(args) => args.run(),
            TransformCommand::Bench(args) => args.run(),
        }
    }
}
