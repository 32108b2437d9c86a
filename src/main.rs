//! The `hydrant` binary; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    hydrant::cli::main()
}
