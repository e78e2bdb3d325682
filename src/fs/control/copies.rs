//! Copies within the service: turns paths into keys with the version that the mount shows, and makes the copies
//! visible.
//!
//! An object that a copy has made is looked up before a client hears that the copy is done: by then names that were
//! missing are there, also for the kernel. What a recursive copy has made is listed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Control, Copying, Done, MOST_WAIT};
use crate::base::{BucketName, ETag, Ino};
use crate::control::{Copy, Job, Kind, Place, Refusal, Started};
use crate::copy::{self, Copier, Directive, Existing, JobId, LeftParts, Scope, Shallow, State};
use crate::fs::failure::Failure;
use crate::metrics::Metric;
use crate::store::Error;
use crate::tree::{self, escape};

/// How long a job that is done may wait for its objects to appear.
const SHOWING: Duration = Duration::from_secs(5);

/// Jobs of which what they wrote is about to appear, or has.
#[derive(Debug, Default)]
pub(super) struct Copies(Mutex<BTreeMap<JobId, watch::Receiver<bool>>>);

impl Control {
    fn copying(&self) -> Done<&Copying> {
        let copying = self.surroundings.get().and_then(|surroundings| surroundings.copying.as_ref());
        let off = "copies are disabled on this mount, by copy=off or by default with allow-other: mount with copy=on \
                   to enable them";
        copying.ok_or_else(|| Refusal::new(Kind::Off, off))
    }

    fn copier(&self) -> Done<&Copier> {
        self.copying().map(|copying| &copying.copier)
    }

    /// Begins a copy, and answers its number.
    pub(super) async fn begin_copy(self: &Arc<Self>, copy: Copy, on: Ino) -> Done<Started> {
        let Copying { copier, reach } = self.copying()?;
        let source = self.copy_source(&copy, on).await?;
        if !reach.may_read(&source.bucket, &source.key) {
            return Err(out_of_reach("from", &copy.source, "copy-from", &source.bucket));
        }
        let destination = self.copy_destination(&copy, on).await?;
        if !reach.may_write(&destination.bucket, &destination.key) {
            return Err(out_of_reach("to", &copy.destination, "copy-to", &destination.bucket));
        }
        let written = destination.clone();
        let scope = if copy.recursive { Scope::Prefix } else { Scope::Object };
        // A path of a mount that shows a past time names what stood then.
        let is_shown = matches!(Place::parse(&copy.source)?, Place::Path(_));
        let at = self.options.as_of.filter(|_| is_shown);
        let asked = copy::Request { at, ..request(copy, source, destination)? };
        let job = copier.start(asked).map_err(|error| refused(&error))?;
        self.show_when_ended(copier.clone(), job, written, scope);
        Ok(Started { job: job.0 })
    }

    /// How far a copy is; where it is waited for, at its end if that comes in time.
    pub(super) async fn copy_status(self: &Arc<Self>, job: &Job) -> Done<copy::Status> {
        let (copier, id) = (self.copier()?, JobId(job.job));
        if job.wait {
            // Over in time or not, the answer says how far it is.
            let _ = tokio::time::timeout(MOST_WAIT, copier.ended(id)).await;
        }
        let status = copier.status(id).ok_or_else(|| missing(id))?;
        let shown = self.copies.0.lock().get(&id).cloned();
        if let Some(mut shown) = shown.filter(|_| status.state.is_ended()) {
            // A client that hears of the end looks for the new object.
            let _ = tokio::time::timeout(SHOWING, shown.wait_for(|shown| *shown)).await;
        }
        Ok(status)
    }

    /// Asks a copy to stop.
    pub(super) async fn cancel_copy(self: &Arc<Self>, job: &Job) -> Done<copy::Status> {
        let (copier, id) = (self.copier()?, JobId(job.job));
        copier.status(id).ok_or_else(|| missing(id))?;
        copier.cancel(id);
        self.copy_status(job).await
    }

    /// Every copy that is still told about, the oldest first.
    pub(super) fn copies(&self) -> Done<Value> {
        Ok(json!({"jobs": self.copier()?.list()}))
    }

    /// Sets the gauges of copies.
    pub(super) fn sample_copies(&self) {
        let jobs = self.copier().map(Copier::list).unwrap_or_default();
        for (metric, state) in [
            (Metric::CopiesQueued, State::Queued),
            (Metric::CopiesRunning, State::Running),
            (Metric::CopiesDone, State::Done),
            (Metric::CopiesFailed, State::Failed),
            (Metric::CopiesCancelled, State::Cancelled),
        ] {
            self.metrics.set(metric, jobs.iter().filter(|job| job.state == state).count() as u64);
        }
        self.metrics.set(Metric::CopiedBytes, jobs.iter().fold(0, |sum, job| job.bytes.done.saturating_add(sum)));
    }

    /// How many copies go on, and how many have ended of those remembered.
    pub(super) fn copy_counts(&self) -> Value {
        let jobs = self.copier().map(Copier::list).unwrap_or_default();
        let ended = jobs.iter().filter(|job| job.state.is_ended()).count();
        json!({"running": jobs.len() - ended, "ended": ended})
    }

    async fn copy_source(self: &Arc<Self>, copy: &Copy, on: Ino) -> Done<copy::Source> {
        let given = match copy.if_match.as_deref() {
            Some(text) => {
                let wrong = || Refusal::invalid(format!("copy: if-match: {text:?} is not an entity tag"));
                Some(ETag::parse(text).ok_or_else(wrong)?)
            }
            None => None,
        };
        match Place::parse(&copy.source)? {
            Place::Url { bucket, key, version } => Ok(copy::Source {
                bucket: BucketName::new(bucket),
                key: directory_key(key, copy.recursive),
                version: version.map(str::to_owned),
                if_match: given,
            }),
            Place::Path(path) if copy.recursive => {
                let held = self.find(Some(path), on).await?;
                let prefix = self.names.prefix(held.ino());
                let key = prefix.ok_or_else(|| Failure::ENOTDIR.of(path))?;
                Ok(copy::Source { bucket: self.options.bucket.clone(), key, version: None, if_match: given })
            }
            Place::Path(path) => {
                let (held, _) = self.find_file(Some(path), on).await?;
                let object = self.names.object(held.ino()).ok_or_else(|| Failure::ESTALE.of(path))?;
                // The tag of a symlink object is that of its target.
                let shown = object.etag.filter(|_| object.kind != tree::Kind::Symlink);
                let (key, version) = (object.key, object.version);
                Ok(copy::Source { bucket: self.options.bucket.clone(), key, version, if_match: given.or(shown) })
            }
        }
    }

    async fn copy_destination(self: &Arc<Self>, copy: &Copy, on: Ino) -> Done<copy::Destination> {
        match Place::parse(&copy.destination)? {
            Place::Url { version: Some(_), .. } => Err(Refusal::invalid("copy: a destination cannot have a versionId")),
            Place::Url { bucket, key, version: None } => {
                Ok(copy::Destination { bucket: BucketName::new(bucket), key: directory_key(key, copy.recursive) })
            }
            Place::Path(path) => {
                let key = self.key_to_be(path, copy.recursive, on).await?;
                Ok(copy::Destination { bucket: self.options.bucket.clone(), key })
            }
        }
    }

    /// The key that a path stands for, or would if it were there.
    async fn key_to_be(self: &Arc<Self>, path: &str, is_directory: bool, on: Ino) -> Done<String> {
        let names = self.components(path)?;
        if names.is_empty() && !is_directory {
            return Err(Refusal::invalid(format!("copy: {path} is the mount itself: name the new object")));
        }
        for known in (0..=names.len()).rev() {
            let held = match self.find(Some(&names[..known].join("/")), on).await {
                Ok(held) => held,
                Err(refused) if refused.kind == Kind::Missing => continue,
                Err(refused) => return Err(refused),
            };
            let (prefix, object) = (self.names.prefix(held.ino()), self.names.object(held.ino()));
            return match (prefix, object, &names[known..]) {
                (Some(prefix), _, []) if is_directory => Ok(prefix),
                (Some(_), _, []) => Err(Refusal::invalid(format!(
                    "copy: {path} is a directory: name the new object, or copy recursively"
                ))),
                (Some(prefix), _, rest) => {
                    let components = rest.iter().map(|name| self.component(name)).collect::<Done<Vec<_>>>()?;
                    Ok(directory_key(&format!("{prefix}{}", components.join("/")), is_directory))
                }
                (None, Some(object), []) if !is_directory => Ok(object.key),
                (None, ..) => Err(Failure::ENOTDIR.of(path)),
            };
        }
        Err(Failure::ENOENT.of(path))
    }

    /// The component of a key that a name would show.
    fn component(&self, name: &str) -> Done<String> {
        match escape::parse(name, self.options.odd_keys) {
            escape::Parsed::Plain(component)
            | escape::Parsed::File(component)
            | escape::Parsed::Directory(component) => Ok(component.to_string()),
            _ => Err(Refusal::invalid(format!("copy: {name:?} cannot be a name in a key"))),
        }
    }

    /// Sees to it that what a copy has made appears.
    fn show_when_ended(self: &Arc<Self>, copier: Copier, job: JobId, written: copy::Destination, scope: Scope) {
        let (shown, seen) = watch::channel(false);
        let kept: Vec<JobId> = copier.list().iter().map(|status| status.job).collect();
        {
            let mut copies = self.copies.0.lock();
            copies.retain(|job, _| kept.contains(job));
            copies.insert(job, seen);
        }
        let (names, bucket) = (self.names.clone(), self.options.bucket.clone());
        self.runtime.spawn(async move {
            copier.ended(job).await;
            if written.bucket == bucket {
                match scope {
                    Scope::Object => names.appear(&written.key).await,
                    Scope::Prefix => names.list_what_appeared(&written.key).await,
                }
            }
            shown.send_replace(true);
        });
    }
}

/// A copy that the options of the mount do not allow: `way` is from or to the place, `option` the one that would.
fn out_of_reach(way: &str, place: &str, option: &str, bucket: &BucketName) -> Refusal {
    let sentence = format!(
        "copy: this mount may not copy {way} {place}: mount with {option}={bucket}, or use ossmount cp with two URLs \
         and your own access key"
    );
    Refusal::new(Kind::Forbidden, sentence)
}

/// A key that all below it begin with.
fn directory_key(key: &str, is_directory: bool) -> String {
    let lacks_slash = is_directory && !key.is_empty() && !key.ends_with('/');
    if lacks_slash { format!("{key}/") } else { key.to_owned() }
}

fn request(copy: Copy, source: copy::Source, destination: copy::Destination) -> Done<copy::Request> {
    let metadata = metadata(&copy);
    let tags = copy.tagging.as_deref().map(copy::parse_tagging).transpose().map_err(|error| refused(&error))?;
    let metadata = Directive::of("metadata-directive", copy.metadata_directive.as_deref(), metadata);
    let tags = Directive::of("tagging-directive", copy.tagging_directive.as_deref(), tags);
    Ok(copy::Request {
        scope: if copy.recursive { Scope::Prefix } else { Scope::Object },
        part_bytes: copy.part_size,
        parallel: copy.parallel,
        threshold_bytes: copy.threshold,
        left_parts: copy.leave_parts_on_error.map(|leave| if leave { LeftParts::Leave } else { LeftParts::Abort }),
        shallow: copy.shallow_copy.map(|shallow| if shallow { Shallow::Try } else { Shallow::Off }),
        metadata: metadata.map_err(|error| refused(&error))?,
        tags: tags.map_err(|error| refused(&error))?,
        overwrite: if copy.forbid_overwrite { copy::Overwrite::Forbid } else { copy::Overwrite::Allow },
        storage_class: copy.storage_class.map(|class| copy::StorageClass(class.into())),
        acl: copy.acl,
        resume: copy.upload_id,
        existing: if copy.skip_existing { Existing::Skip } else { Existing::Copy },
        ..copy::Request::new(source, destination)
    })
}

/// What is given of the metadata; `None` where nothing is.
fn metadata(copy: &Copy) -> Option<copy::Metadata> {
    let headers = [
        ("cache-control", &copy.cache_control),
        ("content-disposition", &copy.content_disposition),
        ("content-encoding", &copy.content_encoding),
        ("content-language", &copy.content_language),
        ("expires", &copy.expires),
    ];
    let headers = headers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
    let metadata = copy::Metadata {
        content_type: copy.content_type.clone(),
        headers: headers.collect(),
        user: copy.metadata.clone().unwrap_or_default().into_iter().collect(),
    };
    let is_given = copy.metadata.is_some() || metadata.content_type.is_some() || !metadata.headers.is_empty();
    is_given.then_some(metadata)
}

fn refused(error: &Error) -> Refusal {
    Refusal::invalid(format!("copy: {}", error.message()))
}

fn missing(job: JobId) -> Refusal {
    Refusal::new(Kind::Missing, format!("copy {job} does not exist, or ended long ago"))
}
