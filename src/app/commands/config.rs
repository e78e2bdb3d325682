//! `ossmount config [URL]`: prints the effective value of each option and its source.

use std::ffi::OsString;
use std::io::Write;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use super::text::{Output, shown};
use crate::app::args::{config_arg, json_arg};
use crate::app::sources::{self, Given};
use crate::app::variable;
use crate::config::{self, BucketUrl, Caller, Effective, Found, Group, Machine, Origin, Result, unknown_variables};

pub(in crate::app) fn command() -> Command {
    Command::new("config")
        .about("Print the effective value of each option and its source; sends no request and mounts nothing")
        .arg(
            Arg::new("url")
                .value_name("URL")
                .help("As for mount; without it, values that depend on a bucket are neither printed nor checked"),
        )
        .arg(
            Arg::new("dir")
                .value_name("DIR")
                .help("Accepted and ignored, so that the arguments of a mount can be checked"),
        )
        .arg(
            Arg::new("words")
                .short('o')
                .value_name("OPTIONS")
                .action(ArgAction::Append)
                .help("Options by their long names, as for mount"),
        )
        .arg(json_arg())
        .arg(config_arg())
        .args(config::args(Group::ALL))
        .args_override_self(true)
}

pub(in crate::app) fn run(matches: &ArgMatches) -> Result<()> {
    let url: Option<BucketUrl> = matches.get_one::<String>("url").map(|url| url.parse()).transpose()?;
    let given = sources::gather(matches, Caller::Person)?;
    let machine = Machine::look();
    let (options, problem) = config::effective(&given.raw, given.words, url.as_ref(), machine, &variable);
    let mut out = Output::new();
    match matches.get_flag("json") {
        true => {
            for option in &options {
                out.line(&to_json(option).to_string())?;
            }
        }
        false => print(&mut out, &given, &options)?,
    }
    out.flush()?;
    warn_of_variables(Unknown::Any);
    problem.map_or(Ok(()), Err)
}

fn print(out: &mut Output<'_>, given: &Given, options: &[Effective]) -> Result<()> {
    for (path, found) in &given.files {
        let found = match found {
            Found::Read => "read",
            Found::Missing => "not there",
        };
        out.line(&format!("# {}: {found}", shown(&path.to_string_lossy())))?;
    }
    let width = options.iter().map(|option| option.row.name.len()).max().unwrap_or(0);
    for option in options {
        let (name, holds) = (option.row.name, shown(option.holds().unwrap_or("-")));
        out.line(&format!("{name:<width$}  {holds:<16}  {}", shown(&option.from())))?;
    }
    Ok(())
}

fn to_json(option: &Effective) -> Value {
    let from = match &option.origin {
        None => json!({"kind": "default"}),
        Some(Origin::File { path, at }) => {
            json!({"kind": "file", "file": path.to_string_lossy(), "line": at.line, "column": at.column})
        }
        Some(Origin::Environment) => json!({"kind": "environment", "variable": option.row.variable()}),
        Some(Origin::Word) => json!({"kind": "word"}),
        Some(Origin::Flag) => json!({"kind": "flag"}),
    };
    let mut line = json!({
        "option": option.row.name,
        "value": option.holds(),
        "given": option.origin.as_ref().and(option.value.as_deref()),
        "from": from,
    });
    if let (Some(computed), Some(line)) = (&option.computed, line.as_object_mut()) {
        line.insert("computed".to_owned(), json!(computed.because));
    }
    line
}

/// A variable that no option has is passed over, for it may be meant for another version, or be made by Kubernetes for
/// a service of that name; here each is told, and elsewhere those of which it is known what was meant.
pub(super) fn warn_of_variables(which: Unknown) {
    let names = std::env::vars_os().map(|(name, _)| name).filter_map(|name: OsString| name.into_string().ok());
    for (name, hint) in unknown_variables(names) {
        let says = match (hint.starts_with(" is an option of"), hint.is_empty()) {
            (true, _) => format!("{}{hint}", shown(&name)),
            (false, true) if which == Unknown::Meant => continue,
            _ => format!("{}: unknown option{hint}", shown(&name)),
        };
        // There is no other place to say so when stderr is gone.
        let _ = writeln!(std::io::stderr(), "ossmount: {says}");
    }
}

/// Which variables that no option has are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unknown {
    /// Every one of them.
    Any,
    /// Those of which it is known what was meant.
    Meant,
}
