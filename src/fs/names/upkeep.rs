//! Background work: directories in use are listed again before they expire, and others are evicted when names take too
//! much memory.
//!
//! So a program that polls a directory, or opens files of it regularly, never waits for a listing. What that may cost
//! is bounded twice: by the number of directories that are watched, and by the rule that a listing in the background
//! must have been paid for since the last one, by a program that opened the directory, or by as many look-ups and opens
//! in it as it has pages. A huge directory is kept fresh for those who read it, not for one name in it. And what a
//! program does with a listing while that is new is what it was made for, and no reason to make another: only a
//! later return shows that the directory is wanted again.
//!
//! With `listing=eager` it is all of the mount that is listed again, if any of it was used.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::task::{ListTask, Purpose, Since};
use super::uses::Age;
use super::{Failure, ListingMode, Names, State, Tried, Ttl, ms};
use crate::base::Ino;
use crate::tree::{Depth, Evicted, LastListing, Referred, TreePart};

/// Listings of one directory in a row that a refresh waits for where others take them over.
const MOST_TAKEN_OVER: usize = 8;

/// Entries that are looked at together for whether the kernel refers to them.
const SHED_AT_ONCE: usize = 4096;

/// Entries of a page, about.
const PAGE: usize = 1000;

impl Names {
    /// Does what [`crate::fs::Fs::refresh`] says.
    pub(in crate::fs) async fn refresh(self: Arc<Self>, ino: Ino, depth: Depth) -> Tried<()> {
        let since = Since::asked(self.clock.elapsed());
        let task = loop {
            let behind = {
                let mut state = self.state.lock();
                state.tree.view(ino, self.clock.elapsed()).ok_or(Failure::ESTALE)?;
                let prefix = state.tree.prefix(ino).ok_or(Failure::ENOTDIR)?;
                match state.too_early(&prefix, depth, &since) {
                    Some(behind) => behind,
                    None => break self.begin(&mut state, ino, depth, Purpose::Refresh).ok_or(Failure::ENOTDIR)?,
                }
            };
            // How that ends is the affair of those who want it.
            let _ = behind.over().await;
        };
        match task.end().await {
            // Nothing is kept of it that could be too old.
            Err(failure) if failure == Failure::TOO_LARGE && depth == Depth::Directory => {}
            ended => ended?,
        }
        self.refresh_left_out(ino, depth, &since).await?;
        self.kernel_forgets_absent().await;
        Ok(())
    }

    /// Lists the directories that a refresh did not bring up to date, because another listing that began meanwhile has
    /// taken them over and is not over yet, or has failed.
    async fn refresh_left_out(self: &Arc<Self>, ino: Ino, depth: Depth, since: &Since) -> Tried<()> {
        let mut part = Some(TreePart::default());
        while let Some(here) = part {
            let (left_out, next) = self.state.lock().tree.listed_before(ino, depth, since.moment, here);
            for directory in left_out {
                self.list_since(directory, since).await?;
            }
            part = next;
        }
        Ok(())
    }

    /// Waits until a directory is known as of a moment or later, or is gone.
    pub(super) async fn list_since(self: &Arc<Self>, directory: Ino, since: &Since) -> Tried<()> {
        for _ in 0..MOST_TAKEN_OVER {
            let joined = {
                let mut state = self.state.lock();
                let listed = state.tree.last_listing(directory);
                if listed.is_some_and(|listed| listed.at >= since.moment) {
                    return Ok(());
                }
                let Some(joined) = self.listing(&mut state, directory, since) else { return Ok(()) };
                joined
            };
            match joined.over().await {
                // Nothing is kept of it that could be too old.
                Err(failure) if failure == Failure::TOO_LARGE => return Ok(()),
                ended => ended?,
            }
        }
        let why = "a directory cannot be refreshed: other listings of it keep starting";
        tracing::error!(ino = directory.0, "{why}");
        Err(Failure::failed(why))
    }

    /// Begins what goes on for as long as the file system lives.
    pub(in crate::fs) fn start(self: &Arc<Self>) {
        if self.options.listing == ListingMode::Eager {
            self.begin(&mut self.state.lock(), Ino::ROOT, Depth::Subtree, Purpose::Everything);
        }
        self.runtime.spawn(keep_up(Arc::downgrade(self), self.wake.clone()));
    }

    /// How often it is looked at what must be done.
    fn period(&self) -> Duration {
        let least = ms(self.tuning.least_period_ms);
        let most = ms(self.tuning.most_period_ms).max(least);
        match self.ttl.get() {
            Ttl::For(ttl) => (ttl / 16).clamp(least, most),
            Ttl::EachOpen | Ttl::Indefinite => most,
        }
    }

    /// A directory is opened: that may be a reason to list it again later.
    pub(super) fn count_open(&self, state: &mut State, directory: Ino) {
        state.uses.used();
        if self.shows_interest(state, directory) {
            state.uses.opened(directory);
        }
    }

    /// A name in a directory is looked up, or the file opened.
    pub(super) fn count_name(&self, state: &mut State, directory: Ino) {
        state.uses.used();
        if self.shows_interest(state, directory) {
            state.uses.name(directory);
        }
    }

    /// Whether the program that uses a directory now comes back to a listing that is not new any more.
    fn shows_interest(&self, state: &State, directory: Ino) -> bool {
        let Ttl::For(ttl) = self.ttl.get() else { return false };
        let age = |last: LastListing| self.clock.elapsed().saturating_sub(last.at);
        state.tree.last_listing(directory).map(age).is_some_and(|age| age >= ttl / 4 && age < ttl)
    }

    /// Whether the tree takes more memory than it may.
    pub(super) fn is_over_budget(&self) -> bool {
        self.bytes() > self.options.metadata_bytes
    }

    /// How long the background may sleep before it must look; `None` where nothing can become due by time alone.
    fn pause(&self) -> Option<Duration> {
        let period = self.period();
        let state = self.state.lock();
        let is_over_budget = state.tree.bytes() as u64 > self.options.metadata_bytes;
        let may_be_due = match (self.ttl.get(), self.options.listing) {
            (Ttl::For(_), ListingMode::Eager) => state.uses.any,
            (Ttl::For(_), _) => !state.uses.directories.is_empty(),
            (Ttl::EachOpen | Ttl::Indefinite, _) => false,
        };
        (may_be_due || is_over_budget).then_some(period)
    }

    /// Forgets what was not used for longest and is not in use, where the tree takes too much memory: a little more
    /// than it must, so that there is some peace afterwards.
    pub(super) async fn evict(&self) {
        if !self.is_over_budget() {
            return;
        }
        let goal = self.options.metadata_bytes - self.options.metadata_bytes / 8;
        let goal = usize::try_from(goal).unwrap_or(usize::MAX);
        let evicted = loop {
            let evicted = {
                let mut state = self.state.lock();
                let evicted = state.tree.evict(goal);
                self.count_entries(&mut state);
                evicted
            };
            match evicted {
                Evicted::More => tokio::task::yield_now().await,
                Evicted::Enough | Evicted::InUse => break evicted,
            }
        };
        tracing::debug!(?evicted, "names and attributes exceeded metadata-memory");
    }

    /// Asks the kernel to forget files, where they alone keep the tree from fitting: what it does not use any more it
    /// remembers without end while the machine has memory. Those that are open it could only forget the names of. What
    /// this has come to: whether there may be more to ask for at once.
    pub(super) fn shed(&self) -> bool {
        let Some(notifier) = self.notifier.read().clone() else { return false };
        let referred = {
            let mut state = self.state.lock();
            if state.tree.bytes() as u64 <= self.options.metadata_bytes {
                return false;
            }
            state.tree.referred_files(SHED_AT_ONCE)
        };
        let Some(referred) = referred else { return false };
        let open = self.open_inodes.get().map(|open_inodes| open_inodes()).unwrap_or_default();
        for Referred { ino, directory, name } in referred {
            if !open.contains(&ino) {
                notifier.invalidate_entry(directory, &name);
            }
        }
        true
    }

    /// Begins to list again what is in use and will be too old soon.
    pub(super) fn renew(self: &Arc<Self>) {
        let Ttl::For(ttl) = self.ttl.get() else { return };
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if self.options.listing == ListingMode::Eager {
            return self.renew_everything(state, ttl);
        }
        let busy = state.tasks.values().filter(|task| task.purpose == Purpose::Upkeep).count();
        let now = self.clock.elapsed();
        let age = |ino| match state.tree.last_listing(ino) {
            // It is being listed, or that listing is about to end.
            _ if state.tasks.contains_key(&ino) => Age::Young,
            Some(last) => age(now.saturating_sub(last.at), ttl, last.entries),
            // It may be on its way.
            None if !state.wide.is_empty() => Age::Young,
            None => Age::Over,
        };
        let at_once = usize::try_from(self.tuning.renewals_at_once).unwrap_or(usize::MAX);
        for ino in state.uses.due(at_once.saturating_sub(busy), age) {
            self.begin(state, ino, Depth::Directory, Purpose::Upkeep);
        }
    }

    fn renew_everything(self: &Arc<Self>, state: &mut State, ttl: Duration) {
        // A refresh of the whole mount brings the same, and would have to begin again.
        let brings =
            |task: &ListTask| matches!(task.purpose, Purpose::Everything | Purpose::Refresh) && task.covers("");
        let listing = state.wide.iter().any(|task| brings(task));
        let old = state.everything_at.is_some_and(|at| self.clock.elapsed().saturating_sub(at) >= ripe(ttl));
        if !listing && old && state.uses.take_any() {
            self.begin(state, Ino::ROOT, Depth::Subtree, Purpose::Everything);
        }
    }
}

/// When a listing is made again.
fn ripe(ttl: Duration) -> Duration {
    ttl / 4 * 3
}

fn age(age: Duration, ttl: Duration, entries: usize) -> Age {
    match () {
        () if age >= ttl => Age::Over,
        () if age >= ripe(ttl) => Age::Old { pages: entries / PAGE + 1 },
        () => Age::Young,
    }
}

/// Holds the names only while there is something to do, so that it can go. Sleeps until it is woken where nothing
/// was used lately.
async fn keep_up(names: Weak<Names>, wake: Arc<Notify>) {
    loop {
        let Some(names) = names.upgrade() else { return };
        names.renew();
        names.evict().await;
        let pause = if names.shed() { Some(ms(names.tuning.least_period_ms)) } else { names.pause() };
        drop(names);
        match pause {
            // Woken or not: there may be something to do.
            Some(pause) => drop(tokio::time::timeout(pause, wake.notified()).await),
            None => wake.notified().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    #[test]
    fn ages() {
        for (seconds, entries, expected) in [
            (0, 0, Age::Young),
            (44, 0, Age::Young),
            (45, 0, Age::Old { pages: 1 }),
            (59, 2500, Age::Old { pages: 3 }),
            (60, 0, Age::Over),
        ] {
            assert_eq!(age(Duration::from_secs(seconds), TTL, entries), expected, "{seconds}");
        }
    }
}
