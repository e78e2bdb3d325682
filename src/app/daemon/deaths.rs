//! What a supervisor knows of earlier daemons: how they ended, how long they ran, and when the next one may start.

use std::fmt;
use std::time::Duration;

use nix::sys::signal::Signal;

/// A life that is at least so long was no failure to start.
const LONG: Duration = Duration::from_secs(60);

/// Lives in a row, shorter than that, after which the next one begins at once.
const AT_ONCE: u32 = 3;

/// Pauses before the lives after those, at first and at most; each is twice the one before.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// The daemons that have ended while the mount goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Deaths {
    /// How the last one ended.
    how: How,
    /// How long it lived.
    lived: Duration,
    /// The deaths of all daemons of this mount.
    count: u32,
    /// Those since one lived long.
    short_lives: u32,
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum How {
    Exited(i32),
    Killed(Signal),
    Unknown,
}

impl How {
    /// The exit status that stands for it.
    pub(super) fn code(self) -> i32 {
        match self {
            How::Exited(code) => code,
            How::Killed(_) | How::Unknown => 1,
        }
    }
}

impl Deaths {
    /// The deaths after one more of them.
    pub(super) fn after(before: Option<&Deaths>, how: How, lived: Duration) -> Deaths {
        let (count, short_lives) = before.map_or((0, 0), |before| (before.count, before.short_lives));
        // A daemon that hands over is replaced, however soon.
        let is_failure = lived < LONG && how != How::Exited(0);
        Deaths {
            how,
            lived,
            count: count.saturating_add(1),
            short_lives: if is_failure { short_lives.saturating_add(1) } else { 0 },
        }
    }

    /// Before the next life.
    pub(super) fn pause(&self) -> Duration {
        match self.short_lives.checked_sub(AT_ONCE + 1) {
            None => Duration::ZERO,
            Some(doublings) => PAUSES.0.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(PAUSES.1),
        }
    }

    /// Whether the last daemon was replaced, and did not fail.
    pub(super) fn was_replaced(&self) -> bool {
        self.how == How::Exited(0)
    }
}

impl fmt::Display for Deaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lived = self.lived.as_secs_f64();
        match self.how {
            How::Exited(code) => write!(f, "the previous daemon exited with status {code}")?,
            How::Killed(signal) => write!(f, "the previous daemon was killed by {signal}")?,
            How::Unknown => f.write_str("the previous daemon ended")?,
        }
        write!(f, " after {lived:.1} s: ")?;
        match self.pause() {
            Duration::ZERO => f.write_str("this daemon was started immediately")?,
            pause => write!(f, "this daemon was started after a pause of {:.1} s", pause.as_secs_f64())?,
        }
        write!(f, "; it is daemon number {} of this mount", u64::from(self.count) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_short_lives_are_followed_at_once_and_later_ones_ever_more_slowly() {
        let second = Duration::from_secs(1);
        let killed = How::Killed(Signal::SIGKILL);
        let mut deaths = None;
        let mut die = |how, lived| {
            let next = Deaths::after(deaths.as_ref(), how, lived);
            deaths = Some(next.clone());
            next.pause().as_millis()
        };
        let pauses: Vec<_> = (0..6).map(|_| die(killed, second)).collect();
        assert_eq!(pauses, [0, 0, 0, 100, 200, 400], "also of daemons that were ready");
        assert_eq!((0..60).map(|_| die(How::Exited(1), second)).max(), Some(30_000));
        assert_eq!(die(killed, LONG), 0, "one that lived long is no failure to start");
        assert_eq!((0..4).map(|_| die(killed, LONG - second)).collect::<Vec<_>>(), [0, 0, 0, 100]);
        assert_eq!(die(How::Exited(0), second), 0, "a daemon that hands over is replaced at once");
        assert_eq!(deaths.unwrap().count, 72);
    }

    #[test]
    fn a_death_is_told_with_its_cause_and_how_long_the_daemon_lived() {
        let first = Deaths::after(None, How::Killed(Signal::SIGSEGV), Duration::from_millis(2500));
        assert_eq!(
            first.to_string(),
            "the previous daemon was killed by SIGSEGV after 2.5 s: this daemon was started immediately; it is daemon number 2 of this mount"
        );
        assert!(!first.was_replaced() && Deaths::after(None, How::Exited(0), LONG).was_replaced());
        let later = Deaths { how: How::Exited(1), lived: LONG, count: 9, short_lives: 5 };
        assert!(later.to_string().ends_with("after a pause of 0.2 s; it is daemon number 10 of this mount"), "{later}");
    }
}
