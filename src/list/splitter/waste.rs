//! The cost of wrong cuts so far, and how many more may be tried.

use super::super::PageOrder;

/// An estimate beyond this multiple of what has been listed is not believed.
const FAR: f64 = 4.0;

/// What guessing has cost, in pages.
#[derive(Debug, Default)]
pub(super) struct Waste {
    /// Keys of the largest page so far: what a request can bring.
    pub(super) page_keys: usize,
    pub(super) useful: f64,
    wasted: f64,
}

impl Waste {
    /// Waste that is always allowed.
    const BASE: f64 = 38.0;
    /// Waste that is allowed for every page listed; and in key order, where parts must be short.
    const SHARE: f64 = 0.15;
    const SHARE_IN_ORDER: f64 = 0.3;
    /// What a guess costs on average: half a page before it, and sometimes a page that is empty.
    const EXPECTED: f64 = 0.6;

    /// Guesses that may be on their way at first; one more for each page listed.
    const START: f64 = 2.0;

    pub(super) fn count(&mut self, kept: usize, came: usize) {
        self.page_keys = self.page_keys.max(came).max(1);
        let share = kept as f64 / self.page_keys as f64;
        self.useful += share;
        self.wasted += 1.0 - share;
    }

    /// How many guesses may be on their way, with this share of all possible requests unused and as many pages left as
    /// far as is known. What is always allowed is kept for times when there is little else to ask for.
    pub(super) fn allowed(&self, order: PageOrder, idle: f64, left: f64) -> usize {
        let share = match order {
            // What will surely be listed counts before it is: segments are wanted at the beginning rather than later.
            PageOrder::Arrival => Self::SHARE * (self.useful + left.min(self.useful)),
            PageOrder::Key => Self::SHARE_IN_ORDER * self.useful,
        };
        let affordable = (Self::BASE * idle + share - self.wasted) / Self::EXPECTED;
        affordable.min(Self::START + self.useful).max(0.0) as usize
    }

    pub(super) fn is_far(&self, pages: f64) -> bool {
        pages > FAR * (self.useful + 1.0)
    }
}
