//! The page for people: what `ossmount status` shows, with the rates of the last minutes as curves.
//!
//! It is one document without scripts and without anything from elsewhere, which its headers have browsers enforce.
//! What it shows is escaped. Names of objects are not shown: a client that reaches the address may read the page, and
//! need not be allowed to read the mount.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;

use crate::app::commands::status::view::{self, Look};
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
            looks.push_back(now);
            if looks.len() > MOST_LOOKS {
                looks.pop_front();
            }
        }
        page
    }
}

/// What a curve shows.
struct Curve {
    title: &'static str,
    metric: &'static str,
}

const CURVES: [Curve; 3] = [
    Curve { title: "read", metric: "bytes_read" },
    Curve { title: "fetched", metric: "bytes_fetched" },
    Curve { title: "GET requests", metric: "get_requests" },
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
    let lines = escaped(&view::figures_alone(before, now).join("\n"));
    let bars: String = [("read-buffers", "data"), ("names", "names")]
        .into_iter()
        .map(|(name, title)| {
            bar(title, number(now, &format!("/memory/{name}")), number(now, &format!("/memory/{name}-limit")))
        })
        .collect();
    format!(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\">\
         <meta http-equiv=refresh content={RELOAD_SECONDS}>\
         <title>{source} on {directory} - ossmount</title><style>{STYLE}</style></head>\n\
         <body><h1>{source} on {directory}</h1>\n{state}\n<div class=row>{curves}</div>\n\
         <div class=row>{bars}</div>\n<pre>{lines}</pre>\n\
         <p class=foot>Loaded again every {RELOAD_SECONDS} s. Figures for Prometheus: <a href=\"metrics\">metrics</a>. \
         Names of files: <code>ossmount status {directory}</code></p></body></html>\n"
    )
}

const STYLE: &str = "body{font:14px system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222;\
    background:#fff}h1{font-size:1.3em;overflow-wrap:anywhere}pre{overflow:auto;background:#f4f4f4;padding:1em}\
    .row{display:flex;flex-wrap:wrap;gap:1em}figure{margin:0}figcaption{font-size:.9em}svg{background:#f4f4f4}\
    .good{color:#070}.bad{color:#b00;font-weight:bold}.foot{color:#666}meter{width:15em}\
    @media(prefers-color-scheme:dark){body{color:#ddd;background:#111}pre,svg{background:#222}.good{color:#6d6}\
    .bad{color:#f77}.foot{color:#999}a{color:#8bf}}";

fn number(look: &Look, path: &str) -> u64 {
    look.figures.pointer(path).and_then(Value::as_u64).unwrap_or_default()
}

/// The rates from one look to the next, per second.
fn rates(metric: &str, looks: &[&Look]) -> Vec<f64> {
    let path = format!("/metrics/{metric}");
    let rate = |pair: &[&Look]| {
        let seconds = pair[1].at.saturating_sub(pair[0].at).as_secs_f64();
        let grown = number(pair[1], &path).saturating_sub(number(pair[0], &path)) as f64;
        if seconds > 0.0 { grown / seconds } else { 0.0 }
    };
    looks.windows(2).map(rate).collect()
}

fn drawn(curve: &Curve, looks: &[&Look]) -> String {
    let rates = rates(curve.metric, looks);
    let (width, height) = CURVE;
    let most = rates.iter().copied().fold(0.0, f64::max);
    let step = width / (MOST_LOOKS - 1) as f64;
    let points: Vec<String> = rates
        .iter()
        .rev()
        .enumerate()
        .map(|(age, rate)| {
            let y = if most > 0.0 { height - 2.0 - (height - 4.0) * rate / most } else { height - 2.0 };
            format!("{:.1},{y:.1}", width - age as f64 * step)
        })
        .collect();
    let last = rates.last().copied().unwrap_or_default();
    let shown = |rate: f64| match curve.metric.starts_with("bytes") {
        true => format!("{}/s", crate::app::commands::text::size(rate as u64)),
        false => format!("{rate:.0}/s"),
    };
    format!(
        "<figure><figcaption>{}: {}, at most {}</figcaption><svg width={width} height={height}>\
         <polyline points=\"{}\" fill=none stroke=#28c stroke-width=1.5 /></svg></figure>",
        curve.title,
        shown(last),
        shown(most),
        points.join(" ")
    )
}

fn bar(title: &str, used: u64, limit: u64) -> String {
    let size = crate::app::commands::text::size;
    format!(
        "<figure><figcaption>memory for {title}: {} of {}</figcaption><meter max={} value={used}></meter></figure>",
        size(used),
        size(limit),
        limit.max(1)
    )
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
            "metrics": {"bytes_read": read, "reads": read}, "memory": {"read-buffers": 1 << 20, "read-buffers-limit": 4 << 20},
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
        assert!(page.contains("memory for data: 1.0MiB of 4.0MiB"), "{page}");
    }

    #[test]
    fn rates_are_those_between_looks() {
        let looks = [look(0, 0), look(2, 4 << 20), look(4, 4 << 20), look(5, 5 << 20)];
        let all: Vec<&Look> = looks.iter().collect();
        assert_eq!(rates("bytes_read", &all), [(2 << 20) as f64, 0.0, (1 << 20) as f64]);
        let page = render(&looks[..3].iter().cloned().collect(), &looks[3]);
        assert!(page.contains("read: 1.0MiB/s, at most 2.0MiB/s"), "{page}");
        assert_eq!(page.matches("<polyline").count(), 3);
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
