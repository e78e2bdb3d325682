//! The composition root: builds the layers, mounts, tells when it is ready, and drains.
//!
//! [`main`] is the whole program.
//!
//! | file | what it owns |
//! |---|---|
//! | `cli` | the command line as a whole: which command it is, and how mount(8) calls this program |
//! | `unknown` | answers to commands and flags that are unknown |
//! | `args` | arguments that several commands take |
//! | `blank_arguments` | hides the passwords of the command line from other users |
//! | `sources` | gathers the options of a command from flags, the environment and files |
//! | `tune` | the flag by which benchmarks set tuned numbers |
//! | `commands` | one file per command |
//! | `daemon` | the process that serves a mount, from its start to its end |

mod args;
mod blank_arguments;
mod cli;
mod commands;
mod daemon;
mod sources;
mod tune;
mod unknown;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use crate::base::Foreign;

pub use cli::{command, help_page};

/// Runs the program with these arguments, the first its own name, and says with what to end.
///
/// Must be called by the only thread of the process: a mount in the background forks.
pub fn main(args: Vec<OsString>) -> ExitCode {
    if let Some(warning) = blank_arguments::blank(&args) {
        // No reason to fail where stderr is gone.
        let _ = writeln!(std::io::stderr(), "ossmount: {warning}");
    }
    match cli::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            if !problem.sentence.is_empty() {
                let priority = if daemon::log::stderr_is_journal() { "<3>" } else { "" };
                // There is no other place to say so when stderr is gone.
                let _ = writeln!(std::io::stderr(), "{priority}ossmount: {}", Foreign(&problem.sentence));
            }
            ExitCode::from(problem.code())
        }
    }
}

/// Reads a variable of this process's environment.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
