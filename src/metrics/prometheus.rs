//! The figures in the text exposition format 0.0.4 of Prometheus.

use std::fmt::Write;

use super::{DISTRIBUTIONS, Kind, Metrics, Scale, TABLE};

/// What every name begins with.
pub const PREFIX: &str = "ossmount_";

/// What the families with more than one series mean; the others have the meaning of their row.
const MEANINGS: &[(&str, &str)] = &[
    ("disk_cache_lookups_total", "Look-ups of parts of files in the disk cache, by result."),
    ("near_requests_total", "Requests to near caches, by result."),
    ("near_members", "Near caches, by state."),
    (
        "near_request_duration_seconds",
        "Time from sending a GET to a near cache to the beginning of its answer, by result.",
    ),
    ("requests_total", "Requests sent to the store, retries included, by operation."),
    ("retries_total", "Retries, by the cause of the failure before."),
    ("memory_bytes", "Memory in use, by consumer."),
    ("memory_limit_bytes", "Limit of memory, by consumer."),
    ("checksums_total", "Complete objects whose CRC-64 was compared with that of the store, by result."),
    ("copies", "Server-side copies that the daemon remembers, by state."),
    ("read_duration_seconds", "Time that successful reads took, by where their bytes were."),
    ("read_size_bytes", "Bytes of successful reads, by where they were."),
    (
        "request_duration_seconds",
        "Time from sending a request to the beginning of its answer, or to the end of a page of a listing, by \
         operation.",
    ),
];

/// How a family of series is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// A counter, which only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size, with a sum.
    Histogram,
}

/// Series of one name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Family {
    /// The name without [`PREFIX`].
    pub name: &'static str,
    /// How it is to be read.
    pub shape: Shape,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// The name and the values of its label, if it has one.
    pub labels: Vec<&'static str>,
}

/// Every family there is, in the order of the tables.
pub fn families() -> Vec<Family> {
    let figures = TABLE.iter().filter_map(|row| {
        let shape = if row.kind == Kind::Counter { Shape::Counter } else { Shape::Gauge };
        Some((row.series?, shape, row.meaning))
    });
    let distributions = DISTRIBUTIONS.iter().map(|row| (row.series, Shape::Histogram, row.meaning));
    let mut families: Vec<Family> = Vec::new();
    for (series, shape, meaning) in figures.chain(distributions) {
        let (name, label) = split(series);
        let known = families.iter().position(|family| family.name == name);
        let at = known.unwrap_or_else(|| {
            let shared = MEANINGS.iter().find(|(of, _)| *of == name).map(|(_, meaning)| *meaning);
            families.push(Family { name, shape, meaning: shared.unwrap_or(meaning), labels: Vec::new() });
            families.len() - 1
        });
        families[at].labels.extend(label);
    }
    families
}

/// The name of a series, and what stands between its braces.
fn split(series: &'static str) -> (&'static str, Option<&'static str>) {
    match series.split_once('{') {
        Some((name, label)) => (name, Some(label.trim_end_matches('}'))),
        None => (series, None),
    }
}

/// All figures; `about` are names and values of what does not change, such as the version.
pub fn prometheus(metrics: &Metrics, about: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(16 << 10);
    for family in families() {
        head(&mut text, family.name, family.shape, family.meaning);
        for row in TABLE.iter().filter(|row| row.series.is_some_and(|series| split(series).0 == family.name)) {
            let value = metrics.value(row.metric);
            if row.kind != Kind::Moment || value > 0 {
                sample(&mut text, family.name, "", row.series.and_then(|series| split(series).1), None, value);
            }
        }
        for row in DISTRIBUTIONS.iter().filter(|row| split(row.series).0 == family.name) {
            let histogram = &metrics.distributions[row.distribution as usize];
            buckets(&mut text, family.name, split(row.series).1, row.scale, &histogram.counts(), histogram.sum());
        }
    }
    head(&mut text, "info", Shape::Gauge, "The mounted bucket or prefix and the version of the program; always 1.");
    let labels: Vec<String> = about.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    sample(&mut text, "info", "", Some(labels.join(",").as_str()), None, 1_u64);
    text
}

fn head(text: &mut String, name: &str, shape: Shape, meaning: &str) {
    let shape = match shape {
        Shape::Counter => "counter",
        Shape::Gauge => "gauge",
        Shape::Histogram => "histogram",
    };
    // Writing to a string does not fail.
    let _ = write!(text, "# HELP {PREFIX}{name} {meaning}\n# TYPE {PREFIX}{name} {shape}\n");
}

fn sample(
    text: &mut String,
    name: &str,
    suffix: &str,
    label: Option<&str>,
    le: Option<&str>,
    value: impl std::fmt::Display,
) {
    let le = le.map(|le| format!("le=\"{le}\""));
    let labels = [label, le.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(",");
    let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
    let _ = writeln!(text, "{PREFIX}{name}{suffix}{labels} {value}");
}

fn buckets(text: &mut String, name: &str, label: Option<&str>, scale: Scale, counts: &[u64], sum: u64) {
    let base = |value: u64| match scale {
        Scale::Times => value as f64 / 1e9,
        Scale::Sizes => value as f64,
    };
    let ends = scale.bounds().iter().map(|&bound| base(bound).to_string()).chain(["+Inf".to_owned()]);
    // The count is that of the buckets as they were read, so that they agree whatever is added meanwhile.
    let mut so_far = 0;
    for (count, end) in counts.iter().zip(ends) {
        so_far += count;
        sample(text, name, "_bucket", label, Some(&end), so_far);
    }
    sample(text, name, "_sum", label, None, base(sum));
    sample(text, name, "_count", label, None, so_far);
}

/// The value of a label, as it stands between quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::metrics::{Distribution, Metric};

    #[test]
    fn figures_stand_under_their_families() {
        let metrics = Metrics::default();
        metrics.add(Metric::GetRequests, 3);
        metrics.set(Metric::Began, 1_700_000_000);
        metrics.took(Distribution::FetchedReadTime, Duration::from_millis(20));
        metrics.measured(Distribution::FetchedReadSize, 131_072);
        let text = prometheus(&metrics, &[("source", "oss://b/\"x\\y\"\n"), ("version", "1")]);
        for line in [
            "# TYPE ossmount_requests_total counter",
            "ossmount_requests_total{op=\"get\"} 3",
            "ossmount_requests_total{op=\"write\"} 0",
            "# TYPE ossmount_open_files gauge",
            "ossmount_start_time_seconds 1700000000",
            "# TYPE ossmount_read_duration_seconds histogram",
            "ossmount_read_duration_seconds_bucket{source=\"store\",le=\"0.005\"} 0",
            "ossmount_read_duration_seconds_bucket{source=\"store\",le=\"0.02\"} 1",
            "ossmount_read_duration_seconds_bucket{source=\"store\",le=\"+Inf\"} 1",
            "ossmount_read_duration_seconds_sum{source=\"store\"} 0.02",
            "ossmount_read_duration_seconds_count{source=\"store\"} 1",
            "ossmount_read_size_bytes_bucket{source=\"store\",le=\"131072\"} 1",
            "ossmount_info{source=\"oss://b/\\\"x\\\\y\\\"\\n\",version=\"1\"} 1",
        ] {
            assert!(text.lines().any(|had| had == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("\nossmount_credentials_expire"), "there is no such moment yet");
        let heads: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        assert_eq!(heads.len(), heads.iter().collect::<BTreeSet<_>>().len(), "each family once");
    }

    #[test]
    fn names_follow_the_conventions() {
        for Family { name, shape, meaning, labels } in families() {
            assert_eq!(name.ends_with("_total"), shape == Shape::Counter, "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(meaning.ends_with('.') && !meaning.contains(['\\', '\n']), "{name}: {meaning}");
            assert_eq!(labels.is_empty(), MEANINGS.iter().all(|(of, _)| *of != name), "{name}: a shared meaning");
            assert_eq!(labels.len(), labels.iter().collect::<BTreeSet<_>>().len(), "{name}: {labels:?}");
        }
    }
}
