//! Looks at the figures of a mount, and what changed between two of them.

use std::time::Duration;

use serde_json::Value;

use crate::app::commands::text::{shown, size};

/// One look: health and figures with the files held, as control requests answer them.
#[derive(Clone)]
pub(in crate::app) struct Look {
    /// When, on any clock.
    pub(in crate::app) at: Duration,
    pub(in crate::app) figures: Value,
}

impl Look {
    pub(in crate::app) fn number(&self, path: &str) -> u64 {
        self.figures.pointer(path).and_then(Value::as_u64).unwrap_or_default()
    }

    pub(super) fn metric(&self, name: &str) -> u64 {
        self.number(&format!("/metrics/{name}"))
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.figures.get(name).and_then(Value::as_str).map_or_else(|| "-".to_owned(), shown)
    }

    pub(in crate::app) fn files(&self) -> impl Iterator<Item = &Value> {
        self.figures.get("files").and_then(Value::as_array).into_iter().flatten()
    }
}

/// Two looks, the earlier one first; at the beginning both are the same.
pub(in crate::app) struct Between<'a> {
    pub(in crate::app) before: &'a Look,
    pub(in crate::app) now: &'a Look,
}

impl Between<'_> {
    pub(super) fn grown(&self, name: &str) -> u64 {
        self.now.metric(name).saturating_sub(self.before.metric(name))
    }

    /// How much it grew in a second.
    pub(in crate::app) fn rate(&self, name: &str) -> f64 {
        self.per_second(self.grown(name))
    }

    pub(in crate::app) fn per_second(&self, grown: u64) -> f64 {
        let seconds = self.now.at.saturating_sub(self.before.at).as_secs_f64();
        if seconds > 0.0 { grown as f64 / seconds } else { 0.0 }
    }

    pub(super) fn bytes(&self, name: &str) -> String {
        format!("{}/s", size(self.rate(name) as u64))
    }

    pub(super) fn share(&self, part: &str, whole: &str) -> String {
        match self.grown(whole) {
            0 => "-".to_owned(),
            whole => format!("{:.0}%", 100.0 * self.grown(part) as f64 / whole as f64),
        }
    }

    /// How long one thing took on average, in milliseconds; `None` where there was none. It is counted under
    /// `latency`, by this name.
    pub(in crate::app) fn milliseconds(&self, name: &str) -> Option<f64> {
        let grown = |what: &str| {
            let path = format!("/latency/{name}-{what}");
            self.now.number(&path).saturating_sub(self.before.number(&path))
        };
        let count = grown("count");
        (count > 0).then(|| grown("micros") as f64 / count as f64 / 1000.0)
    }
}

/// Writes a time as in `0.2ms`, `21ms` and `1.5s`.
pub(in crate::app) fn short_time(milliseconds: f64) -> String {
    match milliseconds {
        ms if ms < 10.0 => format!("{ms:.1}ms"),
        ms if ms < 1000.0 => format!("{ms:.0}ms"),
        ms => format!("{:.1}s", ms / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_averages_of_what_was_done_between_the_looks() {
        let look = |count: u64, micros: u64| Look {
            at: Duration::ZERO,
            figures: json!({"latency": {"get-count": count, "get-micros": micros}}),
        };
        let (before, now) = (look(2, 900_000), look(6, 1_000_000));
        assert_eq!(Between { before: &before, now: &now }.milliseconds("get"), Some(25.0));
        assert_eq!(Between { before: &now, now: &now }.milliseconds("get"), None);
        assert_eq!([0.24, 21.4, 1510.0].map(short_time), ["0.2ms", "21ms", "1.5s"]);
    }
}
