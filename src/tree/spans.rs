//! Which part of a directory's keys has been settled: spans that do not touch, in order. Keys are taken without the
//! directory's prefix.

use std::cmp::Ordering;

use super::component::{EntryKind, compare};

/// The keys from one on and before another; `None` for all that follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span<'s> {
    pub(super) from: &'s str,
    pub(super) before: Option<&'s str>,
}

impl<'s> Span<'s> {
    pub(super) const ALL: Span<'static> = Span { from: "", before: None };

    /// Whether all that a component can stand for lies within: the key that ends with it, and those that go on with
    /// `/`.
    pub(super) fn settles(&self, component: &str) -> bool {
        self.from <= component && self.reaches_over(component)
    }

    /// Whether every key that starts with the component and `/` lies within.
    pub(super) fn settles_below(&self, component: &str) -> bool {
        compare((self.from, EntryKind::File), (component, EntryKind::Directory)) != Ordering::Greater
            && self.reaches_over(component)
    }

    fn reaches_over(&self, component: &str) -> bool {
        let Some(before) = self.before else { return true };
        // The first key behind those below the component is the component and `0`, which follows `/`.
        let shared = before.len().min(component.len());
        let order = before.as_bytes()[..shared].cmp(&component.as_bytes()[..shared]);
        order.then_with(|| before.as_bytes().get(shared).cmp(&Some(&b'0'))) != Ordering::Less
    }

    /// The components that one of the bounds cuts: the file before it and what lies below behind it, or what lies
    /// below in two.
    pub(super) fn cut(&self) -> impl Iterator<Item = &'s str> {
        let bounds = [Some(self.from), self.before].into_iter().flatten();
        bounds.flat_map(|bound| {
            // Behind a component stands nothing greater than `/` before the keys below it are over.
            let ends = bound.bytes().enumerate().take_while({
                let mut over = false;
                move |&(_, byte)| !std::mem::replace(&mut over, byte == b'/')
            });
            ends.filter(|&(_, byte)| byte <= b'/').map(move |(at, _)| &bound[..at])
        })
    }
}

/// See the module's head.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Spans(Vec<(Box<str>, Option<Box<str>>)>);

impl Spans {
    pub(super) fn iter(&self) -> impl Iterator<Item = Span<'_>> {
        self.0.iter().map(|(from, before)| Span { from, before: before.as_deref() })
    }

    pub(super) fn is_all(&self) -> bool {
        self.iter().eq([Span::ALL])
    }

    pub(super) fn add(&mut self, span: Span<'_>) {
        if span.before.is_some_and(|before| before <= span.from) {
            return;
        }
        let first = self.0.partition_point(|(_, before)| before.as_deref().is_some_and(|before| before < span.from));
        let behind = self.0.partition_point(|(from, _)| span.before.is_none_or(|before| **from <= *before));
        if first == behind {
            self.0.insert(first, (span.from.into(), span.before.map(Into::into)));
            return;
        }
        let last = self.0[behind - 1].1.take();
        let own = &mut self.0[first];
        if *span.from < *own.0 {
            own.0 = span.from.into();
        }
        own.1 = match (last, span.before) {
            (Some(last), Some(before)) => Some(if *last < *before { before.into() } else { last }),
            _ => None,
        };
        self.0.drain(first + 1..behind);
    }

    /// Whether any key of a span is settled.
    pub(super) fn touch(&self, span: Span<'_>) -> bool {
        let first = self.0.partition_point(|(_, before)| before.as_deref().is_some_and(|before| before <= span.from));
        self.0.get(first).is_some_and(|(from, _)| span.before.is_none_or(|before| **from < *before))
    }

    /// Whether it is settled if an object has this component, and if keys lie below it. The two may stand in
    /// different spans: keys can stand between `a` and `a/`.
    pub(super) fn settle(&self, component: &str) -> bool {
        self.at(component, EntryKind::File).is_some_and(|span| span.from <= component) && self.settle_below(component)
    }

    /// Whether it is settled what lies below a component.
    pub(super) fn settle_below(&self, component: &str) -> bool {
        self.at(component, EntryKind::Directory).is_some_and(|span| span.settles_below(component))
    }

    /// The part that lies below a component, without that component.
    pub(super) fn below(&self, component: &str) -> Spans {
        let mut below = Spans::default();
        fn rest_of<'b>(bound: &'b str, component: &str) -> Option<&'b str> {
            bound.strip_prefix(component)?.strip_prefix('/')
        }
        for span in self.iter() {
            let to_below = |bound| compare((bound, EntryKind::File), (component, EntryKind::Directory));
            let ends_ahead = span.before.is_some_and(|before| to_below(before) != Ordering::Greater);
            let begins_behind = rest_of(span.from, component).is_none() && to_below(span.from) == Ordering::Greater;
            if !ends_ahead && !begins_behind {
                let before = span.before.and_then(|before| rest_of(before, component));
                below.add(Span { from: rest_of(span.from, component).unwrap_or(""), before });
            }
        }
        below
    }

    /// The one span that can hold a key: the first that ends behind it.
    fn at(&self, component: &str, role: EntryKind) -> Option<Span<'_>> {
        let ends_before = |before: &str| compare((before, EntryKind::File), (component, role)) != Ordering::Greater;
        let index = self.0.partition_point(|(_, before)| before.as_deref().is_some_and(ends_before));
        self.0.get(index).map(|(from, before)| Span { from, before: before.as_deref() })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// All keys that matter.
    fn keys() -> Vec<String> {
        let letters = ["", "a", "-", "/", "0", "b"];
        let mut keys = BTreeSet::new();
        for a in letters {
            for b in letters {
                for c in letters {
                    keys.insert(format!("{a}{b}{c}"));
                }
            }
        }
        keys.into_iter().collect()
    }

    fn bounds() -> impl Strategy<Value = (String, Option<String>)> {
        ("[-ab/0]{0,2}", prop::option::of("[-ab/0]{0,3}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn spans_hold_what_was_added(added in prop::collection::vec(bounds(), 0..6), asked in bounds()) {
            let mut spans = Spans::default();
            let mut model = BTreeSet::new();
            let within = |(from, before): &(String, Option<String>), key: &String| {
                from <= key && before.as_ref().is_none_or(|before| key < before)
            };
            for bounds in &added {
                spans.add(Span { from: &bounds.0, before: bounds.1.as_deref() });
                model.extend(keys().into_iter().filter(|key| within(bounds, key)));
            }
            let held = |key: &String| spans.iter().any(|span| within(&(span.from.into(), span.before.map(Into::into)), key));
            for pair in spans.0.windows(2) {
                prop_assert!(pair[0].1.as_deref().is_some_and(|before| before < &*pair[1].0), "{spans:?}");
            }
            for key in keys() {
                prop_assert_eq!(held(&key), model.contains(&key), "{}", key);
            }
            let span = Span { from: &asked.0, before: asked.1.as_deref() };
            let touched = keys().iter().any(|key| within(&asked, key) && model.contains(key));
            prop_assert!(spans.touch(span) || !touched, "{span:?} {spans:?}");
            for component in ["a", "b", "-", "aa", ""] {
                let below: Vec<_> = keys().into_iter().filter(|key| key.starts_with(&format!("{component}/"))).collect();
                // A model with these few keys cannot tell a bound just behind the last of them from one far behind.
                if spans.settle_below(component) {
                    prop_assert!(below.iter().all(|key| model.contains(key)), "{component} {spans:?}");
                }
                let covered = spans.iter().any(|span| {
                    *span.from <= *format!("{component}/") && span.before.is_none_or(|before| before >= &*format!("{component}0"))
                });
                prop_assert_eq!(spans.settle_below(component), covered, "{} {:?}", component, spans);
                prop_assert_eq!(spans.settle(component), covered && held(&component.to_owned()));
                let cut = span.cut().any(|cut| cut == component);
                let (inside, all) = (
                    span.settles(component),
                    [component.to_owned()].iter().chain(&below).all(|key| !within(&asked, key)),
                );
                prop_assert!(inside || all || cut, "{span:?} cuts {component}");
            }
        }
    }
}
