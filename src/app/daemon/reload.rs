//! SIGHUP: reads the options again, takes over what a live mount can change, and says what it cannot.
//!
//! What holds afterwards is what the configuration says, also where a control request or SIGUSR2 had changed it. A
//! mount is only ever changed by options that are right as a whole: with a mistake anywhere all stays as it was.
//! Credentials need no signal; they are read again by themselves.

use std::sync::{Arc, Mutex, PoisonError};

use super::log::Level;
use super::start::Adjust;
use crate::app::sources::Sources;
use crate::app::variable;
use crate::config::{self, BucketUrl, Change, Machine, Mounting, Name, Raw, Result, Row, TABLE};
use crate::fs::Ttl;

/// How a mount's options are read again.
pub(in crate::app) struct Reload {
    sources: Sources,
    url: BucketUrl,
    level: Arc<Level>,
    /// What the mount began with.
    begun: Raw,
    /// What was read last.
    last: Mutex<Raw>,
}

impl Reload {
    /// For a mount of `url` that begins with these options.
    pub(in crate::app) fn new(sources: Sources, url: BucketUrl, begun: Raw, level: Arc<Level>) -> Reload {
        Reload { sources, url, level, last: Mutex::new(begun.clone()), begun }
    }

    /// Opens the log's file anew, reads the options again, and changes the mount. What came of it is logged.
    pub(in crate::app) fn run(&self, mount: &Adjust) {
        self.level.reopen();
        match self.read() {
            Ok((raw, mounting)) => self.take_over(raw, mounting, mount),
            Err(problem) => tracing::error!("the configuration was not reloaded: {problem}"),
        }
    }

    fn read(&self) -> Result<(Raw, Mounting)> {
        let given = self.sources.read()?;
        let mounting = config::resolve(&given.raw, given.words, &self.url, Machine::look(), &variable)?;
        Ok((given.raw, mounting))
    }

    fn take_over(&self, raw: Raw, mounting: Mounting, mount: &Adjust) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = |name: Name| match name {
            // SIGUSR2 moves it too.
            Name::LogLevel => !self.level.is(&mounting.run.log.level),
            other => raw.text(other) != last.text(other),
        };
        let is_frozen = mount.is_frozen() && mounting.fs.metadata_ttl != Ttl::Indefinite;
        let is_taken = |row: &&Row| match row.change {
            Change::NewMount => false,
            Change::Live => changed(row.key),
            Change::LiveUnlessFrozen => !is_frozen && changed(row.key),
        };
        let names: Vec<&str> = TABLE.iter().filter(is_taken).map(|row| row.name).collect();
        // All of them: control requests may have changed them meanwhile.
        mount.set_memory_limit(mounting.read.memory_limit);
        mount.set_max_bandwidth(mounting.store.max_bandwidth);
        mount.set_prefetch(mounting.read.prefetch);
        mount.set_part_bytes(mounting.read.part_bytes);
        mount.set_ttls(mounting.fs.metadata_ttl, mounting.fs.negative_ttl);
        mount.set_drain_timeout(mounting.run.drain_timeout);
        if names.contains(&Name::LogLevel.row().name) {
            self.level.set(&mounting.run.log.level);
        }
        match names.is_empty() {
            true => tracing::info!("the configuration was reloaded: no change to apply"),
            false => tracing::info!("the configuration was reloaded: applied {}", names.join(", ")),
        }
        let mut waits = waiting(&self.begun, &raw);
        if is_frozen {
            waits.push(place(Name::MetadataTtl, &raw));
        }
        if !waits.is_empty() {
            tracing::warn!("a new mount is required to apply {}", waits.join(", "));
        }
        *last = raw;
    }
}

/// What has changed since the mount began and cannot change while it lives, each with its place.
fn waiting(begun: &Raw, now: &Raw) -> Vec<String> {
    let fixed = TABLE.iter().filter(|row| row.change == Change::NewMount);
    let changed = fixed.filter(|row| begun.text(row.key) != now.text(row.key));
    changed.map(|row| place(row.key, now)).collect()
}

/// An option, and where it stands.
fn place(name: Name, now: &Raw) -> String {
    match now.is_given(name) {
        true => now.describe(name),
        false => format!("{} (no longer given)", name.row().name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    #[test]
    fn what_waits_for_a_new_mount_is_named_with_its_place() {
        let with = |options: &[(Name, &str)]| {
            let mut raw = Raw::default();
            for (name, text) in options {
                raw.set(*name, *text, Origin::Environment).unwrap();
            }
            raw
        };
        let begun = with(&[(Name::Uid, "7"), (Name::CopyPartSize, "64MiB")]);
        let now = with(&[(Name::CopyPartSize, "16MiB"), (Name::LogLevel, "debug")]);
        assert_eq!(waiting(&begun, &now), ["uid (no longer given)", "OSSMOUNT_COPY_PART_SIZE"]);
        assert!(waiting(&begun, &begun).is_empty());
        // The default said aloud is no change.
        assert!(waiting(&with(&[]), &with(&[(Name::CopyPartSize, "64MiB")])).is_empty());
    }
}
