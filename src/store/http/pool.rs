//! Idle connections: the newest is used first, so that superfluous ones grow old and are closed.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::addresses::{Address, Choice};
use super::stream::Connection;
use crate::base::Clock;

/// Idle connections, a bounded number of them.
pub(super) struct Pool {
    max_idle: usize,
    max_age: Duration,
    clock: Clock,

    state: Mutex<IdleConnections>,
}

#[derive(Default)]
struct IdleConnections {
    /// Idle connections, the oldest first.
    idle: VecDeque<Idle>,
    /// Closes those that have grown too old; ends when there are none.
    reaper: Option<AbortHandle>,
}

struct Idle {
    host: Arc<str>,
    since: Duration,
    connection: Connection,
}

impl Pool {
    /// Keeps at most `max_idle` connections, each for at most `max_age`.
    pub(super) fn new(max_idle: usize, max_age: Duration, clock: Clock) -> Arc<Self> {
        Arc::new(Pool { max_idle, max_age, clock, state: Mutex::default() })
    }

    /// The newest connection to a host, at one of the best of its addresses, on which the other side has kept quiet.
    pub(super) fn take(&self, host: &str, choices: &[Choice]) -> Option<Connection> {
        let best = choices.first()?.rank;
        let best: Vec<_> =
            choices.iter().take_while(|choice| choice.rank == best).map(|choice| &choice.address).collect();
        loop {
            let mut connection = self.take_any(host, &best)?;
            if connection.is_quiet() {
                return Some(connection);
            }
        }
    }

    fn take_any(&self, host: &str, best: &[&Arc<Address>]) -> Option<Connection> {
        let now = self.clock.elapsed();
        let mut state = self.state.lock();
        let fits = |idle: &Idle| *idle.host == *host && best.iter().any(|address| idle.connection.leads_to(address));
        let at = state.idle.iter().rposition(fits)?;
        let idle = state.idle.remove(at)?;
        (now.saturating_sub(idle.since) < self.max_age).then_some(idle.connection)
    }

    /// Keeps a connection for the next request to its host. Must be called in a Tokio runtime.
    pub(super) fn put(self: &Arc<Self>, host: Arc<str>, mut connection: Connection) {
        connection.rest();
        let mut state = self.state.lock();
        let oldest = if state.idle.len() >= self.max_idle { state.idle.pop_front() } else { None };
        state.idle.push_back(Idle { host, since: self.clock.elapsed(), connection });
        if state.reaper.is_none() {
            let reaper = tokio::spawn(reap(Arc::downgrade(self), self.max_age));
            state.reaper = Some(reaper.abort_handle());
        }
        drop(state);
        drop(oldest);
    }

    /// Closes what has grown too old; says how long to wait for the next.
    fn close_old(&self) -> Option<Duration> {
        let now = self.clock.elapsed();
        let mut closed = Vec::new();
        let mut state = self.state.lock();
        let wait = loop {
            let Some(oldest) = state.idle.front() else {
                state.reaper = None;
                break None;
            };
            let age = now.saturating_sub(oldest.since);
            if age < self.max_age {
                break Some(self.max_age - age);
            }
            closed.extend(state.idle.pop_front());
        };
        drop(state);
        drop(closed);
        wait
    }
}

async fn reap(pool: Weak<Pool>, max_age: Duration) {
    let mut wait = max_age;
    loop {
        tokio::time::sleep(wait).await;
        let Some(pool) = pool.upgrade() else { return };
        match pool.close_old() {
            Some(next) => wait = next,
            None => return,
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(reaper) = self.state.get_mut().reaper.take() {
            reaper.abort();
        }
    }
}
