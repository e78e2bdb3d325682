//! The composition root: builds the layers, mounts, tells when it is ready, and drains. One file per command.
//!
//! [`main`] is the whole program. `cli` knows the command line, `arguments` hides passwords in it, `threads` makes those of
//! a daemon, `given` gathers options from flags, environment and files, `daemon` puts a mount together, `pressure` watches
//! the machine's memory for it, `background` detaches it from its caller, `notify` tells a service manager, `held` is what
//! one keeps from one life of the daemon to the next, `supervise` does so where there is none, `accessories` is what a mount
//! has beside itself, `registry` lets other processes find it and wait for its end, `socket` takes their requests, `ask`
//! sends them (`hung` to those that may not answer), `health` says when the store does not answer, and `beside` serves
//! figures and health over HTTP.

mod accessories;
mod addresses;
mod arguments;
mod ask;
mod background;
mod beside;
mod cli;
mod config;
mod control;
mod cp;
mod daemon;
mod deaths;
mod demo;
mod emulator;
mod generate;
mod given;
mod health;
mod held;
mod hung;
mod log;
mod ls;
mod mount;
mod notify;
mod prefetch;
mod pressure;
mod progress;
mod reach;
mod recording;
mod registry;
mod reload;
mod sample;
mod signals;
mod socket;
mod stat;
mod status;
mod supervise;
mod text;
mod threads;
mod umount;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use crate::base::Foreign;
use crate::config::Result;

pub use cli::{command, help_page};

/// Runs the program with these arguments, the first its own name, and says with what to end.
///
/// Must be called by the only thread of the process: a mount in the background forks.
pub fn main(args: Vec<OsString>) -> ExitCode {
    if let Some(warning) = arguments::blank(&args) {
        // No reason to fail where stderr is gone.
        let _ = writeln!(std::io::stderr(), "ossmount: {warning}");
    }
    match cli::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            if !problem.sentence.is_empty() {
                let priority = if log::stderr_is_journal() { "<3>" } else { "" };
                // Nobody is left to tell when stderr is gone.
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

/// A runtime for a command that talks to a store and ends.
fn small_runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| crate::config::Problem::failure(format!("no threads can be started: {error}")))
}
