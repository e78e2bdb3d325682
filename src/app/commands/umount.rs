//! `ossmount umount DIR`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::hung;
use crate::app::daemon::registry::{self, Found};
use crate::config::{Problem, Result};
use crate::fuse::{self, Laziness};

/// How long a daemon may take to end after its mount is gone. It has nothing left to do but to exit.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same for a daemon that was stopped: for one that is being continued just now.
const PATIENCE_WITH_STOPPED: Duration = Duration::from_secs(2);

pub(in crate::app) fn command() -> Command {
    Command::new("umount")
        .alias("unmount")
        .about("Unmount a directory and wait until its daemon has ended")
        .arg(
            Arg::new("dir")
                .value_name("DIR")
                .help("The directory of the mount")
                .required(true)
                .value_parser(PathBufValueParser::new()),
        )
        .arg(
            Arg::new("lazy")
                .short('l')
                .long("lazy")
                .action(ArgAction::SetTrue)
                .help("Unmount even while files are open, which stay readable until they are closed; does not wait"),
        )
}

pub(in crate::app) fn run(matches: &ArgMatches) -> Result<()> {
    let Some(dir) = matches.get_one::<PathBuf>("dir") else { return Err(Problem::usage("which DIR?")) };
    let laziness = if matches.get_flag("lazy") { Laziness::Lazy } else { Laziness::Strict };
    // Found before unmounting: afterwards the daemon may be gone, and another's mount may have come.
    let daemon = fs::canonicalize(dir).ok().and_then(|dir| daemon_of(&dir));
    fuse::unmount(dir, laziness).map_err(|error| Problem::failure(error.to_string()))?;
    let Some(daemon) = daemon.filter(|_| laziness == Laziness::Strict) else { return Ok(()) };
    let pid = daemon.entry.pid;
    // One that was stopped ends when it is let go on, and not before.
    let patience = if hung::is_stopped(Some(pid)) { PATIENCE_WITH_STOPPED } else { PATIENCE };
    match daemon.wait_for_end(patience) {
        true => Ok(()),
        false if hung::is_stopped(Some(pid)) => Err(Problem::failure(format!(
            "{} is unmounted, but its daemon does not answer ({}): {}, and it ends",
            dir.display(),
            hung::described(Some(pid)),
            hung::cure(Some(pid))
        ))),
        false => Err(Problem::failure(format!(
            "{} is unmounted, but its daemon (pid {pid}) has not finished within {} s: it may still be in use under \
             another path",
            dir.display(),
            PATIENCE.as_secs()
        ))),
    }
}

/// The daemon to wait for: one of this user. What another user says of theirs may be made up, and root waits for none
/// of it.
fn daemon_of(dir: &Path) -> Option<Found> {
    let mount = fuse::mounts().ok()?.into_iter().rfind(|mount| mount.dir == dir)?;
    registry::find(&mount).filter(Found::is_own)
}
