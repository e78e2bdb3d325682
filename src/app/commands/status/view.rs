//! The live view: rates and times with their curves, memory and disk as bars, errors, jobs and the busiest files. From
//! 60 columns on; what is most wanted stands first in its line, since lines are cut.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

use super::look::{Between, Look, short_time};
use super::paint::{Paint, Painted, ScreenStyle, end_within};
use super::words::findings;
use crate::app::commands::jobs;
use crate::app::commands::text::{counted, shown, size};

/// Values that are kept for curves: those of a wide terminal.
const MOST_VALUES: usize = 120;

/// Jobs that are shown.
const MOST_JOBS: usize = 4;

/// What has a curve.
#[derive(Clone, Copy)]
enum Series {
    Read,
    Fetched,
    ReadTime,
    GetTime,
}

/// The values of the curves, the latest last.
#[derive(Default)]
pub(super) struct Curves(VecDeque<[Option<f64>; 4]>);

impl Curves {
    /// Takes in what happened between two looks.
    pub(super) fn take(&mut self, before: &Look, now: &Look) {
        let between = Between { before, now };
        let (read, fetched) = (between.rate("bytes_read"), between.rate("bytes_fetched"));
        let times = ["read", "get"].map(|name| between.milliseconds(name));
        self.0.push_back([Some(read), Some(fetched), times[0], times[1]]);
        if self.0.len() > MOST_VALUES {
            self.0.pop_front();
        }
    }

    fn drawn(&self, which: Series, style: ScreenStyle) -> Painted {
        let values: Vec<Option<f64>> = self.0.iter().map(|values| values[which as usize]).collect();
        Painted::default().with(Paint::First, style.curve(&values, (style.columns / 5).clamp(8, 40)))
    }
}

/// The lines of the view, with as many files as there is room for.
pub(super) fn lines(curves: &Curves, (before, now): (&Look, &Look), style: ScreenStyle) -> Vec<Painted> {
    let between = Between { before, now };
    let mut lines = head(now);
    lines.push(Painted::default());
    lines.extend(rates(curves, &between, style));
    lines.extend(memory(now, style));
    lines.extend(disk(&between, style));
    lines.push(kernel(now));
    lines.push(errors(now));
    lines.extend(jobs(now));
    lines.extend(findings(now).map(|finding| Painted::default().with(Paint::Warning, finding)));
    lines.push(Painted::default());
    let wide = style.columns >= 80;
    let opens = if wide { "   open" } else { "" };
    lines.push(
        Painted::default()
            .with(Paint::Dim, format!("{:>11} {:>9} {:>9}{opens} f/used  file", "read/s", "held", "size")),
    );
    let room = style.rows.saturating_sub(lines.len() + 1);
    lines.extend(busiest(&between, room, style));
    lines.push(Painted::default().with(Paint::Dim, "q ends"));
    lines
}

fn head(now: &Look) -> Vec<Painted> {
    let up = now.number("/uptime-seconds");
    let (hours, minutes, seconds) = (up / 3600, up / 60 % 60, up % 60);
    let state = match now.figures.get("trouble").and_then(Value::as_str) {
        Some(trouble) => Painted::default().with(Paint::Bad, shown(trouble)),
        None => Painted::default().with(Paint::Good, "ok"),
    };
    vec![
        Painted::default().with(Paint::Bold, format!("{} on {}", now.text("source"), now.text("directory"))),
        state.plain(format!(
            ", up {hours}:{minutes:02}:{seconds:02}, process {}, ossmount {}",
            now.number("/pid"),
            now.text("program")
        )),
    ]
}

/// A line with a name, a value, a curve and what else there is to say.
fn row(name: &str, value: &str, curve: Painted, rest: String) -> Painted {
    Painted::default()
        .with(Paint::Bold, format!("{name:<8}"))
        .plain(format!("{value:>11}  "))
        .then(curve)
        .plain("  ")
        .plain(rest)
}

fn rates(curves: &Curves, between: &Between<'_>, style: ScreenStyle) -> Vec<Painted> {
    let rate = |name| between.rate(name);
    let now = |name| between.now.metric(name);
    let time = |name| between.milliseconds(name).map_or_else(|| "-".to_owned(), short_time);
    vec![
        row(
            "read",
            &between.bytes("bytes_read"),
            curves.drawn(Series::Read, style),
            format!("{:.0} reads/s, {} at once", rate("reads"), between.share("reads_buffered", "reads")),
        ),
        row(
            "fetched",
            &between.bytes("bytes_fetched"),
            curves.drawn(Series::Fetched, style),
            format!(
                "{:.0} GET/s, {} in flight, evicted unread {}",
                rate("get_requests"),
                now("requests_in_flight"),
                between.bytes("prefetched_unread_bytes")
            ),
        ),
        row(
            "read in",
            &time("read"),
            curves.drawn(Series::ReadTime, style),
            format!("{} open, {} waiting", counted(now("open_files"), "file"), now("reads_waiting")),
        ),
        row(
            "GET in",
            &time("get"),
            curves.drawn(Series::GetTime, style),
            format!(
                "{:.0} HEAD/s, {:.0} LIST/s, {:.0} writes/s",
                rate("head_requests"),
                rate("list_requests"),
                rate("write_requests")
            ),
        ),
        Painted::default().with(Paint::Bold, "names   ").plain(format!(
            "{:>11.0}/s look-ups, {} from the cache; {} held",
            rate("lookups"),
            between.share("lookups_known", "lookups"),
            between.now.number("/tree/entries")
        )),
    ]
}

/// The memory in use, by consumer.
fn memory(now: &Look, style: ScreenStyle) -> Vec<Painted> {
    let bytes = |name: &str| now.number(&format!("/memory/{name}"));
    let (pinned, names) = (bytes("pinned"), bytes("names"));
    let data = bytes("read-buffers").saturating_sub(pinned);
    let whole = bytes("read-buffers-limit") + bytes("names-limit");
    let parts = [(Paint::First, 'd', data), (Paint::Second, 'p', pinned), (Paint::Third, 'n', names)];
    let sum = format!(" {} of {}", size(data + pinned + names), size(whole));
    let key = |paint, name: &str, bytes| Painted::default().with(paint, name).plain(format!(" {}  ", size(bytes)));
    vec![
        Painted::default().with(Paint::Bold, "memory  ").then(style.bar(&parts, whole, bar_width(style))).plain(sum),
        Painted::default()
            .plain("        ")
            .then(key(Paint::First, "data", data))
            .then(key(Paint::Second, "pinned", pinned))
            .then(key(Paint::Third, "names", names))
            .plain(format!("resident {}", size(bytes("resident")))),
    ]
}

fn bar_width(style: ScreenStyle) -> usize {
    style.columns.saturating_sub(34).clamp(8, 60)
}

/// The disk cache, where there is one.
fn disk(between: &Between<'_>, style: ScreenStyle) -> Option<Painted> {
    let now = |name| between.now.metric(name);
    let (used, limit, free) = (now("disk_used_bytes"), now("disk_limit_bytes"), now("disk_free_bytes"));
    if (used, limit, free) == (0, 0, 0) {
        return None;
    }
    // Without a limit, what is free may be filled.
    let whole = if limit > 0 { limit } else { used.saturating_add(free) };
    let hits = between.grown("disk_hits");
    let hits = match hits + between.grown("disk_misses") {
        0 => String::new(),
        all => format!(", {:.0}% hits", 100.0 * hits as f64 / all as f64),
    };
    let rates = format!("; {} read, {} written", between.bytes("disk_read_bytes"), between.bytes("disk_written_bytes"));
    let bar = style.bar(&[(Paint::Third, 'c', used)], whole, bar_width(style));
    let sum = format!(" {} of {}{hits}{rates}", size(used), size(whole));
    Some(Painted::default().with(Paint::Bold, "disk    ").then(bar).plain(sum))
}

fn kernel(now: &Look) -> Painted {
    let (files, bytes) = (now.metric("passthrough_files"), now.metric("passthrough_bytes"));
    let text = match files {
        0 => "reads no open file by itself".to_owned(),
        _ => format!("reads {} of {} by itself, not counted above", counted(files, "open file"), size(bytes)),
    };
    Painted::default().with(Paint::Bold, "kernel  ").plain(text)
}

fn errors(now: &Look) -> Painted {
    let line = Painted::default().with(Paint::Bold, "errors  ");
    let bad = [
        ("read_errors", "reads failed"),
        ("request_errors", "requests failed"),
        ("verify_failures", "wrong checksums"),
        ("disk_errors", "of the disk"),
    ];
    let mild = [("retries", "retries"), ("throttled", "throttled")];
    let found = |of: &[(&str, &str)]| {
        let counts = of.iter().map(|(name, words)| (now.metric(name), words)).filter(|(count, _)| *count > 0);
        counts.map(|(count, words)| format!("{count} {words}")).collect::<Vec<_>>().join(", ")
    };
    let (bad, mild) = (found(&bad), found(&mild));
    match (bad.is_empty(), mild.is_empty()) {
        (true, true) => line.with(Paint::Good, "none"),
        (true, false) => line.with(Paint::Warning, mild),
        (false, true) => line.with(Paint::Bad, bad),
        (false, false) => line.with(Paint::Bad, bad).plain(", ").with(Paint::Warning, mild),
    }
}

/// The jobs under way, the latest first.
fn jobs(now: &Look) -> Vec<Painted> {
    let of = |kind: &str| {
        let known = now.figures.pointer(&format!("/job-lists/{kind}")).and_then(Value::as_array);
        let under_way = |job: &&Value| matches!(job["state"].as_str(), Some("running" | "queued"));
        let known: Vec<Painted> = known
            .into_iter()
            .flatten()
            .rev()
            .filter(under_way)
            .map(|job| Painted::default().with(Paint::Bold, "job     ").plain(jobs::short_line_of(kind, job)))
            .collect();
        known
    };
    let mut all = [of("prefetch"), of("copy")].concat();
    let left = all.len().saturating_sub(MOST_JOBS);
    all.truncate(MOST_JOBS);
    if left > 0 {
        all.push(Painted::default().plain(format!("        and {left} more: ossmount jobs")));
    }
    all
}

/// The files that were read most between the looks; then those of which most is held.
fn busiest(between: &Between<'_>, room: usize, style: ScreenStyle) -> Vec<Painted> {
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
        let opens = if style.columns >= 80 { format!(" {:>6}", number(file, "handles")) } else { String::new() };
        let figures = format!("{rate:>11} {:>9} {:>9}{opens} {ratio:>6}  ", size(held), size(number(file, "size")));
        let left = style.columns.saturating_sub(figures.len());
        Painted::default().plain(figures).plain(end_within(&key, left))
    };
    files.into_iter().take(room).map(row).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::{Expect, expect};
    use serde_json::json;

    use super::*;

    const NARROW: ScreenStyle = ScreenStyle { columns: 60, rows: 24, has_colours: false, has_blocks: false };

    fn look(seconds: u64, reads: u64, files: &Value) -> Look {
        let figures = json!({
            "source": "oss://b/models", "directory": "/mnt", "program": "1.0", "pid": 7,
            "uptime-seconds": 3723 + seconds, "tree": {"entries": 1021},
            "metrics": {
                "reads": reads, "reads_buffered": reads / 2, "bytes_read": reads << 20, "reads_waiting": 3,
                "bytes_fetched": reads << 19, "get_requests": reads / 8, "requests_in_flight": 5, "open_files": 1,
            },
            "latency": {"read-count": reads, "read-micros": 240 * reads, "get-count": 0, "get-micros": 0},
            "memory": {
                "read-buffers": 300 << 20, "read-buffers-limit": 1 << 30, "pinned": 100 << 20, "names": 8 << 20,
                "names-limit": 128 << 20, "resident": 350 << 20,
            },
            "files": files,
        });
        Look { at: Duration::from_secs(seconds), figures }
    }

    fn file(inode: u64, key: &str, read: u64, held: u64) -> Value {
        json!({"inode": inode, "key": key, "read": read, "held": held, "size": 8 << 20, "handles": 1})
    }

    fn text(before: &Look, now: &Look, style: ScreenStyle) -> String {
        let mut curves = Curves::default();
        curves.take(before, before);
        curves.take(before, now);
        let drawn: Vec<String> = lines(&curves, (before, now), style).iter().map(|line| line.drawn(style)).collect();
        drawn.join("\n")
    }

    #[expect(clippy::needless_pass_by_value, reason = "as expectations are written")]
    fn check(now: &Look, style: ScreenStyle, expected: Expect) {
        expected.assert_eq(&text(&look(0, 100, &json!([])), now, style));
    }

    #[test]
    fn sixty_columns_show_it_all() {
        let files = json!([
            file(1, "a", 4 << 20, 1 << 20),
            file(2, "a-long-directory/with/model-00001-of-00004.safetensors\u{1b}", 0, 2 << 20),
        ]);
        check(
            &look(2, 300, &files),
            NARROW,
            expect![[r#"
            oss://b/models on /mnt
            ok, up 1:02:05, process 7, ossmount 1.0

            read     100.0MiB/s            _#  100 reads/s, 50% at once
            fetched   50.0MiB/s            _#  12 GET/s, 5 in flight
            read in       0.2ms             #  1 file open, 3 waiting
            GET in            -                0 HEAD/s, 0 LIST/s
            names             0/s look-ups, - from the cache; 1021 held
            memory  [dddddpp...................] 308.0MiB of 1.1GiB
                    data 200.0MiB  pinned 100.0MiB  names 8.0MiB
            kernel  reads no open file by itself
            errors  none

                 read/s      held      size f/used  file
               2.0MiB/s    1.0MiB    8.0MiB      -  a
                   0B/s    2.0MiB    8.0MiB      -  ...safetensors\u{1b}
            q ends"#]],
        );
    }

    #[test]
    fn what_is_there_only_now_and_then_has_its_lines() {
        let mut now = look(2, 300, &json!([]));
        for (name, value) in [
            ("disk_used_bytes", 10_u64 << 30),
            ("disk_limit_bytes", 40 << 30),
            ("disk_hits", 3),
            ("disk_misses", 1),
            ("retries", 9),
            ("read_errors", 2),
            ("passthrough_files", 1),
            ("passthrough_bytes", 8 << 20),
        ] {
            now.figures["metrics"][name] = value.into();
        }
        now.figures["trouble"] = "the store does not answer".into();
        now.figures["listing"] = json!({"finding": "the server keeps no order"});
        let job = |job: u64, state: &str| {
            let (bytes, arrived) = (4 << 20, 1 << 20);
            json!({
                "job": job, "state": state, "paths": ["m"], "bytes": bytes, "bytes-arrived": arrived,
                "elapsed-ms": 1000,
            })
        };
        let jobs: Vec<Value> = [job(1, "done")].into_iter().chain((2..8).map(|n| job(n, "running"))).collect();
        now.figures["job-lists"] = json!({"prefetch": jobs, "copy": []});
        check(
            &now,
            ScreenStyle { columns: 100, has_blocks: true, ..NARROW },
            expect![[r#"
            oss://b/models on /mnt
            the store does not answer, up 1:02:05, process 7, ossmount 1.0

            read     100.0MiB/s                    ▁█  100 reads/s, 50% at once
            fetched   50.0MiB/s                    ▁█  12 GET/s, 5 in flight, evicted unread 0B/s
            read in       0.2ms                     █  1 file open, 3 waiting
            GET in            -                        0 HEAD/s, 0 LIST/s, 0 writes/s
            names             0/s look-ups, - from the cache; 1021 held
            memory  [ddddddddddpppppp░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░] 308.0MiB of 1.1GiB
                    data 200.0MiB  pinned 100.0MiB  names 8.0MiB  resident 350.0MiB
            disk    [ccccccccccccccc░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░] 10.0GiB of 40.0GiB, 75% hits
            kernel  reads 1 open file of 8.0MiB by itself, not counted above
            errors  2 reads failed, 9 retries
            job     prefetch:7  25% 1.0MiB of 4.0MiB, 1.0MiB/s, 3s left  m to memory
            job     prefetch:6  25% 1.0MiB of 4.0MiB, 1.0MiB/s, 3s left  m to memory
            job     prefetch:5  25% 1.0MiB of 4.0MiB, 1.0MiB/s, 3s left  m to memory
            job     prefetch:4  25% 1.0MiB of 4.0MiB, 1.0MiB/s, 3s left  m to memory
                    and 2 more: ossmount jobs
            listing   the server keeps no order

                 read/s      held      size   open f/used  file
            q ends"#]],
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_colours_are_as_the_style_says() {
        let now = look(2, 300, &json!([file(1, &"模型".repeat(60), 4 << 20, 1 << 20)]));
        for columns in [20, 60, 80, 200] {
            for has_colours in [false, true] {
                let style = ScreenStyle { columns, rows: 24, has_colours, has_blocks: true };
                let mut curves = Curves::default();
                (0..200).for_each(|_| curves.take(&now, &now));
                for line in lines(&curves, (&now, &now), style) {
                    let bare = line.drawn(ScreenStyle { has_colours: false, ..style });
                    assert!(Painted::default().plain(bare.clone()).width() <= columns, "{columns}: {bare}");
                    assert!(has_colours || !line.drawn(style).contains('\x1b'), "{bare}");
                }
                assert_eq!(text(&now, &now, style).contains("\x1b[32mok\x1b[0m"), has_colours);
            }
        }
    }

    #[test]
    fn a_small_screen_shows_no_files_and_files_of_the_kernel_no_rate() {
        let mut passed = file(1, "a", 0, 8 << 20);
        passed["passthrough"] = json!(true);
        passed["fetched-per-used"] = json!(1.25);
        let now = look(0, 0, &json!([passed]));
        assert!(!text(&now, &now, ScreenStyle { rows: 5, ..NARROW }).contains("  a\n"));
        let shown = text(&now, &now, NARROW);
        let line = shown.lines().find(|line| line.ends_with("  a")).unwrap();
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["kernel", "8.0MiB", "8.0MiB", "1.25", "a"]);
    }
}
