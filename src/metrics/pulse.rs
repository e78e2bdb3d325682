//! The health of the store, judged in one place and by monotonic time, for `status`, health over HTTP, the figures,
//! the service manager and the log.
//!
//! Kept up to date by each request to the store, which says when it is sent and what became of it. A refusal of what
//! cannot be had is an answer. What is known changes with an answer alone, so that a bucket that is asked nothing for a
//! while is as well as it was.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Trouble is reported when it has lasted so long.
const HURTS: Duration = Duration::from_secs(10);

/// Trouble hurts while programs ask: for so long after the last request.
const ASKED: Duration = Duration::from_secs(60);

/// Requests that are given up before this show nothing: their reader went elsewhere, or another try was faster.
const TELLING: Duration = Duration::from_secs(3);

/// What a request that was not answered as it should came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Miss {
    /// Nothing came in time.
    Silence,
    /// It failed on the way, at the service, or for lack of credentials.
    Failure,
    /// The service told us to slow down.
    Throttling,
}

/// What is wrong with the store's answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Requests are sent, and nothing comes.
    Silent,
    /// Requests fail with errors.
    Failing,
    /// The service lets nothing through.
    Throttled,
    /// Reads wait, although the store answers.
    Stuck,
}

impl Trouble {
    /// The word in answers to control requests.
    pub fn word(self) -> &'static str {
        match self {
            Trouble::Silent => "silent",
            Trouble::Failing => "failing",
            Trouble::Throttled => "throttled",
            Trouble::Stuck => "stuck",
        }
    }
}

/// The judgement of the store's health.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Condition {
    /// What is wrong and for how long, once it hurts.
    pub trouble: Option<(Trouble, Duration)>,
    /// Since when requests go without any answer.
    pub unanswered: Option<Duration>,
    /// How long ago the last answer came.
    pub answered: Option<Duration>,
    /// Reads that wait now.
    pub waiting: u64,
    /// For how long none of them has gone on.
    pub stuck: Duration,
    /// Whether nothing is asked and nothing waits.
    pub is_idle: bool,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((trouble, lasts)) = self.trouble else { return f.write_str("the store answers") };
        let lasts = lasts.as_secs();
        match trouble {
            Trouble::Silent => write!(f, "the store has not answered for {lasts} s")?,
            Trouble::Failing => write!(f, "all requests to the store have failed for {lasts} s")?,
            Trouble::Throttled => write!(f, "the store has throttled all requests for {lasts} s")?,
            Trouble::Stuck => write!(f, "the store answers, but no waiting read has made progress for {lasts} s")?,
        }
        match (self.waiting, self.stuck.as_secs()) {
            (0, _) => Ok(()),
            (1, stuck) => write!(f, "; one read has been waiting for {stuck} s"),
            (waiting, stuck) => write!(f, "; {waiting} reads are waiting, and none has made progress for {stuck} s"),
        }
    }
}

/// What requests have shown.
#[derive(Debug, Default)]
pub struct Pulse {
    beat: Mutex<Beat>,
    /// Whether anything was sent since it was waited for.
    is_awake: AtomicBool,
    woken: Notify,
}

/// All times are those of one clock.
#[derive(Clone, Copy, Debug, Default)]
struct Beat {
    in_flight: u64,
    sent: Option<Duration>,
    answered: Option<Duration>,
    /// When the first request was sent after the last answer.
    unanswered: Option<Duration>,
    /// When a request failed first after the last answer, and how the last one did.
    failing: Option<(Duration, Trouble)>,
    /// How many waiting reads had gone on when that was seen to change, and when; while reads wait.
    progress: Option<(u64, Duration)>,
}

impl Pulse {
    /// A request is sent.
    pub fn sent(&self, now: Duration) {
        let mut beat = self.beat.lock();
        beat.in_flight += 1;
        beat.sent = Some(now);
        beat.unanswered.get_or_insert(now);
        drop(beat);
        if !self.is_awake.swap(true, Ordering::Relaxed) {
            self.woken.notify_one();
        }
    }

    /// Counts a request that was answered.
    pub fn answered(&self, now: Duration) {
        let mut beat = self.beat.lock();
        beat.in_flight = beat.in_flight.saturating_sub(1);
        (beat.answered, beat.failing) = (Some(now), None);
        beat.unanswered = (beat.in_flight > 0).then_some(now);
    }

    /// Counts a request that was not answered as it should be.
    pub fn missed(&self, now: Duration, miss: Miss) {
        let mut beat = self.beat.lock();
        beat.in_flight = beat.in_flight.saturating_sub(1);
        let trouble = match miss {
            Miss::Silence => return,
            Miss::Failure => Trouble::Failing,
            Miss::Throttling => Trouble::Throttled,
        };
        let since = beat.failing.map_or(now, |(since, _)| since);
        beat.failing = Some((since, trouble));
    }

    /// One is not waited for any more.
    pub fn given_up(&self, now: Duration) {
        let mut beat = self.beat.lock();
        beat.in_flight = beat.in_flight.saturating_sub(1);
        let is_news = |at: Duration| now.saturating_sub(at) < TELLING;
        if beat.in_flight == 0 && beat.failing.is_none() && beat.unanswered.is_some_and(is_news) {
            beat.unanswered = None;
        }
    }

    /// Judges. `waiting` reads wait now, and so many that waited have gone on since the start.
    pub(super) fn look(&self, now: Duration, waiting: u64, gone_on: u64) -> Condition {
        let mut beat = self.beat.lock();
        beat.progress = match beat.progress {
            _ if waiting == 0 => None,
            Some((seen, at)) if seen == gone_on => Some((seen, at)),
            _ => Some((gone_on, now)),
        };
        let since = |at: Duration| now.saturating_sub(at);
        let stuck = beat.progress.map_or(Duration::ZERO, |(_, at)| since(at));
        let is_asked = waiting > 0 || beat.in_flight > 0 || beat.sent.is_some_and(|at| since(at) < ASKED);
        let failing = beat.failing.map(|(at, trouble)| (trouble, since(at)));
        let silent = beat.unanswered.map(|at| (Trouble::Silent, since(at)));
        let reads = (waiting > 0).then_some((Trouble::Stuck, stuck));
        let hurts = |trouble: &(Trouble, Duration)| is_asked && trouble.1 >= HURTS;
        Condition {
            trouble: failing.or(silent).filter(hurts).or(reads.filter(hurts)),
            unanswered: beat.unanswered.map(since),
            answered: beat.answered.map(since),
            waiting,
            stuck,
            is_idle: waiting == 0 && beat.in_flight == 0,
        }
    }

    /// Returns when something is sent; at once where something was since the last time.
    pub async fn wake(&self) {
        while !self.is_awake.swap(false, Ordering::Relaxed) {
            self.woken.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn trouble(pulse: &Pulse, seconds: u64) -> Option<(Trouble, u64)> {
        pulse.look(at(seconds), 0, 0).trouble.map(|(trouble, lasts)| (trouble, lasts.as_secs()))
    }

    #[test]
    fn silence_counts_from_the_first_request_that_no_answer_followed() {
        let pulse = Pulse::default();
        assert_eq!(trouble(&pulse, 100), None, "nothing was asked");
        pulse.sent(at(100));
        pulse.sent(at(105));
        assert_eq!((trouble(&pulse, 109), trouble(&pulse, 110)), (None, Some((Trouble::Silent, 10))));
        pulse.answered(at(111));
        assert_eq!(
            (trouble(&pulse, 120), trouble(&pulse, 121)),
            (None, Some((Trouble::Silent, 10))),
            "one still waits"
        );
        pulse.missed(at(125), Miss::Silence);
        assert_eq!(trouble(&pulse, 126), Some((Trouble::Silent, 15)), "its end is no answer");
        pulse.sent(at(127));
        pulse.answered(at(128));
        assert_eq!(trouble(&pulse, 500), None);
    }

    #[test]
    fn failures_are_told_by_kind_until_an_answer_comes_or_no_request_is_sent() {
        for (miss, expected) in [(Miss::Failure, Trouble::Failing), (Miss::Throttling, Trouble::Throttled)] {
            let pulse = Pulse::default();
            pulse.sent(at(100));
            pulse.missed(at(101), miss);
            assert_eq!((trouble(&pulse, 110), trouble(&pulse, 111)), (None, Some((expected, 10))));
            pulse.sent(at(115));
            pulse.missed(at(116), miss);
            assert_eq!(trouble(&pulse, 174), Some((expected, 73)));
            assert_eq!(trouble(&pulse, 175), None, "no request was sent for a minute");
            pulse.sent(at(180));
            assert_eq!(trouble(&pulse, 180), Some((expected, 79)));
            pulse.answered(at(181));
            assert_eq!(trouble(&pulse, 182), None);
        }
    }

    #[test]
    fn a_request_that_was_given_up_soon_shows_nothing_and_a_late_one_does() {
        let pulse = Pulse::default();
        pulse.sent(at(100));
        pulse.given_up(at(102));
        assert_eq!(trouble(&pulse, 120), None);
        pulse.sent(at(130));
        pulse.given_up(at(133));
        assert_eq!(trouble(&pulse, 140), Some((Trouble::Silent, 10)));
        // A late request, sent a second time: the second answer came, and the first is given up.
        (0..2).for_each(|_| pulse.sent(at(150)));
        pulse.answered(at(158));
        pulse.given_up(at(159));
        assert_eq!(trouble(&pulse, 180), None);
    }

    #[test]
    fn reads_that_wait_are_stuck_while_none_of_them_goes_on() {
        let pulse = Pulse::default();
        let look = |seconds, waiting, gone_on| {
            let condition = pulse.look(at(seconds), waiting, gone_on);
            (condition.trouble.map(|(trouble, _)| trouble), condition.stuck.as_secs())
        };
        assert_eq!(look(100, 0, 5), (None, 0));
        assert_eq!(look(200, 2, 5), (None, 0), "none waited before");
        assert_eq!(look(209, 2, 5), (None, 9));
        assert_eq!(look(210, 2, 5), (Some(Trouble::Stuck), 10));
        assert_eq!(look(211, 2, 6), (None, 0), "one has made progress");
        assert_eq!(look(300, 0, 6), (None, 0), "none waits");
    }

    #[test]
    fn it_is_told_in_a_sentence() {
        let pulse = Pulse::default();
        pulse.sent(at(100));
        pulse.look(at(105), 3, 0);
        let condition = pulse.look(at(145), 3, 0);
        let told = "the store has not answered for 45 s; 3 reads are waiting, and none has made progress for 40 s";
        assert_eq!(condition.to_string(), told);
        assert_eq!(Condition::default().to_string(), "the store answers");
    }

    #[tokio::test]
    async fn who_waits_for_requests_misses_none() {
        let pulse = Pulse::default();
        pulse.sent(at(1));
        pulse.wake().await;
        let (mut waits, sends) = (Box::pin(pulse.wake()), || pulse.sent(at(2)));
        assert!(futures::poll!(&mut waits).is_pending());
        sends();
        waits.await;
    }
}
