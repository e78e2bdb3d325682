//! `ossmount ls oss://`: the buckets that the credentials may list.

use std::io::IsTerminal;

use clap::ArgMatches;
use serde::Serialize;

use super::lines::Style;
use crate::app::commands::small_runtime;
use crate::app::commands::text::{Output, Time, shown};
use crate::app::daemon::{log, reach};
use crate::app::sources;
use crate::app::variable;
use crate::base::{Clock, escape_json};
use crate::config::{self, BucketUrl, Caller, Problem, Result};
use crate::store::BucketEntry;

/// Lists the buckets of the service that a URL without a bucket stands for.
pub(super) fn run(matches: &ArgMatches, url: &BucketUrl, style: Style) -> Result<()> {
    let given = sources::gather(matches, Caller::Person)?;
    let is_below = matches.get_flag("recursive") || matches.get_flag("summary");
    if is_below || config::resolve_at(&given.raw)?.is_some() {
        return Err(Problem::usage(format!("{url}: name the bucket; -r, --summary and --at look into one")));
    }
    let store = config::resolve_store(&given.raw, url, &variable)?;
    log::start_quietly(&given.raw)?;
    let buckets = small_runtime()?.block_on(reach::buckets(store, &Clock::system()))?;
    let is_terminal = std::io::stdout().is_terminal();
    let mut out = Output::new();
    for bucket in &buckets {
        let line = line(bucket, style);
        out.line(&match (is_terminal, style) {
            (false, _) => line,
            (true, Style::Json) => escape_json(&line).into_owned(),
            (true, _) => shown(&line),
        })?;
    }
    out.flush().map(drop)
}

/// One line of a bucket, without a line break.
fn line(bucket: &BucketEntry, style: Style) -> String {
    let BucketEntry { name, region, created } = bucket;
    let (region, created) = (region.as_deref(), created.map(Time));
    match style {
        Style::Names => name.clone(),
        Style::Long => {
            let created = created.map_or_else(|| "-".to_owned(), |time| time.to_string());
            format!("{created:<20}  {:<16}  {name}", region.unwrap_or("-"))
        }
        Style::Json => serde_json::to_string(&Bucket { bucket: name, region, created }).unwrap_or_default(),
    }
}

#[derive(Serialize)]
struct Bucket<'a> {
    bucket: &'a str,
    region: Option<&'a str>,
    created: Option<Time>,
}
