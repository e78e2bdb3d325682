//! Options that can be changed on a live mount.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Control, Done};
use crate::base::{ByteSize, Ino};
use crate::control::{Kind, PrefetchMode, Refusal, Set};
use crate::read::Prefetch;

/// The least that the options of these names take at the start as well, in bytes.
const LEAST_MEMORY: u64 = 64 << 20;
const LEAST_BANDWIDTH: u64 = 1 << 20;

impl Control {
    /// Sets all that a request names, or nothing where one of it cannot be. Answers what holds now.
    pub(super) async fn set(self: &Arc<Self>, set: Set, on: Ino) -> Done<Map<String, Value>> {
        at_least("memory-limit", set.memory_limit, LEAST_MEMORY)?;
        at_least("max-bandwidth", set.max_bandwidth.flatten(), LEAST_BANDWIDTH)?;
        let daemon = self.surroundings.get().map(|surroundings| &surroundings.daemon);
        if daemon.is_none() && (set.log_level.is_some() || set.max_bandwidth.is_some()) {
            return Err(Refusal::new(
                Kind::Off,
                "set: log-level and max-bandwidth cannot be changed before the mount is ready",
            ));
        }
        let file = match set.prefetch {
            Some(mode) => Some((self.find_file(set.path.as_deref(), on).await?.0.ino(), mode)),
            None => None,
        };
        let mut now = Map::new();
        let mut say = |name: &str, value: Value| drop(now.insert(name.to_owned(), value));
        if let (Some(level), Some(daemon)) = (set.log_level, daemon) {
            daemon.set_log_level(level.word());
            say("log-level", json!(level.word()));
        }
        if let Some(bytes) = set.memory_limit {
            self.reader.set_memory_limit(bytes);
            tracing::info!(bytes, "memory-limit was changed");
            say("memory-limit", json!(bytes));
        }
        if let (Some(rate), Some(daemon)) = (set.max_bandwidth, daemon) {
            daemon.set_max_bandwidth(rate);
            tracing::info!(?rate, "max-bandwidth was changed");
            say("max-bandwidth", rate.map_or(json!("none"), |rate| json!(rate)));
        }
        if let Some((ino, mode)) = file {
            let (mode, word) = match mode {
                PrefetchMode::Auto => (Prefetch::Auto, "auto"),
                PrefetchMode::Open => (Prefetch::Open, "open"),
                PrefetchMode::Off => (Prefetch::Off, "off"),
            };
            self.reader.set_prefetch(ino, mode);
            say("prefetch", json!(word));
        }
        Ok(now)
    }
}

fn at_least(name: &str, bytes: Option<u64>, least: u64) -> Done<()> {
    match bytes {
        Some(bytes) if bytes < least => {
            Err(Refusal::invalid(format!("set: {name} {}: the minimum is {}", ByteSize(bytes), ByteSize(least))))
        }
        _ => Ok(()),
    }
}
