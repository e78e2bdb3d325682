//! Follows a recorded load: what to fetch next of it, given what the program reads. Pure: opens and reads in, pieces
//! out.
//!
//! Pieces are taken in the order of the recording, a bounded distance ahead of what the program has used of them. A
//! read of a piece whose turn has not come calls it out of turn where that is near, and moves the plan there where it
//! is far, so that a program that skips, or goes through its files in another order, is followed. What was fetched and
//! not read may be a window, as much as was left behind by one such move, and a share of what was read, and nothing is
//! fetched beyond that: so a plan that is wrong stops by itself, wherever the program has gone. Reads that the plan did
//! not serve are counted, and end it for good when they are many.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::Object;
use super::trace::{Piece, Trace};
use super::tuning::Tuning;
use crate::base::{ByteRange, Ino};

/// Pieces called out of turn at most.
const MOST_CALLED: usize = 64;
/// The load may begin anew once this many quarters of it were used.
const NEARLY_DONE_QUARTERS: u64 = 3;

/// A plan and how far it was followed.
#[derive(Debug)]
pub(super) struct Replay {
    tuning: Arc<Tuning>,
    objects: Vec<Subject>,
    places: HashMap<Ino, usize>,
    steps: Vec<Step>,
    total_bytes: u64,

    /// The next step in turn; `None` until the load begins.
    next: Option<usize>,
    /// Steps out of turn.
    called: VecDeque<usize>,
    fetched_bytes: u64,
    used_bytes: u64,
    /// What no program had read when the program was found elsewhere, at most.
    left_bytes: u64,
    served_bytes: u64,
    missed_bytes: u64,
    /// Bytes of the last reads that the plan did nothing for.
    stray_bytes: u64,
    /// Whether the last read was one of the plan's, or one that happens beside it.
    is_serving: bool,
    is_over: bool,
    /// Whether the end of the plan was reported.
    was_told: bool,
}

#[derive(Debug)]
struct Subject {
    object: Object,
    /// Its steps, in the order of their bytes.
    steps: Vec<usize>,
    /// It has changed, or is gone.
    is_lost: bool,
}

/// A piece, and what became of it.
#[derive(Debug)]
struct Step {
    piece: Piece,
    /// How many bytes of the plan come before it.
    before_bytes: u64,
    /// Whether its turn has been.
    is_done: bool,
    /// Bytes fetched of it for the plan.
    fetched_bytes: u64,
    /// One bit for each 64th of it whose last byte was read.
    read: u64,
}

impl Step {
    fn grain_bytes(&self) -> u64 {
        self.piece.range.len().div_ceil(64)
    }

    /// Notes bytes that were read.
    fn mark(&mut self, read: ByteRange) {
        let (range, grain) = (self.piece.range, self.grain_bytes());
        let read = range.intersect(read);
        if read.is_empty() {
            return;
        }
        let to = if read.end == range.end { range.len().div_ceil(grain) } else { (read.end - range.start) / grain };
        let below = |bit: u64| if bit == 64 { u64::MAX } else { (1 << bit) - 1 };
        self.read |= below(to) & !below(((read.start - range.start) / grain).min(to));
    }

    /// Bytes that were read, of those fetched for the plan.
    fn used_bytes(&self) -> u64 {
        (u64::from(self.read.count_ones()) * self.grain_bytes()).min(self.fetched_bytes)
    }

    fn was_read_whole(&self) -> bool {
        u64::from(self.read.count_ones()) == self.piece.range.len().div_ceil(self.grain_bytes())
    }
}

/// What the plan says of a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Guidance {
    /// Nothing: the read is answered as any other.
    None,
    /// The plan does nothing for it, and goes on all the same: nothing follows from it.
    Stray,
    /// All below `end` will be wanted, and what follows is the plan's business.
    Below {
        /// An offset in the object.
        end: u64,
        /// The last step that the read touches. GETs for the read are to be told to [`Replay::fetched`].
        step: usize,
        /// Whether its bytes should be there, or on their way.
        was_done: bool,
    },
}

impl Replay {
    /// A plan of which nothing was followed yet, in pieces that are worth a GET.
    pub(super) fn new(trace: Trace, memory_limit: u64, tuning: Arc<Tuning>) -> Self {
        // Within half of a window: what is fetched early for the sake of its neighbours takes part of that.
        let trace = trace.joined(tuning.replay_first_window_bytes.min(memory_limit / tuning.replay_memory_share) / 2);
        let subject = |object| Subject { object, steps: Vec::new(), is_lost: false };
        let mut objects: Vec<Subject> = trace.objects.into_iter().map(subject).collect();
        let mut total_bytes = 0;
        let mut steps = Vec::with_capacity(trace.pieces.len());
        for piece in trace.pieces {
            let Some(subject) = objects.get_mut(piece.object) else { continue };
            subject.steps.push(steps.len());
            steps.push(Step { piece, before_bytes: total_bytes, is_done: false, fetched_bytes: 0, read: 0 });
            total_bytes += piece.range.len();
        }
        for subject in &mut objects {
            subject.steps.sort_by_key(|&step| steps[step].piece.range.start);
        }
        let places = objects.iter().enumerate().map(|(place, subject)| (subject.object.ino, place)).collect();
        Replay {
            tuning,
            objects,
            places,
            steps,
            total_bytes,
            next: None,
            called: VecDeque::new(),
            fetched_bytes: 0,
            used_bytes: 0,
            left_bytes: 0,
            served_bytes: 0,
            missed_bytes: 0,
            stray_bytes: 0,
            is_serving: false,
            is_over: false,
            was_told: false,
        }
    }

    /// Whether this object is one of the plan's, and the plan holds.
    pub(super) fn covers(&self, object: &Object) -> bool {
        !self.is_over && self.subject(object).is_some()
    }

    /// Whether the plan has its place beside the last read.
    pub(super) fn is_serving(&self) -> bool {
        self.is_serving
    }

    /// Whether it was given up since this was last asked.
    pub(super) fn ends(&mut self) -> bool {
        self.is_over && !std::mem::replace(&mut self.was_told, true)
    }

    /// Whether it has proved right for more than its first window.
    pub(super) fn is_proven(&self) -> bool {
        self.used_bytes >= self.tuning.replay_first_window_bytes
    }

    /// Bytes fetched for the plan that no program has read.
    pub(super) fn unread_bytes(&self) -> u64 {
        self.fetched_bytes - self.used_bytes
    }

    fn subject(&self, object: &Object) -> Option<&Subject> {
        let subject = &self.objects[*self.places.get(&object.ino)?];
        (subject.object == *object && !subject.is_lost).then_some(subject)
    }

    /// An object was opened. Any of the plan begins the load, at its beginning: many programs open all files before
    /// they read the first one. One whose pieces were all read begins it anew, if it was nearly through.
    pub(super) fn opened(&mut self, object: &Object) {
        if self.is_over {
            return;
        }
        let Some(subject) = self.subject(object) else { return };
        let was_read = subject.steps.iter().all(|&step| self.steps[step].was_read_whole());
        let is_nearly_done = self.used_bytes / NEARLY_DONE_QUARTERS >= self.total_bytes / 4;
        if self.next.is_none() {
            self.next = Some(0);
        } else if was_read && is_nearly_done {
            for step in &mut self.steps {
                (step.is_done, step.fetched_bytes, step.read) = (false, 0, 0);
            }
            (self.fetched_bytes, self.used_bytes, self.next) = (0, 0, Some(0));
        }
    }

    /// Bytes of an object are wanted.
    pub(super) fn read(&mut self, object: &Object, read: ByteRange, memory_limit: u64) -> Guidance {
        self.is_serving = false;
        if self.is_over {
            return Guidance::None;
        }
        let Some(subject) = self.subject(object) else { return Guidance::None };
        let steps = &subject.steps;
        let from = steps.partition_point(|&step| self.steps[step].piece.range.end <= read.start);
        let touched: Vec<usize> =
            steps[from..].iter().copied().take_while(|&step| self.steps[step].piece.range.start < read.end).collect();
        let was_read = touched.iter().all(|&step| self.steps[step].was_read_whole());
        let planned: u64 = touched.iter().map(|&step| self.steps[step].piece.range.intersect(read).len()).sum();
        let Some(&last) = touched.last().filter(|_| planned * 2 >= read.len()) else {
            self.missed(read.len());
            return self.stray(read);
        };
        for step in touched {
            self.use_step(step, read, memory_limit);
        }
        if was_read {
            // It may have been given up since.
            return self.stray(read);
        }
        let Step { is_done, piece, .. } = self.steps[last];
        let is_its_turn = self.next == Some(last) || self.called.contains(&last);
        if !is_done && (!is_its_turn || self.is_held_back(memory_limit, last)) {
            self.missed(read.len());
            return self.stray(read);
        }
        self.served_bytes += read.len();
        (self.is_serving, self.stray_bytes) = (true, 0);
        Guidance::Below { end: piece.range.end, step: last, was_done: is_done }
    }

    /// A read that the plan does nothing for.
    fn stray(&mut self, read: ByteRange) -> Guidance {
        self.stray_bytes += read.len();
        self.is_serving =
            self.served_bytes > 0 && self.stray_bytes <= self.tuning.replay_most_stray_bytes && !self.is_over;
        if self.is_serving { Guidance::Stray } else { Guidance::None }
    }

    fn use_step(&mut self, index: usize, read: ByteRange, memory_limit: u64) {
        let step = &mut self.steps[index];
        let used = step.used_bytes();
        step.mark(read);
        self.used_bytes += step.used_bytes() - used;
        if step.is_done {
            return;
        }
        let at = step.before_bytes;
        let next = self.next.unwrap_or(index);
        let next_at = self.steps.get(next).map_or(self.total_bytes, |step| step.before_bytes);
        let is_near =
            index > next && at <= next_at + self.window_bytes(memory_limit) && self.called.len() < MOST_CALLED;
        match is_near {
            true if self.called.contains(&index) => {}
            true => self.called.push_back(index),
            false if index == next => {}
            false => {
                self.left_bytes = self.unread_bytes().max(self.left_bytes).min(self.tuning.replay_most_left_bytes);
                self.next = Some(index);
            }
        }
    }

    /// Bytes were read for which the plan did nothing.
    pub(super) fn missed(&mut self, bytes: u64) {
        self.missed_bytes += bytes;
        self.is_over |= self.missed_bytes > self.tuning.replay_most_missed_bytes + self.served_bytes / 2;
    }

    fn window_bytes(&self, memory_limit: u64) -> u64 {
        (self.tuning.replay_first_window_bytes + self.used_bytes)
            .min(self.tuning.replay_most_window_bytes)
            .min(memory_limit / self.tuning.replay_memory_share)
    }

    /// Whether a step that nothing was fetched of has to wait until more was used.
    fn is_held_back(&self, memory_limit: u64, index: usize) -> bool {
        let step = &self.steps[index];
        let allowed =
            self.window_bytes(memory_limit) + self.left_bytes + self.used_bytes / self.tuning.replay_waste_share;
        !step.is_done && self.unread_bytes() + step.piece.range.len() > allowed
    }

    /// The next step to fetch, with its object and which of its bytes; none while enough is ahead of the program.
    /// Answer with [`Replay::fetched`] and [`Replay::done`].
    pub(super) fn turn(&mut self, memory_limit: u64) -> Option<(usize, Object, ByteRange)> {
        if self.is_over {
            return None;
        }
        let is_settled = |replay: &Replay, index: usize| {
            let step = &replay.steps[index];
            step.is_done || replay.objects[step.piece.object].is_lost
        };
        while self.called.front().is_some_and(|&index| is_settled(self, index)) {
            self.called.pop_front();
        }
        let index = match self.called.front() {
            Some(&index) => index,
            None => {
                let mut next = self.next?;
                while next < self.steps.len() && is_settled(self, next) {
                    next += 1;
                }
                self.next = Some(next);
                next
            }
        };
        let piece = self.steps.get(index)?.piece;
        let object = &self.objects[piece.object].object;
        (!self.is_held_back(memory_limit, index)).then(|| (index, object.clone(), piece.range))
    }

    /// A GET was sent for a step, of so many bytes.
    pub(super) fn fetched(&mut self, index: usize, bytes: u64) {
        let step = &mut self.steps[index];
        let used = step.used_bytes();
        step.fetched_bytes += bytes;
        self.fetched_bytes += bytes;
        self.used_bytes += step.used_bytes() - used;
    }

    /// All of a step is there or on its way.
    pub(super) fn done(&mut self, index: usize) {
        self.steps[index].is_done = true;
    }

    /// An object has changed, is gone or may not be read: the plan goes on without it. Says whether that is news.
    pub(super) fn lost(&mut self, object: &Object) -> bool {
        if self.subject(object).is_none() {
            return false;
        }
        let Some(&place) = self.places.get(&object.ino) else { return false };
        let subject = &mut self.objects[place];
        subject.is_lost = true;
        for &step in &subject.steps {
            // Nothing came of it.
            let step = &mut self.steps[step];
            self.fetched_bytes -= step.fetched_bytes - step.used_bytes();
            step.fetched_bytes = step.used_bytes();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::rngs::StdRng;
    use rand::seq::SliceRandom;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::base::{ETag, Key};

    const MIB: u64 = 1 << 20;
    const MEMORY: u64 = 2 << 30;

    fn tuning() -> Tuning {
        Tuning::default()
    }

    fn object(index: u64) -> Object {
        let (key, etag) = (Key::new(format!("k{index}")), ETag::parse(&format!("e{index}")));
        Object { ino: Ino(index + 2), key, version: None, etag, size: 1 << 40, mtime: None, archived: false }
    }

    /// Two objects, as many pieces of 8 MiB, taking turns.
    fn trace(pieces: u64) -> Trace {
        let piece = |i| Piece { object: (i % 2) as usize, range: ByteRange::at(i / 2 * 8 * MIB, 8 * MIB) };
        Trace { objects: vec![object(0), object(1)], pieces: (0..pieces).map(piece).collect() }
    }

    /// A program that reads a mebibyte at a time, and a network that is as fast as the plan asks.
    struct Course {
        replay: Replay,
        memory: u64,
        fetched_bytes: u64,
        read_bytes: u64,
        /// Bytes of reads that found them fetched.
        ready_bytes: u64,
    }

    impl Course {
        fn new(trace: Trace, memory: u64) -> Self {
            Course {
                replay: Replay::new(trace, memory, Arc::default()),
                memory,
                fetched_bytes: 0,
                read_bytes: 0,
                ready_bytes: 0,
            }
        }

        fn fetch(&mut self) {
            while let Some((step, object, range)) = self.replay.turn(self.memory) {
                assert!(object.ino.0 < 4 && !range.is_empty());
                let rest = range.len() - self.replay.steps[step].fetched_bytes;
                if rest > 0 {
                    self.replay.fetched(step, rest);
                    self.fetched_bytes += rest;
                }
                self.replay.done(step);
            }
        }

        /// A step of the trace is read, some of it.
        fn read(&mut self, (index, range): (usize, ByteRange)) {
            let object = object(index as u64);
            self.replay.opened(&object);
            self.fetch();
            for start in (range.start..range.end).step_by(MIB as usize) {
                let read = ByteRange::new(start, range.end.min(start + MIB));
                match self.replay.read(&object, read, self.memory) {
                    Guidance::Below { was_done: true, .. } => self.ready_bytes += read.len(),
                    Guidance::Below { end, step, was_done: false } => {
                        let missing = self.replay.steps[step].piece.range.len() - self.replay.steps[step].fetched_bytes;
                        let bytes = (end - read.start).min(4 * MIB).min(missing);
                        self.replay.fetched(step, bytes);
                        self.fetched_bytes += bytes;
                    }
                    Guidance::None | Guidance::Stray => {}
                }
                self.read_bytes += read.len();
                self.fetch();
            }
        }

        fn read_steps(mut self, trace: &Trace, steps: impl IntoIterator<Item = usize>) -> Self {
            for step in steps {
                let Piece { object, range } = trace.pieces[step];
                self.read((object, range));
            }
            self
        }
    }

    /// The share of its bytes that a program finds fetched when it reads these steps.
    fn ready(steps: impl IntoIterator<Item = usize>) -> f64 {
        let trace = trace(200);
        let course = Course::new(trace.clone(), MEMORY).read_steps(&trace, steps);
        course.ready_bytes as f64 / course.read_bytes as f64
    }

    #[test]
    fn who_follows_the_plan_waits_once() {
        assert!(ready(0..200) > 0.99);
    }

    #[test]
    fn who_swaps_neighbours_or_halves_or_skips_is_followed() {
        let mut dice = StdRng::seed_from_u64(1);
        let mut shuffled: Vec<usize> = (0..200).collect();
        shuffled.chunks_mut(6).for_each(|chunk| chunk.shuffle(&mut dice));
        assert!(ready(shuffled) > 0.95);
        assert!(ready((100..200).chain(0..100)) > 0.98);
        assert!(ready((0..200).filter(|step| step % 20 > 1)) > 0.98);
    }

    #[test]
    fn nothing_comes_before_the_load_begins_and_a_window_at_first() {
        let mut course = Course::new(trace(200), MEMORY);
        course.fetch();
        assert_eq!(course.fetched_bytes, 0);
        course.replay.opened(&object(5));
        course.fetch();
        assert_eq!(course.fetched_bytes, 0);
        course.replay.opened(&object(1));
        course.fetch();
        assert_eq!(
            (course.fetched_bytes, course.replay.steps[0].fetched_bytes),
            (tuning().replay_first_window_bytes, 8 * MIB)
        );
    }

    #[test]
    fn a_plan_for_another_program_is_given_up() {
        let mut course = Course::new(trace(200), MEMORY);
        course.replay.opened(&object(0));
        // Behind all pieces.
        for i in 0..65 {
            course.read((0, ByteRange::at((1000 + i) * MIB, MIB)));
        }
        assert!(course.replay.ends() && !course.replay.ends());
        course.read((0, ByteRange::at(0, MIB)));
        assert!(!course.replay.covers(&object(0)) && course.fetched_bytes == tuning().replay_first_window_bytes);
    }

    #[test]
    fn a_few_reads_beside_the_plan_are_left_alone() {
        let mut course = Course::new(trace(200), MEMORY);
        course.read((0, ByteRange::at(0, MIB)));
        let mut stray = |at| course.replay.read(&object(0), ByteRange::at(at * MIB, MIB), MEMORY);
        assert_eq!([1000, 1001, 1002, 1003].map(&mut stray), [Guidance::Stray; 4]);
        assert_eq!(stray(1004), Guidance::None);
        assert!(matches!(stray(1), Guidance::Below { .. }));
        assert_eq!(stray(1004), Guidance::Stray);
    }

    #[test]
    fn a_load_may_begin_anew_when_it_is_through() {
        let trace = trace(20);
        let course = Course::new(trace.clone(), MEMORY).read_steps(&trace, (0..20).chain(0..20));
        assert_eq!((course.fetched_bytes, course.ready_bytes >> 20), (320 * MIB, 320));
    }

    #[test]
    fn the_plan_goes_on_without_what_is_lost() {
        let mut course = Course::new(trace(200), MEMORY);
        course.replay.opened(&object(0));
        course.fetch();
        assert!(course.replay.lost(&object(0)) && !course.replay.lost(&object(0)) && !course.replay.lost(&object(7)));
        assert_eq!(course.replay.unread_bytes(), tuning().replay_first_window_bytes / 2);
        course.fetch();
        assert_eq!(course.replay.unread_bytes(), tuning().replay_first_window_bytes);
        assert!(course.replay.steps[16..].iter().all(|step| step.piece.object == 1 || step.fetched_bytes == 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

        #[test]
        fn whatever_is_read_little_is_fetched_in_vain(
            seed in any::<u64>(),
            memory in prop_oneof![Just(64 * MIB), Just(MEMORY)],
            most_reads in 1u64..400,
            read_bytes in prop_oneof![Just(4096u64), Just(MIB), Just(8 * MIB)],
            jumpy in 0u32..100,
        ) {
            let mut dice = StdRng::seed_from_u64(seed);
            let mut course = Course::new(trace(400), memory);
            let tuning = tuning();
            let mut seen = std::collections::HashSet::new();
            let mut at = 0;
            for _ in 0..most_reads {
                at = if dice.random_range(0..100) < jumpy { dice.random_range(0..450 * 2048) } else { at + read_bytes / 4096 };
                let range = ByteRange::at(at * 4096, read_bytes);
                course.read((dice.random_range(0..2), range));
                seen.extend(range.start / 4096..range.end / 4096);
                let wasted = course.replay.used_bytes / tuning.replay_waste_share;
                let allowed = course.replay.window_bytes(memory) + tuning.replay_most_left_bytes + wasted;
                prop_assert!(course.replay.unread_bytes() <= allowed);
            }
            let read = 2 * seen.len() as u64 * 4096;
            let window = tuning.replay_most_window_bytes.min(memory / tuning.replay_memory_share);
            let most = window + tuning.replay_most_left_bytes + read + read / tuning.replay_waste_share;
            prop_assert!(course.fetched_bytes <= most, "{} of {}", course.fetched_bytes, most);
        }
    }
}
