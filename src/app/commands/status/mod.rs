//! `ossmount status [DIR]`: the live mounts, or the figures of one; on a terminal a view that moves (`live`), of what
//! `view` makes of them, drawn by `paint` on a `terminal`.
//!
//! | file | what it owns |
//! |---|---|
//! | `live` | the live view |
//! | `look` | looks at the figures of a mount, and what changed between two of them |
//! | `paint` | lines in colours, bars and curves of characters |
//! | `summary` | the figures of a mount in a few lines |
//! | `terminal` | a terminal that belongs to a live view |
//! | `view` | the lines of the live view, computed from two looks |
//! | `words` | the figures between two looks in full, for the page that browsers show |

mod live;
pub(in crate::app) mod look;
mod paint;
mod summary;
mod terminal;
mod view;
pub(in crate::app) mod words;

use std::path::{Path, PathBuf};

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use self::terminal::Terminal;
use super::ask::Line;
use super::text::{Output, json_line, shown};
use crate::app::args::json_arg;
use crate::app::daemon::registry::{self, Entry};
use crate::config::Result;
use crate::control::Stats;

pub(in crate::app) fn command() -> Command {
    Command::new("status")
        .about("List the live mounts, or sum up the figures of one; on a terminal a live view of it, until q")
        .arg(
            Arg::new("dir")
                .value_name("DIR")
                .value_parser(PathBufValueParser::new())
                .help("The mount, or a path in it"),
        )
        .arg(json_arg().help("Print JSON, one object a line, with all figures"))
        .arg(
            Arg::new("dirs")
                .long("dirs")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["dir", "json"])
                .hide(true)
                .help("Print the directories of the live mounts, for completions of shells"),
        )
        .arg(
            Arg::new("all")
                .long("all")
                .action(ArgAction::SetTrue)
                .requires("dir")
                .conflicts_with("json")
                .help("Print all figures of DIR, one a line"),
        )
        .arg(
            Arg::new("prometheus")
                .long("prometheus")
                .action(ArgAction::SetTrue)
                .requires("dir")
                .conflicts_with("json")
                .help("Print the figures of DIR in the text format of Prometheus"),
        )
}

pub(in crate::app) fn run(matches: &ArgMatches) -> Result<()> {
    let is_json = matches.get_flag("json");
    let mut out = Output::new();
    match matches.get_one::<PathBuf>("dir") {
        Some(dir) if matches.get_flag("prometheus") => {
            let answer = Line::to(dir)?.ask(&json!({"op": "metrics"}))?;
            out.write(answer.get("text").and_then(Value::as_str).unwrap_or_default().as_bytes())?;
        }
        Some(dir) if matches.get_flag("all") => print(&mut out, "", &figures(dir, Stats { files: false })?)?,
        Some(dir) if is_json => drop(out.line(&json_line(&figures(dir, Stats { files: false })?))?),
        Some(dir) if Terminal::is_there() => {
            drop(out);
            return live::run(dir);
        }
        Some(dir) => {
            for line in summary::lines(&figures(dir, Stats { files: false })?) {
                out.line(&line)?;
            }
        }
        None if matches.get_flag("dirs") => {
            for found in registry::all() {
                out.line(&found.entry.dir.to_string_lossy())?;
            }
        }
        None => {
            for found in registry::all() {
                let owner = (!found.is_own()).then_some(found.owner);
                out.line(&if is_json { of_entry(&found.entry, owner) } else { line_of(&found.entry, owner) })?;
            }
        }
    }
    out.flush().map(drop)
}

/// Health and figures of one mount, as one object.
fn figures(dir: &Path, which: Stats) -> Result<Value> {
    let mut line = Line::to(dir)?;
    let mut health = line.ask(&json!({"op": "health"}))?;
    let stats = line.ask(&json!({"op": "stats", "files": which.files}))?;
    if let (Some(all), Value::Object(stats)) = (health.as_object_mut(), stats) {
        all.extend(stats);
    }
    Ok(health)
}

/// One of the live mounts, as JSON.
fn of_entry(entry: &Entry, owner: Option<u32>) -> String {
    let mut mount = json!({"pid": entry.pid, "directory": entry.dir, "source": entry.source});
    if let Some(socket) = &entry.socket {
        mount["socket"] = json!(socket);
    }
    if let Some(owner) = owner {
        mount["owner"] = owner.into();
    }
    json_line(&mount)
}

fn line_of(entry: &Entry, owner: Option<u32>) -> String {
    let path = |path: &Path| shown(&path.to_string_lossy());
    let socket = entry.socket.as_deref().map_or_else(|| "-".to_owned(), path);
    let owner = owner.map_or_else(String::new, |owner| format!("  by uid {owner}"));
    format!("{}  {}  pid {}  socket {socket}{owner}", path(&entry.dir), shown(&entry.source), entry.pid)
}

/// One line for each figure, those of a group under its name.
fn print(out: &mut Output<'_>, above: &str, value: &Value) -> Result<()> {
    let Some(fields) = value.as_object() else { return Ok(()) };
    for (name, value) in fields {
        let name = format!("{above}{name}");
        match value {
            Value::Object(_) => print(out, &format!("{name}."), value)?,
            Value::String(text) => drop(out.line(&format!("{name:<32}{}", shown(text)))?),
            other => drop(out.line(&format!("{name:<32}{other}"))?),
        }
    }
    Ok(())
}
