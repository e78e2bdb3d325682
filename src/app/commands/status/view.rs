//! The text of the live view, computed from two samples of the figures of a mount.

use std::collections::HashMap;
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
    fn number(&self, path: &str) -> u64 {
        self.figures.pointer(path).and_then(Value::as_u64).unwrap_or_default()
    }

    fn metric(&self, name: &str) -> u64 {
        self.number(&format!("/metrics/{name}"))
    }

    fn text(&self, name: &str) -> String {
        self.figures.get(name).and_then(Value::as_str).map_or_else(|| "-".to_owned(), shown)
    }

    fn files(&self) -> impl Iterator<Item = &Value> {
        self.figures.get("files").and_then(Value::as_array).into_iter().flatten()
    }
}

/// Two looks, the earlier one first; at the beginning both are the same.
struct Between<'a> {
    before: &'a Look,
    now: &'a Look,
}

impl Between<'_> {
    fn grown(&self, name: &str) -> u64 {
        self.now.metric(name).saturating_sub(self.before.metric(name))
    }

    /// How much it grew in a second.
    fn rate(&self, name: &str) -> f64 {
        self.per_second(self.grown(name))
    }

    fn per_second(&self, grown: u64) -> f64 {
        let seconds = self.now.at.saturating_sub(self.before.at).as_secs_f64();
        if seconds > 0.0 { grown as f64 / seconds } else { 0.0 }
    }

    fn bytes(&self, name: &str) -> String {
        format!("{}/s", size(self.rate(name) as u64))
    }

    fn share(&self, part: &str, whole: &str) -> String {
        match self.grown(whole) {
            0 => "-".to_owned(),
            whole => format!("{:.0}%", 100.0 * self.grown(part) as f64 / whole as f64),
        }
    }
}

/// The lines of the view without files: what may be told to those who may not read the mount.
pub(in crate::app) fn figures_alone(before: &Look, now: &Look) -> Vec<String> {
    let between = Between { before, now };
    head(now).into_iter().chain(rates(&between)).chain(standing(now)).chain(findings(now)).collect()
}

/// The lines of the view, with as many files as there is room for.
pub(super) fn lines(before: &Look, now: &Look, rows: usize) -> Vec<String> {
    let between = Between { before, now };
    let mut lines = figures_alone(before, now);
    lines.push(String::new());
    lines.push(format!("{:>12} {:>10} {:>10} {:>7} {:>7}  file", "read/s", "held", "size", "open", "f/used"));
    let room = rows.saturating_sub(lines.len() + 1);
    lines.extend(busiest(&between, room));
    lines.push("q ends".to_owned());
    lines
}

fn head(now: &Look) -> Vec<String> {
    let up = now.number("/uptime-seconds");
    let (hours, minutes, seconds) = (up / 3600, up / 60 % 60, up % 60);
    vec![
        format!("{} on {}", now.text("source"), now.text("directory")),
        format!(
            "ossmount {}, process {}, up {hours}:{minutes:02}:{seconds:02}",
            now.text("program"),
            now.number("/pid")
        ),
        // Nothing, while all is well.
        now.figures.get("trouble").and_then(Value::as_str).map_or_else(String::new, shown),
    ]
}

fn rates(between: &Between<'_>) -> Vec<String> {
    let (rate, bytes) = (|name| between.rate(name), |name| between.bytes(name));
    vec![
        format!(
            "read      {}  {:.0} reads/s, {} from memory without waiting",
            bytes("bytes_read"),
            rate("reads"),
            between.share("reads_buffered", "reads")
        ),
        format!(
            "fetched   {}  used {}, prefetched {}, evicted unread {}",
            bytes("bytes_fetched"),
            bytes("used_bytes"),
            bytes("prefetched_bytes"),
            bytes("prefetched_unread_bytes")
        ),
        format!(
            "requests  {:.0} GET/s, {:.0} HEAD/s, {:.0} LIST/s, {:.0} writes/s",
            rate("get_requests"),
            rate("head_requests"),
            rate("list_requests"),
            rate("write_requests")
        ),
        format!(
            "names     {:.0} look-ups/s, {} from the cache; {:.0} pages/s with {:.0} names/s",
            rate("lookups"),
            between.share("lookups_known", "lookups"),
            rate("list_pages"),
            rate("listed_names")
        ),
    ]
}

fn standing(now: &Look) -> Vec<String> {
    let count = |name| now.metric(name);
    let memory = |name: &str| size(now.number(&format!("/memory/{name}")));
    vec![
        format!(
            "in flight {} requests, {} reads waiting; {} files open, {} streams",
            count("requests_in_flight"),
            count("reads_waiting"),
            count("open_files"),
            count("streams")
        ),
        format!(
            "kernel    reads {} open files of {} directly from memory, {} opens so far: these reads are not counted",
            count("passthrough_files"),
            size(count("passthrough_bytes")),
            count("passthrough_opens")
        ),
        format!(
            "memory    buffers {} of {} (pinned {}), names {} of {}, {} for the rest; resident {} of {}",
            memory("read-buffers"),
            memory("read-buffers-limit"),
            memory("pinned"),
            memory("names"),
            memory("names-limit"),
            memory("reserved"),
            memory("resident"),
            memory("allowed")
        ),
        format!(
            "errors    {} reads failed, {} requests failed, {} retries, {} throttled, {} checksums differ",
            count("read_errors"),
            count("request_errors"),
            count("retries"),
            count("throttled"),
            count("verify_failures")
        ),
        format!(
            "copies    {} running, {} queued, {} done, {} failed",
            count("copies_running"),
            count("copies_queued"),
            count("copies_done"),
            count("copies_failed")
        ),
    ]
}

/// What listings have shown about the server and about large directories, if anything.
fn findings(now: &Look) -> impl Iterator<Item = String> {
    let found = [("listing", "/listing/finding"), ("names", "/tree/finding")];
    found.into_iter().filter_map(|(about, at)| {
        let sentence = now.figures.pointer(at)?.as_str()?;
        Some(format!("{about:<10}{}", shown(sentence)))
    })
}

/// The files that were read most between the looks; then those of which most is held.
fn busiest(between: &Between<'_>, room: usize) -> Vec<String> {
    let number = |file: &Value, name: &str| file.get(name).and_then(Value::as_u64).unwrap_or_default();
    let before: HashMap<u64, u64> =
        between.before.files().map(|file| (number(file, "inode"), number(file, "read"))).collect();
    let mut files: Vec<(u64, u64, &Value)> = between
        .now
        .files()
        .map(|file| {
            let read = number(file, "read");
            let grown = read.saturating_sub(before.get(&number(file, "inode")).copied().unwrap_or(0));
            (grown, number(file, "held"), file)
        })
        .collect();
    files.sort_by_key(|(grown, held, _)| std::cmp::Reverse((*grown, *held)));
    let row = |(grown, held, file): (u64, u64, &Value)| {
        let key = file.get("key").and_then(Value::as_str).map_or_else(String::new, shown);
        let is_passed = file.get("passthrough").and_then(Value::as_bool).unwrap_or_default();
        let rate =
            if is_passed { "kernel".to_owned() } else { format!("{}/s", size(between.per_second(grown) as u64)) };
        let ratio = file.get("fetched-per-used").and_then(Value::as_f64);
        let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let (all, open) = (size(number(file, "size")), number(file, "handles"));
        format!("{rate:>12} {:>10} {all:>10} {open:>7} {ratio:>7}  {key}", size(held))
    };
    files.into_iter().take(room).map(row).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn look(seconds: u64, reads: u64, files: &Value) -> Look {
        let figures = json!({
            "source": "oss://b", "directory": "/mnt", "program": "1.0", "pid": 7, "uptime-seconds": 3723 + seconds,
            "metrics": {
                "reads": reads, "reads_buffered": reads / 2, "bytes_read": reads << 20, "reads_waiting": 3, "retries": 9,
            },
            "memory": {"read-buffers": 3 << 20, "read-buffers-limit": 1 << 30},
            "files": files,
        });
        Look { at: Duration::from_secs(seconds), figures }
    }

    fn file(inode: u64, key: &str, read: u64, held: u64) -> Value {
        json!({"inode": inode, "key": key, "read": read, "held": held, "size": 8 << 20, "handles": 1})
    }

    #[test]
    fn what_grew_is_shown_per_second_and_the_busiest_file_first() {
        let before = look(0, 100, &json!([file(1, "a", 0, 1 << 20), file(2, "b", 0, 2 << 20)]));
        let now =
            look(2, 300, &json!([file(1, "a", 4 << 20, 1 << 20), file(2, "b", 0, 2 << 20), file(3, "c\x1b", 0, 0)]));
        let text = lines(&before, &now, 24).join("\n");
        for words in [
            "oss://b on /mnt",
            "up 1:02:05",
            "read      100.0MiB/s  100 reads/s, 50% from memory",
            "3 reads wait",
            "buffers 3.0MiB of 1.0GiB",
            "9 retries",
            "c\\u{1b}",
        ] {
            assert!(text.contains(words), "{words:?} is not in\n{text}");
        }
        let first = text.lines().find(|line| line.ends_with("  a")).unwrap();
        assert!(first.contains("2.0MiB/s") && first.contains("1.0MiB"), "{first}");
        assert!(text.find("  a\n").unwrap() < text.find("  b\n").unwrap());
    }

    #[test]
    fn files_that_the_kernel_reads_directly_show_no_rate_but_how_much_of_them_was_used() {
        let mut passed = file(1, "a", 0, 8 << 20);
        passed["passthrough"] = json!(true);
        passed["fetched-per-used"] = json!(1.25);
        let mut look = look(0, 0, &json!([passed, file(2, "b", 0, 0)]));
        look.figures["metrics"] = json!({"passthrough_opens": 3, "passthrough_files": 1, "passthrough_bytes": 8 << 20});
        let lines = lines(&look, &look, 24);
        let line = |end: &str| lines.iter().find(|line| line.ends_with(end)).unwrap();
        assert_eq!(
            line("  a").split_whitespace().collect::<Vec<_>>(),
            ["kernel", "8.0MiB", "8.0MiB", "1", "1.25", "a"]
        );
        assert_eq!(line("  b").split_whitespace().collect::<Vec<_>>(), ["0B/s", "0B", "8.0MiB", "1", "-", "b"]);
        assert!(line("not counted").contains("1 open files of 8.0MiB directly from memory, 3 opens"));
    }

    #[test]
    fn what_was_found_out_about_the_server_is_shown() {
        let mut look = look(0, 100, &json!([]));
        assert!(!lines(&look, &look, 24).iter().any(|line| line.starts_with("listing ")));
        look.figures["listing"] = json!({"server": "no-order", "finding": "the server keeps no order"});
        look.figures["tree"] = json!({"entries": 5, "finding": "1 directory has more names"});
        for line in ["listing   the server keeps no order", "names     1 directory has more names"] {
            assert!(lines(&look, &look, 24).iter().any(|other| other == line), "{line}");
        }
    }

    #[test]
    fn a_small_screen_shows_no_files_and_a_first_look_no_rates() {
        let only = look(0, 100, &json!([file(1, "a", 5, 5)]));
        let lines = lines(&only, &only, 5);
        assert!(lines.iter().all(|line| !line.ends_with("  a")));
        assert!(lines.iter().any(|line| line.starts_with("read      0B/s  0 reads/s, - from memory")), "{lines:#?}");
    }
}
