//! `hydrant transform wrap IN -o OUT.wasm`: a component of what a compiler or an author of Lambda functions has.
//!
//! `component` makes one of a core module, without any other program; `lambda` one of the `handler` that is named, with the
//! tools of its language, which `tools` runs.

mod component;
mod handler;
mod lambda;
mod tools;

use super::calls::CallOptions;
use super::modules;
use super::text::escaped;
use crate::cli::Failure;
use crate::disk::{RealDisk, replace_file};
use crate::stage::transform::Module;
use handler::{Handler, Language};
use indicatif::HumanBytes;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Make a component of a Lambda handler or of a core module
///
/// A handler, index.mjs, index.js, index.ts or handler.py, stays as it is on AWS: an adapter hands it Firehose's event.
/// What it imports is taken with it. That takes the tools of its language (Node.js 20 with npm, or Python 3.10 with pip
/// and venv); componentize-js or componentize-py come from their registries, once. A core module is what C and Rust
/// compilers make; it needs no other program.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  hydrant transform wrap index.mjs -o enrich.wasm
  hydrant transform wrap lambda_function.py --handler lambda_function.lambda_handler -o enrich.wasm
  hydrant transform wrap target/wasm32-unknown-unknown/release/mine.wasm -o mine.wasm

Exit code: 0 done, 2 nothing was written.")]
pub struct WrapArgs {
    /// The handler (.mjs, .js, .cjs, .ts, .mts, .cts, .py) or the core module (.wasm)
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// The component to write; one that is there is replaced
    #[arg(long, short, value_name = "FILE.wasm")]
    pub output: PathBuf,
    /// The handler's function, or the function's Handler as Lambda has it, MODULE.NAME [default: handler; of Python:
    /// lambda_handler]
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub handler: Option<String>,
}

impl WrapArgs {
    /// Makes the component.
    pub fn run(self) -> Result<ExitCode, Failure> {
        self.check_paths()?;
        let input = self.input.display();
        let (made, module) = match Language::of(&self.input) {
            Some(language) => self.of_handler(language)?,
            None if self.handler.is_some() => {
                return Err(format!("--handler is for {}; {input} is none", Language::FILES).into());
            }
            None => {
                let core = modules::read(&self.input)?;
                let made = component::component(&core).map_err(|why| format!("{input}: {}", escaped(&why)))?;
                let module = modules::compile_and_keep(&made)?;
                (made, module)
            }
        };
        replace_file(&RealDisk, &self.output, &made).map_err(|error| format!("{}: {error}", self.output.display()))?;
        say!("{}: world {}, {}", self.output.display(), module.world(), HumanBytes(made.len() as u64));
        Ok(ExitCode::SUCCESS)
    }

    /// Makes the component of a handler, and has it called once.
    fn of_handler(&self, language: Language) -> Result<(Vec<u8>, Arc<Module>), Failure> {
        let input = self.input.display();
        let made = lambda::component(&Handler::new(&self.input, language, self.handler.as_deref())?)?;
        let module = modules::compile_and_keep(&made)?;
        let options = CallOptions::default();
        if let Err(text) = module.call_without_records(&options.spec()?, options.info()) {
            let text = escaped(&text);
            if let Some(why) = lambda::unusable(&text) {
                return Err(format!("{input}: {why}").into());
            }
            eprintln!("hydrant: {input} fails when it is called without records, which may be as it should: {text}");
        }
        Ok((made, module))
    }

    /// What would only turn out when all is done.
    fn check_paths(&self) -> Result<(), Failure> {
        let (input, output) = (&self.input, &self.output);
        if output.is_dir() {
            return Err(format!("{} is a folder; name a file in it", output.display()).into());
        }
        let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(format!("there is no folder {} to write {} to", folder.display(), output.display()).into());
        }
        if input.is_dir() {
            return Err(format!("{} is a folder; name the handler or the core module in it", input.display()).into());
        }
        if input.canonicalize().is_ok_and(|input| output.canonicalize().is_ok_and(|output| input == output)) {
            return Err(format!("{} is read from; write to another file", output.display()).into());
        }
        Ok(())
    }
}
