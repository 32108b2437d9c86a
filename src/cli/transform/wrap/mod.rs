//! `hydrant transform wrap IN -o OUT.wasm`: a component of what a compiler or an author of Lambda functions has.
//!
//! `component` makes one of a core module, without any other program; `lambda` one of a handler, with the tools of its
//! language, which `tools` runs.

mod component;
mod lambda;
mod tools;

use super::modules;
use crate::cli::Failure;
use crate::disk::{RealDisk, replace_file};
use indicatif::HumanBytes;
use lambda::Language;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Make a component of a Lambda handler or of a core module
///
/// A handler, index.mjs, index.js or handler.py, stays as it is on AWS: an adapter hands it Firehose's event. What it
/// imports is taken with it. That takes the tools of its language (Node.js 20 with npm, or Python 3.10 with pip and
/// venv); componentize-js or componentize-py come from their registries, once. A core module is what C and Rust compilers
/// make; it needs no other program.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  hydrant transform wrap index.mjs -o enrich.wasm
  hydrant transform wrap lambda_function.py --handler lambda_handler -o enrich.wasm
  hydrant transform wrap target/wasm32-unknown-unknown/release/mine.wasm -o mine.wasm

Exit code: 0 done, 2 nothing was written.")]
pub struct WrapArgs {
    /// The handler (.mjs, .js, .cjs, .py) or the core module (.wasm)
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// The component to write; one that is there is replaced
    #[arg(long, short, value_name = "FILE.wasm")]
    pub output: PathBuf,
    /// The handler's function [default: handler; of Python: lambda_handler]
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub handler: Option<String>,
}

impl WrapArgs {
    /// Makes the component.
    pub fn run(self) -> Result<ExitCode, Failure> {
        if self.output.is_dir() {
            return Err(format!("{} is a folder; name a file in it", self.output.display()).into());
        }
        if self.input.canonicalize().is_ok_and(|input| self.output.canonicalize().is_ok_and(|output| input == output)) {
            return Err(format!("{} is read from; write to another file", self.output.display()).into());
        }
        let made = match Language::of(&self.input) {
            Some(language) => lambda::component(&self.input, language, self.handler.as_deref())?,
            None if self.handler.is_some() => {
                return Err(
                    format!("--handler is for .mjs, .js, .cjs and .py; {} is none", self.input.display()).into()
                );
            }
            None => {
                let core = modules::read(&self.input)?;
                component::component(&core).map_err(|why| format!("{}: {why}", self.input.display()))?
            }
        };
        finish(&made, &self.output)
    }
}

/// Writes a component that the service takes.
fn finish(component: &[u8], output: &Path) -> Result<ExitCode, Failure> {
    let (module, _) = modules::compile(component)?;
    let module = module.map_err(|error| format!("the component would be refused: {error}"))?;
    replace_file(&RealDisk, output, component).map_err(|error| format!("{}: {error}", output.display()))?;
    say!("{}: world {}, {}", output.display(), module.world(), HumanBytes(component.len() as u64));
    Ok(ExitCode::SUCCESS)
}
