//! Blocks of the disk cache of which several parts have some, until the last of these has come.
//!
//! When it comes, the others may have gone from memory: the page cache has their bytes, or the disk the rest of them.

use std::sync::Arc;

use super::part::Part;
use crate::base::{ByteRange, Stretches};

/// How many blocks of an object wait at most. Chosen, not measured: 1 MiB, and more blocks than the GETs of one object
/// share at a time, as far as was seen.
const MOST: usize = 8;

/// The blocks of an object that wait, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Edges(Vec<Edge>);

#[derive(Debug)]
struct Edge {
    block: ByteRange,
    /// As long as the block, once some of it is there.
    bytes: Vec<u8>,
    there: Stretches,
}

impl Edges {
    /// These bytes of a range have come, and some of them are of a block; `parts` are the held parts of that block.
    /// Returns all its bytes, once they are known. They are kept for as long as the rest of them is on its way.
    pub(super) fn come(
        &mut self,
        block: ByteRange,
        (range, bytes): (ByteRange, &[u8]),
        parts: &[Arc<Part>],
    ) -> Option<Vec<u8>> {
        let known = self.0.iter().position(|edge| edge.block == block);
        let new = || Edge { block, bytes: Vec::new(), there: Stretches::default() };
        let mut edge = known.map_or_else(new, |place| self.0.remove(place));
        let mut expected = edge.there.clone();
        expected.add(range.intersect(block));
        parts.iter().filter(|part| !part.is_lost()).for_each(|part| expected.add(part.range.intersect(block)));
        if !expected.has_all(block) {
            return None;
        }
        edge.fill(range, bytes);
        parts.iter().filter(|part| part.is_complete()).for_each(|part| edge.fill(part.range, part.head()));
        if edge.there.has_all(block) {
            return Some(edge.bytes);
        }
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push(edge);
        None
    }

    /// How many blocks wait.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

impl Edge {
    /// Takes in what these bytes of a range have of the block.
    fn fill(&mut self, range: ByteRange, bytes: &[u8]) {
        let shared = range.intersect(self.block);
        let place = |from: ByteRange| (shared.start - from.start) as usize..(shared.end - from.start) as usize;
        self.bytes.resize(self.block.len() as usize, 0);
        self.bytes[place(self.block)].copy_from_slice(&bytes[place(range)]);
        self.there.add(shared);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::read::budget::Budget;
    use crate::read::buffer::Buffer;
    use crate::read::part::Origin;

    const BLOCK: ByteRange = ByteRange { start: 1000, end: 2000 };

    /// A part on its way.
    fn coming(start: u64, end: u64) -> Arc<Part> {
        Part::new(ByteRange::new(start, end), Origin::Demand, &Arc::new(Metrics::default()))
    }

    /// The same once it has come: each byte tells its place.
    fn come(part: Arc<Part>) -> Arc<Part> {
        let budget = Budget::new(1 << 20, Arc::default(), Arc::new(Metrics::default()));
        let len = part.range.len() as usize;
        let (buffer, mut tail) = Buffer::new(part.range.len(), budget.overdraw(1 << 20));
        part.attach(buffer);
        tail.memory(len).iter_mut().zip(part.range.start..).for_each(|(byte, at)| *byte = (at % 251) as u8);
        tail.filled(len);
        tail.publish();
        part.complete();
        part
    }

    fn of(part: &Arc<Part>) -> (ByteRange, &[u8]) {
        (part.range, part.head())
    }

    fn whole() -> Option<Vec<u8>> {
        Some((BLOCK.start..BLOCK.end).map(|at| (at % 251) as u8).collect())
    }

    #[test]
    fn a_block_is_known_when_the_last_of_its_parts_has_come() {
        let mut edges = Edges::default();
        let [first, second, third] = [(500, 1200), (1200, 1300), (1300, 2500)].map(|(start, end)| coming(start, end));
        let second = come(second);
        assert_eq!(edges.come(BLOCK, of(&second), &[first.clone(), second.clone(), third.clone()]), None);
        // The second has gone.
        let third = come(third);
        assert_eq!(edges.come(BLOCK, of(&third), &[first.clone(), third.clone()]), None);
        assert_eq!(edges.come(BLOCK, of(&come(first)), &[]), whole());
        assert_eq!(edges.count(), 0);
    }

    #[test]
    fn what_came_before_is_taken_from_memory() {
        let (first, second) = (come(coming(0, 1500)), come(coming(1500, 2000)));
        assert_eq!(Edges::default().come(BLOCK, of(&second), &[first]), whole());
    }

    #[test]
    fn nothing_waits_for_what_is_not_on_its_way() {
        let mut edges = Edges::default();
        let (first, second) = (come(coming(1000, 1400)), coming(1400, 2000));
        assert_eq!(edges.come(BLOCK, of(&first), &[]), None);
        assert_eq!(edges.come(BLOCK, of(&first), &[coming(1500, 2000)]), None);
        assert_eq!(edges.count(), 0);
        assert_eq!(edges.come(BLOCK, of(&first), std::slice::from_ref(&second)), None);
        assert_eq!(edges.count(), 1);
        second.drop_out();
        assert_eq!(edges.come(BLOCK, of(&first), &[second]), None);
        assert_eq!(edges.count(), 0);
    }

    #[test]
    fn few_blocks_wait_and_the_oldest_go_first() {
        let mut edges = Edges::default();
        let block = |number| ByteRange::at(number * 1000, 1000);
        let half = |number| {
            (come(coming(number * 1000, number * 1000 + 500)), coming(number * 1000 + 500, number * 1000 + 1000))
        };
        for number in 0..MOST as u64 + 2 {
            let (first, second) = half(number);
            assert_eq!(edges.come(block(number), of(&first), &[second]), None);
        }
        let waiting: Vec<ByteRange> = edges.0.iter().map(|edge| edge.block).collect();
        assert_eq!(waiting, (2..MOST as u64 + 2).map(block).collect::<Vec<_>>());
    }
}
