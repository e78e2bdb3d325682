//! `ossmount ls URL`.

use std::io::{IsTerminal, Write};

use clap::{Arg, ArgAction, ArgMatches, Command};
use futures::StreamExt;
use serde_json::json;

use super::cli::{config_arg, json_arg};
use super::text::{Output, Reader, shown, time};
use super::{given, log, reach, small_runtime, variable};
use crate::base::{Clock, Key};
use crate::config::{self, BucketUrl, Caller, Group, Problem, Result};
use crate::list::{self, ListScope, Order, Page};
use crate::metrics::Metrics;
use crate::store::{Connected, ErrorKind, HeadRequest, ListEntry, ObjectKind};

pub(super) fn command() -> Command {
    let flag = |name: &'static str| Arg::new(name).action(ArgAction::SetTrue);
    Command::new("ls")
        .about("List a bucket or a directory of it")
        .arg(Arg::new("url").value_name("URL").required(true).help("oss://BUCKET[/PREFIX] or s3://BUCKET[/PREFIX]"))
        .arg(
            flag("recursive")
                .short('r')
                .long("recursive")
                .help("List everything below, not only what lies directly in it"),
        )
        .arg(flag("long").short('l').long("long").help("Show sizes, times and storage classes"))
        .arg(flag("sort").long("sort").help("In the order of the keys, rather than as pages arrive"))
        .arg(json_arg())
        .arg(config_arg())
        .args(config::args(&[Group::Where, Group::Who, Group::List]))
        .args_override_self(true)
}

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Style {
    Names,
    Long,
    Json,
}

pub(super) fn run(matches: &ArgMatches) -> Result<()> {
    let Some(url) = matches.get_one::<String>("url") else { return Err(Problem::usage("which URL?")) };
    let url: BucketUrl = url.parse()?;
    let given = given::gather(matches, Caller::Person)?;
    let options = config::resolve_store(&given.raw, &url, &variable)?;
    let listing = config::resolve_list(&given.raw)?;
    log::start_quietly(&given.raw)?;
    let style = match (matches.get_flag("json"), matches.get_flag("long")) {
        (true, _) => Style::Json,
        (false, true) => Style::Long,
        (false, false) => Style::Names,
    };
    let scope = match matches.get_flag("recursive") {
        true => ListScope::subtree(url.directory()),
        false => ListScope::directory(url.directory()),
    };
    let scope = scope.order(if matches.get_flag("sort") { Order::Key } else { Order::Arrival });
    small_runtime()?.block_on(async {
        let (connected, _) =
            reach::reach(options, &url.directory(), &Metrics::default().into(), &Clock::system()).await?;
        list_all(&connected, &url, scope, &listing, style).await
    })
}

async fn list_all(
    connected: &Connected,
    url: &BucketUrl,
    scope: ListScope,
    listing: &list::Options,
    style: Style,
) -> Result<()> {
    let fail = |error| reach::explain(&error, url.bucket.as_str(), &connected.endpoint);
    let directory = url.directory();
    let mut printer = Printer::new(directory.clone(), style);
    let mut pages = list::pages(connected.store.clone(), scope, listing);
    while let Some(page) = pages.next().await {
        if printer.page(&page.map_err(fail)?)? == Reader::Left {
            return Ok(());
        }
    }
    if printer.shown == 0 && !printer.saw_marker && !directory.is_empty() {
        let object = single_object(connected, url).await.map_err(fail)?;
        let nothing = || Problem::failure(format!("there is nothing at {url}"));
        printer.prefix = directory[..directory.trim_end_matches('/').rfind('/').map_or(0, |at| at + 1)].to_owned();
        printer.page(&Page { entries: vec![object.ok_or_else(nothing)?], ..Page::default() })?;
    }
    printer.finish()
}

/// The object whose key is the URL's path as it is.
async fn single_object(connected: &Connected, url: &BucketUrl) -> crate::store::Result<Option<ListEntry>> {
    match connected.store.head(HeadRequest::new(Key::new(url.path.as_str()))).await {
        Ok(meta) => Ok(Some(ListEntry {
            key: url.path.clone(),
            size: meta.size,
            etag: meta.etag,
            last_modified: meta.last_modified,
            kind: meta.kind,
            storage_class: meta.storage_class,
        })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

struct Printer<'a> {
    prefix: String,
    style: Style,
    terminal: bool,
    progress: bool,

    out: Output<'a>,
    shown: u64,
    saw_marker: bool,
    undecodable: u64,
}

impl Printer<'_> {
    fn new(prefix: String, style: Style) -> Self {
        let terminal = std::io::stdout().is_terminal();
        // On one terminal the names themselves are the progress.
        let progress = !terminal && std::io::stderr().is_terminal();
        Printer { prefix, style, terminal, progress, out: Output::new(), shown: 0, saw_marker: false, undecodable: 0 }
    }

    /// Prints a page, objects and directories together in the order of their keys.
    fn page(&mut self, page: &Page) -> Result<Reader> {
        self.undecodable += page.undecodable;
        let objects = page.entries.iter().map(|entry| (entry.key.as_str(), Some(entry)));
        let directories = page.prefixes.iter().map(|prefix| (prefix.as_str(), None));
        let mut items: Vec<_> = objects.chain(directories).collect();
        items.sort_unstable_by_key(|(key, _)| *key);
        for (key, entry) in items {
            if key == self.prefix {
                self.saw_marker = true;
                continue;
            }
            self.shown += 1;
            let line = self.line(key, entry);
            if self.out.line(&line)? == Reader::Left {
                return Ok(Reader::Left);
            }
        }
        if self.progress {
            // Progress that cannot be shown is no failure.
            let _ = write!(std::io::stderr(), "\r{} entries", self.shown);
        }
        self.out.flush()
    }

    fn line(&self, key: &str, entry: Option<&ListEntry>) -> String {
        let name = key.strip_prefix(self.prefix.as_str()).unwrap_or(key);
        let name = if self.terminal { shown(name) } else { name.to_owned() };
        match (self.style, entry) {
            (Style::Json, Some(entry)) => json_of(entry).to_string(),
            (Style::Json, None) => json!({ "prefix": key }).to_string(),
            (Style::Names, _) => name,
            (Style::Long, Some(entry)) => {
                let modified = entry.last_modified.map(time).unwrap_or_default();
                let class = entry.storage_class.as_ref().map_or("-", |class| &class.0);
                format!("{:>14}  {modified:<20}  {class:<11}  {name}", entry.size)
            }
            (Style::Long, None) => format!("{:>14}  {:<20}  {:<11}  {name}", "-", "", "directory"),
        }
    }

    fn finish(mut self) -> Result<()> {
        self.out.flush()?;
        if self.progress {
            let _ = writeln!(std::io::stderr());
        }
        if self.undecodable > 0 {
            let _ = writeln!(std::io::stderr(), "ossmount: {} keys that are not UTF-8 are not shown", self.undecodable);
        }
        Ok(())
    }
}

fn json_of(entry: &ListEntry) -> serde_json::Value {
    json!({
        "key": entry.key,
        "size": entry.size,
        "last_modified": entry.last_modified.map(time),
        "etag": entry.etag.as_ref().map(|etag| etag.as_str()),
        "type": kind(entry.kind),
        "storage_class": entry.storage_class.as_ref().map(|class| &*class.0),
    })
}

/// The word for a kind of object.
pub(super) fn kind(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Normal => "Normal",
        ObjectKind::Multipart => "Multipart",
        ObjectKind::Appendable => "Appendable",
        ObjectKind::Symlink => "Symlink",
    }
}
