//! The format of log lines: with a priority for readers that want one, and without lines that repeat others.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::repeats::{Repeats, Runs, Verdict};
use crate::base::{Clock, Foreign, escape_json, escape_text};

/// What stands before each line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Prefix {
    /// Nothing stands before the line.
    None,
    /// The priority, as journald reads it from what services print.
    Priority,
    /// Priority and name, as syslog wants them.
    Syslog,
}

/// syslog's number for daemons.
const FACILITY: u8 = 3;

/// Fields that differ between lines which say the same: an error has the request id and the time in it.
const PASSING: &[&str] = &["error", "request_id"];

/// The target of lines about lines that were left out: these are never left out.
const LEFT_OUT: &str = "ossmount::left_out";
/// Of a line that was left out, and of each text of a JSON line that is too long, so much is told, in bytes.
const TOLD_BYTES: usize = 512;

/// A longer line is cut.
const MOST_LINE_BYTES: usize = 4096;

/// Which lines have come, and how often.
#[derive(Debug)]
pub(super) struct Seen {
    repeats: Mutex<Repeats>,
    clock: Clock,
    /// A line was left out, the first of its kind.
    leaves_out: Notify,
}

impl Seen {
    pub(super) fn new(clock: Clock) -> Self {
        Seen { repeats: Mutex::new(Repeats::new()), clock, leaves_out: Notify::new() }
    }

    /// Logs again and again how many lines were left out of which no others come. Sleeps without a timer while none
    /// are.
    pub(super) async fn keep_telling(&self, every: Duration) {
        loop {
            self.leaves_out.notified().await;
            while self.repeats.lock().has_left_out() {
                tokio::time::sleep(every).await;
                self.tell(Runs::Over);
            }
        }
    }

    /// Logs how many lines were left out that no other line has told of.
    pub(super) fn tell(&self, which: Runs) {
        // Not under the lock, which logging takes.
        let told = self.repeats.lock().left_out(which, self.clock.elapsed());
        for run in told {
            let (left_out, line) = (run.count, run.said);
            match run.level {
                Level::ERROR => tracing::error!(target: LEFT_OUT, left_out, %line, "similar lines were omitted"),
                _ => tracing::warn!(target: LEFT_OUT, left_out, %line, "similar lines were omitted"),
            }
        }
    }

    fn verdict(&self, event: &Event<'_>) -> Verdict {
        let meta = event.metadata();
        if *meta.level() > Level::WARN || meta.target() == LEFT_OUT {
            return Verdict::Write;
        }
        let print = fingerprint(event);
        let verdict = self.repeats.lock().see(print, self.clock.elapsed());
        if verdict != Verdict::LeaveOutAndKeep {
            return verdict;
        }
        let said = Said::of(event);
        self.repeats.lock().keep(print, *meta.level(), &said);
        self.leaves_out.notify_one();
        Verdict::LeaveOut
    }
}

/// Lines of a format of the subscriber's.
#[derive(Debug)]
pub(super) struct LogLines<F> {
    inner: F,
    prefix: Prefix,
    seen: Arc<Seen>,
}

impl<F> LogLines<F> {
    pub(super) fn new(inner: F, prefix: Prefix, seen: Arc<Seen>) -> Self {
        LogLines { inner, prefix, seen }
    }
}

impl<S, N, F> FormatEvent<S, N> for LogLines<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    /// Leaves the line empty, so that nothing is written, where others have said the same.
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let verdict = self.seen.verdict(event);
        if verdict == Verdict::LeaveOut {
            return Ok(());
        }
        write_prefix(&mut writer, self.prefix, *event.metadata().level())?;
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        let line = harmless(line.trim_end());
        match verdict {
            Verdict::WriteAfter(count) => writer.write_str(&with_count(&line, count))?,
            _ => writer.write_str(&line)?,
        }
        writer.write_char('\n')
    }
}

fn write_prefix(writer: &mut Writer<'_>, prefix: Prefix, level: Level) -> fmt::Result {
    match prefix {
        Prefix::None => Ok(()),
        Prefix::Priority => write!(writer, "<{}>", severity(level)),
        Prefix::Syslog => writer.write_str(&syslog_head(level)),
    }
}

/// What stands before a line of this level, as syslog wants it.
pub(super) fn syslog_head(level: Level) -> String {
    format!("<{}>ossmount[{}]: ", FACILITY * 8 + severity(level), std::process::id())
}

fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// A line in which nothing acts on what shows it, and of a bounded length: keys and messages of a service have any.
fn harmless(line: &str) -> Cow<'_, str> {
    let is_json = line.starts_with('{');
    match (is_json, line.len() > MOST_LINE_BYTES) {
        (true, false) => escape_json(line),
        (true, true) => match serde_json::from_str(line) {
            Ok(mut value) => {
                cut(&mut value);
                Cow::Owned(escape_json(&value.to_string()).into_owned())
            }
            // What the subscriber writes is JSON.
            Err(_) => Cow::Owned(Foreign(line).to_string()),
        },
        (false, false) => escape_text(line),
        (false, true) => Cow::Owned(Foreign(line).to_string()),
    }
}

/// Cuts the texts of a line of JSON.
fn cut(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > TOLD_BYTES => {
            let bytes = text.len();
            text.truncate(text.floor_char_boundary(TOLD_BYTES));
            text.push_str(&format!("... ({bytes} bytes)"));
        }
        Value::Array(values) => values.iter_mut().for_each(cut),
        Value::Object(fields) => fields.values_mut().for_each(cut),
        _ => {}
    }
}

/// A line, and that so many equal ones were left out before it.
fn with_count(line: &str, count: u64) -> String {
    match line.strip_suffix('}').filter(|_| line.starts_with('{')) {
        Some(json) => format!("{json},\"left_out\":{count}}}"),
        None => format!("{line} ({count} similar lines were omitted before)"),
    }
}

/// Equal for lines that say the same.
fn fingerprint(event: &Event<'_>) -> u64 {
    let mut print = Fingerprint(DefaultHasher::new());
    event.metadata().callsite().hash(&mut print.0);
    event.record(&mut print);
    print.0.finish()
}

struct Fingerprint(DefaultHasher);

impl Visit for Fingerprint {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if !PASSING.contains(&field.name()) {
            field.name().hash(&mut self.0);
            // Writing into a hasher does not fail.
            let _ = write!(Hashing(&mut self.0), "{value:?}");
        }
    }
}

/// What a line says, without its time and its spans.
#[derive(Default)]
struct Said(String);

impl Said {
    fn of(event: &Event<'_>) -> String {
        let mut said = Said::default();
        event.record(&mut said);
        let Said(mut text) = said;
        text.truncate(text.floor_char_boundary(TOLD_BYTES));
        text
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let gap = if self.0.is_empty() { "" } else { " " };
        // Writing into a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{gap}{value:?}"),
            name => write!(self.0, "{gap}{name}={value:?}"),
        };
    }
}

/// Text that goes straight into a hasher.
struct Hashing<'a>(&'a mut DefaultHasher);

impl Write for Hashing<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::base::Timestamp;

    /// Keeps what is written to it.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Page {
        type Writer = Page;

        fn make_writer(&self) -> Page {
            self.clone()
        }
    }

    /// What is written while `say` runs.
    fn written(prefix: Prefix, say: impl FnOnce()) -> Vec<String> {
        written_seen(prefix, &Arc::new(Seen::new(Clock::system())), say)
    }

    fn written_seen(prefix: Prefix, seen: &Arc<Seen>, say: impl FnOnce()) -> Vec<String> {
        let page = Page::default();
        let layer = tracing_subscriber::fmt::layer().with_writer(page.clone()).with_ansi(false).with_target(false);
        let layer = layer.without_time().map_event_format(|inner| LogLines::new(inner, prefix, seen.clone()));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), say);
        let text = String::from_utf8(page.0.lock().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn lines_begin_with_their_priority() {
        let say = || {
            tracing::error!(key = "k", "it broke");
            tracing::warn!("it may break");
            tracing::info!("it goes");
        };
        assert_eq!(
            written(Prefix::Priority, say),
            ["<3>ERROR it broke key=\"k\"", "<4> WARN it may break", "<6> INFO it goes"]
        );
        let lines = written(Prefix::Syslog, say);
        assert_eq!(lines[0], format!("<27>ossmount[{}]: ERROR it broke key=\"k\"", std::process::id()));
    }

    #[test]
    fn warnings_that_say_the_same_are_left_out_and_nothing_else_is() {
        let lines = written(Prefix::None, || {
            for number in 0..20 {
                tracing::warn!(key = "a", error = number, request_id = number, "reading");
                tracing::warn!(key = number, "reading");
                tracing::info!("reading");
            }
        });
        let count = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
        assert_eq!((count("key=\"a\""), count("WARN"), count("INFO")), (5, 25, 20), "{lines:#?}");
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_was_left_out_wakes_the_daemon() {
        let day = Duration::from_secs(86_400);
        let seen = Arc::new(Seen::new(Clock::runtime(Timestamp::from_unix(0))));
        let mut telling = Box::pin(seen.keep_telling(Duration::from_secs(15)));
        let mut polls = 0;
        let mut live = async |how_long: Duration| {
            let before = polls;
            let counted = std::future::poll_fn(|cx| {
                polls += 1;
                telling.as_mut().poll(cx)
            });
            assert!(tokio::time::timeout(how_long, counted).await.is_err(), "it never ends");
            polls - before
        };
        // Once at the beginning, and once when the time is over.
        assert!(live(day).await <= 2);
        let say = || (0..100).for_each(|number| tracing::warn!(key = "a", error = number, "reading"));
        written_seen(Prefix::None, &seen, say);
        assert!(live(day).await > 4);
        assert!(!seen.repeats.lock().has_left_out(), "it is told");
        assert!(live(day).await <= 2);
    }

    #[test]
    fn what_was_left_out_is_told_without_another_line() {
        let clock = Clock::manual(Timestamp::from_unix(0));
        let seen = Arc::new(Seen::new(clock.clone()));
        let lines = written_seen(Prefix::Priority, &seen, || {
            // Where it is the same each time it is not left out either.
            for _ in 0..10 {
                for number in 0..100 {
                    tracing::error!(key = "a", error = number, "reading");
                }
                seen.tell(Runs::Over);
                clock.advance(Duration::from_secs(60));
                seen.tell(Runs::Over);
                seen.tell(Runs::All);
                clock.advance(Duration::from_secs(600));
            }
        });
        let told = "<3>ERROR similar lines were omitted left_out=95 line=reading key=\"a\" error=5";
        assert_eq!(lines.iter().filter(|line| *line == told).count(), 10, "{lines:#?}");
        assert_eq!(lines.len(), 60);
    }

    #[test]
    fn a_line_of_either_format_has_a_bounded_length_and_nothing_in_it_acts() {
        let (acting, long) = ("\u{9b}2J\u{202e}", "ü".repeat(1 << 20));
        let lines = written(Prefix::None, || {
            tracing::warn!(key = %acting, "reading");
            tracing::warn!(key = %long, "reading");
        });
        assert_eq!(lines[0], " WARN reading key=\\u{9b}2J\\u{202e}");
        assert!(lines[1].len() < 4200 && lines[1].ends_with("üü... (2097170 bytes)"), "{}", lines[1].len());
        for (key, expected) in
            [(acting, "\u{9b}2J\u{202e}".to_owned()), (&long, format!("{}... (2097152 bytes)", "ü".repeat(256)))]
        {
            let line = serde_json::json!({"level": "WARN", "span": {"key": key}, "keys": [key]}).to_string();
            let shown = harmless(&line);
            assert!(shown.is_ascii() || key == long);
            let value: Value = serde_json::from_str(&shown).unwrap();
            assert_eq!((&value["span"]["key"], &value["keys"][0]), (&expected.clone().into(), &expected.into()));
        }
    }

    #[test]
    fn the_count_is_told_in_both_formats() {
        assert_eq!(with_count("WARN reading", 3), "WARN reading (3 similar lines were omitted before)");
        assert_eq!(with_count(r#"{"level":"WARN"}"#, 3), r#"{"level":"WARN","left_out":3}"#);
    }
}
