//! Running listings: tasks that apply page after page to the tree, and signal each.
//!
//! There are two kinds. A directory's own listing is shared by all who wait for that directory; a caller that goes away
//! does not stop it, but it stops by itself when no program has waited for [`unattended_pages`](crate::fs::Tuning)
//! pages, so that one look-up in a directory of a hundred million objects does not list them all, or when no program
//! waits and no page comes; pages without a name count for [`nameless_page_cost`](crate::fs::Tuning). A wide listing
//! brings everything below a directory, for a walk, for `listing=eager` or because it was asked to be refreshed. No
//! program depends on a wide one alone: one that wants a directory that it has not come to lists that directory beside
//! it, and is woken by both.
//!
//! How far each goes is decided here; what to list ahead in [`walk`](super::walk), what to list again in
//! [`upkeep`](super::upkeep).

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{Semaphore, watch};
use tracing::Instrument;

use super::changes::OddLog;
use super::pace::Pace;
use super::probe::entry_facts;
use super::remainder::RemainderSlot;
use super::state::State;
use super::task::{Followed, Joined, ListTask, Progress, Purpose, Since};
use super::walk::Ahead;
use super::{Failure, Names, ms, report};
use crate::base::{Ino, KeySpan};
use crate::list::{self, Page, PageOrder, Trust};
use crate::metrics::Metric;
use crate::store::Error;
use crate::tree::{Changes, Depth, Item, Listing, Standing};

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
        let span = |listing: &Listing| (KeySpan::below(&listing.prefix), PageOrder::Arrival);
        self.begin_task(state, (directory, depth, oldest), purpose, span, None)
    }

    /// Begins to list what a walk will want.
    pub(super) fn begin_ahead(self: &Arc<Self>, state: &mut State, directory: Ino, ahead: Ahead) {
        tracing::debug!(below = ahead.below, from = ahead.from.as_deref(), "a walk was recognised: listing ahead");
        // Where listings go from the beginning on, a part of one costs as much as all that lies before it too.
        let from = ahead.from.filter(|_| self.findings.trust() == Trust::Full);
        let order = if from.is_some() { PageOrder::Key } else { PageOrder::Arrival };
        let names = self.names_ahead(state, directory, from.as_deref());
        let walk = Followed::by(Pace::new(ahead.read, self.tuning.clone()), names);
        let span = |listing: &Listing| {
            let all = KeySpan::below(&listing.prefix);
            (KeySpan { from: from.unwrap_or(all.from), before: all.before }, order)
        };
        self.begin_task(state, (directory, Depth::Subtree, Duration::ZERO), Purpose::Ahead, span, Some(walk));
    }

    /// The prefixes of the directories in a directory that was listed whole, from a key on; none where they are so many
    /// that a page brings several of them.
    fn names_ahead(&self, state: &State, directory: Ino, from: Option<&str>) -> Vec<String> {
        let Some(prefix) = state.tree.prefix(directory) else { return Vec::new() };
        let most = self.tuning.most_names_ahead;
        let listed = state.tree.last_listing(directory).filter(|last| last.entries as u64 <= most);
        let names = listed.into_iter().flat_map(|_| state.tree.directories_in(directory));
        let names = names.map(|name| format!("{prefix}{name}/"));
        names.filter(|name| from.is_none_or(|from| from <= name.as_str())).collect()
    }

    fn begin_task(
        self: &Arc<Self>,
        state: &mut State,
        (directory, depth, oldest): (Ino, Depth, Duration),
        purpose: Purpose,
        span: impl FnOnce(&Listing) -> (KeySpan, PageOrder),
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
            left: RemainderSlot::default(),
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
        let began = self.clock.elapsed();
        let end = self.pages(directory, &task).await;
        // The last page is not counted.
        if matches!(end, End::Whole) && task.listing.depth == Depth::Directory && task.signal.borrow().pages <= 1 {
            self.head_start.listed(self.clock.elapsed().saturating_sub(began));
        }
        if let End::Unwanted = end {
            tracing::debug!(prefix = task.listing.prefix, purpose = ?task.purpose, "a listing that no program waits \
                                                                                    for stops");
        }
        self.change_for(&task.odd, |state| {
            let ended = match end {
                End::Failed(failure) => Err(failure),
                End::TooLarge => Err(self.leave_off(state, directory, &task)),
                End::Whole | End::Unwanted => Ok(()),
            };
            state.tree.end_listing(&task.listing);
            // Under the lock: a later caller finds no listing here.
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
        match &task.walk {
            Some(walk) if !walk.names.is_empty() => pages = pages.knowing(&walk.names),
            Some(_) => {}
            None if self.comes_from_others(task).await => return End::Whole,
            None => {}
        }
        let mut unattended = 0;
        loop {
            if let Some(walk) = &task.walk {
                if !walk.comes(ms(self.tuning.walk_pause_ms)).await {
                    return End::Unwanted;
                }
                let (requests, left) = {
                    let pace = walk.pace.lock();
                    (pace.requests(), pace.left() / u64::from(self.options.list.page_size.max(1)))
                };
                pages.set_concurrency(requests.min(self.options.list.concurrency));
                pages.set_look_ahead(usize::try_from(left).unwrap_or(usize::MAX));
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

    /// Waits for a listing ahead that is about to bring the directory, and for no longer than some of its pages take:
    /// a walk that has caught up with it would otherwise list each directory a second time. Whether it has come.
    async fn comes_from_others(&self, task: &ListTask) -> bool {
        if task.purpose != Purpose::Asked || task.listing.depth != Depth::Directory {
            return false;
        }
        if self.options.as_of.is_some() && self.comes_from_everything(task).await {
            return true;
        }
        let prefix = task.listing.prefix.as_str();
        let pages = u32::try_from(self.tuning.pages_awaited).unwrap_or(u32::MAX);
        let awaited = {
            let state = self.state.lock();
            let about_to = |wide: &Arc<ListTask>| {
                let wait = wide.walk.as_ref()?.is_awaited_for(prefix, pages)?;
                Some((wide.signal.subscribe(), wait))
            };
            state.wide_over(prefix).find_map(about_to)
        };
        let Some((mut signal, wait)) = awaited else { return false };
        let is_whole = || self.state.lock().tree.standing(&task.listing) != Standing::Wanted;
        let comes = async {
            while !is_whole() {
                // An error is that it is gone.
                if signal.changed().await.is_err() {
                    return is_whole();
                }
            }
            true
        };
        tokio::time::timeout(wait, comes).await.unwrap_or(false)
    }

    /// Waits for the listing of the whole mount while it goes on and may bring the directory: alone, a directory of a
    /// past time would be listed with names below which nothing stood then. Whether it has come.
    async fn comes_from_everything(&self, task: &ListTask) -> bool {
        let prefix = task.listing.prefix.as_str();
        let signal = {
            let state = self.state.lock();
            let mut over = state.wide_over(prefix).filter(|wide| wide.purpose == Purpose::Everything);
            over.next().map(|wide| wide.signal.subscribe())
        };
        let Some(mut signal) = signal else { return false };
        let is_whole = || self.state.lock().tree.standing(&task.listing) != Standing::Wanted;
        while !is_whole() {
            let is_over = signal.borrow_and_update().ended.is_some();
            // An error is that it is gone.
            if is_over || signal.changed().await.is_err() {
                return is_whole();
            }
        }
        true
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
                tracing::info!(key = error.key(), %error, ?purpose, "listing ahead failed");
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
        if let Some(walk) = task.walk.as_ref().filter(|_| task.order == PageOrder::Key) {
            walk.applied(page.span.before.as_ref(), self.clock.elapsed().saturating_sub(page.asked_at));
        }
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

/// What a page shows, as the tree takes it.
fn items(page: &Page) -> impl Iterator<Item = Item<'_>> {
    page.items().map(|(key, entry)| entry.map_or(Item::Prefix(key), |entry| Item::Object(key, entry_facts(entry))))
}
