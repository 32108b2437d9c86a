//! `hydrant transform inspect FILE.wasm`: what a component is, and whether the service takes it.
//!
//! `super::shape` reads its interfaces without the engine, so that a component the service refuses can be shown as well.

use super::modules;
use super::shape::{Item, Kind, Shape};
use super::text::{duration, escaped};
use crate::cli::Failure;
use indicatif::HumanBytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Show what a component exports and imports, and whether the service takes it
///
/// It is compiled as the service compiles it. A transform may import types, but no function.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Exit code: 0 the service takes it, 1 it does not, 2 the file cannot be read.")]
pub struct InspectArgs {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    pub component: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What is found.
struct Found {
    size_bytes: usize,
    sha256_hex: String,
    shape: Shape,
    compile: Duration,
    /// The world the service uses; or why it takes none.
    world: Result<&'static str, String>,
}

impl InspectArgs {
    /// Shows the component.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let wasm = modules::read(&self.component)?;
        let (module, compile) = modules::compile(&wasm)?;
        let found = Found {
            size_bytes: wasm.len(),
            sha256_hex: Sha256::digest(&wasm).iter().map(|byte| format!("{byte:02x}")).collect(),
            shape: Shape::of(&wasm),
            compile,
            world: module.map(|module| module.world()).map_err(|error| modules::reason(&wasm, &error)),
        };
        if self.json {
            say!("{}", found.to_json());
        } else {
            found.print(&self.component.display().to_string());
        }
        Ok(if found.world.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

impl Found {
    fn print(&self, name: &str) {
        say!("{name}: {}, {}", self.shape.kind.as_str(), HumanBytes(self.size_bytes as u64));
        say!("sha256   {}", self.sha256_hex);
        if self.shape.kind == Kind::Component {
            say!("worlds   {}", listed(self.shape.worlds().into_iter().map(str::to_owned)));
        }
        if self.shape.kind != Kind::Other {
            say!("exports  {}", listed(self.shape.exports.iter().map(Item::name).map(|name| escaped(&name))));
            say!("imports  {}", listed(self.shape.imports.iter().map(Item::name).map(|name| escaped(&name))));
        }
        match &self.world {
            Ok(world) => {
                say!("compiled in {}", duration(self.compile));
                say!("the service takes it, as {world}");
            }
            Err(error) => say!("the service does not take it: {error}"),
        }
    }

    fn to_json(&self) -> Value {
        let names = |functions: &[Item]| functions.iter().map(Item::name).collect::<Vec<_>>();
        json!({
            "kind": self.shape.kind.as_str(),
            "sizeBytes": self.size_bytes,
            "sha256": self.sha256_hex,
            "worlds": self.shape.worlds(),
            "exports": names(&self.shape.exports),
            "imports": names(&self.shape.imports),
            "compileSeconds": self.world.is_ok().then_some(self.compile.as_secs_f64()),
            "accepted": self.world.is_ok(),
            "usedWorld": self.world.as_ref().ok(),
            "refusal": self.world.as_ref().err(),
        })
    }
}

/// The lines of a list, one below the other.
fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<_> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join("\n         ") }
}
