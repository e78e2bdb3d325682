//! The workers: requests in flight, and pages on their way to the caller.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasher;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument;

use super::findings::{Findings, Trust};
use super::gather::Gather;
use super::splitter::{Ask, Reach, Splitter, Stop};
use super::{ListScope, Options, Page, PageOrder};
use crate::base::{Clock, KeySpan};
use crate::store::{Error, ErrorKind, ListPage, Result, Store};

/// Pages that may wait to be taken, per request in flight: about 100 MB at 64 requests and long keys.
const WAITING_PER_REQUEST: usize = 4;

/// Names given out that are remembered, for a listing that may have to begin anew: 40 MB.
const REMEMBERED_NAMES: usize = 1 << 20;

/// The pages of a listing, from [`pages`](super::pages()).
#[must_use = "a listing asks for nothing until it is polled"]
#[derive(Debug)]
pub struct Pages {
    store: Arc<dyn Store>,
    clock: Option<Clock>,
    findings: Arc<Findings>,

    scope: ListScope,
    options: Options,
    look_ahead: usize,

    way: Way,
    /// What the way of listing relies on.
    trust: Trust,
    /// What this listing relies on no further than, whatever others have found out.
    own_trust: Trust,
    /// The findings that it knows of.
    epoch: u64,
    /// The server has refused to list from a key on; whether it lists at all shows the next answer.
    is_refused: bool,
    /// It has begun anew, which the caller has not been told yet.
    is_anew: bool,
    given: Option<Given>,

    /// Requests in flight; they are aborted when the set goes.
    asked: JoinSet<Answer>,
    requests: u64,
    /// When those in flight were sent, where there is a clock.
    sent_at: HashMap<u64, Duration>,
    /// When the first one was sent since the listing has begun, or begun anew.
    began_at: Option<Duration>,
    /// Pages that have arrived, by where they begin and by when they came.
    waiting: BTreeMap<(String, u64), Page>,
    arrived: u64,
    failed: bool,
}

/// How the pages are asked for.
#[derive(Debug)]
enum Way {
    Split(Splitter),
    Gather(Gather),
}

/// What has become of a request.
#[derive(Debug)]
struct Answer {
    id: u64,
    /// Whether it asked for what comes after a key.
    is_after: bool,
    page: Result<ListPage>,
}

/// Names that were given out, as hashes under two random keys: that two names share both is out of the question.
#[derive(Debug, Default)]
struct Given {
    names: HashSet<[u64; 2]>,
    hashers: [std::hash::RandomState; 2],
    /// More names were given out than are remembered.
    is_full: bool,
    /// The listing has begun anew.
    is_anew: bool,
}

impl Given {
    /// Leaves out of a page what was given out before, and remembers what is given out now.
    fn pass(&mut self, page: &mut Page) {
        page.entries.retain(|entry| self.is_new('k', &entry.key));
        page.prefixes.retain(|prefix| self.is_new('p', prefix));
    }

    fn is_new(&mut self, kind: char, name: &str) -> bool {
        let hash = self.hashers.each_ref().map(|hasher| hasher.hash_one((kind, name)));
        if self.names.len() < REMEMBERED_NAMES {
            return self.names.insert(hash) || !self.is_anew;
        }
        self.is_full = true;
        !(self.is_anew && self.names.contains(&hash))
    }
}

impl Way {
    fn new(scope: &ListScope, options: &Options, trust: Trust) -> Self {
        match trust {
            Trust::NoOrder => Way::Gather(Gather::new(scope.clone(), options)),
            _ => Way::Split(Splitter::new(scope.clone(), options, trust)),
        }
    }

    fn next(&mut self, reach: Reach) -> Option<Ask> {
        match self {
            Way::Split(splitter) => splitter.next(reach),
            Way::Gather(gather) => gather.next(),
        }
    }

    fn arrived(&mut self, id: u64, page: ListPage) -> std::result::Result<Vec<Page>, Stop> {
        match self {
            Way::Split(splitter) => splitter.arrived(id, page),
            Way::Gather(gather) => Ok(gather.arrived(id, page)?),
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Way::Split(splitter) => splitter.front().is_none(),
            Way::Gather(gather) => gather.is_over(),
        }
    }

    /// Whether all pages that come before this one have come.
    fn is_due(&self, page: &Page) -> bool {
        let Way::Split(splitter) = self else { return true };
        let settled = |front: &str| page.span.before.as_ref().is_some_and(|before| **before <= *front);
        splitter.front().is_none_or(settled)
    }
}

impl Pages {
    pub(super) fn new(store: Arc<dyn Store>, scope: ListScope, options: &Options) -> Self {
        Pages {
            store,
            clock: None,
            findings: Arc::default(),
            way: Way::new(&scope, options, Trust::Full),
            scope,
            options: options.clone(),
            look_ahead: usize::MAX,
            trust: Trust::Full,
            own_trust: Trust::Full,
            epoch: 0,
            is_refused: false,
            is_anew: false,
            given: None,
            asked: JoinSet::new(),
            requests: 0,
            sent_at: HashMap::new(),
            began_at: None,
            waiting: BTreeMap::new(),
            arrived: 0,
            failed: false,
        }
    }

    /// Tells of each page when it was asked for.
    pub fn timed(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Uses what other listings of this server have found out, and tells them what this one does. To be called before
    /// the first page is asked for.
    pub fn sharing(mut self, findings: Arc<Findings>) -> Self {
        self.trust = findings.trust();
        self.way = Way::new(&self.scope, &self.options, self.trust);
        self.epoch = findings.epoch();
        self.findings = findings;
        self
    }

    /// Tells which directories are at the top of what is listed, all of them, in byte order and as they are shown, each
    /// with its delimiter: then the listing need not find out where to send requests. Names that are missing cost
    /// requests, no keys. To be called before the first page is asked for, and behind [`sharing`](Self::sharing).
    pub fn knowing(mut self, names: &[String]) -> Self {
        if let Way::Split(splitter) = &mut self.way {
            splitter.know(names);
        }
        self
    }

    /// Gives each name once, also where the listing begins anew. To be called before the first page is asked for.
    pub fn each_once(mut self) -> Self {
        self.given = Some(Given::default());
        self
    }

    /// The findings that the last page was made with. It is to be believed for as long as there are no newer ones.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Changes how many requests may be in flight. Those that are stay.
    pub fn set_concurrency(&mut self, concurrency: u32) {
        self.options.concurrency = concurrency.max(1);
        if let Way::Split(splitter) = &mut self.way {
            splitter.set_concurrency(concurrency.max(1) as usize);
        }
    }

    /// Changes how many pages may be asked for or wait to be taken, beside what the number of requests allows.
    pub fn set_look_ahead(&mut self, pages: usize) {
        self.look_ahead = pages.max(1);
    }

    /// Requests sent so far.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Requests that are in flight now.
    pub fn in_flight(&self) -> usize {
        self.asked.len()
    }

    fn send(&mut self) {
        let concurrency = self.options.concurrency.max(1) as usize;
        while self.asked.len() < concurrency {
            let most = (concurrency * WAITING_PER_REQUEST).min(self.look_ahead);
            let full = self.waiting.len() + self.asked.len() >= most;
            let reach = match (full, self.scope.order) {
                (false, _) => Reach::Everywhere,
                (true, PageOrder::Key) => Reach::Front,
                (true, PageOrder::Arrival) => return,
            };
            let Some(Ask { id, request, pause }) = self.way.next(reach) else { return };
            let store = self.store.clone();
            self.requests += 1;
            let is_after = request.start_after.is_some();
            if let Some(clock) = &self.clock {
                let now = clock.elapsed();
                self.sent_at.insert(id, now);
                self.began_at.get_or_insert(now);
            }
            let answer = async move {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                Answer { id, is_after, page: store.list(request).await }
            };
            self.asked.spawn(answer.in_current_span());
        }
    }

    fn take(&mut self, joined: std::result::Result<Answer, JoinError>) -> Result<()> {
        let answer = joined.map_err(|panic| {
            Error::new(ErrorKind::Protocol, "a listing task failed").with_source(Some(panic.into()))
        })?;
        let page = match answer.page {
            Ok(page) => page,
            Err(error) if answer.is_after && matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported) => {
                tracing::debug!(%error, "listing with start-after was refused");
                self.is_refused = true;
                return self.break_off(Trust::NoStartAfter);
            }
            Err(error) => return Err(error),
        };
        if std::mem::take(&mut self.is_refused) {
            self.findings.lower(Trust::NoStartAfter, &self.scope.prefix);
        }
        let sent_at = self.sent_at.remove(&answer.id);
        // What is held until the end shows the store as of the beginning.
        let asked_at = if matches!(self.way, Way::Gather(_)) { self.began_at } else { sent_at };
        match self.way.arrived(answer.id, page) {
            Ok(pages) => {
                for mut page in pages {
                    page.asked_at = asked_at.unwrap_or_default();
                    self.arrived += 1;
                    self.waiting.insert((page.span.from.clone(), self.arrived), page);
                }
                Ok(())
            }
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::Doubt) => self.break_off(Trust::NoStartAfter),
            Err(Stop::Distrust(trust)) => {
                self.findings.lower(trust, &self.scope.prefix);
                self.break_off(trust)
            }
        }
    }

    /// A page has broken the rules, so that no listing before it is to be believed.
    fn break_off(&mut self, trust: Trust) -> Result<()> {
        self.findings.doubt(self.epoch);
        self.begin_anew(trust)
    }

    /// Begins anew in the way that is right for a server that can be relied on no further than this. Pages that were
    /// not given out are dropped.
    fn begin_anew(&mut self, trust: Trust) -> Result<()> {
        self.own_trust = self.own_trust.max(trust);
        self.epoch = self.findings.epoch();
        self.trust = self.own_trust.max(self.findings.trust());
        self.asked = JoinSet::new();
        self.sent_at.clear();
        self.began_at = None;
        self.waiting.clear();
        self.way = Way::new(&self.scope, &self.options, self.trust);
        self.is_anew = true;
        if let Some(given) = &mut self.given {
            given.is_anew = true;
            if given.is_full {
                let message = format!(
                    "the server does not list keys in byte order, which was detected only after {REMEMBERED_NAMES} \
                     names: list a directory further down"
                );
                return Err(Error::new(ErrorKind::Protocol, message)
                    .with_operation("ListObjects")
                    .with_key(Some(self.scope.prefix.clone())));
            }
        }
        Ok(())
    }

    fn advance(&mut self, context: &mut Context<'_>) -> Result<()> {
        if self.findings.epoch() > self.epoch {
            self.begin_anew(self.findings.trust())?;
        }
        self.send();
        while let Poll::Ready(Some(joined)) = self.asked.poll_join_next(context) {
            self.take(joined)?;
            self.send();
        }
        Ok(())
    }

    /// The next page that can be given out.
    fn deliver(&mut self) -> Option<Page> {
        if std::mem::take(&mut self.is_anew) {
            let span = KeySpan { from: String::new(), before: Some(String::new()) };
            return Some(Page { span, begins_anew: true, ..Page::default() });
        }
        let first = self.waiting.first_entry()?;
        if self.scope.order == PageOrder::Key && !self.way.is_due(first.get()) {
            return None;
        }
        let mut page = first.remove();
        if let Some(given) = &mut self.given {
            given.pass(&mut page);
        }
        Some(page)
    }
}

impl Stream for Pages {
    type Item = Result<Page>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.failed {
            return Poll::Ready(None);
        }
        if let Err(error) = self.advance(context) {
            self.failed = true;
            self.asked.abort_all();
            return Poll::Ready(Some(Err(error)));
        }
        match self.deliver() {
            Some(page) => Poll::Ready(Some(Ok(page))),
            None if self.way.is_over() => {
                self.asked.abort_all();
                Poll::Ready(None)
            }
            None => Poll::Pending,
        }
    }
}
