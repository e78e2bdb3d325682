//! Which of many equal lines are written: the first few, then one a minute with the number of omitted ones. If none
//! follows within a minute, the number is written in a line of its own.
//!
//! Pure: the caller brings the time, and writes.

use std::time::Duration;

use lru::LruCache;
use tracing::Level;

/// So many equal lines are written before any is left out.
const FIRST: u32 = 5;
/// From then on one is written each time so much has passed.
const EVERY: Duration = Duration::from_secs(60);
/// A line that was not seen for so long is new again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// Lines that are told apart; beyond them, that which was not seen for longest is new again.
const MOST_LINES: usize = 4096;

/// What is to be done with a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The line is written.
    Write,
    /// Write it, and that so many equal ones were left out before.
    WriteAfter(u64),
    /// The line is left out.
    LeaveOut,
    /// Leave it out, and hand in what it says with [`Repeats::keep`]: it is the first one.
    LeaveOutAndKeep,
}

/// Lines that were left out, and of which no other has come since.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct LeftOut {
    pub(super) level: Level,
    pub(super) count: u64,
    /// What the first of them says.
    pub(super) said: Box<str>,
}

/// Which runs of equal lines are reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Runs {
    /// Those that seem to be over.
    Over,
    /// Every run of equal lines.
    All,
}

/// The lines seen lately, by what they say.
#[derive(Debug)]
pub(super) struct Repeats(LruCache<u64, Run>);

#[derive(Debug)]
struct Run {
    written: u32,
    left_out: u64,
    written_at: Duration,
    seen_at: Duration,
    /// The first one that was left out.
    first: Option<(Level, Box<str>)>,
}

impl Repeats {
    pub(super) fn new() -> Self {
        // Not `new`, which would set aside room for all of them.
        Repeats(LruCache::unbounded())
    }

    /// Takes in a line that says this, at this time on any clock that does not go back.
    pub(super) fn see(&mut self, line: u64, now: Duration) -> Verdict {
        let fresh = || Run { written: 0, left_out: 0, written_at: now, seen_at: now, first: None };
        if self.0.len() >= MOST_LINES && !self.0.contains(&line) {
            self.0.pop_lru();
        }
        let run = self.0.get_or_insert_mut(line, fresh);
        if now.saturating_sub(run.seen_at) >= FORGOTTEN_AFTER {
            *run = Run { left_out: run.left_out, first: run.first.take(), ..fresh() };
        }
        run.seen_at = now;
        let is_due = run.written < FIRST || now.saturating_sub(run.written_at) >= EVERY;
        if !is_due {
            run.left_out += 1;
            return if run.first.is_some() { Verdict::LeaveOut } else { Verdict::LeaveOutAndKeep };
        }
        run.written = run.written.saturating_add(1);
        run.written_at = now;
        run.first = None;
        match std::mem::take(&mut run.left_out) {
            0 => Verdict::Write,
            count => Verdict::WriteAfter(count),
        }
    }

    /// What the first line says that was left out.
    pub(super) fn keep(&mut self, line: u64, level: Level, said: &str) {
        if let Some(run) = self.0.peek_mut(&line)
            && run.left_out > 0
        {
            run.first = Some((level, said.into()));
        }
    }

    /// Whether there is anything left out and not told of yet.
    pub(super) fn has_left_out(&self) -> bool {
        self.0.iter().any(|(_, run)| run.left_out > 0 && run.first.is_some())
    }

    /// Takes the counts of omitted lines that were not reported yet: the caller reports them.
    pub(super) fn left_out(&mut self, which: Runs, now: Duration) -> Vec<LeftOut> {
        let is_over = |run: &Run| which == Runs::All || now.saturating_sub(run.seen_at) >= EVERY;
        let runs = self.0.iter_mut().map(|(_, run)| run).filter(|run| run.left_out > 0 && is_over(run));
        let told = runs.filter_map(|run| {
            let (level, said) = run.first.take()?;
            run.written_at = now;
            Some(LeftOut { level, count: std::mem::take(&mut run.left_out), said })
        });
        told.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the log does.
    fn see(repeats: &mut Repeats, line: u64, now: Duration) -> Verdict {
        let verdict = repeats.see(line, now);
        if verdict == Verdict::LeaveOutAndKeep {
            repeats.keep(line, Level::WARN, &format!("line {line}"));
            return Verdict::LeaveOut;
        }
        verdict
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_few_are_written_then_one_a_minute_with_the_count() {
        let mut repeats = Repeats::new();
        let mut written = Vec::new();
        for second in 0..200 {
            match see(&mut repeats, 7, at(second)) {
                Verdict::LeaveOut => {}
                verdict => written.push((second, verdict)),
            }
        }
        let after = Verdict::WriteAfter(59);
        let mut expected: Vec<_> = (0..5).map(|second| (second, Verdict::Write)).collect();
        expected.extend([(64, after), (124, after), (184, after)]);
        assert_eq!(written, expected);
    }

    #[test]
    fn lines_that_differ_do_not_count_for_each_other() {
        let mut repeats = Repeats::new();
        for line in 0..100_000 {
            assert_eq!(repeats.see(line, at(0)), Verdict::Write);
        }
        assert_eq!(repeats.0.len(), MOST_LINES);
    }

    #[test]
    fn after_a_long_silence_a_line_is_new_and_what_was_left_out_is_still_told() {
        let mut repeats = Repeats::new();
        for _ in 0..8 {
            repeats.see(7, at(0));
        }
        assert_eq!(repeats.see(7, at(700)), Verdict::WriteAfter(3));
        for _ in 0..4 {
            assert_eq!(repeats.see(7, at(700)), Verdict::Write);
        }
        assert_eq!(see(&mut repeats, 7, at(700)), Verdict::LeaveOut);
    }

    #[test]
    fn what_was_left_out_is_told_once_when_no_other_comes_for_a_minute() {
        let mut repeats = Repeats::new();
        for second in 0..8 {
            see(&mut repeats, 7, at(second));
            see(&mut repeats, 9, at(0));
        }
        assert_eq!(repeats.left_out(Runs::Over, at(59)), []);
        let told = |line, count| LeftOut { level: Level::WARN, count, said: format!("line {line}").into() };
        assert_eq!(repeats.left_out(Runs::Over, at(60)), [told(9, 3)]);
        assert_eq!(repeats.left_out(Runs::Over, at(67)), [told(7, 3)]);
        assert_eq!(repeats.left_out(Runs::All, at(68)), []);
        // Told of now: the next one is left out until a minute has passed, and told of in the end.
        assert_eq!(see(&mut repeats, 7, at(70)), Verdict::LeaveOut);
        assert_eq!(repeats.left_out(Runs::Over, at(70)), []);
        assert_eq!(repeats.left_out(Runs::All, at(70)), [told(7, 1)]);
        assert_eq!(see(&mut repeats, 7, at(130)), Verdict::Write, "nothing is told twice");
    }
}
