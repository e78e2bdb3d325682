//! `ossmount prefetch PATH...`: asks live mounts to fetch files and directories, or to have near caches fetch them.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};
use serde_json::{Value, json};

use super::ask::{Line, resolved};
use super::progress::{Progress, progress_line};
use super::text::{Output, counted, json_line, shown, size};
use crate::app::args::json_arg;
use crate::base::{ByteSize, Clock};
use crate::config::{Problem, Result};

/// How often a mount is asked how far it is, while a terminal shows it.
const EVERY: Duration = Duration::from_millis(250);

/// After this time a terminal is told that the wait can be left.
const LONG: Duration = Duration::from_secs(2);

pub(in crate::app) fn command() -> Command {
    Command::new("prefetch")
        .about(
            "Make a live mount fetch files and directories into memory, its disk cache or its near caches, in the given \
             order",
        )
        .arg(
            Arg::new("paths")
                .value_name("PATH")
                .required(true)
                .num_args(1..)
                .value_parser(PathBufValueParser::new())
                .value_hint(ValueHint::AnyPath)
                .help("Files and directories in a live mount"),
        )
        .arg(
            Arg::new("wait")
                .long("wait")
                .action(ArgAction::SetTrue)
                .help("Wait until all of them are there; the default on a terminal, which shows the progress"),
        )
        .arg(
            Arg::new("no-wait")
                .long("no-wait")
                .action(ArgAction::SetTrue)
                .conflicts_with("wait")
                .help("Return as soon as the mount has begun; the default without a terminal. See ossmount jobs"),
        )
        .arg(
            Arg::new("to")
                .long("to")
                .value_name("WHERE")
                .value_parser(["memory", "disk", "near"])
                .default_value("memory")
                .help(
                    "Where they are to be: in memory, as far as they fit, in the disk cache (cache-dir), or in the fleet \
                     of near caches (near), without their bytes coming to this node",
                ),
        )
        .arg(
            Arg::new("near")
                .long("near")
                .action(ArgAction::SetTrue)
                .conflicts_with("to")
                .help("The same as --to near"),
        )
        .arg(json_arg().help("Print JSON, one object a line: the progress while waiting, and finally the result"))
}

pub(in crate::app) fn run(matches: &ArgMatches) -> Result<()> {
    let has_terminal = io::stdout().is_terminal() && io::stderr().is_terminal();
    let is_waiting = matches.get_flag("wait") || (has_terminal && !matches.get_flag("no-wait"));
    let is_json = matches.get_flag("json");
    let to = match matches.get_flag("near") {
        true => "near",
        false => matches.get_one::<String>("to").map_or("memory", String::as_str),
    };
    let mut jobs: BTreeMap<PathBuf, (Line, Vec<String>)> = BTreeMap::new();
    for path in matches.get_many::<PathBuf>("paths").into_iter().flatten() {
        let mut line = Line::to(path)?;
        // Resolving links asks the mount, and would wait without end for a daemon that does not answer.
        line.ask(&json!({"op": "health"}))?;
        if let Err(error) = path.symlink_metadata()
            && error.kind() == io::ErrorKind::NotFound
        {
            return Err(Problem::failure(format!("{}: no such file or directory", path.display())));
        }
        let below = below(&line.dir, path)?;
        jobs.entry(line.dir.clone()).or_insert((line, Vec::new())).1.push(below);
    }
    let mut out = Output::new();
    for (dir, (mut line, paths)) in jobs {
        let mut answer = line.ask(&json!({"op": "prefetch", "paths": paths, "to": to}))?;
        if is_waiting {
            answer = wait(&mut line, answer, is_json, &mut out)?;
        }
        let said = if is_json { json_line(&answer) } else { said(&dir, &answer, to) };
        match is_waiting.then(|| check(&answer, to)) {
            Some(Err(problem)) if !is_json => return Err(problem),
            Some(Err(problem)) => {
                out.line(&said)?;
                out.flush()?;
                return Err(problem);
            }
            _ => drop(out.line(&said)?),
        }
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

/// Asks until the job has ended, and tells meanwhile how far it is.
fn wait(line: &mut Line, mut answer: Value, is_json: bool, out: &mut Output<'_>) -> Result<Value> {
    let is_shown = io::stderr().is_terminal() && !is_json;
    let clock = Clock::system();
    let mut progress = Progress::new(clock.clone(), false);
    let (began, mut is_told) = (clock.elapsed(), false);
    while answer["state"] == "running" {
        if is_json {
            out.line(&json_line(&answer))?;
            out.flush()?;
        }
        if is_shown {
            if !is_told && clock.elapsed().saturating_sub(began) >= LONG {
                is_told = true;
                let _ = writeln!(io::stderr(), "Ctrl-C ends this command; the mount goes on (see ossmount jobs)");
            }
            progress.show(|passed| line_of(&answer, passed));
        }
        if is_shown || is_json {
            std::thread::sleep(EVERY);
        }
        answer = line.ask(&json!({"op": "prefetch-status", "job": answer["job"], "wait": !is_shown && !is_json}))?;
    }
    progress.wipe();
    Ok(answer)
}

/// `[=====>              ]  25% 1.0GiB of 4.0GiB, 512.0MiB/s, 6s left, 3 of 12 files`.
pub(super) fn line_of(answer: &Value, passed: Duration) -> String {
    let (files, skipped) = (number(answer, "files"), number(answer, "files-skipped"));
    let failed = match number(answer, "failed") {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    let more = if answer["listing"] == true { " or more" } else { "" };
    let bar = progress_line(bytes(answer), passed);
    let of = counted(files.saturating_sub(skipped), "file");
    format!("{bar}, {} of {of}{more}{failed}", number(answer, "files-done"))
}

/// How many bytes are there, of how many. What was skipped is not waited for.
pub(super) fn bytes(answer: &Value) -> (u64, u64) {
    let total = number(answer, "bytes").saturating_sub(number(answer, "bytes-skipped"));
    (number(answer, "bytes-arrived"), total)
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
    // What is too small for near caches is read from the bucket in any case.
    if skipped > 0 && to != "near" {
        let bytes = ByteSize(number(answer, "bytes-skipped"));
        let cure = match to {
            "disk" => "did not fit on disk: raise cache-size or lower cache-free; the log says if the disk failed",
            _ => "did not fit in memory: raise memory-limit",
        };
        let sentence = format!("{} of {bytes} {cure}", counted(skipped, "file"));
        return Err(Problem::failure(sentence));
    }
    if answer["state"] == "cancelled" {
        let (job, done) = (number(answer, "job"), counted(number(answer, "files-done"), "file"));
        return Err(Problem::failure(format!("prefetch {job} was cancelled after {done}")));
    }
    Ok(())
}

fn said(dir: &Path, answer: &Value, to: &str) -> String {
    let job = number(answer, "job");
    match answer["state"].as_str() {
        Some("running") => format!("prefetch {job} has started on {}", shown(&dir.to_string_lossy())),
        _ => {
            let (files, bytes) = (number(answer, "files-done"), size(number(answer, "bytes-done")));
            let are = if files == 1 { "is" } else { "are" };
            let place = match to {
                "disk" => "on disk",
                "near" => "in the near caches",
                _ => "in memory",
            };
            let small = match number(answer, "files-skipped") {
                0 => String::new(),
                // Only where they are no failure.
                small => format!(", and {} too small for them (near-min)", counted(small, "file")),
            };
            format!("{} of {bytes} {are} {place}{small}", counted(files, "file"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_counts_bytes_as_they_come_and_leaves_out_what_is_skipped() {
        let answer = json!({
            "files": 4, "files-done": 1, "files-skipped": 1, "bytes": 5_u64 << 30, "bytes-skipped": 1 << 30,
            "bytes-done": 1 << 20, "bytes-arrived": 1 << 30, "listing": true, "failed": 2,
        });
        assert_eq!(
            line_of(&answer, Duration::from_secs(2)),
            "[=====>              ]  25% 1.0GiB of 4.0GiB, 512.0MiB/s, 6s left, 1 of 3 files or more, 2 failed"
        );
    }

    #[test]
    fn what_is_not_there_is_a_failure() {
        assert!(check(&json!({"state": "done", "files-done": 2}), "memory").is_ok());
        let warmed = json!({"state": "done", "files-done": 2, "bytes-done": 4 << 20, "files-skipped": 1});
        assert!(check(&warmed, "near").is_ok());
        let said = said(Path::new("/m"), &warmed, "near");
        assert_eq!(said, "2 files of 4.0MiB are in the near caches, and 1 file too small for them (near-min)");
        let cancelled = check(&json!({"state": "cancelled", "job": 3, "files-done": 1}), "memory").unwrap_err();
        assert_eq!(cancelled.sentence, "prefetch 3 was cancelled after 1 file");
    }
}
