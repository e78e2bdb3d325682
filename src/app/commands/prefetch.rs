//! `ossmount prefetch PATH...`: asks live mounts to fetch files and directories.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use super::ask::{Line, resolved};
use super::text::{Output, counted};
use crate::base::ByteSize;
use crate::config::{Problem, Result};

pub(in crate::app) fn command() -> Command {
    Command::new("prefetch")
        .about("Make a live mount fetch files and directories into memory or its disk cache, in the given order")
        .arg(
            Arg::new("paths")
                .value_name("PATH")
                .required(true)
                .num_args(1..)
                .value_parser(PathBufValueParser::new())
                .help("Files and directories in a live mount"),
        )
        .arg(
            Arg::new("wait")
                .long("wait")
                .action(ArgAction::SetTrue)
                .help("Wait until all of them are there, and show the progress on a terminal"),
        )
        .arg(
            Arg::new("to")
                .long("to")
                .value_name("WHERE")
                .value_parser(["memory", "disk"])
                .default_value("memory")
                .help("Where they are to be: in memory, as far as they fit, or in the disk cache (cache-dir)"),
        )
}

pub(in crate::app) fn run(matches: &ArgMatches) -> Result<()> {
    let is_waiting = matches.get_flag("wait");
    let to = matches.get_one::<String>("to").map_or("memory", String::as_str);
    let mut jobs: BTreeMap<PathBuf, (Line, Vec<String>)> = BTreeMap::new();
    for path in matches.get_many::<PathBuf>("paths").into_iter().flatten() {
        let mut line = Line::to(path)?;
        // Resolving links asks the mount, and would wait without end for a daemon that does not answer.
        line.ask(&json!({"op": "health"}))?;
        let below = below(&line.dir, path)?;
        jobs.entry(line.dir.clone()).or_insert((line, Vec::new())).1.push(below);
    }
    let mut out = Output::new();
    for (dir, (mut line, paths)) in jobs {
        let mut answer = line.ask(&json!({"op": "prefetch", "paths": paths, "to": to}))?;
        if is_waiting {
            answer = wait(&mut line, answer)?;
            check(&answer, to)?;
        }
        out.line(&said(&dir, &answer, to))?;
    }
    out.flush().map(drop)
}

/// A path as the mount counts it.
fn below(dir: &Path, path: &Path) -> Result<String> {
    let path = resolved(path).unwrap_or_else(|| path.to_owned());
    let below = path.strip_prefix(dir).unwrap_or(&path);
    let below = below.to_str().ok_or_else(|| Problem::failure(format!("{} is not UTF-8", path.display())))?;
    Ok(if below.is_empty() { ".".to_owned() } else { below.to_owned() })
}

fn wait(line: &mut Line, mut answer: Value) -> Result<Value> {
    let is_shown = io::stderr().is_terminal();
    while answer["state"] == "running" {
        answer = line.ask(&json!({"op": "prefetch-status", "job": answer["job"], "wait": true}))?;
        if is_shown {
            let (done, all) = (number(&answer, "bytes-done") >> 20, number(&answer, "bytes") >> 20);
            // A terminal that is gone shows nothing.
            let _ = write!(io::stderr(), "\r{done} of {all} MiB\x1b[K");
        }
    }
    if is_shown {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    Ok(answer)
}

fn number(answer: &Value, name: &str) -> u64 {
    answer[name].as_u64().unwrap_or_default()
}

/// Fails unless all of it is there.
fn check(answer: &Value, to: &str) -> Result<()> {
    let (failed, skipped) = (number(answer, "failed"), number(answer, "files-skipped"));
    if failed > 0 {
        let first = answer["failures"][0].as_str().unwrap_or("see the log");
        return Err(Problem::failure(format!("{} could not be fetched: {first}", counted(failed, "path"))));
    }
    if skipped > 0 {
        let bytes = ByteSize(number(answer, "bytes-skipped"));
        let cure = match to {
            "disk" => "did not fit on disk: raise cache-size or lower cache-free; the log says if the disk failed",
            _ => "did not fit in memory: raise memory-limit",
        };
        let sentence = format!("{} of {bytes} {cure}", counted(skipped, "file"));
        return Err(Problem::failure(sentence));
    }
    Ok(())
}

fn said(dir: &Path, answer: &Value, to: &str) -> String {
    let job = number(answer, "job");
    match answer["state"].as_str() {
        Some("running") => format!("prefetch {job} has started on {}", dir.display()),
        _ => format!(
            "{} of {} are {}",
            counted(number(answer, "files-done"), "file"),
            ByteSize(number(answer, "bytes-done")),
            if to == "disk" { "on disk" } else { "in memory" }
        ),
    }
}
