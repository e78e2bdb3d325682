//! Looking a name up: from the tree where that settles it, else by the directory's listing, by asking for the name
//! alone, or by both at once, whichever answers first.
//!
//! Asking costs two requests, which the first page of a listing mostly makes needless; but it answers sooner than a
//! full page does, and for a name in a huge directory long before the listing has come to it. So a listing that has
//! just begun gets a head start (`head_start`). Of many names that are looked up at once in a
//! directory that is being listed only a few are asked for; the others wait for their turn or for their page.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, Either, select};
use futures::{FutureExt, pin_mut};
use tokio::sync::Semaphore;

use super::probe::Question;
use super::task::{Behind, Joined, PageSignals, Progress, Since};
use super::{Entry, Errno, Failure, Names, Shape, State, Tried, Ttl, ms, report};
use crate::base::{Ino, Key};
use crate::metrics::Metric;
use crate::store::{ErrorKind, HeadRequest};
use crate::tree::{Lookup, Pin, View, split_version};

/// How long one way may be waited for once the other has failed, counted from the beginning.
const LONGEST: Duration = Duration::from_secs(60);

/// After that both have had the same time, and only the last tries are left.
const LAST_MOMENT: Duration = Duration::from_secs(5);

/// How often one look-up lists its directory, or asks for its name alone, where what has come is not known any more by
/// the time it is looked at.
const MOST_LISTINGS: u32 = 16;
const MOST_QUESTIONS: u32 = 3;

/// What one look at the tree has brought.
enum Look {
    Settled(Entry),
    /// The target of a symlink object must be looked at.
    Resolve(Ino),
    Ask {
        question: Option<Question>,
        listing: Option<Waiting>,
    },
    /// Only a listing can tell, and one is going on that began too early.
    Behind(Behind),
}

/// A listing that may answer.
struct Waiting {
    signals: PageSignals,
    /// Turns for questions beside it.
    turns: Arc<Semaphore>,
}

/// What is known of a directory stays for as long as a look-up in it waits: where memory is full, its answer would else
/// be forgotten before it is looked at. Must not be dropped under the lock.
struct Pinned {
    names: Arc<Names>,
    pin: Option<Pin>,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some(pin) = self.pin.take() {
            self.names.state.lock().tree.unpin(pin);
        }
    }
}

/// What one look-up has tried, which bounds the number of its requests.
#[derive(Default)]
struct Tries {
    /// The turns of the last listing, which tell it from others.
    listing: Option<Arc<Semaphore>>,
    listings: u32,
    questions: u32,
}

impl Tries {
    fn question(&mut self) -> bool {
        self.questions += 1;
        self.questions <= MOST_QUESTIONS
    }

    /// One more page of the same listing is no other try.
    fn listing(&mut self, turns: &Arc<Semaphore>) -> bool {
        if self.listing.as_ref().is_none_or(|last| !Arc::ptr_eq(last, turns)) {
            self.listing = Some(turns.clone());
            self.listings += 1;
        }
        self.listings <= MOST_LISTINGS
    }
}

/// The caller of a look-up.
#[derive(Clone, Copy)]
struct Looking {
    since: Duration,
    /// When it was said to be missing before.
    told: Option<Duration>,
}

/// Where the question for one name alone stands.
enum Asking {
    NotYet,
    Now(BoxFuture<'static, Tried<bool>>),
    /// The same, for so long that the directory is listed beside it.
    Late(BoxFuture<'static, Tried<bool>>),
    /// It was answered, and the tree knows; or it failed, and the listing decides.
    Done,
}

impl Names {
    /// Does what [`crate::fs::Fs::lookup`] says.
    pub(in crate::fs) async fn lookup(self: Arc<Self>, parent: Ino, name: Vec<u8>) -> Tried<Entry> {
        self.metrics.add(Metric::Lookups, 1);
        match name.as_slice() {
            b"." => return self.by_number(parent).await,
            b".." => {
                let above = self.state.lock().tree.parent(parent).ok_or(Failure::ESTALE)?;
                return self.by_number(above).await;
            }
            _ => {}
        }
        let since = self.clock.elapsed();
        self.failures.check(parent, &name, since)?;
        let told = self.told_absent(parent, &name);
        let entry = self.clone().looked_up(parent, &name, Looking { since, told }).await;
        self.failures.note(parent, &name, &entry, since, self.clock.elapsed());
        match entry? {
            Entry::Missing(ttl) => match std::str::from_utf8(&name).ok().and_then(split_version) {
                Some((plain, version)) => self.version(parent, &name, plain, version, ttl).await,
                None => Ok(self.absent(parent, name, ttl, told)),
            },
            found @ Entry::Found(_) => Ok(found),
        }
    }

    /// An entry by its number: no program looks up `.` or `..`, but the kernel does for a handle whose inode it has
    /// forgotten (`open_by_handle_at`, NFS). ESTALE where the tree has forgotten it too, and no
    /// directory from an earlier life has it.
    async fn by_number(self: &Arc<Self>, ino: Ino) -> Tried<Entry> {
        let view = match self.view(ino) {
            Some(view) => view,
            None => self.find_again(ino).await?,
        };
        // A symlink object may get another number by that.
        if view.shape == Shape::Unresolved && self.resolve(ino).await?.ino != ino {
            return Err(Failure::ESTALE);
        }
        let mut state = self.state.lock();
        let view = state.tree.view(ino, self.clock.elapsed()).ok_or(Failure::ESTALE)?;
        // A server that keeps the number asks the next daemon for it as well, also where the kernel has forgotten the
        // directory.
        if let Some(directory) = state.tree.parent(ino) {
            self.write_directories(&state, &[directory]);
        }
        Ok(self.take(&mut state, &view))
    }

    /// When a name was said to be missing, if it was lately.
    fn told_absent(&self, parent: Ino, name: &[u8]) -> Option<Duration> {
        let mut absent = self.absent.lock();
        (!absent.is_empty()).then(|| absent.get(&(parent, name.to_vec())).copied())?
    }

    /// Remembers what the kernel is about to remember, so that it can be told when it is no longer so, and so that it
    /// is noticed when a program waits for the name to appear. From when on is what was `told` before, unless the store
    /// was asked since.
    fn absent(&self, parent: Ino, name: Vec<u8>, ttl: Duration, told: Option<Duration>) -> Entry {
        let now = self.clock.elapsed();
        let asked = self.state.lock().tree.known_at_name(parent, &name);
        let at = told.filter(|&told| asked.is_none_or(|asked| asked <= told)).unwrap_or(now);
        self.absent.lock().put((parent, name), at);
        Entry::Missing(ttl)
    }

    async fn looked_up(self: Arc<Self>, parent: Ino, name: &[u8], looking: Looking) -> Tried<Entry> {
        let since = looking.since;
        let mut asking = Asking::NotYet;
        let mut has_waited = false;
        let mut tries = Tries::default();
        let mut pinned = Pinned { names: self.clone(), pin: None };
        loop {
            let look = self.look(parent, name, looking, &asking, &mut pinned.pin)?;
            let (question, waiting) = match look {
                Look::Settled(entry) => {
                    self.metrics.add(Metric::LookupsKnown, u64::from(!has_waited));
                    return Ok(entry);
                }
                Look::Resolve(ino) => match self.resolve(ino).await {
                    Ok(view) => {
                        let mut state = self.state.lock();
                        state.tree.view(view.ino, since).ok_or(Failure::ESTALE)?;
                        return Ok(self.take(&mut state, &view));
                    }
                    Err(Failure { errno: Errno::ENOENT, .. }) => return Ok(Entry::Missing(Duration::ZERO)),
                    Err(error) => return Err(error),
                },
                Look::Behind(behind) => {
                    has_waited = true;
                    behind.over().await?;
                    continue;
                }
                Look::Ask { question, listing } => (question, listing),
            };
            // An answer of which nothing is known any more is asked for again where no listing decides instead.
            let asks = matches!(asking, Asking::NotYet) || (matches!(asking, Asking::Done) && waiting.is_none());
            let mut may_go_on = waiting.as_ref().is_none_or(|waiting| tries.listing(&waiting.turns));
            if let Some(question) = question.filter(|_| asks) {
                may_go_on &= tries.question();
                asking = Asking::Now(self.clone().ask_in_turn(parent, question, waiting.as_ref()).boxed());
            }
            if !may_go_on {
                let why = "a name cannot be looked up: the store's answers contradict each other, or are evicted \
                           before they are used";
                tracing::error!(parent = parent.0, name = %name.escape_ascii(), "{why}");
                return Err(Failure::failed(why));
            }
            has_waited = true;
            let left = LONGEST.saturating_sub(self.clock.elapsed().saturating_sub(since)).max(LAST_MOMENT);
            let late = ms(self.tuning.late_question_ms);
            asking = wait(asking, waiting.map(|waiting| waiting.signals), late, left).await?;
        }
    }

    fn ask_in_turn(
        self: Arc<Self>,
        parent: Ino,
        question: Question,
        waiting: Option<&Waiting>,
    ) -> impl Future<Output = Tried<bool>> + use<> {
        let begun = waiting.is_some_and(|waiting| waiting.signals.progress().pages == 0);
        let turns = waiting.map(|waiting| waiting.turns.clone());
        let head_start = self.head_start.length(&self.tuning);
        async move {
            if begun {
                tokio::time::sleep(head_start).await;
            }
            let _turn = match turns {
                Some(turns) => turns.acquire_owned().await.ok(),
                None => None,
            };
            self.ask(parent, question).await
        }
    }

    /// Looks at the tree; who must wait then has the directory pinned.
    fn look(
        self: &Arc<Self>,
        parent: Ino,
        name: &[u8],
        looking: Looking,
        asking: &Asking,
        pin: &mut Option<Pin>,
    ) -> Tried<Look> {
        let mut state = self.state.lock();
        let look = self.look_at(&mut state, parent, name, looking, asking)?;
        if pin.is_none() && !matches!(look, Look::Settled(_)) {
            *pin = state.tree.pin(parent);
        }
        Ok(look)
    }

    fn look_at(
        self: &Arc<Self>,
        state: &mut State,
        parent: Ino,
        name: &[u8],
        looking: Looking,
        asking: &Asking,
    ) -> Tried<Look> {
        let Looking { since, told } = looking;
        self.count_name(state, parent);
        match state.tree.lookup_again(parent, name, self.clock.elapsed(), since, told) {
            Lookup::Found(view) if view.shape == Shape::Unresolved => Ok(Look::Resolve(view.ino)),
            Lookup::Found(view) => Ok(Look::Settled(self.take(state, &view))),
            Lookup::Missing(ttl) => Ok(Look::Settled(self.missing(ttl))),
            Lookup::NotDirectory => Err(Failure::ENOTDIR),
            Lookup::Gone => Err(Failure::ESTALE),
            Lookup::TooLong => Err(Failure::ENAMETOOLONG),
            Lookup::Unknown { key } if state.is_too_large(parent, self.clock.elapsed()) => {
                let escaped = || state.tree.key_of_escaped(parent, name).map(|key| Question { key, both: true });
                let question = key.map(|key| Question { key, both: false }).or_else(escaped);
                match question {
                    // The name of a part directory, which only a listing could tell.
                    None => Err(Failure::TOO_LARGE),
                    question => Ok(Look::Ask { question, listing: None }),
                }
            }
            Lookup::Unknown { key } => {
                let question = key.map(|key| Question { key, both: false });
                let going_on = state.going_on(parent).is_some();
                let must_list = matches!(asking, Asking::Done | Asking::Late(_)) || question.is_none();
                // Where memory is full, the other names that a listing brings would not be kept.
                let is_full = state.tree.bytes() as u64 > self.options.metadata_bytes;
                if !must_list && !going_on && (is_full || !state.tree.worth_listing(parent, since)) {
                    return Ok(Look::Ask { question, listing: None });
                }
                let since = Since::new(since, self.believed_for());
                match self.listing(state, parent, &since).ok_or(Failure::ESTALE)? {
                    Joined::Task(task) => {
                        let waiting = Waiting { signals: state.signals(&task), turns: task.questions.clone() };
                        Ok(Look::Ask { question, listing: Some(waiting) })
                    }
                    Joined::Behind(behind) if matches!(asking, Asking::Done) || question.is_none() => {
                        Ok(Look::Behind(behind))
                    }
                    // What is asked for alone is answered sooner than that is over, and goes on only while it is waited
                    // for.
                    Joined::Behind(_) => Ok(Look::Ask { question, listing: None }),
                }
            }
        }
    }

    /// How long an answer of the store is believed by a look-up.
    fn believed_for(&self) -> Option<Duration> {
        super::believed(self.ttl.get(), Duration::ZERO, &self.tuning).fresh_for
    }

    /// The answer for an entry, and a reference for it.
    fn take(&self, state: &mut State, view: &View) -> Entry {
        state.tree.remember(view.ino, 1);
        if view.shape == Shape::Directory {
            self.write_directories(state, &[view.ino]);
        }
        Entry::Found(self.attr(view))
    }

    fn missing(&self, ttl: Option<Duration>) -> Entry {
        match self.ttl.get() {
            Ttl::EachOpen => Entry::Missing(Duration::ZERO),
            _ => Entry::Missing(ttl.unwrap_or(super::FOR_EVER)),
        }
    }

    /// `name?versionId=V` where there is no such key: that version of the object `name`.
    async fn version(
        self: Arc<Self>,
        parent: Ino,
        name: &[u8],
        plain: &str,
        version: &str,
        ttl: Duration,
    ) -> Tried<Entry> {
        let Ok(name) = std::str::from_utf8(name) else { return Ok(Entry::Missing(ttl)) };
        let (known, prefix) = {
            let mut state = self.state.lock();
            let known = state.tree.version(parent, name).and_then(|ino| state.tree.view(ino, self.clock.elapsed()));
            let known = known.map(|view| self.take(&mut state, &view));
            (known, state.tree.prefix(parent))
        };
        if let Some(entry) = known {
            return Ok(entry);
        }
        let key = Key::new(prefix.ok_or(Failure::ESTALE)? + plain);
        let request = HeadRequest { key, version: Some(version.to_owned()) };
        let meta = match self.store.head(request).await {
            Ok(meta) => meta,
            // A version id that cannot be one is refused rather than not found.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Invalid) => {
                return Ok(Entry::Missing(ttl));
            }
            Err(error) => return Err(report("looking up a version", &error)),
        };
        let mut state = self.state.lock();
        let ino = state.tree.add_version(parent, name, version, &super::probe::facts(&meta)).ok_or(Failure::ESTALE)?;
        let view = state.tree.view(ino, self.clock.elapsed()).ok_or(Failure::ESTALE)?;
        let entry = self.take(&mut state, &view);
        self.count_entries(&mut state);
        Ok(entry)
    }
}

/// Waits for the listing's next page or for the answer to the question, whichever comes first. Where one of them fails,
/// the other is waited for, but not for as long again.
async fn wait(asking: Asking, listing: Option<PageSignals>, late: Duration, left: Duration) -> Tried<Asking> {
    let watched = listing.clone();
    let page = async move {
        match listing {
            Some(mut signals) => Some(signals.next().await),
            None => None,
        }
    };
    let is_late = matches!(asking, Asking::Late(_));
    // Counted from here on: a listing that fails at the end has used up what the question had beside it.
    let over = tokio::time::sleep(left);
    match asking {
        Asking::Now(mut question) if watched.is_none() => match tokio::time::timeout(late, &mut question).await {
            Ok(answer) => answer.map(|_| Asking::Done),
            Err(_) => Ok(Asking::Late(question)),
        },
        Asking::Now(question) | Asking::Late(question) => {
            pin_mut!(page);
            // The page first: it may settle what would else be asked for in vain.
            match select(page, question).await {
                Either::Right((Ok(_), _)) => Ok(Asking::Done),
                // A listing that brings pages does not fail as the question did, and decides.
                Either::Right((Err(_), _)) if watched.as_ref().is_some_and(|signals| signals.progress().pages > 0) => {
                    Ok(Asking::Done)
                }
                Either::Right((Err(error), _)) => Err(error),
                Either::Left((Some(Progress { ended: Some(Err(error)), .. }), question)) => {
                    // The question alone decides now.
                    pin_mut!(over);
                    match select(question, over).await {
                        Either::Left((answer, _)) => answer.map(|_| Asking::Done),
                        Either::Right(((), _)) => Err(error),
                    }
                }
                Either::Left((None, question)) => question.await.map(|_| Asking::Done),
                Either::Left((Some(_), question)) if is_late => Ok(Asking::Late(question)),
                Either::Left((Some(_), question)) => Ok(Asking::Now(question)),
            }
        }
        asking => match page.await.and_then(|progress| progress.ended) {
            // The listing decides nothing: the name is asked for alone.
            Some(Err(failure)) if failure == Failure::TOO_LARGE => Ok(Asking::NotYet),
            Some(Err(error)) => Err(error),
            _ => Ok(asking),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_up_comes_to_an_end_and_pages_of_one_listing_are_one_try() {
        let mut tries = Tries::default();
        let first: Arc<Semaphore> = Arc::new(Semaphore::new(1));
        assert!((0..1000).all(|_| tries.listing(&first)));
        let others: Vec<_> = (1..MOST_LISTINGS).map(|_| Arc::new(Semaphore::new(1))).collect();
        assert!(others.iter().all(|other| tries.listing(other)));
        assert!(!tries.listing(&first), "whatever is listed now is one listing more");
        let asked = (0..10).take_while(|_| tries.question()).count();
        assert_eq!(asked, MOST_QUESTIONS as usize);
    }
}
