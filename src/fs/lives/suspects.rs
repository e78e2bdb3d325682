//! Requests that were in flight when the daemon died, and which of them may have killed it.
//!
//! The kernel sends again, to the next daemon, what the one before took and did not answer. A request that kills every
//! daemon that takes it would hold all the others for ever, so that the ledger counts the lives that each request sent
//! again has been under way in. The first time that it comes again it is served like any other. Of those that were
//! under way at two deaths each is a suspect: they are served one at a time, so that a third death names the guilty
//! one, which the next life answers with EIO. Requests that merely waited while daemons were killed lose one of
//! their number at most for each death from the third on.
//!
//! How the daemon died makes no difference. The kernel sends SIGKILL for want of memory, which a request may have
//! taken, and an operator sends it to a daemon that a request has made hang. Only a daemon that hands over has not
//! died: it clears everybody.
//!
//! The kernel asks twice or three times for pages of its cache: when read-ahead has failed, it reads the page that a
//! program waits for by another request, which no life has seen yet. So the range of a read that was refused is refused
//! to the same handle for a while; each of these repetitions would take three more deaths otherwise. A program that
//! opens the file again has another handle.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use super::ledger::{Ledger, Past, UnderWay};
use super::{Errno, Result};
use crate::base::ByteRange;

/// The note that says whether the last life handed over.
const HANDED_OVER: &str = "handed-over";

/// Deaths after which a request is a suspect.
const SUSPECT_AFTER: u32 = 2;

/// How long a suspect is served alone, the first time; twice as long each time that its life dies later than that. One
/// that takes longer is served on beside the next, so that innocent ones that wait for a slow service do not wait for
/// each other as well.
const ALONE: Duration = Duration::from_secs(5);

/// More than any request takes.
const ALONE_AT_MOST: Duration = Duration::from_secs(600);

/// How long a range is refused to the handle that a guilty read came by. The kernel repeats itself within milliseconds.
const REPEATED_WITHIN: Duration = Duration::from_secs(10);

/// The requests of one mount that were sent again.
#[derive(Debug, Default)]
pub struct Suspects {
    ledger: OnceLock<Arc<Ledger>>,
    /// Whether the daemon before died, and did not hand over.
    died: AtomicBool,
    /// What earlier lives have written down, by request.
    past: Mutex<HashMap<u64, UnderWay>>,
    /// Held for the one that is served alone.
    alone: Arc<tokio::sync::Mutex<()>>,
    /// Reads that were refused lately, and whether there are any.
    refused: Mutex<Vec<Extent>>,
    has_refused: AtomicBool,
}

/// What a request reads, and by which handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// The number of the open file.
    pub handle: u64,
    /// The bytes that it asks for.
    pub range: ByteRange,
}

impl Extent {
    fn overlaps(self, other: Extent) -> bool {
        let (own, others) = (self.range, other.range);
        self.handle == other.handle && own.start < others.end && others.start < own.end
    }
}

/// What earlier lives say of a request that is sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    /// Nothing that speaks against it.
    Clear,
    /// It was under way at several deaths, and so were others.
    Suspect,
    /// The last of these deaths came while no other suspect was served.
    Guilty,
}

impl UnderWay {
    fn standing(self) -> Standing {
        match self {
            UnderWay { lives, is_alone: true } if lives > SUSPECT_AFTER => Standing::Guilty,
            UnderWay { lives, .. } if lives >= SUSPECT_AFTER => Standing::Suspect,
            _ => Standing::Clear,
        }
    }

    /// How long it is served alone in the next life.
    fn alone_for(self) -> Duration {
        let doublings = self.lives.saturating_sub(SUSPECT_AFTER);
        ALONE.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(ALONE_AT_MOST)
    }
}

impl Suspects {
    /// Goes on from what the lives before have left. Once, before the first request.
    pub(super) fn begin(&self, ledger: Arc<Ledger>, past: &Past) {
        if past.note(HANDED_OVER) == Some("yes") {
            past.under_way.keys().for_each(|&request| ledger.answered(request));
            ledger.note(HANDED_OVER, "no");
        } else {
            self.died.store(true, Ordering::Relaxed);
            self.past.lock().clone_from(&past.under_way);
        }
        // It is set once.
        let _ = self.ledger.set(ledger);
    }

    /// Takes a request that the kernel has sent again. What is returned must live until it is answered.
    pub fn take(self: &Arc<Self>, request: u64) -> Taken {
        let before = self.past.lock().remove(&request);
        // It has no record the first time that it comes again, also where a life between did not come to read it.
        let before = before.unwrap_or(UnderWay { lives: self.died.load(Ordering::Relaxed).into(), is_alone: false });
        let taken = Taken { suspects: self.clone(), request, before, turn: None };
        if before.standing() == Standing::Clear {
            taken.note(Company::Others);
        }
        taken
    }

    /// Refuses for a while what the kernel may ask for by another request, since it did not get it by a guilty one.
    /// Must be called in a Tokio runtime.
    pub fn refuse_repeats(self: &Arc<Self>, read: Extent) {
        self.refused.lock().push(read);
        self.has_refused.store(true, Ordering::Release);
        let suspects = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(REPEATED_WITHIN).await;
            let mut refused = suspects.refused.lock();
            if let Some(at) = refused.iter().position(|other| *other == read) {
                refused.swap_remove(at);
            }
            suspects.has_refused.store(!refused.is_empty(), Ordering::Release);
        });
    }

    /// Whether a read repeats one that was refused lately.
    pub fn is_repeated(&self, read: Extent) -> bool {
        self.has_refused.load(Ordering::Acquire) && self.refused.lock().iter().any(|refused| refused.overlaps(read))
    }
}

/// Whether other suspects are served beside a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Company {
    Others,
    Alone,
}

/// A request that is sent again, until it is answered.
#[derive(Debug)]
pub struct Taken {
    suspects: Arc<Suspects>,
    request: u64,
    before: UnderWay,
    /// While it is served alone.
    turn: Option<OwnedMutexGuard<()>>,
}

impl Taken {
    /// How many daemons died while it was under way, where it is known to have killed the last one: it must be refused.
    pub fn guilty_of(&self) -> Option<u32> {
        (self.before.standing() == Standing::Guilty).then_some(self.before.lives)
    }

    /// Waits, if it is a suspect, until no other one is served.
    pub async fn wait(&mut self) {
        if self.before.standing() == Standing::Suspect {
            self.turn = Some(self.suspects.alone.clone().lock_owned().await);
            self.note(Company::Alone);
        }
    }

    /// The operation, for which others wait no longer than it takes to see that it does not kill.
    pub async fn serve<T>(&mut self, operation: impl Future<Output = Result<T>>) -> Result<T> {
        if self.guilty_of().is_some() {
            return Err(Errno::EIO);
        }
        let mut operation = pin!(operation);
        if self.turn.is_some() {
            if let Ok(result) = tokio::time::timeout(self.before.alone_for(), operation.as_mut()).await {
                return result;
            }
            self.note(Company::Others);
            self.turn = None;
        }
        operation.await
    }

    fn note(&self, company: Company) {
        if let Some(ledger) = self.suspects.ledger.get() {
            let now = UnderWay { lives: self.before.lives.saturating_add(1), is_alone: company == Company::Alone };
            ledger.under_way(self.request, now);
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(ledger) = self.suspects.ledger.get() {
            ledger.answered(self.request);
        }
    }
}

impl Ledger {
    /// The life that writes this ends because it wants to: no request is to blame.
    pub fn hands_over(&self) {
        self.note(HANDED_OVER, "yes");
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    /// A daemon: it dies when it is dropped with what it has taken.
    struct Life {
        ledger: Arc<Ledger>,
        suspects: Arc<Suspects>,
        /// Never dropped: a process that is killed says nothing.
        taken: Vec<std::mem::ManuallyDrop<Taken>>,
    }

    impl Life {
        fn after(ledger: &Ledger) -> Life {
            let (ledger, past) = Ledger::open(ledger.as_fd().try_clone_to_owned().unwrap()).unwrap();
            let (ledger, suspects) = (Arc::new(ledger), Arc::new(Suspects::default()));
            suspects.begin(ledger.clone(), &past);
            Life { ledger, suspects, taken: Vec::new() }
        }

        fn next(&self) -> Life {
            Life::after(&self.ledger)
        }

        /// Takes a request, and serves it as far as it comes without waiting; says whether it is refused.
        async fn takes(&mut self, request: u64) -> bool {
            let mut taken = self.suspects.take(request);
            let serving = async {
                taken.wait().await;
                taken.serve(std::future::pending::<Result<()>>()).await
            };
            let refused = futures::poll!(pin!(serving)).is_ready();
            self.taken.push(std::mem::ManuallyDrop::new(taken));
            refused
        }
    }

    #[tokio::test]
    async fn of_all_that_were_under_way_the_third_death_names_one() {
        let ledger = Ledger::create().unwrap();
        let mut second = Life::after(&ledger);
        for request in [10, 12, 14] {
            assert!(!second.takes(request).await);
        }
        let mut third = second.next();
        for request in [12, 10, 14] {
            assert!(!third.takes(request).await);
        }
        let mut fourth = third.next();
        let mut refused = Vec::new();
        for request in [10, 12, 14, 16] {
            if fourth.takes(request).await {
                refused.push(request);
            }
        }
        assert_eq!(refused, [12], "the one that was served alone");
        assert_eq!(fourth.taken[1].guilty_of(), Some(3));
    }

    #[tokio::test]
    async fn what_is_answered_begins_from_nothing() {
        let ledger = Ledger::create().unwrap();
        let mut life = Life::after(&ledger);
        for _ in 0..5 {
            assert!(!life.takes(10).await);
            drop(std::mem::ManuallyDrop::into_inner(life.taken.pop().unwrap()));
            life = life.next();
        }
        assert!(Ledger::open(ledger.as_fd().try_clone_to_owned().unwrap()).unwrap().1.under_way.is_empty());
    }

    #[tokio::test]
    async fn a_hand_over_is_no_death_and_clears_those_under_way() {
        let ledger = Ledger::create().unwrap();
        let mut life = Life::after(&ledger);
        for _ in 0..6 {
            assert!(!life.takes(10).await);
            life.ledger.hands_over();
            life = life.next();
        }
        let mut refused = Vec::new();
        for _ in 0..4 {
            refused.push(life.takes(10).await);
            life = life.next();
        }
        assert_eq!(refused, [false, false, false, true], "three deaths since");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_refused_is_refused_to_the_same_handle_for_a_while() {
        let suspects = Arc::new(Suspects::default());
        let read = |handle, start, end| Extent { handle, range: ByteRange::new(start, end) };
        let is_refused = |read| suspects.is_repeated(read);
        assert!(!is_refused(read(1, 4096, 8192)));
        suspects.refuse_repeats(read(1, 4096, 16384));
        suspects.refuse_repeats(read(1, 4096, 16384));
        assert!(is_refused(read(1, 8192, 12288)) && is_refused(read(1, 0, 4097)));
        assert!(!is_refused(read(1, 0, 4096)) && !is_refused(read(1, 16384, 16385)), "beside it");
        assert!(!is_refused(read(2, 4096, 16384)), "another handle");
        tokio::time::sleep(REPEATED_WITHIN * 2).await;
        assert!(!is_refused(read(1, 4096, 16384)));
        assert!(suspects.refused.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_kill_soon_lets_the_next_suspect_on_and_is_not_blamed_for_it() {
        let ledger = Ledger::create().unwrap();
        let mut life = Life::after(&ledger);
        for request in [10, 12] {
            assert!(!life.takes(request).await);
        }
        let life = life.next();
        let (mut slow, mut next) = (life.suspects.take(10), life.suspects.take(12));
        slow.wait().await;
        let mut waits = Box::pin(next.wait());
        assert!(futures::poll!(waits.as_mut()).is_pending());
        let mut served = Box::pin(slow.serve(std::future::pending::<Result<()>>()));
        tokio::select! {
            _ = served.as_mut() => unreachable!("it never ends"),
            () = waits.as_mut() => {}
        }
        let mut life = life.next();
        assert!(!life.takes(10).await, "it was served beside the other");
        assert!(life.takes(12).await);
        assert_eq!(life.taken[0].before.alone_for(), 2 * ALONE, "its next turn is longer");
    }
}
