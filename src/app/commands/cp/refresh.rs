//! Tells live mounts that show the destination of a copy, so that the copy appears there at once.

use serde_json::json;

use crate::app::commands::ask::Line;
use crate::app::daemon::registry::{self, Found};
use crate::config::BucketUrl;
use crate::copy::Scope;

/// Has this user's mounts list anew where an object, or all below a prefix, was copied to. What cannot be told shows
/// when what a mount knows is too old.
pub(super) fn tell_mounts(to: &BucketUrl, scope: Scope) {
    // Those of other users are not told: what they say of themselves may be made up.
    for entry in registry::all().into_iter().filter(Found::is_own).map(|found| found.entry) {
        let Ok(source) = entry.source.parse::<BucketUrl>() else { continue };
        let root = source.directory();
        let Some(below) = to.path.strip_prefix(&root).filter(|_| source.bucket == to.bucket) else { continue };
        let directory = match scope {
            Scope::Object => below.rsplit_once('/').map_or("", |(directory, _)| directory),
            Scope::Prefix => below.trim_end_matches('/'),
        };
        let Ok(mut line) = Line::to(&entry.dir) else { continue };
        // Where the directory is new as well, the nearest one above it.
        for above in ancestors(directory) {
            let recursive = scope == Scope::Prefix || above != directory;
            let mut request = json!({"op": "refresh", "recursive": recursive});
            if !above.is_empty() {
                request["path"] = above.into();
            }
            if line.ask(&request).is_ok() {
                break;
            }
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
