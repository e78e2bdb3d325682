//! Whether a member is asked: how often it failed of late, and for how long it is out. Pure; time comes in.

use std::time::Duration;

/// So many strikes within [`PERIOD`] put a member out.
const STRIKES: usize = 3;
const PERIOD: Duration = Duration::from_secs(10);
/// How long a member is out the first time, and at most: twice as long each further time.
const FIRST_TERM: Duration = Duration::from_secs(5);
const LONGEST_TERM: Duration = Duration::from_secs(60);

/// How a member stands.
#[derive(Debug, Default)]
pub(super) struct MemberStanding {
    /// When it failed, of the last failures.
    strikes: [Option<Duration>; STRIKES],
    /// While it is out: until when nothing is sent to it.
    out_until: Option<Duration>,
    /// One request tries whether it is back.
    is_probed: bool,
    /// How long it is out the next time.
    term: Duration,
    /// When it came back.
    back_at: Option<Duration>,
}

/// What a request may do with a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    /// It is asked like others.
    In,
    /// It is asked by this request alone, which shows whether it is back.
    Probe,
    /// It is not asked.
    Out,
}

/// What a failure or an answer has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// Nothing has changed by it.
    Same,
    /// The member is out from now on, for so long.
    Leaves(Duration),
    /// The member is back.
    Returns,
}

impl MemberStanding {
    /// Whether a request may ask the member now. A probe must be followed by a strike, an answer or [`Self::give_up`].
    pub(super) fn admit(&mut self, now: Duration) -> Admission {
        match self.out_until {
            None => Admission::In,
            Some(until) if now >= until && !self.is_probed => {
                self.is_probed = true;
                Admission::Probe
            }
            Some(_) => Admission::Out,
        }
    }

    /// Whether it is out.
    pub(super) fn is_out(&self) -> bool {
        self.out_until.is_some()
    }

    /// The member has failed.
    pub(super) fn struck(&mut self, now: Duration) -> Turn {
        if self.out_until.is_some() {
            // Those that were on their way when it left say nothing new.
            return if std::mem::take(&mut self.is_probed) { self.leave(now) } else { Turn::Same };
        }
        self.strikes.rotate_left(1);
        self.strikes[STRIKES - 1] = Some(now);
        match self.strikes[0] {
            Some(first) if now.saturating_sub(first) <= PERIOD => self.leave(now),
            _ => Turn::Same,
        }
    }

    /// The member has answered as it should.
    pub(super) fn answered(&mut self, now: Duration) -> Turn {
        if self.out_until.is_none() || !self.is_probed {
            return Turn::Same;
        }
        *self = MemberStanding { term: self.term, back_at: Some(now), ..MemberStanding::default() };
        Turn::Returns
    }

    /// A probe was dropped before it showed anything.
    pub(super) fn give_up(&mut self) {
        self.is_probed = false;
    }

    fn leave(&mut self, now: Duration) -> Turn {
        // One that has served well since begins anew.
        let was_well = self.back_at.take().is_some_and(|back| now.saturating_sub(back) > LONGEST_TERM);
        let term = if was_well { FIRST_TERM } else { self.term.max(FIRST_TERM) };
        self.out_until = Some(now + term);
        self.term = (term * 2).min(LONGEST_TERM);
        Turn::Leaves(term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn three_strikes_in_ten_seconds_put_a_member_out_and_one_request_asks_whether_it_is_back() {
        let mut standing = MemberStanding::default();
        assert_eq!([0, 4, 15].map(|at| standing.struck(seconds(at))), [Turn::Same; 3], "not within ten seconds");
        assert_eq!(standing.admit(seconds(15)), Admission::In);
        assert_eq!(standing.struck(seconds(16)), Turn::Same);
        assert_eq!(standing.struck(seconds(17)), Turn::Leaves(seconds(5)));
        assert_eq!(standing.struck(seconds(18)), Turn::Same, "it was on its way");
        assert_eq!([18, 21].map(|at| standing.admit(seconds(at))), [Admission::Out; 2]);
        assert_eq!(
            [22, 22, 23].map(|at| standing.admit(seconds(at))),
            [Admission::Probe, Admission::Out, Admission::Out]
        );
        standing.give_up();
        assert_eq!(standing.admit(seconds(23)), Admission::Probe);
        assert_eq!(standing.answered(seconds(23)), Turn::Returns);
        assert_eq!(standing.admit(seconds(23)), Admission::In);
    }

    #[test]
    fn each_time_out_is_twice_as_long_up_to_a_minute() {
        let mut standing = MemberStanding::default();
        let mut now = seconds(0);
        let mut terms = Vec::new();
        (0..2).for_each(|_| assert_eq!(standing.struck(now), Turn::Same));
        for _ in 0..6 {
            let Turn::Leaves(term) = standing.struck(now) else { panic!("it must leave") };
            terms.push(term.as_secs());
            now += term;
            assert_eq!(standing.admit(now), Admission::Probe);
        }
        assert_eq!(terms, [5, 10, 20, 40, 60, 60]);
    }
}
