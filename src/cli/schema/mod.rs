//! `hydrant schema …`: tables as text. `infer` learns one from a file.

mod infer;

pub use infer::InferArgs;

use super::Failure;
use clap::Subcommand;
use std::path::Path;
use std::process::ExitCode;

/// Stands in a declaration for the place of files that nobody has named.
pub(super) const LOCATION: &str = "s3://BUCKET/PREFIX/";

/// Tell the schema of a file
#[derive(Debug, Clone, clap::Args)]
pub struct SchemaArgs {
    /// What to do
    #[command(subcommand)]
    pub command: SchemaCommand,
}

/// The commands below `schema`.
#[derive(Debug, Clone, Subcommand)]
pub enum SchemaCommand {
    Infer(InferArgs),
}

impl SchemaArgs {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self.command {
            SchemaCommand::Infer(args) => args.run(),
        }
    }
}

/// A table's name from that of its file: what stands before the first dot.
pub(super) fn table_name(file: &Path) -> String {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = name.split('.').next().unwrap_or_default().trim();
    if name.is_empty() || name == "-" { "records".to_owned() } else { name.to_owned() }
}
