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
    /// Parts that have come to their ends.
    ended: f64,
    /// Pages hold more than they show.
    passes_over: bool,
}

/// What is known of a listing when its next cut is weighed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlook {
    /// The share of all possible requests that is not used.
    pub(super) idle: f64,
    /// Pages left as far as is known.
    pub(super) left: f64,
    /// Parts that have shown something and have not come to their ends.
    pub(super) open: f64,
    /// The names at the top fill whole pages, so that each part ends with a page of what lies behind it.
    pub(super) names_fill_pages: bool,
}

impl Waste {
    /// Waste that is always allowed.
    const BASE: f64 = 38.0;
    /// The same where names are shown of pages of versions: those are several times as many, so that it takes no
    /// longer. With [`BASE`](Self::BASE), three versions of 100,000 keys in directories of 5000 took 1.30 requests a
    /// page.
    const BASE_OF_VERSIONS: f64 = 24.0;
    /// Waste that is allowed for every page listed; and in key order, where parts must be short.
    const SHARE: f64 = 0.15;
    const SHARE_IN_ORDER: f64 = 0.3;
    /// What a guess costs on average: half a page before it, and sometimes a page that is empty.
    const EXPECTED: f64 = 0.6;
    /// As many parts as this must have ended for what they have cost to count as much as what was expected.
    const PRIOR: f64 = 3.0;

    /// Guesses that may be on their way at first; one more for each page listed.
    const START: f64 = 2.0;

    pub(super) fn count(&mut self, kept: usize, came: usize) {
        self.page_keys = self.page_keys.max(came).max(1);
        let share = kept as f64 / self.page_keys as f64;
        self.useful += share;
        self.wasted += 1.0 - share;
    }

    /// Pages were seen to hold versions that are not shown.
    pub(super) fn passes_over(&mut self) {
        self.passes_over = true;
    }

    /// A part has come to its end.
    pub(super) fn end(&mut self) {
        self.ended += 1.0;
    }

    /// What a guess costs: where names fill pages, as much as this listing has shown. Elsewhere what parts waste is
    /// soon made up for by those that waste less, and listings that wait for that take a third longer.
    fn cost(&self, names_fill_pages: bool) -> f64 {
        let shown = (Self::PRIOR * Self::EXPECTED + self.wasted) / (Self::PRIOR + self.ended);
        if names_fill_pages { shown.max(1.0) } else { Self::EXPECTED }
    }

    /// How many guesses may be on their way. What is always allowed is kept for times when there is little else to ask
    /// for. Where guesses cost more than is usual, less is allowed, and what parts will waste at their ends counts
    /// before they have come there.
    pub(super) fn allowed(&self, order: PageOrder, outlook: Outlook) -> usize {
        let Outlook { idle, left, open, names_fill_pages } = outlook;
        let share = match order {
            // What will surely be listed counts before it is: segments are wanted at the beginning rather than later.
            PageOrder::Arrival => Self::SHARE * (self.useful + left.min(self.useful)),
            PageOrder::Key => Self::SHARE_IN_ORDER * self.useful,
        };
        let cost = self.cost(names_fill_pages);
        let base = if self.passes_over { Self::BASE_OF_VERSIONS } else { Self::BASE };
        let always = base * idle * (Self::EXPECTED / cost).min(1.0);
        let to_come = open * (cost - Self::EXPECTED).max(0.0);
        let affordable = (always + share - self.wasted - to_come) / cost;
        affordable.min(Self::START + self.useful).max(0.0) as usize
    }

    pub(super) fn is_far(&self, pages: f64) -> bool {
        pages > FAR * (self.useful + 1.0)
    }
}
