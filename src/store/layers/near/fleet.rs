//! The members of a fleet: who they are, how each stands, and how one is asked.
//!
//! Members that a name stands for are asked for again, beside the requests, when what is known is older than
//! [`ASK_AGAIN`]; a name that cannot be resolved just then keeps its members.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

use super::options::{NearMember, NearSource};
use super::route::{self, Block};
use super::standing::{Admission, MemberStanding, Turn};
use crate::base::Clock;
use crate::metrics::{Metric, Metrics};
use crate::store::{Error, ErrorKind, GetRequest, GetResponse, Result, Store};

/// How long the members of a name are believed.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// How long a name waits that could not be resolved.
const FAILED_ASK_AGAIN: Duration = Duration::from_secs(2);
/// How long the first requests wait for the members of a name.
const FIRST_ASK: Duration = Duration::from_secs(2);
/// A request that is not answered after so many times the patience has failed, also where its member answers others.
const MOST_PATIENCE: u32 = 15;

/// After a member that sends did not accept a connection, another one is asked for so much later.
const CONNECT_AGAIN: Duration = Duration::from_millis(50);

/// Finds the addresses of a name.
pub(in crate::store) type Resolve =
    dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// Makes what asks a member; the address is known where a name stands for several.
pub(in crate::store) type MakeDoor = dyn Fn(&NearMember, Option<SocketAddr>) -> Result<Door> + Send + Sync;

/// Finds out whether a member answers at all.
pub(in crate::store) type Ping = dyn Fn() -> BoxFuture<'static, bool> + Send + Sync;

/// What asks a member.
pub(in crate::store) struct Door {
    /// Asks it for bytes.
    pub(in crate::store) store: Arc<dyn Store>,
    /// Asks it for a sign of life, where it gives one: a member that waits for the bucket, or for what another node has
    /// it fetch, sends nothing for a while and has not failed.
    pub(in crate::store) ping: Option<Box<Ping>>,
}

/// The members of a fleet.
pub(super) struct Fleet {
    source: NearSource,
    make: Box<MakeDoor>,
    lookup: Box<Resolve>,
    patience: Duration,
    clock: Clock,
    metrics: Arc<Metrics>,

    known: Mutex<Roster>,
    /// The members were asked for once, and since when that is wanted.
    first: OnceCell<()>,
    first_asked_at: OnceLock<Duration>,
    /// Whether the log has it that the members cannot be found.
    is_lost: AtomicBool,
    is_resting: AtomicBool,
    counted: Mutex<Counted>,
}

/// What a fleet adds to the gauges, which it shares with those of the other buckets of a mount.
#[derive(Clone, Copy, Default)]
struct Counted {
    up: u64,
    out: u64,
}

#[derive(Default)]
struct Roster {
    members: Arc<Members>,
    /// When the members are to be asked for again.
    old_at: Duration,
    /// Whether they never change.
    is_final: bool,
}

/// The members at one time.
#[derive(Default)]
pub(super) struct Members {
    all: Vec<Arc<Member>>,
    seeds: Vec<u64>,
}

/// One member of a fleet.
pub(super) struct Member {
    /// What it is called: all nodes must call it the same.
    pub(super) name: String,
    door: Door,
    standing: Mutex<MemberStanding>,
    /// When it last sent anything, in milliseconds on the clock; 0 where it never has.
    heard_ms: AtomicU64,
}

/// A member that may be asked, and whether this shows that it is back. Counts as not asked when it is dropped unused.
pub(super) struct Turned {
    pub(super) member: Arc<Member>,
    is_probe: bool,
}

impl Drop for Turned {
    fn drop(&mut self) {
        if self.is_probe {
            self.member.standing.lock().give_up();
        }
    }
}

impl Fleet {
    pub(super) fn new(
        source: NearSource,
        make: Box<MakeDoor>,
        lookup: Box<Resolve>,
        patience: Duration,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Arc<Fleet> {
        Arc::new(Fleet {
            source,
            make,
            lookup,
            patience,
            clock,
            metrics,
            known: Mutex::default(),
            first: OnceCell::new(),
            first_asked_at: OnceLock::new(),
            is_lost: AtomicBool::new(false),
            is_resting: AtomicBool::new(false),
            counted: Mutex::default(),
        })
    }

    /// The members as they are known; there are none where they cannot be found out.
    pub(super) async fn members(self: &Arc<Self>) -> Arc<Members> {
        let now = self.clock.elapsed();
        let waited = now.saturating_sub(*self.first_asked_at.get_or_init(|| now));
        if !self.first.initialized() && waited < FIRST_ASK {
            // Many may ask at first, and wait for the same answer.
            let _ = timeout(FIRST_ASK - waited, self.first.get_or_init(|| self.list())).await;
            return self.known.lock().members.clone();
        }
        let (members, is_old) = {
            let mut known = self.known.lock();
            let is_old = !known.is_final && now >= known.old_at;
            if is_old {
                known.old_at = now + ASK_AGAIN;
            }
            (known.members.clone(), is_old)
        };
        if is_old {
            let fleet = self.clone();
            tokio::spawn(async move { fleet.list().await });
        }
        members
    }

    /// Finds out who the members are.
    async fn list(&self) {
        let found = match &self.source {
            NearSource::Members(members) => Ok(members.iter().map(|member| (member.clone(), None)).collect()),
            NearSource::Accelerator(endpoint) => {
                let authority = endpoint.clone().unwrap_or_else(|| "accelerator".to_owned());
                Ok(vec![(NearMember { tls: true, authority }, None)])
            }
            NearSource::Dns { tls, name, port } => (self.lookup)(name.clone(), *port).await.map(|found| {
                let member = |_: &SocketAddr| NearMember { tls: *tls, authority: format!("{name}:{port}") };
                found.iter().map(|address| (member(address), Some(*address))).collect::<Vec<_>>()
            }),
        };
        let now = self.clock.elapsed();
        match found {
            Ok(found) if !found.is_empty() => {
                self.is_lost.store(false, Ordering::Relaxed);
                self.learn(found, now);
            }
            found => {
                self.known.lock().old_at = now + FAILED_ASK_AGAIN;
                let error = found.err().map(|error| error.to_string());
                let near = &self.source;
                if !self.is_lost.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%near, error, "the near caches cannot be found; the last ones stay in use");
                }
            }
        }
    }

    fn learn(&self, mut found: Vec<(NearMember, Option<SocketAddr>)>, now: Duration) {
        let name = |(member, address): &(NearMember, Option<SocketAddr>)| {
            address.map_or_else(|| member.authority.clone(), |address| address.to_string())
        };
        // In the same order everywhere.
        found.sort_by_key(name);
        found.dedup_by_key(|one| name(one));
        let before = self.known.lock().members.clone();
        let mut all = Vec::with_capacity(found.len());
        for one in &found {
            let called = name(one);
            if let Some(member) = before.all.iter().find(|member| member.name == called) {
                all.push(member.clone());
                continue;
            }
            match (self.make)(&one.0, one.1) {
                Ok(door) => all.push(Arc::new(Member {
                    name: called,
                    door,
                    standing: Mutex::default(),
                    heard_ms: AtomicU64::new(0),
                })),
                Err(error) => tracing::warn!(member = called, %error, "a near cache cannot be used"),
            }
        }
        let seeds = all.iter().map(|member| route::seed(&member.name)).collect();
        let is_new = before.all.len() != all.len() || before.all.iter().zip(&all).any(|(a, b)| a.name != b.name);
        if is_new {
            tracing::info!(near = %self.source, members = all.len(), "near caches");
        }
        let mut known = self.known.lock();
        known.members = Arc::new(Members { all, seeds });
        known.old_at = now + ASK_AGAIN;
        known.is_final = !matches!(self.source, NearSource::Dns { .. });
        drop(known);
        self.count();
    }

    /// Whether so many members are out that the bucket is asked at once: a fleet that dies must not delay every
    /// request.
    pub(super) fn is_resting(&self) -> bool {
        self.is_resting.load(Ordering::Relaxed)
    }

    /// The owners of a slice that may be asked now, the first owner first.
    pub(super) fn owners(&self, members: &Members, block: &Block, slice: u64) -> [Option<Turned>; 2] {
        let now = self.clock.elapsed();
        block.owners(slice).map(|place| {
            let member = members.all.get(place?)?;
            match member.standing.lock().admit(now) {
                Admission::Out => None,
                Admission::In if self.is_resting() => None,
                Admission::In => Some(Turned { member: member.clone(), is_probe: false }),
                Admission::Probe => Some(Turned { member: member.clone(), is_probe: true }),
            }
        })
    }

    /// Asks a member. A failure is for the caller to judge.
    ///
    /// A member that sends is not gone where it does not accept one more connection in time: on a wire that is full,
    /// what asks for one is dropped as easily as all else, and TCP itself asks again after a second only.
    pub(super) async fn ask(&self, member: &Member, request: GetRequest) -> Result<GetResponse> {
        let began = self.clock.elapsed();
        loop {
            match self.ask_once(member, request.clone()).await {
                Err(error) if error.is_unanswered() && self.is_sending(member, began) => sleep(CONNECT_AGAIN).await,
                answer => return answer,
            }
        }
    }

    /// Whether a member has sent something within the patience, which is not over since `began`.
    fn is_sending(&self, member: &Member, began: Duration) -> bool {
        let now = self.clock.elapsed();
        now.saturating_sub(began) < self.patience && self.was_heard(member, now)
    }

    /// Whether a member has sent something within the patience.
    fn was_heard(&self, member: &Member, now: Duration) -> bool {
        let heard = Duration::from_millis(member.heard_ms.load(Ordering::Relaxed));
        !heard.is_zero() && now.saturating_sub(heard) < self.patience
    }

    async fn ask_once(&self, member: &Member, request: GetRequest) -> Result<GetResponse> {
        let began = self.clock.elapsed();
        let mut asking = member.door.store.get(request);
        loop {
            tokio::select! {
                biased;
                answer = &mut asking => return self.answered_with(member, answer),
                () = sleep(self.patience) => {}
            }
            let is_silent = self.is_silent(member, began);
            tokio::select! {
                biased;
                answer = &mut asking => return self.answered_with(member, answer),
                is_silent = is_silent => if is_silent {
                    return Err(silent(self.clock.elapsed().saturating_sub(began)));
                }
            }
        }
    }

    fn answered_with(&self, member: &Member, answer: Result<GetResponse>) -> Result<GetResponse> {
        let is_lost = |error: &Error| matches!(error.kind(), ErrorKind::Network | ErrorKind::Timeout);
        if !answer.as_ref().is_err_and(is_lost) {
            self.heard(member);
        }
        answer
    }

    /// The member has sent something.
    pub(super) fn heard(&self, member: &Member) {
        member.heard_ms.store((self.clock.elapsed().as_millis() as u64).max(1), Ordering::Relaxed);
    }

    /// Whether what was waited for since `began`, for longer than the patience, will not come: the member sends nothing
    /// to any request of this mount and gives no sign of life, or has had far longer than it needs.
    pub(super) async fn is_silent(&self, member: &Member, began: Duration) -> bool {
        let now = self.clock.elapsed();
        if now.saturating_sub(began) >= self.patience * MOST_PATIENCE {
            return true;
        }
        if self.was_heard(member, now) {
            return false;
        }
        let Some(ping) = &member.door.ping else { return true };
        let is_alive = timeout(self.patience, ping()).await == Ok(true);
        if is_alive {
            self.heard(member);
        }
        !is_alive
    }

    /// Ends, with an error, once a member has been silent for too long from now on.
    pub(super) async fn silence(self: Arc<Self>, member: Arc<Member>) -> Error {
        let began = self.clock.elapsed();
        loop {
            sleep(self.patience).await;
            if self.is_silent(&member, began).await {
                return silent(self.clock.elapsed().saturating_sub(began));
            }
        }
    }

    /// The time, on the fleet's clock.
    pub(super) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// The clock that all times of the fleet are of.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A member has failed.
    pub(super) fn strike(&self, member: &Member, why: &str) {
        self.metrics.add(Metric::NearErrors, 1);
        let turn = member.standing.lock().struck(self.clock.elapsed());
        tracing::debug!(member = member.name, why, "a near cache failed");
        if let Turn::Leaves(term) = turn {
            tracing::warn!(member = member.name, why, out_s = term.as_secs(), "a near cache is left out for a while");
            self.count();
        }
    }

    /// A member has answered as it should.
    pub(super) fn answered(&self, turned: &Turned) {
        if turned.member.standing.lock().answered(self.clock.elapsed()) == Turn::Returns {
            tracing::info!(member = turned.member.name, "a near cache is back");
            self.count();
        }
    }

    /// Counts who is out, and rests where those are more than half.
    fn count(&self) {
        let members = self.known.lock().members.clone();
        let mut counted = self.counted.lock();
        let out = members.all.iter().filter(|member| member.standing.lock().is_out()).count();
        self.replace_counted(&mut counted, Counted { up: (members.all.len() - out) as u64, out: out as u64 });
        drop(counted);
        let rests = out * 2 > members.all.len();
        if self.is_resting.swap(rests, Ordering::Relaxed) != rests {
            match rests {
                true => tracing::warn!(
                    out,
                    of = members.all.len(),
                    "more than half of the near caches do not answer: \
                                       all is read from the bucket until they do"
                ),
                false => tracing::info!(out, of = members.all.len(), "the near caches are used again"),
            }
        }
    }
}

impl Fleet {
    /// Puts this fleet's share of the gauges in the place of what it added before.
    fn replace_counted(&self, counted: &mut Counted, now: Counted) {
        let before = std::mem::replace(counted, now);
        for (metric, before, now) in
            [(Metric::NearMembersUp, before.up, now.up), (Metric::NearMembersOut, before.out, now.out)]
        {
            // Added first, so that the sum never falls below nothing in between.
            self.metrics.add(metric, now);
            self.metrics.subtract(metric, before);
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.replace_counted(&mut self.counted.lock(), Counted::default());
    }
}

impl Members {
    /// How the block around a slice is shared out, of a version that has so many slices.
    pub(super) fn block(&self, slice: u64, version: u64, slices: u64) -> Block {
        Block::around(slice, &self.seeds, version, slices)
    }

    /// Whether there is nobody to ask.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl Turned {
    /// It has shown what it should: dropping this says nothing any more.
    pub(super) fn is_used(&mut self) {
        self.is_probe = false;
    }
}

fn silent(waited: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("a near cache sent nothing for {:.1} s", waited.as_secs_f64()))
}

/// Asks the machine's resolver.
pub(in crate::store) fn by_machine(name: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
    Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
}
