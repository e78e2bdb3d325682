//! The page for people: what `ossmount status` shows, with the rates and times of the last minutes as curves.
//!
//! It is one document without scripts and without anything from elsewhere, which its headers have browsers enforce.
//! What it shows is escaped. Names of objects are not shown, and no lines of the log, which have them: a client that
//! reaches the address may read the page, and need not be allowed to read the mount.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;

use crate::app::commands::status::look::{Between, Look, short_time};
use crate::app::commands::status::words;
use crate::app::commands::text::size;
use crate::base::Clock;

/// What browsers must not do with the page: load anything, run anything, show it within another page.
pub(super) const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Looks that are kept: two minutes of one page that is open.
const MOST_LOOKS: usize = 60;

/// Looks are apart by this much at least, however many pages are open.
const APART: Duration = Duration::from_millis(1500);

/// How often the page asks to be loaded again, in seconds.
const RELOAD_SECONDS: u32 = 2;

/// Size of a curve, in the units of its drawing.
const CURVE: (f64, f64) = (240.0, 40.0);

/// The latest looks at the figures of a mount.
pub(in crate::app) struct History {
    clock: Clock,
    looks: Mutex<VecDeque<Look>>,
}

impl Default for History {
    fn default() -> Self {
        History { clock: Clock::system(), looks: Mutex::default() }
    }
}

impl History {
    /// The page with these figures, which are remembered.
    pub(super) fn page(&self, figures: Value) -> String {
        let now = Look { at: self.clock.elapsed(), figures };
        let mut looks = self.looks.lock();
        let page = render(&looks, &now);
        if looks.back().is_none_or(|last| now.at.saturating_sub(last.at) >= APART) {
            // Only those of the latest are compared.
            if let Some(last) = looks.back_mut().and_then(|last| last.figures.as_object_mut()) {
                last.remove("files");
            }
            looks.push_back(now);
            if looks.len() > MOST_LOOKS {
                looks.pop_front();
            }
        }
        page
    }
}

/// Files that are shown.
const MOST_FILES: usize = 10;

/// What a curve shows.
struct Curve {
    title: &'static str,
    of: Of,
}

/// Where the values of a curve are in the figures.
#[derive(Clone, Copy)]
enum Of {
    /// How much this metric grows in a second, in bytes.
    Bytes(&'static str),
    /// The same for what is counted.
    Count(&'static str),
    /// The average of this time.
    Time(&'static str),
}

const CURVES: [Curve; 5] = [
    Curve { title: "read", of: Of::Bytes("bytes_read") },
    Curve { title: "fetched", of: Of::Bytes("bytes_fetched") },
    Curve { title: "GET requests", of: Of::Count("get_requests") },
    Curve { title: "time of a read", of: Of::Time("read") },
    Curve { title: "time until a GET is answered", of: Of::Time("get") },
];

fn render(looks: &VecDeque<Look>, now: &Look) -> String {
    let text = |path: &str| now.figures.pointer(path).and_then(Value::as_str).unwrap_or("-");
    let (source, directory) = (escaped(text("/source")), escaped(text("/directory")));
    let state = match now.figures.pointer("/trouble").and_then(Value::as_str) {
        Some(trouble) => format!("<p class=bad>{}</p>", escaped(trouble)),
        None => "<p class=good>ok</p>".to_owned(),
    };
    let before = looks.back().filter(|last| now.at > last.at).unwrap_or(now);
    let all: Vec<&Look> = looks.iter().chain([now]).collect();
    let curves: String = CURVES.iter().map(|curve| drawn(curve, &all)).collect();
    let lines = escaped(&words::figures_alone(before, now).join("\n"));
    let memory = |name: &str| now.number(&format!("/memory/{name}"));
    let bars: String = [("read-buffers", "memory for data"), ("names", "memory for names")]
        .into_iter()
        .map(|(name, title)| bar(title, memory(name), memory(&format!("{name}-limit"))))
        .chain(disk(now))
        .collect();
    let files = files(before, now);
    format!(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\">\
         <meta http-equiv=refresh content={RELOAD_SECONDS}>\
         <title>{source} on {directory} - ossmount</title><style>{STYLE}</style></head>\n\
         <body><h1>{source} on {directory}</h1>\n{state}\n<div class=row>{curves}</div>\n\
         <div class=row>{bars}</div>\n<pre>{lines}</pre>\n{files}\
         <p class=foot>Loaded again every {RELOAD_SECONDS} s. Figures for Prometheus: <a href=\"metrics\">metrics</a>. \
         Names of files, by their inodes (<code>ls -i</code>): <code>ossmount status {directory}</code></p></body></html>\n"
    )
}

const STYLE: &str = "body{font:14px system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222;\
    background:#fff}h1{font-size:1.3em;overflow-wrap:anywhere}pre{overflow:auto;background:#f4f4f4;padding:1em}\
    .row{display:flex;flex-wrap:wrap;gap:1em}figure{margin:0}figcaption{font-size:.9em}svg{background:#f4f4f4}\
    table{border-spacing:1em .2em}td,th{text-align:right;font-weight:normal}.good{color:#070}.bad{color:#b00;font-weight:bold}.foot{color:#666}meter{width:15em}\
    @media(prefers-color-scheme:dark){body{color:#ddd;background:#111}pre,svg{background:#222}.good{color:#6d6}\
    .bad{color:#f77}.foot{color:#999}a{color:#8bf}}";

/// The values of a curve from one look to the next; `None` where there is nothing to average.
fn values(of: Of, looks: &[&Look]) -> Vec<Option<f64>> {
    let value = |pair: &[&Look]| {
        let between = Between { before: pair[0], now: pair[1] };
        match of {
            Of::Bytes(metric) | Of::Count(metric) => Some(between.rate(metric)),
            Of::Time(name) => between.milliseconds(name),
        }
    };
    looks.windows(2).map(value).collect()
}

fn drawn(curve: &Curve, looks: &[&Look]) -> String {
    let values = values(curve.of, looks);
    let (width, height) = CURVE;
    let most = values.iter().flatten().copied().fold(0.0, f64::max);
    let step = width / (MOST_LOOKS - 1) as f64;
    let points: Vec<String> = values
        .iter()
        .rev()
        .enumerate()
        .filter_map(|(age, value)| {
            let share = if most > 0.0 { (*value)? / most } else { (*value)? };
            Some(format!("{:.1},{:.1}", width - age as f64 * step, height - 2.0 - (height - 4.0) * share))
        })
        .collect();
    let shown = |value: f64| match curve.of {
        Of::Bytes(_) => format!("{}/s", size(value as u64)),
        Of::Count(_) => format!("{value:.0}/s"),
        Of::Time(_) => short_time(value),
    };
    let last = match (values.last().copied().flatten(), curve.of) {
        (None, Of::Time(_)) => "-".to_owned(),
        (last, _) => shown(last.unwrap_or_default()),
    };
    format!(
        "<figure><figcaption>{}: {last}, at most {}</figcaption><svg width={width} height={height}>\
         <polyline points=\"{}\" fill=none stroke=#28c stroke-width=1.5 /></svg></figure>",
        curve.title,
        shown(most),
        points.join(" ")
    )
}

fn bar(title: &str, used: u64, limit: u64) -> String {
    format!(
        "<figure><figcaption>{title}: {} of {}</figcaption><meter max={} value={used}></meter></figure>",
        size(used),
        size(limit),
        limit.max(1)
    )
}

/// The disk cache, where there is one.
fn disk(now: &Look) -> Option<String> {
    let [used, limit, free] = ["used", "limit", "free"].map(|name| now.number(&format!("/metrics/disk_{name}_bytes")));
    let whole = if limit > 0 { limit } else { used.saturating_add(free) };
    (whole > 0).then(|| bar("disk cache", used, whole))
}

/// The files that were read most between the looks, then those of which most is held.
fn files(before: &Look, now: &Look) -> String {
    let of = |file: &Value, name: &str| file.get(name).and_then(Value::as_u64).unwrap_or_default();
    let earlier: HashMap<u64, u64> = before.files().map(|file| (of(file, "inode"), of(file, "read"))).collect();
    let between = Between { before, now };
    let mut files: Vec<(u64, &Value)> = now
        .files()
        .map(|file| {
            let read = earlier.get(&of(file, "inode")).map_or(0, |earlier| of(file, "read").saturating_sub(*earlier));
            (read, file)
        })
        .collect();
    files.sort_by_key(|(read, file)| std::cmp::Reverse((*read, of(file, "held"))));
    let rows: String = files
        .iter()
        .take(MOST_FILES)
        .map(|(read, file)| {
            format!(
                "<tr><td>{}<td>{}/s<td>{}<td>{}<td>{}",
                of(file, "inode"),
                size(between.per_second(*read) as u64),
                size(of(file, "held")),
                size(of(file, "size")),
                of(file, "handles")
            )
        })
        .collect();
    match rows.is_empty() {
        true => String::new(),
        false => format!("<table><tr><th>inode<th>read<th>held<th>size<th>open{rows}</table>\n"),
    }
}

/// Text of others within the page.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn look(seconds: u64, read: u64) -> Look {
        let figures = json!({
            "source": "oss://b/<script>", "directory": "/mnt/\"x'&", "status": "ok",
            "metrics": {"bytes_read": read, "reads": read, "disk_used_bytes": 1 << 20, "disk_free_bytes": 3 << 20},
            "memory": {"read-buffers": 1 << 20, "read-buffers-limit": 4 << 20},
            "latency": {"get-count": seconds, "get-micros": 21_000 * seconds},
            "files": [{"inode": 7, "read": read, "held": 1 << 20, "size": 8 << 20, "handles": 1}],
        });
        Look { at: Duration::from_secs(seconds), figures }
    }

    #[test]
    fn what_it_shows_is_escaped_and_nothing_comes_from_elsewhere() {
        let page = render(&VecDeque::new(), &look(1, 0));
        assert!(page.contains("oss://b/&lt;script&gt; on /mnt/&quot;x&#39;&amp;"), "{page}");
        for foreign in ["<script", "src=", "http://", "https://", "url(", "@import", "<link"] {
            assert!(!page.contains(foreign), "{foreign} in {page}");
        }
        for words in [
            "memory for data: 1.0MiB of 4.0MiB",
            "disk cache: 1.0MiB of 4.0MiB",
            "<td>7<td>0B/s<td>1.0MiB<td>8.0MiB<td>1",
        ] {
            assert!(page.contains(words), "{words} not in {page}");
        }
    }

    #[test]
    fn rates_are_those_between_looks() {
        let looks = [look(0, 0), look(2, 4 << 20), look(4, 4 << 20), look(5, 5 << 20)];
        let all: Vec<&Look> = looks.iter().collect();
        assert_eq!(values(Of::Bytes("bytes_read"), &all), [Some((2 << 20) as f64), Some(0.0), Some((1 << 20) as f64)]);
        assert_eq!(values(Of::Time("read"), &all), [None; 3]);
        let page = render(&looks[..3].iter().cloned().collect(), &looks[3]);
        assert!(page.contains("read: 1.0MiB/s, at most 2.0MiB/s"), "{page}");
        assert!(page.contains("time until a GET is answered: 21ms, at most 21ms"), "{page}");
        assert!(page.contains("<td>7<td>1.0MiB/s<td>"), "{page}");
        assert_eq!(page.matches("<polyline").count(), CURVES.len());
    }

    #[test]
    fn looks_are_kept_apart_and_few() {
        let history = History::default();
        for _ in 0..3 {
            history.page(look(0, 0).figures);
        }
        assert_eq!(history.looks.lock().len(), 1);
    }
}
