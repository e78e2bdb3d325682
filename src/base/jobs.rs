//! A table of jobs by number: it bounds how many run at once, and remembers the last ones that have ended.

use std::collections::{BTreeMap, VecDeque};

/// The jobs of one kind.
#[derive(Debug)]
pub struct Jobs<J> {
    most_live: usize,
    most_ended: usize,
    last: u64,
    all: BTreeMap<u64, J>,
    /// Those of them that have ended, the first to end in front.
    ended: VecDeque<u64>,
}

impl<J> Jobs<J> {
    /// None yet. At most `most_live` go on at once, and `most_ended` are remembered after their end.
    pub fn new(most_live: usize, most_ended: usize) -> Self {
        Jobs { most_live, most_ended, last: 0, all: BTreeMap::new(), ended: VecDeque::new() }
    }

    /// Takes a job that is made for its number, which is returned; `None` where too many go on.
    pub fn enter(&mut self, make: impl FnOnce(u64) -> J) -> Option<u64> {
        if self.live() >= self.most_live {
            return None;
        }
        self.last += 1;
        self.all.insert(self.last, make(self.last));
        Some(self.last)
    }

    /// The job of a number; `None` where there was none, or it ended long ago.
    pub fn get(&self, number: u64) -> Option<&J> {
        self.all.get(&number)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut J> {
        self.all.get_mut(&number)
    }

    /// All that are known, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &J> {
        self.all.values()
    }

    /// A job has ended. The one that ended longest ago is forgotten for it, where too many are remembered. A job that
    /// had ended, or is not known, changes nothing.
    pub fn end(&mut self, number: u64) {
        if !self.all.contains_key(&number) || self.ended.contains(&number) {
            return;
        }
        self.ended.push_back(number);
        if self.ended.len() > self.most_ended
            && let Some(oldest) = self.ended.pop_front()
        {
            self.all.remove(&oldest);
        }
    }

    /// How many go on.
    pub fn live(&self) -> usize {
        self.all.len() - self.ended.len()
    }

    /// How many of those that are known have ended.
    pub fn ended(&self) -> usize {
        self.ended.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_go_on_and_the_last_to_end_are_remembered() {
        let mut jobs = Jobs::new(2, 2);
        let enter = |jobs: &mut Jobs<String>| jobs.enter(|number| format!("job {number}"));
        assert_eq!([enter(&mut jobs), enter(&mut jobs), enter(&mut jobs)], [Some(1), Some(2), None]);
        jobs.end(2);
        jobs.end(2);
        assert_eq!((jobs.live(), jobs.ended()), (1, 1));
        assert_eq!(enter(&mut jobs), Some(3));
        assert_eq!(enter(&mut jobs), None);
        jobs.end(3);
        jobs.end(1);
        // The second was the first to end.
        let known: Vec<_> = jobs.iter().map(String::as_str).collect();
        assert_eq!((known, jobs.get(2)), (vec!["job 1", "job 3"], None));
        jobs.end(2);
        jobs.end(7);
        assert_eq!((jobs.live(), jobs.ended()), (0, 2));
        jobs.get_mut(1).unwrap().push('!');
        assert_eq!(jobs.get(1).map(String::as_str), Some("job 1!"));
    }
}
