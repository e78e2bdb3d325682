//! `ossmount control DIR REQUEST.json`.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgMatches, Command};
use serde_json::Value;

use super::ask::Line;
use super::text::Output;
use crate::config::{Problem, Result};
use crate::control::MOST_REQUEST_BYTES;
use crate::files;

pub(in crate::app) fn command() -> Command {
    Command::new("control")
        .about("Send a control request to a live mount and print its answer, a JSON object")
        .arg(
            Arg::new("dir")
                .value_name("DIR")
                .required(true)
                .value_parser(PathBufValueParser::new())
                .help("The mount, or a path in it"),
        )
        .arg(
            Arg::new("request").value_name("REQUEST.json").required(true).help(
                "A file with the request, - for standard input, or the request itself, as in '{\"op\":\"stats\"}'",
            ),
        )
}

pub(in crate::app) fn run(matches: &ArgMatches) -> Result<()> {
    let (Some(dir), Some(request)) = (matches.get_one::<PathBuf>("dir"), matches.get_one::<String>("request")) else {
        return Err(Problem::usage("DIR and REQUEST are required; see ossmount control --help"));
    };
    let text = read(request).map_err(|error| Problem::failure(format!("{request}: {error}")))?;
    // On one line, and known to be JSON before a daemon is asked.
    let request: Value =
        serde_json::from_slice(&text).map_err(|error| Problem::failure(format!("the request is not JSON: {error}")))?;
    let answer = Line::to(dir)?.ask(&request)?;
    let mut out = Output::new();
    out.line(&answer.to_string())?;
    out.flush().map(drop)
}

fn read(request: &str) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    match request {
        "-" => io::stdin().take(MOST_REQUEST_BYTES as u64 + 1).read_to_end(&mut text).map(|_| text),
        text if text.trim_start().starts_with('{') => Ok(text.as_bytes().to_vec()),
        path => Ok(files::read(Path::new(path), MOST_REQUEST_BYTES as u64)?.bytes),
    }
}
