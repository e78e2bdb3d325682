//! Listings going on: tasks that apply page after page to the tree, and signal each.
//!
//! There are two kinds. A directory's own listing is shared by all who wait for that directory; who goes away does not
//! stop it, but it stops by itself when no program has waited for [`self.tuning.unattended_pages`] pages, so that one
//! look-up in a directory of a hundred million objects does not list them all, or when no program waits and no page
//! comes; pages without a name count for [`Tuning::nameless_page_cost`]. A wide listing brings everything below a
//! directory, for a walk, for `listing=eager` or because it was asked to be refreshed. No program depends on a wide one
//! alone: one that wants a directory that it has not come to lists that directory beside it, and is woken by both.
//!
//! How far each goes is decided here; what to list ahead in [`walk`](super::walk), what to list again in
//! [`upkeep`](super::upkeep).

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, watch};
use tracing::Instrument;

use super::changes::OddLog;
use super::pace::Pace;
use super::probe::entry_facts;
use super::rest::LeftSlot;
use super::state::State;
use super::walk::Ahead;
use super::{Failure, Names, Tried, ms, report};
use crate::base::{Ino, KeySpan};
use crate::list::{self, ListScope, Order, Page, Trust};
use crate::metrics::Metric;
use crate::store::Error;
use crate::tree::{Changes, Depth, Item, Listing, Standing};

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
    span: KeySpan,
    order: Order,

    signal: watch::Sender<Progress>,
    /// How it ended, for those who wait behind it. They want none of it.
    over: watch::Sender<Option<Tried<()>>>,
    pub(super) left: LeftSlot,
    /// Turns for asking the store about one name beside the listing.
    pub(super) questions: Arc<Semaphore>,
    odd: OddLog,
    /// The walk that it runs ahead of, if it does.
    walk: Option<Followed>,
}

/// A walk that a listing runs ahead of.
#[derive(Debug)]
struct Followed {
    /// How far ahead it may be.
    pace: Mutex<Pace>,
    /// Rings when the walk has come further.
    step: Notify,
}

impl Followed {
    fn by(pace: Pace) -> Self {
        Followed { pace: Mutex::new(pace), step: Notify::new() }
    }

    /// Waits until the walk has come near enough; false when it does not come.
    async fn comes(&self, pause: Duration) -> bool {
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
    believed: Option<Duration>,
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

    fn holds(&self, as_of: Duration) -> bool {
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
    /// One is going on that began too early: the next one begins when it is over.
    Behind(Behind),
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
    own: watch::Receiver<Progress>,
    wide: Vec<watch::Receiver<Progress>>,
    /// What the directory's own listing has left, where it came to the limit of memory.
    pub(super) left: LeftSlot,
}

impl PageSignals {
    /// How far the directory's own listing has come.
    pub(super) fn progress(&self) -> Progress {
        self.own.borrow().clone()
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
    fn limits_itself(&self) -> bool {
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
    async fn left_alone(&self, wait: Duration) {
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

    fn scope(&self) -> ListScope {
        let scope = match self.listing.depth {
            Depth::Directory => ListScope::directory(self.listing.prefix.as_str()),
            Depth::Subtree => ListScope::subtree(self.listing.prefix.as_str()),
        };
        scope.within(self.span.clone()).order(self.order)
    }
}

/// Why a listing ended.
enum End {
    /// It has come to its end, or another one has brought the same.
    Whole,
    /// The rest is not wanted.
    Unwanted,
    /// It brings more than memory holds.
    TooLarge,
    Failed(Failure),
}

impl Names {
    /// The listing of a directory that is going on, if it shows what a request must see, or a new one. `None` if there
    /// is no such directory any more.
    pub(super) fn listing(self: &Arc<Self>, state: &mut State, directory: Ino, since: &Since) -> Option<Joined> {
        match state.going_on(directory) {
            Some((task, as_of)) if since.holds(as_of) => Some(Joined::Task(task.clone())),
            Some((task, _)) => Some(Joined::Behind(task.behind())),
            None => {
                let task = self.begin_since(state, directory, Depth::Directory, Purpose::Asked, since.oldest())?;
                Some(Joined::Task(task))
            }
        }
    }

    /// Begins a listing of all of a directory, or of all below it.
    pub(super) fn begin(
        self: &Arc<Self>,
        state: &mut State,
        directory: Ino,
        depth: Depth,
        purpose: Purpose,
    ) -> Option<Arc<ListTask>> {
        self.begin_since(state, directory, depth, purpose, self.clock.elapsed())
    }

    /// The same, where what others have settled as of some time or later counts too.
    fn begin_since(
        self: &Arc<Self>,
        state: &mut State,
        directory: Ino,
        depth: Depth,
        purpose: Purpose,
        oldest: Duration,
    ) -> Option<Arc<ListTask>> {
        let span = |listing: &Listing| (KeySpan::below(&listing.prefix), Order::Arrival);
        self.begin_task(state, (directory, depth, oldest), purpose, span, None)
    }

    /// Begins to list what a walk will want.
    pub(super) fn begin_ahead(self: &Arc<Self>, state: &mut State, directory: Ino, ahead: Ahead) {
        tracing::debug!(below = ahead.below, from = ahead.from.as_deref(), "a walk: listing ahead");
        // Where listings go from the beginning on, a part of one costs as much as all that lies before it too.
        let from = ahead.from.filter(|_| self.findings.trust() == Trust::Full);
        let order = if from.is_some() { Order::Key } else { Order::Arrival };
        let walk = Followed::by(Pace::new(ahead.read, self.tuning.clone()));
        let span = |listing: &Listing| {
            let all = KeySpan::below(&listing.prefix);
            (KeySpan { from: from.unwrap_or(all.from), before: all.before }, order)
        };
        self.begin_task(state, (directory, Depth::Subtree, Duration::ZERO), Purpose::Ahead, span, Some(walk));
    }

    fn begin_task(
        self: &Arc<Self>,
        state: &mut State,
        (directory, depth, oldest): (Ino, Depth, Duration),
        purpose: Purpose,
        span: impl FnOnce(&Listing) -> (KeySpan, Order),
        walk: Option<Followed>,
    ) -> Option<Arc<ListTask>> {
        let began = self.clock.elapsed();
        let listing = state.tree.begin_listing(directory, depth, began, oldest)?;
        let (span, order) = span(&listing);
        let task = Arc::new(ListTask {
            listing,
            purpose,
            span,
            order,
            signal: watch::Sender::new(Progress::default()),
            over: watch::Sender::new(None),
            left: LeftSlot::default(),
            questions: Arc::new(Semaphore::new(usize::try_from(self.tuning.questions_at_once).unwrap_or(usize::MAX))),
            odd: OddLog::default(),
            walk,
        });
        if purpose == Purpose::Everything {
            state.everything_at = Some(began);
        }
        match depth {
            Depth::Directory => drop(state.tasks.insert(directory, task.clone())),
            Depth::Subtree => state.wide.push(task.clone()),
        }
        let span = tracing::debug_span!("list", ino = directory.0, key = task.listing.prefix);
        self.runtime.spawn(self.clone().list(directory, task.clone()).instrument(span));
        Some(task)
    }

    async fn list(self: Arc<Self>, directory: Ino, task: Arc<ListTask>) {
        let end = self.pages(directory, &task).await;
        if let End::Unwanted = end {
            tracing::debug!(prefix = task.listing.prefix, purpose = ?task.purpose, "a listing that nobody wants stops");
        }
        self.change_for(&task.odd, |state| {
            let ended = match end {
                End::Failed(failure) => Err(failure),
                End::TooLarge => Err(self.leave_off(state, directory, &task)),
                End::Whole | End::Unwanted => Ok(()),
            };
            state.tree.end_listing(&task.listing);
            // Under the lock: who looks after it finds no listing here.
            state.end_task(directory, &task);
            task.signal.send_modify(|progress| progress.ended = Some(ended.clone()));
            task.over.send_replace(Some(ended));
            ((), Changes::default())
        });
        self.sum_up_odd(&task.odd, &task.listing.prefix);
        if task.purpose == Purpose::Upkeep {
            // The next one may begin.
            self.wake.notify_one();
        }
    }

    /// Applies page after page, for as long as the listing is wanted.
    async fn pages(&self, directory: Ino, task: &Arc<ListTask>) -> End {
        let pages = list::pages(self.store.clone(), task.scope(), &self.list_options(task.purpose));
        let mut pages = pages.timed(self.clock.clone()).sharing(self.findings.clone());
        let mut unattended = 0;
        loop {
            if let Some(walk) = &task.walk {
                if !walk.comes(ms(self.tuning.walk_pause_ms)).await {
                    return End::Unwanted;
                }
                pages.set_concurrency(walk.pace.lock().requests().min(self.options.list.concurrency));
            }
            let page = tokio::select! {
                biased;
                page = pages.next() => page,
                () = task.left_alone(ms(self.tuning.unattended_ms)) => match self.stops_unattended(directory, task) {
                    true => return End::Unwanted,
                    false => continue,
                },
            };
            let page = match page {
                Some(Ok(page)) => page,
                Some(Err(error)) => return End::Failed(self.listing_failed(task.purpose, &error)),
                None => return End::Whole,
            };
            if page.begins_anew {
                self.doubt(pages.epoch()).await;
                if task.purpose == Purpose::Ahead && !self.walks_matter() {
                    return End::Unwanted;
                }
            }
            match self.apply(task, &page, pages.epoch()) {
                Applied::More => {}
                Applied::Whole => return End::Whole,
            }
            if task.limits_itself() && self.outgrows_memory(directory, task).await {
                return End::TooLarge;
            }
            task.signal.send_modify(|progress| progress.pages += 1);
            let cost =
                if page.entries.is_empty() && page.prefixes.is_empty() { self.tuning.nameless_page_cost } else { 1 };
            unattended = if task.signal.receiver_count() > 0 { 0 } else { unattended + cost };
            if self.is_done_with(directory, task, unattended) {
                return End::Unwanted;
            }
        }
    }

    fn is_done_with(&self, directory: Ino, task: &Arc<ListTask>, unattended: u64) -> bool {
        match task.purpose {
            Purpose::Asked
                if unattended > self.tuning.unattended_pages || (unattended > 0 && task.over.receiver_count() > 0) =>
            {
                self.stops_unattended(directory, task)
            }
            // What was listed first would be forgotten for what comes now.
            Purpose::Ahead | Purpose::Everything => self.is_over_budget(),
            _ => false,
        }
    }

    /// Takes a listing out of those going on, unless a waiter has come; whether it did.
    fn stops_unattended(&self, directory: Ino, task: &Arc<ListTask>) -> bool {
        let mut state = self.state.lock();
        // Under the lock, under which waiters subscribe.
        let stops = task.signal.receiver_count() == 0;
        if stops {
            state.end_task(directory, task);
        }
        stops
    }

    fn list_options(&self, purpose: Purpose) -> list::Options {
        let given = list::Options { held_bytes: self.options.metadata_bytes / 2, ..self.options.list.clone() };
        match purpose {
            // In the background, and no program waits.
            Purpose::Upkeep => list::Options { concurrency: given.concurrency.div_ceil(4), ..given },
            _ => given,
        }
    }

    /// The error that a listing ends with. Of what no program waits for, none is told: a program that wants the names
    /// lists them again, and is told what comes of that.
    fn listing_failed(&self, purpose: Purpose, error: &Error) -> Failure {
        match purpose {
            Purpose::Asked | Purpose::Refresh => report("listing a directory", error),
            Purpose::Ahead | Purpose::Everything | Purpose::Upkeep => {
                tracing::info!(key = error.key(), %error, ?purpose, "a listing in advance has failed");
                Failure::quiet("listing a directory", error)
            }
        }
    }

    /// A server has turned out not to keep the rules: what was settled before that is not to be believed.
    pub(super) async fn doubt(&self, epoch: u64) {
        let news = {
            let mut state = self.state.lock();
            let news = epoch > state.doubted;
            if news {
                state.doubted = epoch;
                state.tree.doubt();
            }
            news
        };
        if news {
            self.kernel_forgets_absent().await;
        }
    }

    fn apply(&self, task: &ListTask, page: &Page, epoch: u64) -> Applied {
        let names = (page.entries.len() + page.prefixes.len()) as u64;
        self.metrics.add(Metric::ListPages, 1);
        self.metrics.add(Metric::ListedNames, names);
        if let Some(walk) = &task.walk {
            walk.pace.lock().listed(names);
        }
        if page.undecodable > 0 {
            self.metrics.add(Metric::OddKeys, page.undecodable);
            task.odd.leave_out(page.undecodable);
        }
        let applied = self.change_for(&task.odd, |state| {
            if epoch != self.findings.epoch() {
                // It was made before something was found out, and is listed once more.
                return (Applied::More, Changes::default());
            }
            let (standing, changes) = state.tree.apply(&task.listing, &page.span, items(page), page.asked_at);
            (if standing == Standing::Wanted { Applied::More } else { Applied::Whole }, changes)
        });
        if self.is_over_budget() {
            self.wake.notify_one();
        }
        applied
    }
}

/// What is left of a listing after a page.
enum Applied {
    More,
    /// Nothing: the directory is known whole, whichever listing has brought it, or has gone.
    Whole,
}

impl State {
    /// The listing of a directory that is going on, and the time that it shows the store as of. One whose round is over
    /// is not: it has nothing more to bring, whether its task has come to say so or not.
    pub(super) fn going_on(&self, directory: Ino) -> Option<(&Arc<ListTask>, Duration)> {
        let task = self.tasks.get(&directory)?;
        Some((task, self.tree.as_of(&task.listing)?))
    }

    /// A listing that is going on and may show, of a directory or of anything below it, what was no longer so at a
    /// moment: it must be over before the same is listed anew, or it would be believed afterwards.
    pub(super) fn too_early(&self, prefix: &str, depth: Depth, since: &Since) -> Option<Behind> {
        let within = |task: &&Arc<ListTask>| match depth {
            Depth::Directory => task.listing.prefix == prefix,
            Depth::Subtree => task.listing.prefix.starts_with(prefix),
        };
        let early = |task: &&Arc<ListTask>| self.tree.as_of(&task.listing).is_some_and(|as_of| !since.holds(as_of));
        self.tasks.values().filter(within).find(early).map(|task| task.behind())
    }

    /// To be called under the lock under which the tree was looked at, so that no page is missed.
    pub(super) fn signals(&self, task: &ListTask) -> PageSignals {
        let wide = self.wide_over(&task.listing.prefix).map(|wide| wide.signal.subscribe()).collect();
        PageSignals { own: task.signal.subscribe(), wide, left: task.left.clone() }
    }

    /// The wide listings that bring a directory.
    pub(super) fn wide_over<'s>(&'s self, prefix: &'s str) -> impl Iterator<Item = &'s Arc<ListTask>> {
        self.wide.iter().filter(move |task| task.covers(prefix))
    }

    /// The directory may have gone and come back, and be listed anew: only this very listing ends.
    fn end_task(&mut self, directory: Ino, task: &Arc<ListTask>) {
        if self.tasks.get(&directory).is_some_and(|current| Arc::ptr_eq(current, task)) {
            self.tasks.remove(&directory);
        }
        self.wide.retain(|wide| !Arc::ptr_eq(wide, task));
        if let Some(walk) = &task.walk {
            self.walks.over(&task.listing.prefix, walk.pace.lock().outcome());
        }
    }
}

/// What a page shows, as the tree takes it.
fn items(page: &Page) -> impl Iterator<Item = Item<'_>> {
    page.items().map(|(key, entry)| entry.map_or(Item::Prefix(key), |entry| Item::Object(key, entry_facts(entry))))
}
