//! Tells live mounts that show the destination of a copy, so that the copy appears there at once.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::app::commands::ask::Line;
use crate::app::daemon::registry::{self, Entry, Found};
use crate::config::BucketUrl;
use crate::copy::Scope;

/// How long a mount is waited for, whose own store may not answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Has this user's mounts list anew where an object, or all below a prefix, was copied to. What cannot be told shows
/// when what a mount knows is too old.
pub(super) fn tell_mounts(to: &BucketUrl, scope: Scope) {
    thread::scope(|threads| {
        // Those of other users are not told: what they say of themselves may be made up.
        for entry in registry::all().into_iter().filter(Found::is_own).map(|found| found.entry) {
            let Some(directory) = directory_in(&entry, to, scope) else { continue };
            threads.spawn(move || tell(&entry, &directory, scope));
        }
    });
}

/// Where a mount shows it: the directory of an object, or that of a prefix.
fn directory_in(entry: &Entry, to: &BucketUrl, scope: Scope) -> Option<String> {
    let source = entry.source.parse::<BucketUrl>().ok()?;
    let below = to.path.strip_prefix(&source.directory()).filter(|_| source.bucket == to.bucket)?;
    Some(match scope {
        Scope::Object => below.rsplit_once('/').map_or("", |(directory, _)| directory).to_owned(),
        Scope::Prefix => below.trim_end_matches('/').to_owned(),
    })
}

fn tell(entry: &Entry, directory: &str, scope: Scope) {
    let Ok(mut line) = Line::to(&entry.dir) else { return };
    // Where the directory is new as well, the nearest one above it.
    for above in ancestors(directory) {
        let recursive = scope == Scope::Prefix || above != directory;
        let mut request = json!({"op": "refresh", "recursive": recursive});
        if !above.is_empty() {
            request["path"] = above.into();
        }
        if line.ask_within(&request, PATIENCE).is_none_or(|answer| answer.is_ok()) {
            return;
        }
    }
}

/// A directory, the one above it, and so on up to the root, whose path is empty. Keys are no paths of this machine:
/// what looks like `.` or an empty component is a name.
fn ancestors(directory: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(directory), |&path| {
        (!path.is_empty()).then(|| path.rsplit_once('/').map_or("", |(above, _)| above))
    })
}
