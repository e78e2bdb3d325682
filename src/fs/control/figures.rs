//! Metadata of one file or directory, and the figures of the mount and of the daemon.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Control, Done};
use crate::base::Ino;
use crate::control::{self, Health};
use crate::list::Trust;
use crate::metrics::{self, Distribution, Metric, TABLE};
use crate::read::Held;

/// The most files that are reported one by one.
const MOST_FILES: usize = 10_000;

impl Control {
    /// All that is known of a file or directory, by the names of the extended attributes.
    pub(super) async fn facts(self: &Arc<Self>, path: Option<String>, on: Ino) -> Done<Map<String, Value>> {
        let held = self.find(path.as_deref(), on).await?;
        let what = path.as_deref().unwrap_or("the file or directory of this request");
        let facts = self.names.all_attributes(held.ino()).await.map_err(|failure| failure.of(what))?;
        let text = |value: Vec<u8>| Value::String(String::from_utf8_lossy(&value).into_owned());
        let mut facts: Map<String, Value> = facts.into_iter().map(|(name, value)| (name, text(value))).collect();
        facts.insert("inode".to_owned(), json!(held.ino().0));
        Ok(facts)
    }

    /// Sets the gauges that would be costly to keep up to date: what is needed only when it is asked for.
    /// Gives what is held of files, and the sizes of those that the kernel reads by itself.
    fn sample(&self) -> (Vec<Held>, HashMap<Ino, u64>) {
        let files = self.reader.held();
        let set = |metric, value| self.metrics.set(metric, value);
        set(Metric::TreeBytes, self.names.bytes());
        set(Metric::TreeBytesLimit, self.options.metadata_bytes);
        set(Metric::LargeDirectories, self.names.large_directories() as u64);
        set(Metric::MaxConnections, self.reader.connections() as u64);
        set(Metric::PinnedBytes, self.reader.pinned_bytes());
        let passed = self.files.all_passed();
        set(Metric::PassthroughFiles, passed.len() as u64);
        set(Metric::PassthroughBytes, passed.values().sum());
        set(Metric::HeldFiles, files.len() as u64);
        set(Metric::Streams, files.iter().map(|file| file.streams as u64).sum());
        let trouble = self.metrics.condition(self.clock.elapsed()).trouble;
        set(Metric::TroubleSeconds, trouble.map_or(0, |(_, lasts)| lasts.as_secs()));
        self.sample_copies();
        if let Some(surroundings) = self.surroundings.get() {
            set(Metric::ResidentBytes, surroundings.daemon.resident_bytes());
        }
        (files, passed)
    }

    /// Does what [`crate::fs::Fs::prometheus`] says.
    pub(in crate::fs) fn prometheus(&self) -> String {
        self.sample();
        let surroundings = self.surroundings.get();
        let source = surroundings.map(|surroundings| surroundings.source.clone()).unwrap_or_default();
        let directory = surroundings.and_then(|surroundings| Some(surroundings.dir.as_ref()?.display().to_string()));
        let about = [
            ("source", source.as_str()),
            ("directory", directory.as_deref().unwrap_or_default()),
            ("version", env!("CARGO_PKG_VERSION")),
        ];
        metrics::prometheus(&self.metrics, &about)
    }

    /// The figures of the mount: every metric, what takes memory, what goes on.
    pub(in crate::fs) fn figures(&self, which: control::Stats) -> Map<String, Value> {
        let (files, passed) = self.sample();
        let metrics: Map<_, _> =
            TABLE.iter().map(|row| (row.name.to_owned(), json!(self.metrics.value(row.metric)))).collect();
        let held: u64 = files.iter().map(|file| file.held_bytes).sum();
        let memory = json!({
            "read-buffers": self.metrics.value(Metric::BufferBytes),
            "read-buffers-limit": self.metrics.value(Metric::MemoryLimit),
            "file-bytes": held,
            "pinned": self.reader.pinned_bytes(),
            "pinned-limit": self.reader.pinned_bytes_limit(),
            "names": self.metrics.value(Metric::TreeBytes),
            "names-limit": self.options.metadata_bytes,
            "reserved": self.options.reserved_bytes,
            "allowed": self.options.allowed_bytes,
            "resident": self.metrics.value(Metric::ResidentBytes),
        });
        let streams: usize = files.iter().map(|file| file.streams).sum();
        let open = files.iter().filter(|file| file.handles > 0).count();
        let mut figures = Map::new();
        figures.insert("metrics".to_owned(), Value::Object(metrics));
        figures.insert("memory".to_owned(), memory);
        let reading = json!({
            "files-open": open,
            "files-held": files.len(),
            "streams": streams,
            "bridge": self.files.pages_in_words(),
            "fetched-per-used": ratio(self.metrics.value(Metric::BytesFetched), self.metrics.value(Metric::BytesUsed)),
        });
        figures.insert("reading".to_owned(), reading);
        figures.insert("latency".to_owned(), self.latency_figures());
        if let Some(surroundings) = self.surroundings.get() {
            figures.insert("addresses".to_owned(), surroundings.daemon.addresses());
        }
        figures.insert("tree".to_owned(), self.tree_figures());
        figures.insert("listing".to_owned(), listing_figures(self.names.trust()));
        figures.insert("jobs".to_owned(), json!({"copy": self.copy_counts(), "prefetch": self.prefetches.counts()}));
        if which.files {
            let shown = files.iter().take(MOST_FILES).map(|file| file_figures(file, passed.contains_key(&file.ino)));
            figures.insert("files".to_owned(), shown.collect());
        }
        figures
    }

    /// Does what [`crate::fs::Fs::status`] says.
    pub(in crate::fs) fn status(&self) -> Value {
        // Numbers and texts always have their JSON.
        let mut status = serde_json::to_value(self.health()).unwrap_or_default();
        if let Some(all) = status.as_object_mut() {
            all.extend(self.figures(control::Stats { files: true }));
        }
        let files = status.get_mut("files").and_then(Value::as_array_mut);
        files.into_iter().flatten().filter_map(Value::as_object_mut).for_each(|file| drop(file.remove("key")));
        status
    }

    /// How often reads and requests were made, and how long they took in all. A request for bytes takes until the
    /// beginning of its answer.
    fn latency_figures(&self) -> Value {
        use Distribution::{AwaitedReadTime, BufferedReadTime, FetchedReadTime, GetTime, HeadTime, ListTime};
        let kinds = [
            ("read", &[BufferedReadTime, AwaitedReadTime, FetchedReadTime][..]),
            ("get", &[GetTime]),
            ("head", &[HeadTime]),
            ("list", &[ListTime]),
        ];
        let mut figures = Map::new();
        for (name, distributions) in kinds {
            let totals = distributions.iter().map(|distribution| self.metrics.total(*distribution));
            let (count, nanos) = totals.fold((0, 0_u64), |sum, total| (sum.0 + total.0, sum.1.saturating_add(total.1)));
            figures.insert(format!("{name}-count"), json!(count));
            figures.insert(format!("{name}-micros"), json!(nanos / 1000));
        }
        Value::Object(figures)
    }

    /// How much is known, and where directories are too large for that, what follows.
    fn tree_figures(&self) -> Value {
        let large = self.metrics.value(Metric::LargeDirectories);
        let mut figures = json!({"entries": self.metrics.value(Metric::TreeEntries), "large-directories": large});
        if large > 0 {
            let (limit, s, have) = match large {
                1 => (self.options.metadata_bytes >> 20, "y", "has"),
                _ => (self.options.metadata_bytes >> 20, "ies", "have"),
            };
            figures["finding"] = json!(format!(
                "{large} director{s} {have} more names than fit in metadata-memory ({limit} MiB): the names are not \
                 cached, so that each program that reads a directory causes a listing, and each look-up of a name \
                 costs one or two requests; raise metadata-memory if that is too slow (the log names the directories)"
            ));
        }
        figures
    }

    /// Which daemon answers the request.
    pub(super) fn health(&self) -> Health {
        let mut health = Health::new(std::process::id());
        health.uptime_seconds = self.clock.elapsed().saturating_sub(self.began).as_secs();
        let condition = self.metrics.condition(self.clock.elapsed());
        if let Some((trouble, _)) = condition.trouble {
            (health.status, health.trouble) = (trouble.word(), Some(condition.to_string()));
        }
        (health.reads_waiting, health.reads_waiting_seconds) = (condition.waiting, condition.stuck.as_secs());
        health.restarts = self.metrics.value(Metric::Restarts);
        if let Some(surroundings) = self.surroundings.get() {
            let text = |path: &std::path::PathBuf| path.display().to_string();
            health.source = surroundings.source.clone();
            health.directory = surroundings.dir.as_ref().map(text);
            health.socket = surroundings.socket.get().map(text);
            health.metrics = surroundings.metrics.get().cloned();
        }
        health
    }
}

/// How far the server's listings can be relied on, and where they cannot, what follows.
fn listing_figures(trust: Trust) -> Value {
    let mut figures = json!({"server": trust.word()});
    if let Some(sentence) = trust.sentence() {
        figures["finding"] = json!(sentence);
    }
    figures
}

/// Bytes fetched for each byte that programs have used, to two places; `None` before any was.
fn ratio(fetched_bytes: u64, used_bytes: u64) -> Option<f64> {
    (used_bytes > 0).then(|| (fetched_bytes as f64 / used_bytes as f64 * 100.0).round() / 100.0)
}

fn file_figures(file: &Held, is_passed: bool) -> Value {
    json!({
        "key": file.key,
        "inode": file.ino.0,
        "size": file.size,
        "held": file.held_bytes,
        "read": file.read_bytes,
        "fetched": file.fetched_bytes,
        "used": file.used_bytes,
        "fetched-per-used": ratio(file.fetched_bytes, file.used_bytes),
        "passthrough": is_passed,
        "handles": file.handles,
        "streams": file.streams,
        "pinned": file.is_pinned,
    })
}
