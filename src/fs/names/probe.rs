//! Requests for one name or one object, and what the tree learns from them.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use futures::pin_mut;

use super::{Failure, Names, Symlinks, Tried, report};
use crate::base::{ETag, Ino, Key};
use crate::list;
use crate::store::{Error, ErrorKind, HeadRequest, ListEntry, ObjectKind, ObjectMeta, StorageClass};
use crate::tree::{Facts, Kind, OddKeys, Probe, Renewed, Target, View, escape};

/// The facts of an object as the tree takes them.
pub(super) fn facts(meta: &ObjectMeta) -> Facts<'_> {
    Facts {
        size: meta.size,
        etag: meta.etag.as_ref().map(ETag::as_str),
        mtime: meta.last_modified,
        kind: kind(meta.kind),
        class: class(meta.storage_class.as_ref()),
        version: None,
    }
}

/// The same of what a listing tells.
pub(super) fn entry_facts(entry: &ListEntry) -> Facts<'_> {
    Facts {
        size: entry.size,
        etag: entry.etag.as_ref().map(ETag::as_str),
        mtime: entry.last_modified,
        kind: kind(entry.kind),
        class: class(entry.storage_class.as_ref()),
        version: entry.version.as_deref(),
    }
}

fn kind(kind: ObjectKind) -> Kind {
    match kind {
        ObjectKind::Normal => Kind::Normal,
        ObjectKind::Multipart => Kind::Multipart,
        ObjectKind::Appendable => Kind::Appendable,
        ObjectKind::Symlink => Kind::Symlink,
    }
}

fn class(class: Option<&StorageClass>) -> Option<&str> {
    class.map(|class| &*class.0)
}

/// A question for one name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Question {
    /// The key that the name stands for.
    pub(super) key: String,
    /// Whether it matters what object there is where a directory takes the name.
    pub(super) both: bool,
}

/// Whether a failure came only after all the time that a wait may take: another request would be paid for once more.
fn has_spent_its_time(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Server | ErrorKind::Network | ErrorKind::Timeout | ErrorKind::Throttled)
}

impl Names {
    /// The facts as a listing would tell them. Where it has tags of its own, size and time tell versions apart, and a
    /// tag that is none of those which came with the bytes that were read.
    pub(super) fn listed_facts<'a>(&self, ino: Option<Ino>, meta: &'a ObjectMeta) -> Facts<'a> {
        let mut facts = facts(meta);
        if self.options.as_of.is_some() {
            facts.version = meta.version.as_deref();
        }
        if self.reader.listing_has_own_tags() {
            let is_other = ino.is_some_and(|ino| self.reader.is_other_version(ino, meta));
            facts.etag = facts.etag.filter(|_| is_other);
        }
        facts
    }

    /// Asks for one name: is there an object of this key, and do keys lie below it? Whether the tree knows now; where
    /// it does not, the listing of the directory must decide. Fails where the service did, until the time that a wait
    /// may take was over.
    pub(super) async fn ask(self: Arc<Self>, parent: Ino, question: Question) -> Tried<bool> {
        let Question { key, both } = question;
        let asked_at = self.clock.elapsed();
        let learn = |probe: &Probe<'_>| self.learn(parent, &key, probe, asked_at);
        let prefix = format!("{key}/");
        let below = list::any_below(&*self.store, &prefix);
        let object = self.store.head(HeadRequest::new(Key::new(key.as_str())));
        pin_mut!(below, object);
        let (below, object) = match select(below, object).await {
            // The directory takes the name: what the object says does not matter.
            Either::Left((Ok(true), _)) if !both => return Ok(learn(&Probe::Directory)),
            Either::Left((below, object)) => (below, object.await),
            Either::Right((object, below)) => (below.await, object),
        };
        Ok(match (&below, &object) {
            (Ok(true), _) if !both => learn(&Probe::Directory),
            (Ok(true), Ok(meta)) if meta.kind != ObjectKind::Symlink => {
                learn(&Probe::Beside(Some(self.listed_facts(None, meta))))
            }
            (Ok(true), Err(error)) if error.kind() == ErrorKind::NotFound => learn(&Probe::Beside(None)),
            // A link's own facts are in the listing alone.
            (Ok(is_directory), Ok(meta)) if meta.kind == ObjectKind::Symlink => {
                self.ask_by_listing(parent, &key, *is_directory, asked_at).await?
            }
            (Ok(_), Ok(meta)) => learn(&Probe::Object(self.listed_facts(None, meta))),
            (Ok(_), Err(error)) if error.kind() == ErrorKind::NotFound => learn(&Probe::Missing),
            (Ok(_), Err(error)) | (Err(error), _) if has_spent_its_time(error) => {
                return Err(report("looking up a name", error));
            }
            (Ok(_), Err(error)) | (Err(error), _) => {
                tracing::debug!(%error, "looking up a single name failed; its directory is listed instead");
                match below {
                    Ok(is_directory) => self.ask_by_listing(parent, &key, is_directory, asked_at).await?,
                    Err(_) => false,
                }
            }
        })
    }

    /// Asks for one name by listing it alone, where its directory is too large to be listed for it.
    async fn ask_by_listing(&self, parent: Ino, key: &str, is_directory: bool, asked_at: Duration) -> Tried<bool> {
        if !self.state.lock().is_too_large(parent, asked_at) {
            return Ok(false);
        }
        let options = list::Options { held_bytes: self.options.metadata_bytes / 2, ..self.options.list.clone() };
        let entry = list::one(self.store.clone(), key, &options, self.findings.clone()).await;
        let entry = entry.map_err(|error| report("looking up a name", &error))?;
        let facts = entry.as_ref().map(entry_facts);
        let probe = match facts {
            object if is_directory => Probe::Beside(object),
            Some(facts) => Probe::Object(facts),
            None => Probe::Missing,
        };
        Ok(self.learn(parent, key, &probe, asked_at))
    }

    /// Takes in what asking for a name has shown, of the store as of when it was asked.
    pub(super) fn learn(&self, parent: Ino, key: &str, probe: &Probe<'_>, asked_at: Duration) -> bool {
        let component = key.rsplit('/').next().unwrap_or_default();
        self.change(|state| ((), state.tree.probed(parent, component, probe, asked_at)));
        true
    }

    /// Asks whether an object is still the version that the tree knows; else the tree has the new one afterwards.
    pub(in crate::fs) async fn check(self: &Arc<Self>, ino: Ino) -> Tried<Renewed> {
        let object = self.state.lock().tree.object(ino).ok_or(Failure::ESTALE)?;
        if object.version.is_some() {
            // Versions do not change.
            return Ok(Renewed::Same);
        }
        if object.kind == Kind::Symlink {
            let view = self.resolve(ino).await?;
            return Ok(if view.ino == ino { Renewed::Same } else { Renewed::Changed });
        }
        let asked_at = self.clock.elapsed();
        let key = Key::new(object.key);
        let known =
            ObjectMeta { size: object.size, etag: object.etag, last_modified: object.mtime, ..ObjectMeta::default() };
        let answer = self.store.head(HeadRequest::new(key.clone())).await;
        let meta = match answer {
            Ok(meta) => Some(meta),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(report("checking an object before it is opened", &error)),
        };
        if let Some(meta) = meta.as_ref().filter(|meta| self.reader.doubts_tag(&known, meta))
            && let Ok(again) = self.store.head(HeadRequest::new(key.clone())).await
        {
            self.reader.compare_heads(&key, [meta, &again]);
        }
        let facts = meta.as_ref().map(|meta| self.listed_facts(Some(ino), meta));
        let renewed = self.change(|state| state.tree.renew(ino, facts.as_ref(), asked_at));
        match (renewed, meta) {
            (_, None) => Err(Failure::ENOENT),
            (Renewed::Same, Some(meta)) => {
                self.heads.lock().put(ino, Arc::new(meta));
                Ok(Renewed::Same)
            }
            (Renewed::Changed, Some(_)) => Ok(Renewed::Changed),
        }
    }

    /// Finds out what a symlink object stands for.
    pub(in crate::fs) async fn resolve(self: &Arc<Self>, ino: Ino) -> Tried<View> {
        let object = self.state.lock().tree.object(ino).ok_or(Failure::ESTALE)?;
        let (key, version) = (Key::new(object.key), object.version);
        let asked_at = self.clock.elapsed();
        let link = match self.options.symlinks {
            Symlinks::Off => None,
            Symlinks::On => match self.store.symlink_target(&key, version.as_deref()).await {
                Ok(target) => self.link_text(&key, &target),
                Err(error) if error.kind() == ErrorKind::Unsupported => None,
                Err(error) => return Err(report("reading a symlink", &error)),
            },
        };
        let target = match link {
            Some(text) => Target::Link(text.into()),
            // Dangling links and links to links have no bytes; the service says 404 and 400.
            None => match self.store.head(HeadRequest { key, version }).await {
                Ok(meta) => Target::Bytes { size: meta.size, etag: meta.etag, mtime: meta.last_modified },
                Err(error) if error.kind() == ErrorKind::Invalid => return Err(Failure::ENOENT),
                Err(error) => return Err(report("reading the target of a symlink", &error)),
            },
        };
        self.change(|state| state.tree.resolve(ino, target, asked_at)).ok_or(Failure::ESTALE)
    }

    /// The way from a link to its target, where that lies within the mount and has a name there. The way goes up as
    /// far as the directory that both share, so never out of the mount.
    fn link_text(&self, link: &Key, target: &str) -> Option<String> {
        let odd_keys: OddKeys = self.options.odd_keys;
        let prefix = self.options.prefix.as_str();
        let directory = link.as_str().strip_prefix(prefix)?.rsplit_once('/').map_or("", |(directory, _)| directory);
        let target = target.strip_prefix(prefix)?;
        let (above, file) = target.rsplit_once('/').map_or((None, target), |(above, file)| (Some(above), file));
        if file.is_empty() {
            return None;
        }
        let shown = |components: Option<&str>| -> Option<Vec<String>> {
            let mut names = Vec::new();
            for component in components.into_iter().flat_map(|components| components.split('/')) {
                names.extend(escape::path(component, escape::Role::Directory, odd_keys)?);
            }
            Some(names)
        };
        let from = shown((!directory.is_empty()).then_some(directory))?;
        let mut to = shown(above)?;
        to.extend(escape::path(file, escape::Role::File, odd_keys)?);
        let shared = from.iter().zip(&to[..to.len() - 1]).take_while(|(a, b)| a == b).count();
        let ups = std::iter::repeat_n("..", from.len() - shared);
        Some(ups.chain(to[shared..].iter().map(String::as_str)).collect::<Vec<_>>().join("/"))
    }
}
