//! The figures of a mount in a few lines, for people who look once.

use serde_json::Value;

use crate::app::commands::text::{counted, shown, size};

/// Figures, as control requests answer them.
struct Figures<'a>(&'a Value);

impl Figures<'_> {
    fn number(&self, path: &str) -> u64 {
        self.0.pointer(path).and_then(Value::as_u64).unwrap_or_default()
    }

    fn metric(&self, name: &str) -> u64 {
        self.number(&format!("/metrics/{name}"))
    }

    fn memory(&self, name: &str) -> u64 {
        self.number(&format!("/memory/{name}"))
    }

    fn text(&self, path: &str) -> Option<String> {
        self.0.pointer(path).and_then(Value::as_str).map(shown)
    }

    /// A part of a whole in percent.
    fn share(&self, part: &str, whole: &str) -> String {
        match self.metric(whole) {
            0 => "-".to_owned(),
            all => format!("{:.0}%", 100.0 * self.metric(part) as f64 / all as f64),
        }
    }
}

/// What a person wants to know first: what is mounted, whether it is well, and what it has done.
pub(super) fn lines(figures: &Value) -> Vec<String> {
    let of = Figures(figures);
    let text = |path| of.text(path).unwrap_or_else(|| "-".to_owned());
    let up = of.number("/uptime-seconds");
    let (hours, minutes, seconds) = (up / 3600, up / 60 % 60, up % 60);
    let mut lines = vec![
        format!("{} on {}", text("/source"), text("/directory")),
        format!(
            "state     {}, up {hours}:{minutes:02}:{seconds:02}, process {}, ossmount {}",
            of.text("/trouble").unwrap_or_else(|| text("/status")),
            of.number("/pid"),
            text("/program")
        ),
        format!(
            "read      {} in {}, {} of them from memory without waiting",
            size(of.metric("bytes_read")),
            counted(of.metric("reads"), "read"),
            of.share("reads_buffered", "reads")
        ),
        format!(
            "fetched   {} by {}, {} used",
            size(of.metric("bytes_fetched")),
            counted(of.metric("get_requests"), "GET request"),
            of.share("used_bytes", "bytes_fetched")
        ),
        format!(
            "names     {} held, {} by {}",
            counted(of.number("/tree/entries"), "name"),
            counted(of.metric("listed_names"), "name"),
            counted(of.metric("list_requests"), "LIST request")
        ),
        format!(
            "open      {}, {} in flight, {} waiting",
            counted(of.metric("open_files"), "file"),
            counted(of.metric("requests_in_flight"), "request"),
            counted(of.metric("reads_waiting"), "read")
        ),
        format!(
            "memory    {} of {} for data, {} of {} for names, {} resident",
            size(of.memory("read-buffers")),
            size(of.memory("read-buffers-limit")),
            size(of.memory("names")),
            size(of.memory("names-limit")),
            size(of.memory("resident"))
        ),
        format!(
            "errors    {} and {} failed; {}, {} throttled, {} with a wrong checksum",
            counted(of.metric("read_errors"), "read"),
            counted(of.metric("request_errors"), "request"),
            counted(of.metric("retries"), "retry").replace("retrys", "retries"),
            of.metric("throttled"),
            counted(of.metric("verify_failures"), "object")
        ),
    ];
    lines.extend(near(&of));
    let copies = ["copies_running", "copies_queued", "copies_done", "copies_failed"].map(|name| of.metric(name));
    if let [running, queued, done, failed] = copies
        && copies != [0; 4]
    {
        lines.push(format!("copies    {running} running, {queued} queued, {done} done, {failed} failed"));
    }
    for (about, path) in [("listing", "/listing/finding"), ("names", "/tree/finding")] {
        lines.extend(of.text(path).map(|finding| format!("{about:<10}{finding}")));
    }
    lines
}

/// What near caches have done, where there are some: how many bytes of those that came, through caches or not, were
/// taken out of the bucket for this mount. Over the mounts of a fleet these shares add up to one copy.
fn near(of: &Figures<'_>) -> Option<String> {
    let [up, out, near, bucket] =
        ["near_members_up", "near_members_out", "near_bytes", "bytes_fetched"].map(|name| of.metric(name));
    if up + out + near == 0 {
        return None;
    }
    let share = (bucket + of.metric("near_miss_bytes")) as f64 / (bucket + near).max(1) as f64;
    Some(format!(
        "near      {} from {}, {out} out; {share:.2} of each byte from the bucket, {}",
        size(near),
        counted(up, "cache"),
        counted(of.metric("near_fallbacks"), "fallback"),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_few_lines_say_what_it_is_whether_it_is_well_and_what_it_did() {
        let mut figures = json!({
            "source": "oss://b", "directory": "/mnt/\u{1b}", "program": "1.0", "pid": 7, "uptime-seconds": 3723,
            "status": "ok", "tree": {"entries": 1},
            "metrics": {
                "reads": 4, "reads_buffered": 3, "bytes_read": 3 << 20, "get_requests": 1, "bytes_fetched": 4 << 20,
                "used_bytes": 3 << 20, "retries": 2, "listed_names": 1, "list_requests": 1,
            },
            "memory": {"read-buffers": 3 << 20, "read-buffers-limit": 1 << 30},
        });
        let expected = [
            "oss://b on /mnt/\\u{1b}",
            "state     ok, up 1:02:03, process 7, ossmount 1.0",
            "read      3.0MiB in 4 reads, 75% of them from memory without waiting",
            "fetched   4.0MiB by 1 GET request, 75% used",
            "names     1 name held, 1 name by 1 LIST request",
            "open      0 files, 0 requests in flight, 0 reads waiting",
            "memory    3.0MiB of 1.0GiB for data, 0B of 0B for names, 0B resident",
            "errors    0 reads and 0 requests failed; 2 retries, 0 throttled, 0 objects with a wrong checksum",
        ];
        assert_eq!(lines(&figures), expected);
        figures["trouble"] = "the store does not answer".into();
        figures["metrics"]["copies_done"] = 1.into();
        for (name, figure) in [("near_members_up", 8), ("near_bytes", 4 << 20), ("near_miss_bytes", 1 << 20)] {
            figures["metrics"][name] = figure.into();
        }
        figures["listing"] = json!({"finding": "no order"});
        let lines = lines(&figures);
        assert!(lines[1].starts_with("state     the store does not answer, up"), "{lines:#?}");
        let near = "near      4.0MiB from 8 caches, 0 out; 0.62 of each byte from the bucket, 0 fallbacks";
        assert_eq!(lines[8..], [near, "copies    0 running, 0 queued, 1 done, 0 failed", "listing   no order"]);
    }
}
