//! The threads of a daemon, created before anything is mounted, because a failure afterwards would leave a mount that
//! does not answer.
//!
//! Tasks are few in a container with a limit of processes (`pids.max`), in a unit with `TasksMax`, under `ulimit -u`.
//! The runtime panics where it cannot make a thread, and waits for ever on the way out; so all threads are made once
//! for a trial, held at the same time, and let go before it is built.

use std::fs;
use std::io;
use std::panic;
use std::process;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::pressure;
use crate::config::{Problem, Result};

/// Threads beside those of the runtime and of the session with the kernel: the session's own, the one that notifies the
/// kernel, one that looks at the mount, a program that mounts, and two for work that blocks.
const OTHERS: usize = 6;

/// Threads for work that blocks, at most: names of hosts and small files. They stay once they are there, so that such
/// work never fails for lack of a thread.
const MOST_BLOCKING: usize = 32;

/// How long threads stay that have nothing to do: for ever, in practice.
const STAY: Duration = Duration::from_secs(365 * 24 * 3600);

/// How often it is looked whether the threads of the trial are gone, and how often at most.
const LOOKS: (Duration, u32) = (Duration::from_millis(1), 1000);

/// The runtime that a mount with so many threads in its session waits on. Fails, with what to do, where too few threads
/// can be made.
///
/// Must be called by the only thread of the process.
pub(in crate::app) fn runtime(session_threads: usize) -> Result<Runtime> {
    pressure::share_heaps();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let (able, refusal) = able_to_make(processors + session_threads + OTHERS);
    let workers = workers(able, processors, session_threads).ok_or_else(|| {
        let needed = 1 + session_threads + OTHERS;
        let why = refusal.map_or_else(String::new, |error| format!(": {error}"));
        Problem::failure(format!(
            "only {able} of the {needed} threads that a mount needs can be started{why}: raise the limit of tasks \
             (pids.max of the container's cgroup, TasksMax of the unit, ulimit -u)"
        ))
    })?;
    let runtime = ended_by_panics(|| {
        let built = Builder::new_multi_thread()
            .worker_threads(workers)
            .max_blocking_threads(MOST_BLOCKING)
            .thread_keep_alive(STAY)
            .thread_name("ossmount")
            .enable_all()
            .build();
        // The first of those for work that blocks: there is always one from now on.
        built.inspect(|runtime| drop(runtime.spawn_blocking(|| ())))
    });
    runtime.map_err(|error| Problem::failure(format!("no threads can be started: {error}")))
}

/// How many workers the runtime shall have; `None` where too few threads can be made for any.
fn workers(able: usize, processors: usize, session_threads: usize) -> Option<usize> {
    let left = able.checked_sub(session_threads + OTHERS)?;
    (left > 0).then_some(left.min(processors))
}

/// How many threads can be made, up to this many, and why no more.
fn able_to_make(wanted: usize) -> (usize, Option<io::Error>) {
    let gate = Mutex::new(());
    let (mut made, mut refusal) = (0, None);
    thread::scope(|scope| {
        // Not poisoned: no thread panics with it.
        let closed = gate.lock();
        while made < wanted && refusal.is_none() {
            match thread::Builder::new().spawn_scoped(scope, || drop(gate.lock())) {
                Ok(_) => made += 1,
                Err(error) => refusal = Some(error),
            }
        }
        drop(closed);
    });
    wait_until_alone();
    (made, refusal)
}

/// A thread counts for a moment after it was waited for.
fn wait_until_alone() {
    let is_alone = || fs::read_dir("/proc/self/task").map_or(true, |tasks| tasks.count() <= 1);
    for _ in 0..LOOKS.1 {
        if is_alone() {
            return;
        }
        thread::sleep(LOOKS.0);
    }
}

/// Ends the process where `build` panics, without the way out, on which it would wait for threads that were not made.
fn ended_by_panics<T>(build: impl FnOnce() -> T) -> T {
    let before = panic::take_hook();
    panic::set_hook(Box::new(|panic| {
        tracing::error!("the threads of the daemon cannot be started: {panic}");
        process::exit(1);
    }));
    let built = build();
    panic::set_hook(before);
    built
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_workers_as_processors_where_there_is_room_and_none_where_there_is_none() {
        assert_eq!(workers(100, 4, 2), Some(4));
        assert_eq!(workers(4 + 2 + OTHERS, 4, 2), Some(4));
        assert_eq!(workers(3 + 2 + OTHERS, 4, 2), Some(3));
        assert_eq!(workers(1 + 2 + OTHERS, 4, 2), Some(1));
        assert_eq!(workers(2 + OTHERS, 4, 2), None);
        assert_eq!(workers(0, 4, 2), None);
    }

    #[test]
    fn threads_are_counted_up_to_what_is_wanted() {
        let (made, refusal) = able_to_make(5);
        assert_eq!(made, 5);
        assert!(refusal.is_none());
    }
}
