//! `ossmount status [DIR]`: the live mounts, or the figures of one; on a terminal a view that moves (`live`), of what
//! `view` makes of them on a `terminal`.
//!
//! | file | what it owns |
//! |---|---|
//! | `live` | the live view |
//! | `terminal` | a terminal that belongs to a live view |
//! | `view` | the text of the live view, computed from two samples of the figures |

mod live;
mod terminal;
mod view;

use std::path::{Path, PathBuf};

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use self::terminal::Terminal;
use super::ask::Line;
use super::text::{Output, shown};
use crate::app::args::json_arg;
use crate::app::daemon::registry;
use crate::config::Result;
use crate::control::Stats;

pub(in crate::app) fn command() -> Command {
    Command::new("status")
        .about("List the live mounts, or print the figures of one; on a terminal a live view of it, until q")
        .arg(
            Arg::new("dir")
                .value_name("DIR")
                .value_parser(PathBufValueParser::new())
                .help("The mount, or a path in it"),
        )
        .arg(json_arg())
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
        Some(dir) if !is_json && Terminal::is_there() => {
            drop(out);
            return live::run(dir);
        }
        Some(dir) => {
            let figures = figures(dir, Stats { files: false })?;
            match is_json {
                true => drop(out.line(&figures.to_string())?),
                false => print(&mut out, "", &figures)?,
            }
        }
        None => {
            for found in registry::all() {
                let mut entry = json!(found.entry);
                if !found.is_own() {
                    entry["owner"] = found.owner.into();
                }
                out.line(&if is_json { entry.to_string() } else { summary(&entry) })?;
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

fn summary(entry: &Value) -> String {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).map_or_else(|| "-".to_owned(), shown);
    let pid = entry.get("pid").and_then(Value::as_u64).unwrap_or_default();
    let owner = entry.get("owner").and_then(Value::as_u64);
    let owner = owner.map_or_else(String::new, |owner| format!("  by uid {owner}"));
    format!("{}  {}  pid {pid}  socket {}{owner}", text("dir"), text("source"), text("socket"))
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
