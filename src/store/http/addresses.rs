//! The addresses of host names: which one the next request uses, and how well each has answered.
//!
//! A large store answers at many addresses, each with a limit of its own, and now and then one of them is dead while it
//! still takes connections. So requests go to the address that has the fewest of ours on their way; one that leaves
//! requests unanswered is passed over for a while, longer each time, and is then tried again with one request at a
//! time; one that has just answered with an error of its own is left out for a moment, so that a second try meets
//! another one. Where all are passed over, none is.
//!
//! Names are resolved anew, beside the requests, when what is known of them is older than [`TIME_TO_LIVE`]; a name that
//! cannot be resolved just then keeps its addresses.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::base::Clock;

/// How long the addresses of a name are believed; the machine's resolver does not tell how long they hold.
const TIME_TO_LIVE: Duration = Duration::from_secs(30);

/// How long a name waits that could not be resolved anew.
const RESOLVE_AGAIN: Duration = Duration::from_secs(5);

/// An address with requests on their way that has answered none for so long is passed over.
const SILENCE: Duration = Duration::from_secs(3);

/// How long an address is passed over after a failure, the first time; twice as long each further time in a row.
const PASSED_OVER: Duration = Duration::from_secs(10);

/// The longest time that an address is passed over.
const LONGEST_PASSED_OVER: Duration = Duration::from_secs(160);

/// How long an address is left out that has answered with an error of its own.
const SOUR: Duration = Duration::from_secs(1);

/// What a test puts in the place of the machine's resolver.
type Lookup = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// What is known of the addresses of names. Clones share it.
#[derive(Clone, Default)]
pub struct Addresses(Arc<Resolver>);

#[derive(Default)]
struct Resolver {
    /// `None` is the machine's resolver.
    lookup: Option<Box<Lookup>>,
    names: Mutex<HashMap<(String, u16), Host>>,
}

/// One host name, and its addresses.
struct Host {
    /// In the resolver's order.
    addresses: Vec<Arc<Address>>,
    /// When it is to be resolved anew.
    old_at: Duration,
    /// Where the search for the next address begins.
    turn: usize,
}

/// How an address has served.
#[derive(Clone, PartialEq, Debug)]
pub struct Served {
    /// The name, with the port.
    pub name: String,
    /// The address of the server.
    pub address: SocketAddr,
    /// Requests sent to it.
    pub requests: u64,
    /// How often it refused a connection, left a request unanswered or answered with an error of its own.
    pub failures: u64,
    /// Whether it is passed over now.
    pub is_passed_over: bool,
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Addresses").field("names", &self.0.names.lock().len()).finish_non_exhaustive()
    }
}

impl Addresses {
    /// Names are resolved by this instead of the machine's resolver.
    pub fn resolved_by(lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        Addresses(Arc::new(Resolver { lookup: Some(Box::new(lookup)), names: Mutex::default() }))
    }

    /// How each address has served, by name.
    pub fn served(&self, clock: &Clock) -> Vec<Served> {
        let now = clock.elapsed();
        let names = self.0.names.lock();
        let mut served: Vec<Served> = names
            .iter()
            .flat_map(|((host, port), name)| {
                name.addresses.iter().map(move |address| (format!("{host}:{port}"), address))
            })
            .map(|(name, address)| address.served(name, now))
            .collect();
        served.sort_by(|a, b| (&a.name, a.address).cmp(&(&b.name, b.address)));
        served
    }

    /// The addresses of a name, the one that the next request should go to first.
    pub(super) async fn of(&self, host: &str, port: u16, clock: &Clock) -> io::Result<Vec<Choice>> {
        let known = self.known(host, port, clock.elapsed());
        match known {
            Some((choices, Age::Fresh)) => Ok(choices),
            Some((choices, Age::Old)) => {
                let (addresses, host, clock) = (self.clone(), host.to_owned(), clock.clone());
                tokio::spawn(async move {
                    // What fails is tried again with a later request.
                    if let Err(error) = addresses.resolve(&host, port, &clock).await {
                        tracing::debug!(host, %error, "a host name cannot be resolved again; its previous addresses \
                                                       stay in use");
                    }
                });
                Ok(choices)
            }
            None => {
                self.resolve(host, port, clock).await?;
                let known = self.known(host, port, clock.elapsed());
                known.map(|(choices, _)| choices).ok_or_else(|| io::ErrorKind::NotFound.into())
            }
        }
    }

    /// What is known of a name. Of many who find it old, one is told so.
    fn known(&self, host: &str, port: u16, now: Duration) -> Option<(Vec<Choice>, Age)> {
        let mut names = self.0.names.lock();
        let name = names.get_mut(&(host.to_owned(), port))?;
        let age = if now < name.old_at { Age::Fresh } else { Age::Old };
        if age == Age::Old {
            name.old_at = now + RESOLVE_AGAIN;
        }
        Some((name.choices(now), age))
    }

    async fn resolve(&self, host: &str, port: u16, clock: &Clock) -> io::Result<()> {
        let found: Vec<SocketAddr> = match &self.0.lookup {
            Some(lookup) => lookup(host)?.into_iter().map(|address| SocketAddr::new(address, port)).collect(),
            None => by_machine(host, port).await?,
        };
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
        }
        let mut names = self.0.names.lock();
        let fresh = || Host { addresses: Vec::new(), old_at: Duration::ZERO, turn: 0 };
        let name = names.entry((host.to_owned(), port)).or_insert_with(fresh);
        let mut addresses: Vec<Arc<Address>> = Vec::with_capacity(found.len());
        for to in found {
            if addresses.iter().all(|address| address.to != to) {
                let known = name.addresses.iter().find(|address| address.to == to).cloned();
                addresses.push(known.unwrap_or_else(|| Address::new(to)));
            }
        }
        (name.addresses, name.old_at) = (addresses, clock.elapsed() + TIME_TO_LIVE);
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    Fresh,
    Old,
}

/// What the machine's resolver says, and loopback for names below `localhost`, which not every machine knows: servers
/// on loopback can then have their buckets as virtual hosts.
async fn by_machine(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if host.ends_with(".localhost") {
        return Ok(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
    }
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

impl Host {
    /// Its addresses, the best first; those that are as good as each other take turns.
    fn choices(&mut self, now: Duration) -> Vec<Choice> {
        let family = self.addresses.first().is_some_and(|first| first.to.is_ipv4());
        let mut choices: Vec<Choice> = self.addresses.iter().map(|address| address.choice(now, family)).collect();
        let turn = self.turn % choices.len().max(1);
        choices.rotate_left(turn);
        choices.sort_by_key(|choice| choice.rank);
        self.turn = self.turn.wrapping_add(1);
        choices
    }
}

/// Where a request may go; the lowest rank first.
#[derive(Clone)]
pub(super) struct Choice {
    pub(super) address: Arc<Address>,
    /// How it stands, and how many requests are on their way to it.
    pub(super) rank: (Standing, usize),
}

impl Choice {
    /// Whether a request goes there only where there is nothing better.
    pub(super) fn is_passed_over(&self) -> bool {
        self.rank.0 == Standing::PassedOver
    }
}

/// How an address stands, the best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Standing {
    Good,
    /// It has just answered with an error.
    Sour,
    /// Not of the family of the resolver's first address: often the machine has no way there.
    OtherFamily,
    PassedOver,
}

/// One address of a name, which a request goes to.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) to: SocketAddr,
    state: Mutex<Record>,
}

#[derive(Debug, Default)]
struct Record {
    /// Requests on their way, those counted whose body still comes.
    in_flight: usize,
    /// Of those, the ones that have had no answer.
    unanswered: usize,
    requests: u64,
    failures: u64,
    failures_in_row: u32,
    passed_over_until: Duration,
    sour_until: Duration,
    /// Since when requests are on their way and none was answered.
    silent_since: Option<Duration>,
}

impl Address {
    pub(super) fn new(to: SocketAddr) -> Arc<Self> {
        Arc::new(Address { to, state: Mutex::default() })
    }

    fn served(&self, name: String, now: Duration) -> Served {
        let state = self.state.lock();
        let is_passed_over = state.standing(now) == Standing::PassedOver;
        let Record { requests, failures, .. } = *state;
        Served { name, address: self.to, requests, failures, is_passed_over }
    }

    fn choice(self: &Arc<Self>, now: Duration, is_ipv4: bool) -> Choice {
        let state = self.state.lock();
        let standing = match state.standing(now) {
            Standing::Good if self.to.is_ipv4() != is_ipv4 => Standing::OtherFamily,
            standing => standing,
        };
        Choice { address: self.clone(), rank: (standing, state.in_flight) }
    }

    /// How long it may still leave the requests that are on their way unanswered before it counts as silent; `None`
    /// while it owes no answer.
    pub(super) fn silent_in(&self, now: Duration) -> Option<Duration> {
        let since = self.state.lock().silent_since?;
        Some(SILENCE.saturating_sub(now.saturating_sub(since)))
    }

    /// It has refused a connection or left a request unanswered.
    pub(super) fn failed(&self, now: Duration) {
        let mut state = self.state.lock();
        state.failures += 1;
        let factor = 1 << state.failures_in_row.min(8);
        state.failures_in_row = state.failures_in_row.saturating_add(1);
        state.passed_over_until = now + (PASSED_OVER * factor).min(LONGEST_PASSED_OVER);
    }
}

impl Record {
    /// One request fewer waits for its answer.
    fn settled(&mut self) {
        self.unanswered -= 1;
        if self.unanswered == 0 {
            self.silent_since = None;
        }
    }

    fn standing(&self, now: Duration) -> Standing {
        let is_silent = self.silent_since.is_some_and(|since| now.saturating_sub(since) >= SILENCE);
        let is_on_trial = self.failures_in_row > 0 && self.in_flight > 0;
        if is_silent || is_on_trial || now < self.passed_over_until {
            Standing::PassedOver
        } else if now < self.sour_until {
            Standing::Sour
        } else {
            Standing::Good
        }
    }
}

/// A request on its way to an address, until dropped. One that is dropped after a time of silence counts as a failure.
#[derive(Debug)]
pub(super) struct Load {
    address: Arc<Address>,
    clock: Clock,
    began: Duration,
    is_settled: bool,
}

impl Load {
    /// A request goes to this address.
    pub(super) fn begin(address: Arc<Address>, clock: Clock) -> Self {
        let began = clock.elapsed();
        let mut state = address.state.lock();
        state.requests += 1;
        state.in_flight += 1;
        state.unanswered += 1;
        state.silent_since.get_or_insert(began);
        drop(state);
        Load { address, clock, began, is_settled: false }
    }

    pub(super) fn address(&self) -> &Arc<Address> {
        &self.address
    }

    /// The head of its answer is there.
    pub(super) fn answered(&mut self, status: u16) {
        let now = self.clock.elapsed();
        let mut state = self.address.state.lock();
        (state.failures_in_row, state.passed_over_until) = (0, Duration::ZERO);
        state.settled();
        // The silence of the others begins now.
        state.silent_since = (state.unanswered > 0).then_some(now);
        if status >= 500 {
            state.failures += 1;
            state.sour_until = now + SOUR;
        }
        self.is_settled = true;
    }

    /// No answer will come.
    pub(super) fn failed(&mut self) {
        self.is_settled = true;
        self.address.state.lock().settled();
        self.address.failed(self.clock.elapsed());
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let now = self.clock.elapsed();
        if !self.is_settled && now.saturating_sub(self.began) >= SILENCE {
            self.address.failed(now);
        }
        let mut state = self.address.state.lock();
        state.in_flight -= 1;
        if !self.is_settled {
            state.settled();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    fn clock() -> Clock {
        Clock::manual(Timestamp::from_unix(1000))
    }

    fn addresses(lookup: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> Addresses {
        Addresses::resolved_by(move |_| Ok(lookup().into_iter().map(|last| IpAddr::from([127, 0, 0, last])).collect()))
    }

    /// The last number of each address of a name, the best first, and how it stands.
    async fn order(addresses: &Addresses, clock: &Clock) -> Vec<(u8, Standing)> {
        let last = |choice: &Choice| match choice.address.to.ip() {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(_) => 0,
        };
        let choices = addresses.of("name", 80, clock).await.unwrap();
        choices.iter().map(|choice| (last(choice), choice.rank.0)).collect()
    }

    async fn first(addresses: &Addresses, clock: &Clock) -> Arc<Address> {
        let mut choices = addresses.of("name", 80, clock).await.unwrap().into_iter();
        choices.find(|choice| choice.address.to.ip() == IpAddr::from([127, 0, 0, 1])).unwrap().address
    }

    async fn begin(addresses: &Addresses, clock: &Clock) -> Load {
        Load::begin(addresses.of("name", 80, clock).await.unwrap()[0].address.clone(), clock.clone())
    }

    fn to(load: &Load) -> String {
        load.address().to.ip().to_string()
    }

    #[tokio::test]
    async fn requests_go_where_the_fewest_are_on_their_way() {
        let (addresses, clock) = (addresses(|| vec![1, 2, 3]), clock());
        let mut loads = Vec::new();
        for _ in 0..9 {
            loads.push(begin(&addresses, &clock).await);
        }
        let served = addresses.served(&clock);
        assert_eq!(served.iter().map(|served| served.requests).collect::<Vec<_>>(), [3, 3, 3]);
        loads.retain(|load| to(load) != "127.0.0.2");
        assert_eq!(to(&begin(&addresses, &clock).await), "127.0.0.2");
    }

    #[tokio::test]
    async fn what_leaves_requests_unanswered_is_passed_over_for_a_while_and_tried_again_with_one() {
        let (addresses, clock) = (addresses(|| vec![1, 2]), clock());
        let silent = begin(&addresses, &clock).await;
        assert_eq!(to(&silent), "127.0.0.1");
        clock.advance(SILENCE - Duration::from_millis(1));
        assert_eq!(order(&addresses, &clock).await[1], (1, Standing::Good));
        clock.advance(Duration::from_millis(1));
        assert_eq!(order(&addresses, &clock).await[1], (1, Standing::PassedOver), "while it is silent");
        drop(silent);
        clock.advance(PASSED_OVER - Duration::from_millis(1));
        assert_eq!(order(&addresses, &clock).await[1], (1, Standing::PassedOver), "for a while afterwards");
        assert!(addresses.served(&clock)[0].is_passed_over && addresses.served(&clock)[0].failures == 1);
        clock.advance(Duration::from_millis(1));
        assert!(order(&addresses, &clock).await.contains(&(1, Standing::Good)));
        let mut trial = Load::begin(first(&addresses, &clock).await, clock.clone());
        assert_eq!(order(&addresses, &clock).await[1], (1, Standing::PassedOver), "one at a time");
        trial.failed();
        drop(trial);
        clock.advance(PASSED_OVER + Duration::from_secs(1));
        assert_eq!(order(&addresses, &clock).await[1], (1, Standing::PassedOver), "longer the second time");
        clock.advance(PASSED_OVER);
        let mut trial = Load::begin(first(&addresses, &clock).await, clock.clone());
        trial.answered(200);
        assert!(order(&addresses, &clock).await.contains(&(1, Standing::Good)), "an answer makes it good");
    }

    #[tokio::test]
    async fn requests_that_are_given_up_soon_say_nothing() {
        let (addresses, clock) = (addresses(|| vec![1, 2]), clock());
        let load = begin(&addresses, &clock).await;
        clock.advance(SILENCE / 2);
        drop(load);
        clock.advance(SILENCE);
        assert!(order(&addresses, &clock).await.iter().all(|(_, standing)| *standing == Standing::Good));
        let mut load = begin(&addresses, &clock).await;
        load.answered(200);
        clock.advance(SILENCE * 2);
        let order = order(&addresses, &clock).await;
        assert!(order.iter().all(|(_, standing)| *standing == Standing::Good), "while a long body comes");
        drop(load);
        assert_eq!(addresses.served(&clock).iter().map(|served| served.failures).sum::<u64>(), 0, "a long body");
    }

    #[tokio::test]
    async fn a_second_try_goes_elsewhere_after_an_error_and_where_all_fail_none_is_left_out() {
        let (addresses, clock) = (addresses(|| vec![1, 2]), clock());
        for expected in ["127.0.0.1", "127.0.0.2"] {
            let mut load = begin(&addresses, &clock).await;
            load.answered(503);
            assert_eq!(to(&load), expected);
        }
        assert_eq!(order(&addresses, &clock).await.len(), 2);
        clock.advance(SOUR);
        assert!(order(&addresses, &clock).await.iter().all(|(_, standing)| *standing == Standing::Good));
    }

    #[tokio::test]
    async fn names_are_resolved_anew_and_keep_their_addresses_when_they_cannot_be() {
        let times = std::sync::atomic::AtomicU8::new(0);
        let addresses =
            Addresses::resolved_by(move |_| match times.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
                0 => Ok(vec![IpAddr::from([127, 0, 0, 1])]),
                1 => Err(io::ErrorKind::TimedOut.into()),
                _ => Ok(vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2])]),
            });
        let clock = clock();
        begin(&addresses, &clock).await.failed();
        for (wait, known) in
            [(TIME_TO_LIVE - Duration::from_secs(1), 1), (Duration::from_secs(1), 1), (RESOLVE_AGAIN, 2)]
        {
            clock.advance(wait);
            order(&addresses, &clock).await;
            tokio::task::yield_now().await;
            assert_eq!(order(&addresses, &clock).await.len(), known, "after another {wait:?}");
        }
        assert_eq!(addresses.served(&clock)[0].failures, 1, "what is known of an address stays");
    }

    #[tokio::test]
    async fn another_family_is_the_second_choice() {
        let six: IpAddr = "::1".parse().unwrap();
        let addresses = Addresses::resolved_by(move |_| Ok(vec![six, IpAddr::from([127, 0, 0, 1]), six]));
        let clock = clock();
        for _ in 0..4 {
            let order = order(&addresses, &clock).await;
            assert_eq!(order, [(0, Standing::Good), (1, Standing::OtherFamily)]);
        }
        begin(&addresses, &clock).await.failed();
        assert_eq!(order(&addresses, &clock).await[0].0, 1);
    }
}
