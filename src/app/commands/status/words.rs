//! The figures between two looks in full sentences, without the names of files: for the page that browsers show.

use serde_json::Value;

use super::look::{Between, Look};
use crate::app::commands::text::{shown, size};

/// The lines of the view without files: what may be told to those who may not read the mount.
pub(in crate::app) fn figures_alone(before: &Look, now: &Look) -> Vec<String> {
    let between = Between { before, now };
    head(now).into_iter().chain(rates(&between)).chain(standing(now)).chain(findings(now)).collect()
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
pub(super) fn findings(now: &Look) -> impl Iterator<Item = String> {
    let found = [("listing", "/listing/finding"), ("names", "/tree/finding")];
    found.into_iter().filter_map(|(about, at)| {
        let sentence = now.figures.pointer(at)?.as_str()?;
        Some(format!("{about:<10}{}", shown(sentence)))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn look(seconds: u64, reads: u64) -> Look {
        let figures = json!({
            "source": "oss://b", "directory": "/mnt", "program": "1.0", "pid": 7, "uptime-seconds": 3723 + seconds,
            "metrics": {
                "reads": reads, "reads_buffered": reads / 2, "bytes_read": reads << 20, "reads_waiting": 3, "retries": 9,
                "passthrough_files": 1, "passthrough_bytes": 8 << 20, "passthrough_opens": 3,
            },
            "memory": {"read-buffers": 3 << 20, "read-buffers-limit": 1 << 30},
        });
        Look { at: Duration::from_secs(seconds), figures }
    }

    #[test]
    fn what_grew_is_told_per_second_and_the_rest_as_it_stands() {
        let text = figures_alone(&look(0, 100), &look(2, 300)).join("\n");
        for words in [
            "oss://b on /mnt",
            "up 1:02:05",
            "read      100.0MiB/s  100 reads/s, 50% from memory",
            "3 reads wait",
            "buffers 3.0MiB of 1.0GiB",
            "9 retries",
            "1 open files of 8.0MiB directly from memory, 3 opens",
        ] {
            assert!(text.contains(words), "{words:?} is not in\n{text}");
        }
        let first = figures_alone(&look(0, 100), &look(0, 100)).join("\n");
        assert!(first.contains("read      0B/s  0 reads/s, - from memory"), "{first}");
    }

    #[test]
    fn what_was_found_out_about_the_server_is_told() {
        let mut look = look(0, 100);
        assert!(!figures_alone(&look, &look).iter().any(|line| line.starts_with("listing ")));
        look.figures["listing"] = json!({"server": "no-order", "finding": "the server keeps no order"});
        look.figures["tree"] = json!({"entries": 5, "finding": "1 directory has more names"});
        for line in ["listing   the server keeps no order", "names     1 directory has more names"] {
            assert!(figures_alone(&look, &look).iter().any(|other| other == line), "{line}");
        }
    }
}
