//! `ossmount jobs [DIR]`: the prefetches and copies of live mounts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgMatches, Command, ValueHint};
use serde_json::{Value, json};

use super::ask::Line;
use super::prefetch;
use super::progress::{long_time, percent, progress_words};
use super::text::{Output, counted, json_line, shown, size};
use crate::app::args::json_arg;
use crate::app::daemon::registry;
use crate::config::{Problem, Result};

/// The kinds of jobs, which are also the beginnings of the names of their operations.
const KINDS: [&str; 2] = ["prefetch", "copy"];

pub(in crate::app) fn command() -> Command {
    Command::new("jobs")
        .about("List the prefetches and copies of live mounts, those that have ended too; or cancel one")
        .arg(
            Arg::new("dir")
                .value_name("DIR")
                .value_parser(PathBufValueParser::new())
                .value_hint(ValueHint::DirPath)
                .help("The mount, or a path in it; all mounts without it"),
        )
        .arg(
            Arg::new("cancel")
                .long("cancel")
                .value_name("JOB")
                .requires("dir")
                .value_parser(parse_name)
                .help("Cancel this job of DIR, as in prefetch:3 or copy:1; what it has fetched stays"),
        )
        .arg(json_arg().help("Print JSON, one object a line"))
}

/// A job by its kind and number.
#[derive(Clone, PartialEq, Eq, Debug)]
struct JobName {
    kind: &'static str,
    number: u64,
}

fn parse_name(text: &str) -> std::result::Result<JobName, String> {
    let wrong = || "write prefetch:N or copy:N, as ossmount jobs prints it".to_owned();
    let (kind, number) = text.split_once([':', ' ']).ok_or_else(wrong)?;
    let kind = KINDS.into_iter().find(|known| *known == kind).ok_or_else(wrong)?;
    Ok(JobName { kind, number: number.trim().parse().map_err(|_| wrong())? })
}

pub(in crate::app) fn run(matches: &ArgMatches) -> Result<()> {
    let is_json = matches.get_flag("json");
    let mut out = Output::new();
    match (matches.get_one::<PathBuf>("dir"), matches.get_one::<JobName>("cancel")) {
        (Some(dir), Some(JobName { kind, number })) => {
            let mut line = Line::to(dir)?;
            let ended = line.ask(&json!({"op": format!("{kind}-cancel"), "job": number, }))?;
            out.line(&told(&line.dir, kind, &ended, is_json, false))?;
        }
        (Some(dir), None) => print(&mut out, &mut Line::to(dir)?, is_json, false)?,
        (None, _) => {
            let mut failed = Ok(());
            for found in registry::all().into_iter().filter(registry::Found::is_own) {
                // One that does not answer hides no other.
                let printed = Line::to(&found.entry.dir).and_then(|mut line| print(&mut out, &mut line, is_json, true));
                failed = failed.and(printed);
            }
            out.flush()?;
            return failed;
        }
    }
    out.flush().map(drop)
}

fn print(out: &mut Output<'_>, line: &mut Line, is_json: bool, is_one_of_many: bool) -> Result<()> {
    for kind in KINDS {
        for job in of(line, kind)? {
            out.line(&told(&line.dir, kind, &job, is_json, is_one_of_many))?;
        }
    }
    Ok(())
}

/// The jobs of a kind that a mount knows; none where it does without them.
pub(super) fn of(line: &mut Line, kind: &str) -> Result<Vec<Value>> {
    let mut answer = match line.ask(&json!({"op": format!("{kind}-list")})) {
        Err(Problem { sentence, .. }) if knows_no_jobs(&sentence) => return Ok(Vec::new()),
        answer => answer?,
    };
    Ok(answer["jobs"].as_array_mut().map(std::mem::take).unwrap_or_default())
}

/// Whether a mount refuses because it does without such jobs: by its options, or as a daemon that was started before an
/// upgrade and does not know the request.
fn knows_no_jobs(refusal: &str) -> bool {
    refusal.ends_with("(EOPNOTSUPP)") || refusal.starts_with("unknown operation ")
}

fn told(dir: &Path, kind: &str, job: &Value, is_json: bool, is_one_of_many: bool) -> String {
    if is_json {
        let mut job = job.clone();
        if let Some(fields) = job.as_object_mut() {
            fields.insert("kind".to_owned(), json!(kind));
            fields.insert("directory".to_owned(), json!(dir));
        }
        return json_line(&job);
    }
    let of = if is_one_of_many { format!("{}  ", shown(&dir.to_string_lossy())) } else { String::new() };
    format!("{of}{}", line_of(kind, job))
}

/// `prefetch:3  running  [====>  ] 45% ...  llama`.
pub(super) fn line_of(kind: &str, job: &Value) -> String {
    let name = format!("{kind}:{}", job["job"]);
    let state = job["state"].as_str().unwrap_or("-");
    let (how_far, what) = match kind {
        "prefetch" => (of_prefetch(job), what_is_prefetched(job)),
        _ => (of_copy(job), format!("{} -> {}", place(&job["source"]), place(&job["destination"]))),
    };
    format!("{name:<12} {state:<9} {how_far}  {what}")
}

/// `prefetch:3  25% 1.0GiB of 4.0GiB, 512.0MiB/s, 6s left  llama`: of a job under way, where there is little room.
pub(super) fn short_line_of(kind: &str, job: &Value) -> String {
    let took = Duration::from_millis(job["elapsed-ms"].as_u64().unwrap_or_default());
    match kind {
        "prefetch" => {
            let how_far = progress_words(prefetch::bytes(job), took);
            format!("{kind}:{} {how_far}  {}", job["job"], what_is_prefetched(job))
        }
        _ => format!("{kind}:{} {}  {}", job["job"], of_copy(job), place(&job["destination"])),
    }
}

fn of_prefetch(job: &Value) -> String {
    let number = |name: &str| job[name].as_u64().unwrap_or_default();
    let took = Duration::from_millis(number("elapsed-ms"));
    if job["state"] == "running" {
        return prefetch::line_of(job, took);
    }
    let skipped = match number("files-skipped") {
        0 => String::new(),
        skipped => format!(", {skipped} skipped"),
    };
    let failed = match number("failed") {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    let (files, bytes) = (counted(number("files-done"), "file"), size(number("bytes-done")));
    format!("{files} of {bytes} in {}{skipped}{failed}", long_time(took.as_secs()))
}

fn what_is_prefetched(job: &Value) -> String {
    let paths = job["paths"].as_array().map(Vec::as_slice).unwrap_or_default();
    let paths: Vec<String> = paths.iter().filter_map(Value::as_str).map(shown).collect();
    let to = if job["to"] == "disk" { "to disk" } else { "to memory" };
    format!("{} {to}", paths.join(" "))
}

fn of_copy(job: &Value) -> String {
    let of = |name: &str| (job[name]["done"].as_u64().unwrap_or_default(), job[name]["total"].as_u64());
    let (done, total) = of("bytes");
    let objects = match of("objects") {
        (done, Some(total)) => format!(", {done} of {}", counted(total, "object")),
        _ => String::new(),
    };
    let total = total.unwrap_or_default();
    format!("{:3}% {} of {}{objects}", percent(done, total), size(done), size(total))
}

fn place(place: &Value) -> String {
    let text = |name: &str| place[name].as_str().map(shown).unwrap_or_default();
    format!("{}/{}", text("bucket"), text("key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_named_by_kind_and_number() {
        assert_eq!(parse_name("prefetch:3"), Ok(JobName { kind: "prefetch", number: 3 }));
        assert_eq!(parse_name("copy 1"), Ok(JobName { kind: "copy", number: 1 }));
        for wrong in ["3", "prefetch", "prefetch:x", "listing:1"] {
            assert!(parse_name(wrong).unwrap_err().contains("prefetch:N"), "{wrong}");
        }
    }

    #[test]
    fn daemons_without_such_jobs_have_none_and_other_refusals_are_told() {
        assert!(knows_no_jobs("unknown operation \"prefetch-list\": the operations are copy, health (EINVAL)"));
        assert!(knows_no_jobs("copies are disabled on this mount, by copy=off: mount with copy=on (EOPNOTSUPP)"));
        assert!(!knows_no_jobs("user 7 may not control this mount: only root and its owner, user 0, may (EPERM)"));
    }

    #[test]
    fn a_line_says_how_far_a_job_is_and_what_it_is_for() {
        let running = json!({
            "job": 3, "state": "running", "to": "disk", "paths": ["llama", "x\u{1b}"], "elapsed-ms": 2000, "files": 2,
            "files-done": 1, "bytes": 4 << 20, "bytes-arrived": 1 << 20,
        });
        assert_eq!(
            line_of("prefetch", &running),
            "prefetch:3   running   [=====>              ]  25% 1.0MiB of 4.0MiB, 512.0KiB/s, 6s left, 1 of 2 files  \
             llama x\\u{1b} to disk"
        );
        let done = json!({
            "job": 4, "state": "done", "to": "memory", "paths": ["a"], "elapsed-ms": 65_000, "files-done": 1,
            "bytes-done": 5, "files-skipped": 2,
        });
        assert_eq!(line_of("prefetch", &done), "prefetch:4   done      1 file of 5B in 1m05s, 2 skipped  a to memory");
        let copy = json!({
            "job": 1, "state": "failed", "source": {"bucket": "b", "key": "k"},
            "destination": {"bucket": "o", "key": ""}, "bytes": {"done": 1, "total": 4},
            "objects": {"done": 1, "total": 2},
        });
        assert_eq!(
            short_line_of("prefetch", &running),
            "prefetch:3  25% 1.0MiB of 4.0MiB, 512.0KiB/s, 6s left  llama x\\u{1b} to disk"
        );
        assert_eq!(short_line_of("copy", &copy), "copy:1  25% 1B of 4B, 1 of 2 objects  o/");
        assert_eq!(line_of("copy", &copy), "copy:1       failed     25% 1B of 4B, 1 of 2 objects  b/k -> o/");
    }
}
