//! The task of one listing: its purpose, what it signals, and which age of it a request accepts.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, watch};

use super::changes::OddLog;
use super::pace::Pace;
use super::remainder::RemainderSlot;
use super::{Failure, Tried};
use crate::base::{Ino, KeySpan};
use crate::list::{ListScope, PageOrder};
use crate::tree::{Depth, Listing};

/// What a listing is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// A program wants the directory now.
    Asked,
    /// A walk will want it.
    Ahead,
    /// The whole mount shall be known.
    Everything,
    /// What is known would soon be too old.
    Upkeep,
    /// A refresh waits for all of it to be listed anew.
    Refresh,
}

/// A listing that is going on.
#[derive(Debug)]
pub(super) struct ListTask {
    pub(super) listing: Listing,
    pub(super) purpose: Purpose,
    pub(super) span: KeySpan,
    pub(super) order: PageOrder,

    pub(super) signal: watch::Sender<Progress>,
    /// How it ended, for those who wait behind it. They want none of it.
    pub(super) over: watch::Sender<Option<Tried<()>>>,
    pub(super) left: RemainderSlot,
    /// Turns for asking the store about one name beside the listing.
    pub(super) questions: Arc<Semaphore>,
    pub(super) odd: OddLog,
    /// The walk that it runs ahead of, if it does.
    pub(super) walk: Option<Followed>,
}

/// A walk that a listing runs ahead of.
#[derive(Debug)]
pub(super) struct Followed {
    /// How far ahead it may be.
    pub(super) pace: Mutex<Pace>,
    /// Rings when the walk has come further.
    pub(super) step: Notify,
    /// The directories that lie at the top of what is listed ahead, where they are known: their prefixes, in order.
    pub(super) names: Vec<String>,
    pub(super) advance: Mutex<Advance>,
}

/// How far a listing ahead has come.
#[derive(Debug, Default)]
pub(super) struct Advance {
    /// All before this key has been applied.
    front: String,
    /// What a page has taken at least.
    page_time: Option<Duration>,
}

impl Followed {
    pub(super) fn by(pace: Pace, names: Vec<String>) -> Self {
        Followed { pace: Mutex::new(pace), step: Notify::new(), names, advance: Mutex::default() }
    }

    /// A page has been applied, which has taken so long.
    pub(super) fn applied(&self, before: Option<&String>, took: Duration) {
        let mut advance = self.advance.lock();
        if let Some(before) = before {
            advance.front.clone_from(before);
        }
        advance.page_time = Some(advance.page_time.map_or(took, |least| least.min(took)));
    }

    /// How long the listing may be waited for that brings a directory, if it is about to: some pages' time where no
    /// more directories lie before it than there are requests in flight.
    pub(super) fn is_awaited_for(&self, prefix: &str, pages: u32) -> Option<Duration> {
        let advance = self.advance.lock();
        let behind = |key: &str| self.names.partition_point(|name| name.as_str() < key);
        let ahead = behind(prefix).saturating_sub(behind(&advance.front));
        let is_near = !self.names.is_empty() && ahead <= self.pace.lock().requests() as usize;
        advance.page_time.filter(|_| is_near).map(|time| time * pages)
    }

    /// Waits until the walk has come near enough; false when it does not come.
    pub(super) async fn comes(&self, pause: Duration) -> bool {
        while self.pace.lock().is_far_ahead() {
            if tokio::time::timeout(pause, self.step.notified()).await.is_err() {
                return false;
            }
        }
        true
    }
}

/// What the answer to a request must show: all that was put before it began, as far as its time to live says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    /// When the request began.
    pub(super) moment: Duration,
    /// How old an answer of the store may have been then; `None` for any age.
    pub(super) believed: Option<Duration>,
}

impl Since {
    pub(super) fn new(moment: Duration, believed: Option<Duration>) -> Self {
        Since { moment, believed }
    }

    /// For what the store is asked for after that moment only.
    pub(super) fn asked(moment: Duration) -> Self {
        // What is asked for at that very moment will do.
        Since { moment, believed: Some(Duration::from_nanos(1)) }
    }

    /// Answers must be younger than this at that moment.
    pub(super) fn younger_than(&self) -> Option<Duration> {
        self.believed
    }

    pub(super) fn holds(&self, as_of: Duration) -> bool {
        self.believed.is_none_or(|believed| self.moment.saturating_sub(as_of) < believed)
    }

    /// The time that answers must show the store as of, or a later one.
    pub(super) fn oldest(&self) -> Duration {
        // Nothing can be asked for later than the moment and be asked for by then.
        let oldest = |believed| (self.moment + Duration::from_nanos(1)).saturating_sub(believed).min(self.moment);
        self.believed.map_or(Duration::ZERO, oldest)
    }
}

/// The listing of a directory that a request may join.
pub(super) enum Joined {
    /// One that is going on and shows what the request must see, or a new one.
    Task(Arc<ListTask>),
    /// A listing is running that began too early: the next one begins when it ends.
    Behind(Behind),
}

impl Joined {
    /// Waits for the end of the listing.
    pub(super) async fn over(self) -> Tried<()> {
        match self {
            Joined::Task(task) => task.end().await,
            Joined::Behind(behind) => behind.over().await,
        }
    }
}

/// The end of a listing that a request waits behind.
#[derive(Debug)]
pub(super) struct Behind(watch::Receiver<Option<Tried<()>>>);

impl Behind {
    /// Waits for it. Its failure is a failure of all who have waited: to try again costs them another such time.
    pub(super) async fn over(mut self) -> Tried<()> {
        match self.0.wait_for(Option::is_some).await {
            // What one listing has no room for, those who wait behind it need not hold.
            Ok(ended) => ended.clone().filter(|ended| *ended != Err(Failure::TOO_LARGE)).unwrap_or(Ok(())),
            Err(_) => Err(Failure::EIO),
        }
    }
}

/// How far a listing has come.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Progress {
    pub(super) pages: u64,
    /// How the listing ended; `None` while it goes on.
    pub(super) ended: Option<Tried<()>>,
}

/// What a waiter listens to: the listing of its directory, and wide ones that may bring the same sooner.
#[derive(Clone, Debug)]
pub(super) struct PageSignals {
    pub(super) own: watch::Receiver<Progress>,
    pub(super) wide: Vec<watch::Receiver<Progress>>,
    /// What the directory's own listing has left, where it came to the limit of memory.
    pub(super) left: RemainderSlot,
}

impl PageSignals {
    /// How far the directory's own listing has come.
    pub(super) fn progress(&self) -> Progress {
        self.own.borrow().clone()
    }

    /// Waits for the next page of any but the directory's own listing, or for the end of one.
    pub(super) async fn next_of_others(&mut self) {
        let mut changed: FuturesUnordered<_> = self.wide.iter_mut().map(|signal| signal.changed()).collect();
        changed.next().await;
    }

    /// Waits for the next page of any of them, or for the end of the directory's own listing.
    pub(super) async fn next(&mut self) -> Progress {
        {
            let mut changed: FuturesUnordered<_> =
                std::iter::once(&mut self.own).chain(&mut self.wide).map(|signal| signal.changed()).collect();
            changed.next().await;
        }
        self.wide.retain(|signal| signal.has_changed().is_ok());
        let gone = self.own.has_changed().is_err();
        let progress = self.progress();
        match progress.ended {
            // The task is gone without a word: it was cancelled with the runtime.
            None if gone => Progress { ended: Some(Err(Failure::EIO)), ..progress },
            _ => progress,
        }
    }
}

impl ListTask {
    /// A program has opened a directory that it brings; whether the walk that it serves has come further by that.
    pub(super) fn opened(&self, directory: Ino) -> bool {
        let Some(walk) = &self.walk else { return false };
        let further = walk.pace.lock().opened(directory);
        if further {
            walk.step.notify_one();
        }
        further
    }

    /// The walk has read entries of such a directory.
    pub(super) fn read(&self, entries: u64) {
        let Some(walk) = &self.walk else { return };
        walk.pace.lock().read(entries);
        walk.step.notify_one();
    }

    /// Whether it goes on however much it brings, so that the limit of memory must end it.
    pub(super) fn limits_itself(&self) -> bool {
        self.listing.depth == Depth::Directory || self.purpose == Purpose::Refresh
    }

    /// Whether it brings the whole of a directory.
    pub(super) fn covers(&self, prefix: &str) -> bool {
        let inside = match self.listing.depth {
            Depth::Directory => prefix == self.listing.prefix,
            Depth::Subtree => prefix.starts_with(&self.listing.prefix),
        };
        inside && self.span.covers(&KeySpan::below(prefix))
    }

    /// What is signalled when it is over, for a waiter that wants nothing of it. To be called under the lock.
    pub(super) fn behind(&self) -> Behind {
        Behind(self.over.subscribe())
    }

    /// Waits for the listing's end.
    pub(super) async fn end(&self) -> Tried<()> {
        let mut signal = self.signal.subscribe();
        match signal.wait_for(|progress| progress.ended.is_some()).await {
            Ok(progress) => progress.ended.clone().unwrap_or(Ok(())),
            Err(_) => Err(Failure::EIO),
        }
    }

    /// Returns when no program has waited for a page for a while, if it is a listing that serves those who wait.
    pub(super) async fn left_alone(&self, wait: Duration) {
        if !matches!(self.purpose, Purpose::Asked | Purpose::Ahead) {
            return std::future::pending().await;
        }
        loop {
            self.signal.closed().await;
            tokio::time::sleep(wait).await;
            if self.signal.receiver_count() == 0 {
                return;
            }
        }
    }

    pub(super) fn scope(&self) -> ListScope {
        let scope = match self.listing.depth {
            Depth::Directory => ListScope::directory(self.listing.prefix.as_str()),
            Depth::Subtree => ListScope::subtree(self.listing.prefix.as_str()),
        };
        scope.within(self.span.clone()).order(self.order)
    }
}
