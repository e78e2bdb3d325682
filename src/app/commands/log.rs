//! `ossmount log URL`: the versions of an object, or of all below a prefix, the newest first, with delete markers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::IsTerminal;

use clap::{Arg, ArgMatches, Command, value_parser};
use serde::Serialize;

use super::progress::Progress;
use super::small_runtime;
use super::text::{Output, Reader, Time, counted, shown};
use crate::app::args::{config_arg, json_arg};
use crate::app::daemon::{log, reach};
use crate::app::sources;
use crate::app::variable;
use crate::base::{Clock, Timestamp};
use crate::config::{self, BucketUrl, Caller, Group, Problem, Result};
use crate::metrics::Metrics;
use crate::store::{self, VersionEntry, VersionsRequest};

pub(in crate::app) fn command() -> Command {
    Command::new("log")
        .about("Print the versions of an object, or of all objects below a prefix, newest first, with delete markers")
        .arg(
            Arg::new("url")
                .value_name("URL")
                .required(true)
                .help("oss://BUCKET/KEY, oss://BUCKET/PREFIX/ or oss://BUCKET; the same with s3://"),
        )
        .arg(
            Arg::new("lines")
                .long("lines")
                .short('n')
                .value_name("N")
                .value_parser(value_parser!(u64).range(1..))
                .help("Print only the newest N; without it, all versions are held in memory until they are sorted"),
        )
        .arg(json_arg())
        .arg(config_arg())
        .args(config::args(&[Group::Connection, Group::Credentials]))
        .args_override_self(true)
}

pub(in crate::app) fn run(matches: &ArgMatches) -> Result<()> {
    let Some(url) = matches.get_one::<String>("url") else { return Err(Problem::usage("which URL?")) };
    let url: BucketUrl = url.parse()?;
    let given = sources::gather(matches, Caller::Person)?;
    let options = config::resolve_store(&given.raw, &url, &variable)?;
    log::start_quietly(&given.raw)?;
    let newest = Newest::new(matches.get_one::<u64>("lines").copied());
    let found = small_runtime()?.block_on(gathered(options, &url, newest))?;
    print(found, matches.get_flag("json"))
}

/// Every version of what the URL names: of all below it where it ends in a slash or names the bucket, else of that key
/// alone.
async fn gathered(options: store::Options, url: &BucketUrl, mut newest: Newest) -> Result<Vec<Logged>> {
    let (metrics, clock) = (std::sync::Arc::new(Metrics::default()), Clock::system());
    let connected = reach::connect(options, &metrics, &clock)?;
    let is_key = !url.path.is_empty() && !url.path.ends_with('/');
    let mut request = VersionsRequest { prefix: url.path.clone(), ..VersionsRequest::default() };
    // What lies below a directory of that name is nothing of the key.
    request.delimiter = is_key.then(|| "/".to_owned());
    let mut progress = Progress::new(clock, std::io::stderr().is_terminal());
    let mut seen = 0_u64;
    loop {
        let listed = connected.store.list_versions(request.clone());
        tokio::pin!(listed);
        let page = loop {
            tokio::select! {
                page = &mut listed => break page,
                () = progress.due() => progress.show(|_| counted(seen, "version")),
            }
        };
        let page = page.map_err(|error| reach::explain(&error, url.bucket.as_str(), &connected.endpoint))?;
        let is_passed = is_key && page.entries.last().is_some_and(|last| last.entry.key != url.path);
        for version in page.entries.into_iter().filter(|version| !is_key || version.entry.key == url.path) {
            seen += 1;
            newest.take(version);
        }
        match page.next.filter(|_| !is_passed) {
            Some(next) => request.after = Some(next),
            None => break,
        }
    }
    progress.wipe();
    match newest.sorted() {
        lines if lines.is_empty() => {
            Err(Problem::failure(format!("{url} has no versions, and never had any that are kept")))
        }
        lines => Ok(lines),
    }
}

fn print(lines: Vec<Logged>, is_json: bool) -> Result<()> {
    let mut out = Output::new();
    for line in lines {
        let text = match is_json {
            true => serde_json::to_string(&line.json()).unwrap_or_default(),
            false => line.text(),
        };
        if out.line(&text)? == Reader::Left {
            return Ok(());
        }
    }
    out.flush().map(drop)
}

/// One version, in the order of the log: the newest first, and of one second as the server lists them.
#[derive(Clone, PartialEq, Debug)]
struct Logged {
    at: Option<Timestamp>,
    nth: u64,
    version: VersionEntry,
}

impl Logged {
    fn rank(&self) -> (Reverse<Option<Timestamp>>, u64) {
        (Reverse(self.at), self.nth)
    }

    /// Time, size or that it was deleted, version id and key, with a star where the version is the current one.
    fn text(&self) -> String {
        let VersionEntry { entry, is_latest, is_delete_marker } = &self.version;
        let time = self.at.map_or_else(String::new, |at| Time(at).to_string());
        let size = if *is_delete_marker { "deleted".to_owned() } else { entry.size.to_string() };
        let (star, id) = (if *is_latest { "*" } else { " " }, shown(self.version.version()));
        format!("{time:<20}  {size:>14} {star} {id}  {}", shown(&entry.key))
    }

    fn json(&self) -> Json<'_> {
        let VersionEntry { entry, is_latest, is_delete_marker } = &self.version;
        Json {
            key: &entry.key,
            version_id: self.version.version(),
            last_modified: self.at.map(Time),
            is_latest: *is_latest,
            is_delete_marker: *is_delete_marker,
            size: (!is_delete_marker).then_some(entry.size),
            etag: entry.etag.as_ref().map(|etag| etag.as_str()),
            storage_class: entry.storage_class.as_ref().map(|class| &*class.0),
        }
    }
}

#[derive(Serialize)]
struct Json<'a> {
    key: &'a str,
    version_id: &'a str,
    last_modified: Option<Time>,
    is_latest: bool,
    is_delete_marker: bool,
    size: Option<u64>,
    etag: Option<&'a str>,
    storage_class: Option<&'a str>,
}

impl Eq for Logged {}

impl PartialOrd for Logged {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Logged {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

/// The newest versions of those seen so far, as many as are wanted.
struct Newest {
    most: Option<usize>,
    seen: u64,
    /// The oldest of them at the top.
    lines: BinaryHeap<Logged>,
}

impl Newest {
    fn new(most: Option<u64>) -> Self {
        Newest { most: most.map(|most| usize::try_from(most).unwrap_or(usize::MAX)), seen: 0, lines: BinaryHeap::new() }
    }

    fn take(&mut self, version: VersionEntry) {
        self.seen += 1;
        self.lines.push(Logged { at: version.entry.last_modified, nth: self.seen, version });
        if self.most.is_some_and(|most| self.lines.len() > most) {
            self.lines.pop();
        }
    }

    fn sorted(self) -> Vec<Logged> {
        self.lines.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ListEntry, ObjectKind};

    fn version(key: &str, id: &str, seconds: i64, is_delete_marker: bool) -> VersionEntry {
        let entry = ListEntry {
            key: key.to_owned(),
            size: if is_delete_marker { 0 } else { 7 },
            etag: None,
            last_modified: Some(Timestamp::from_unix(seconds)),
            kind: ObjectKind::Normal,
            storage_class: None,
            version: Some(id.to_owned()),
        };
        VersionEntry { entry, is_latest: id == "3", is_delete_marker }
    }

    fn logged(most: Option<u64>) -> Vec<String> {
        let mut newest = Newest::new(most);
        for version in [
            version("a", "3", 1_709_210_096, true),
            version("a", "1", 1_709_210_090, false),
            version("b\u{1b}", "2", 1_709_210_096, false),
        ] {
            newest.take(version);
        }
        newest.sorted().iter().map(Logged::text).collect()
    }

    #[test]
    fn the_newest_come_first_and_markers_are_shown() {
        let all = [
            "2024-02-29T12:34:56Z         deleted * 3  a",
            "2024-02-29T12:34:56Z               7   2  b\\u{1b}",
            "2024-02-29T12:34:50Z               7   1  a",
        ];
        assert_eq!(logged(None), all);
        assert_eq!(logged(Some(2)), all[..2]);
    }

    #[test]
    fn a_line_for_programs_has_every_fact() {
        let line = Logged { at: Some(Timestamp::from_unix(0)), nth: 1, version: version("a", "3", 0, true) };
        assert_eq!(
            serde_json::to_string(&line.json()).unwrap(),
            r#"{"key":"a","version_id":"3","last_modified":"1970-01-01T00:00:00Z","is_latest":true,"is_delete_marker":true,"size":null,"etag":null,"storage_class":null}"#
        );
    }
}
