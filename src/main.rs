//! Parse, resolve, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ossmount::app::main(std::env::args_os().collect())
}
