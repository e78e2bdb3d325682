//! The commands, one file each, and what several of them share.
//!
//! | file | what it owns |
//! |---|---|
//! | `mount`, `umount` | a mount, in the foreground or as a daemon, and its end |
//! | `ls`, `stat`, `cp`, `cat` | listing, metadata, copies and content of objects, without a mount |
//! | `log` | the versions of an object or prefix |
//! | `prefetch`, `jobs`, `status`, `control` | requests to live mounts |
//! | `cache` | what a disk cache holds, without a mount |
//! | `config` | prints the effective options and their sources |
//! | `demo`, `emulator`, `sample` | a server on this machine, and the bucket that the demo shows |
//! | `manual` | prints the pages of the manual |
//! | `generate`, `sections`, `completions` | manual pages and completions for packages |
//! | `ask`, `hung` | sending a request to a live mount, which may not answer |
//! | `progress`, `text` | how progress, sizes, times and names are shown |

mod ask;
pub(super) mod cache;
pub(super) mod cat;
mod completions;
pub(super) mod config;
pub(super) mod control;
pub(super) mod cp;
pub(super) mod demo;
pub(super) mod emulator;
pub(super) mod generate;
mod hung;
pub(super) mod jobs;
pub(super) mod log;
pub(super) mod ls;
pub(super) mod manual;
pub(super) mod mount;
pub(super) mod prefetch;
mod progress;
mod sample;
mod sections;
pub(super) mod stat;
pub(super) mod status;
pub(super) mod text;
pub(super) mod umount;

use crate::config::Result;

/// A runtime for a command that moves many bytes: with a thread for each processor, and some more, since threads wait
/// for the disk too.
fn bulk_runtime() -> Result<tokio::runtime::Runtime> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 16) + 2;
    runtime(threads)
}

/// A runtime for a command that talks to a store and ends.
fn small_runtime() -> Result<tokio::runtime::Runtime> {
    runtime(2)
}

fn runtime(threads: usize) -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|error| crate::config::Problem::failure(format!("no threads can be started: {error}")))
}
