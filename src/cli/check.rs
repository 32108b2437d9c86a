//! `hydrant check`: reads a configuration file as `hydrant serve` would, and changes nothing.

use super::Failure;
use crate::config;
use std::path::PathBuf;
use std::process::ExitCode;

/// Check a configuration file without starting anything
///
/// Reports every problem with its line, of a stream as far as one does not follow from another: unknown and missing members, values that do not fit, streams that would be
/// refused, and files and environment variables that the configuration names and that are not there. Writes nothing
/// and asks nothing on the network.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example:
  hydrant check --config hydrant.yaml

Exit code: 0 nothing found, 1 problems, one a line on standard error.")]
pub struct CheckArgs {
    /// The configuration file (YAML)
    #[arg(long, value_name = "FILE", default_value = "hydrant.yaml")]
    pub config: PathBuf,
}

impl CheckArgs {
    /// Checks the file.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let problems = config::check(&self.config);
        for problem in &problems {
            eprintln!("{problem}");
        }
        if problems.is_empty() {
            say!("{}: nothing to mend", self.config.display());
            return Ok(ExitCode::SUCCESS);
        }
        let noun = if problems.len() == 1 { "problem" } else { "problems" };
        eprintln!("{}: {} {noun}", self.config.display(), problems.len());
        Ok(ExitCode::from(1))
    }
}
