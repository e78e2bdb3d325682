//! `ossmount ls URL-or-PATH`: what to list and how to show it. How a line looks is `lines`, what is added up `sums`.
//!
//! | file | what it owns |
//! |---|---|
//! | `buckets` | lists the buckets of an account |
//! | `lines` | the lines of a listing |
//! | `from_mount` | lists what a live mount shows |
//! | `sums` | the sums of a listing, by storage class |

mod buckets;
mod from_mount;
mod lines;
mod sums;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use futures::StreamExt;

use self::from_mount::Mounted;
use self::lines::{Lines, Sizes, Style};
use self::sums::Sums;
use super::progress::Progress;
use super::small_runtime;
use super::text::{Output, Reader, counted};
use crate::app::args::{config_arg, json_arg};
use crate::app::daemon::{log, reach};
use crate::app::sources;
use crate::app::variable;
use crate::base::{Clock, Key, Timestamp};
use crate::config::{self, BucketUrl, Caller, Group, Problem, Result};
use crate::list::{self, ListScope, Page, PageOrder};
use crate::metrics::Metrics;
use crate::store::{self, ErrorKind, HeadRequest, ListEntry, ObjectKind, Store};

pub(in crate::app) fn command() -> Command {
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    Command::new("ls")
        .about("List the objects of a bucket, below a prefix, or below a path of a live mount")
        .disable_help_flag(true)
        .arg(Arg::new("url").value_name("URL-or-PATH").required(true).help(
            "oss://BUCKET[/PREFIX], s3://BUCKET[/PREFIX], or a path in a live mount; oss:// alone lists the buckets",
        ))
        .arg(flag("recursive").short('r').help("List everything below the prefix, not only its direct entries"))
        .arg(flag("long").short('l').help("Show sizes, times and storage classes"))
        .arg(flag("human-readable").short('h').help("Show sizes as in 1.5GiB, with -l and --summary"))
        .arg(flag("sort").help("Print in the order of the keys instead of as pages arrive"))
        .arg(
            flag("summary")
                .conflicts_with_all(["long", "sort"])
                .help("Print only the number of objects and bytes, by storage class"),
        )
        .arg(Arg::new("help").long("help").action(ArgAction::HelpLong).help("Print help"))
        .arg(json_arg())
        .arg(config_arg())
        .args(config::args(&[Group::Connection, Group::Credentials, Group::View, Group::List]))
        .args_override_self(true)
}

pub(in crate::app) fn run(matches: &ArgMatches) -> Result<()> {
    let Some(url) = matches.get_one::<String>("url") else { return Err(Problem::usage("which URL?")) };
    let is_recursive = matches.get_flag("recursive");
    let style = match (matches.get_flag("json"), matches.get_flag("long")) {
        (true, _) => Style::Json,
        (false, true) => Style::Long,
        (false, false) => Style::Names,
    };
    let sizes = if matches.get_flag("human-readable") { Sizes::Human } else { Sizes::Bytes };
    let is_summary = matches.get_flag("summary");
    let show = |directory: String| match is_summary {
        true => Show::Sums(Sums::new(is_recursive, style, sizes)),
        false => Show::Lines(Lines::new(directory, style, sizes)),
    };
    if !BucketUrl::is_url(url) && std::fs::symlink_metadata(url).is_ok() {
        let with_facts = is_summary || style != Style::Names;
        return list_mounted(Mounted::open(Path::new(url), is_recursive, with_facts)?, show);
    }
    let url = BucketUrl::parse_mount(url)?;
    if url.is_account() {
        return buckets::run(matches, &url, style);
    }
    let given = sources::gather(matches, Caller::Person)?;
    let store = config::resolve_store(&given.raw, &url, &variable)?;
    let listing = config::resolve_list(&given.raw)?;
    log::start_quietly(&given.raw)?;
    let scope = match is_recursive {
        true => ListScope::subtree(url.directory()),
        false => ListScope::directory(url.directory()),
    };
    let scope = scope.order(if matches.get_flag("sort") { PageOrder::Key } else { PageOrder::Arrival });
    let show = show(url.directory());
    let at = config::resolve_at(&given.raw)?.map(|moment| moment.before(Clock::system().now()));
    small_runtime()?.block_on(list_all(store, (&url, at), scope, &listing, show))
}

/// Lists from the mount itself.
fn list_mounted(mut mounted: Mounted, show: impl FnOnce(String) -> Show) -> Result<()> {
    small_runtime()?.block_on(async {
        let mut printer = Printer::new(show(mounted.key.clone()), Clock::system());
        if let Some(object) = mounted.single()? {
            printer.single(object)?;
        }
        while let Some(page) = mounted.next()? {
            if printer.page(&page)? == Reader::Left {
                return Ok(());
            }
        }
        printer.finish()
    })
}

/// What is shown of the pages.
enum Show {
    Lines(Lines),
    Sums(Sums),
}

async fn list_all(
    options: store::Options,
    (url, at): (&BucketUrl, Option<Timestamp>),
    scope: ListScope,
    listing: &list::Options,
    show: Show,
) -> Result<()> {
    let (metrics, clock) = (Arc::new(Metrics::default()), Clock::system());
    let connected = reach::connect(options.clone(), &metrics, &clock)?;
    let fail = |error| reach::explain(&error, url.bucket.as_str(), &connected.endpoint);
    let directory = url.directory();
    if at.is_some() {
        reach::reach(options.clone(), (&directory, at), &metrics, &clock).await?;
    }
    let store = reach::viewed(&connected, at);
    let mut pages = list::pages(store.clone(), scope, listing).each_once();
    let mut printer = Printer::new(show, clock.clone());
    // The listing itself is patient; whether there is a server to be patient with is asked meanwhile.
    let unreachable = reach::failure(options, (&directory, at), &metrics, &clock);
    tokio::pin!(unreachable);
    // A time was asked about before.
    let is_known = at.is_some();
    loop {
        let page = tokio::select! {
            page = pages.next() => page,
            problem = &mut unreachable, if printer.found_nothing() && !is_known => return Err(problem),
            () = printer.progress.due() => {
                let (found, in_flight) = (printer.found, pages.in_flight());
                printer.progress.show(|passed| line(found, passed, in_flight));
                continue;
            }
        };
        let Some(page) = page else { break };
        if printer.page(&page.map_err(fail)?)? == Reader::Left {
            return Ok(());
        }
    }
    if printer.found_nothing() && !directory.is_empty() {
        let object = single_object(&*store, url).await.map_err(fail)?;
        let object = object.ok_or_else(|| Problem::failure(format!("no object exists at or below {url}")))?;
        printer.single(object)?;
    }
    printer.finish()
}

/// The object whose key is the URL's path as it is.
async fn single_object(store: &dyn Store, url: &BucketUrl) -> store::Result<Option<ListEntry>> {
    match store.head(HeadRequest::new(Key::new(url.path.as_str()))).await {
        Ok(meta) => Ok(Some(ListEntry {
            key: url.path.clone(),
            size: meta.size,
            etag: meta.etag,
            last_modified: meta.last_modified,
            kind: meta.kind,
            storage_class: meta.storage_class,
            version: meta.version,
        })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

struct Printer<'a> {
    show: Show,

    out: Output<'a>,
    progress: Progress,
    /// The lines of one page, printed at once.
    buffer: Vec<u8>,
    found: u64,
    undecodable: u64,
}

impl Printer<'_> {
    fn new(show: Show, clock: Clock) -> Self {
        // Where names run over the same terminal, they are the progress.
        let is_quiet = matches!(show, Show::Lines(_)) && std::io::stdout().is_terminal();
        let progress = Progress::new(clock, !is_quiet && std::io::stderr().is_terminal());
        Printer { show, out: Output::new(), progress, buffer: Vec::new(), found: 0, undecodable: 0 }
    }

    fn page(&mut self, page: &Page) -> Result<Reader> {
        self.undecodable += page.undecodable;
        self.found += (page.entries.len() + page.prefixes.len()) as u64;
        match &mut self.show {
            Show::Sums(sums) => {
                sums.add(page);
                Ok(Reader::Listens)
            }
            Show::Lines(lines) => {
                self.buffer.clear();
                lines.append(page, &mut self.buffer);
                self.out.write(&self.buffer)
            }
        }
    }

    fn found_nothing(&self) -> bool {
        self.found == 0
    }

    /// Shows the one object that the URL names.
    fn single(&mut self, object: ListEntry) -> Result<Reader> {
        if let Show::Lines(lines) = &mut self.show {
            lines.set_directory_of(&object.key);
        }
        self.page(&Page { entries: vec![object], ..Page::default() })
    }

    fn finish(mut self) -> Result<()> {
        self.progress.wipe();
        if let Show::Sums(sums) = &self.show {
            self.out.write(sums.text().as_bytes())?;
        }
        if self.undecodable > 0 {
            let keys = counted(self.undecodable, "key");
            // There is no other place to say so when stderr is gone.
            let _ = writeln!(std::io::stderr(), "ossmount: skipped {keys} not in UTF-8");
        }
        Ok(())
    }
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

/// How far a listing is.
fn line(entries: u64, passed: Duration, in_flight: usize) -> String {
    let rate = (entries as f64 / passed.as_secs_f64().max(1e-3)) as u64;
    let requests = counted(in_flight as u64, "request");
    format!("{} entries, {}/s, {requests} in flight", grouped(entries), grouped(rate))
}

/// Writes a number as in `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_entries_and_their_rate() {
        assert_eq!(line(0, Duration::ZERO, 1), "0 entries, 0/s, 1 request in flight");
        let line = line(1_234_567, Duration::from_millis(2500), 64);
        assert_eq!(line, "1,234,567 entries, 493,826/s, 64 requests in flight");
        assert_eq!([grouped(999), grouped(1000), grouped(100_000)], ["999", "1,000", "100,000"]);
    }
}
