//! `ossmount cache status|verify|clear DIR`.

use std::io;
use std::path::{Path, PathBuf};

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgMatches, Command};
use serde_json::json;

use super::text::{Output, counted, size, time};
use crate::app::args::json_arg;
use crate::base::Timestamp;
use crate::cache::{self, Survey};
use crate::config::{Problem, Result};

pub(in crate::app) fn command() -> Command {
    let dir = || {
        Arg::new("dir")
            .value_name("DIR")
            .required(true)
            .value_parser(PathBufValueParser::new())
            .help("A directory that cache-dir names")
    };
    Command::new("cache")
        .about("Show, check or empty a disk cache")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(Command::new("status").about("Print how much a cache directory holds").arg(dir()).arg(json_arg()))
        .subcommand(
            Command::new("verify")
                .about(
                    "Read all of a cache directory, compare it with its checksums, and remove what differs. Fails if \
                     something did. Mounts can use it meanwhile",
                )
                .arg(dir())
                .arg(json_arg()),
        )
        .subcommand(
            Command::new("clear").about("Remove all that a cache directory holds. No mount may use it").arg(dir()),
        )
}

pub(in crate::app) fn run(matches: &ArgMatches) -> Result<()> {
    let Some((command, matches)) = matches.subcommand() else { return Err(Problem::usage("status, verify or clear?")) };
    let Some(dir) = matches.get_one::<PathBuf>("dir") else { return Err(Problem::usage("which DIR?")) };
    // They would make one where there is none.
    if !dir.is_dir() {
        return Err(Problem::failure(format!("{} is not a directory", dir.display())));
    }
    match command {
        "status" => print(dir, &told(dir, cache::survey(dir))?, matches.get_flag("json"), false),
        "verify" => {
            let found = told(dir, cache::verify(dir))?;
            print(dir, &found, matches.get_flag("json"), true)?;
            match found.wrong_blocks {
                0 => Ok(()),
                blocks => Err(Problem::failure(format!(
                    "{} in {} did not match its checksum and was removed: the disk may be failing",
                    counted(blocks, "block"),
                    dir.display()
                ))),
            }
        }
        _ => {
            let bytes = told(dir, cache::clear(dir))?;
            let mut output = Output::new();
            output.line(&format!("{} freed in {}", size(bytes), dir.display()))?;
            output.flush().map(drop)
        }
    }
}

fn told<T>(dir: &Path, done: io::Result<T>) -> Result<T> {
    done.map_err(|error| Problem::failure(format!("the cache in {} cannot be read: {error}", dir.display())))
}

fn print(dir: &Path, found: &Survey, is_json: bool, is_checked: bool) -> Result<()> {
    let lines = if is_json { vec![in_json(dir, found, is_checked)] } else { in_words(dir, found, is_checked) };
    let mut output = Output::new();
    for line in lines {
        output.line(&line)?;
    }
    output.flush().map(drop)
}

fn in_json(dir: &Path, found: &Survey, is_checked: bool) -> String {
    let mut all = json!({
        "dir": dir.display().to_string(),
        "objects": found.objects,
        "complete_objects": found.complete_objects,
        "bytes": found.bytes,
        "disk_bytes": found.disk_bytes,
        "free_bytes": found.free_bytes,
        "oldest_use": found.oldest_use,
    });
    if is_checked {
        all["right_blocks"] = found.right_blocks.into();
        all["wrong_blocks"] = found.wrong_blocks.into();
    }
    all.to_string()
}

fn in_words(dir: &Path, found: &Survey, is_checked: bool) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: {}, {} of them complete; {} of data, {} on disk, {} free",
        dir.display(),
        counted(found.objects, "object"),
        found.complete_objects,
        size(found.bytes),
        size(found.disk_bytes),
        size(found.free_bytes)
    )];
    if let Some(oldest) = found.oldest_use {
        lines.push(format!("least recently used: {}", time(Timestamp::from_unix(oldest))));
    }
    if is_checked {
        lines.push(format!("{} right, {} wrong", counted(found.right_blocks, "block"), found.wrong_blocks));
    }
    lines
}
