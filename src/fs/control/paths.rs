//! From paths in requests to inodes.

use std::path::{Component, Path};
use std::sync::Arc;

use super::{Control, Done};
use crate::base::Ino;
use crate::control::Refusal;
use crate::fs::Entry;
use crate::fs::failure::{Failure, Tried};
use crate::fs::files::to_read;
use crate::fs::names::Names;
use crate::tree::Shape;

/// An inode that stays for as long as this lives.
pub(super) struct Held {
    names: Arc<Names>,
    ino: Ino,
    /// Whether it was looked up here, and is to be forgotten.
    is_counted: bool,
}

impl Held {
    pub(super) fn ino(&self) -> Ino {
        self.ino
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.is_counted {
            self.names.forget(self.ino, 1);
        }
    }
}

impl Control {
    /// What a path stands for: absolute and under the mount, or counted from the mount's root. Without one, what the
    /// request was made on.
    pub(super) async fn find(self: &Arc<Self>, path: Option<&str>, on: Ino) -> Done<Held> {
        let mut held = Held { names: self.names.clone(), ino: on, is_counted: false };
        let Some(path) = path else { return Ok(held) };
        held.ino = Ino::ROOT;
        for name in self.components(path)? {
            let found = self.names.clone().lookup(held.ino, name.as_bytes().to_vec()).await;
            held = match found {
                Ok(Entry::Found(attr)) => Held { names: self.names.clone(), ino: attr.ino, is_counted: true },
                Ok(Entry::Missing(_)) => return Err(Failure::ENOENT.of(path)),
                Err(failure) => return Err(failure.of(path)),
            };
        }
        Ok(held)
    }

    /// The same, of a file: its inode and what the reader needs to know of it.
    pub(super) async fn find_file(self: &Arc<Self>, path: Option<&str>, on: Ino) -> Done<(Held, crate::read::Object)> {
        let held = self.find(path, on).await?;
        let what = path.unwrap_or("the file of this request");
        let object = self.object_of(held.ino).await.map_err(|failure| failure.of(what))?;
        Ok((held, object))
    }

    /// What the reader needs to know of a file. A symlink object that was not looked at yet is resolved, by which it
    /// can get another inode.
    pub(super) async fn object_of(&self, ino: Ino) -> Tried<crate::read::Object> {
        let ino = match self.names.view(ino).ok_or(Failure::ESTALE)?.shape {
            Shape::Directory => return Err(Failure::EISDIR),
            Shape::Unresolved => self.names.resolve(ino).await?.ino,
            Shape::File | Shape::Link => ino,
        };
        Ok(to_read(ino, self.names.object_to_read(ino)?))
    }

    pub(super) fn components<'a>(&self, path: &'a str) -> Done<Vec<&'a str>> {
        let mut below = Path::new(path);
        if below.is_absolute() {
            let dir = self.surroundings.get().and_then(|surroundings| surroundings.dir.as_deref());
            below = match dir.and_then(|dir| below.strip_prefix(dir).ok()) {
                Some(below) => below,
                None => {
                    let dir =
                        dir.map_or("the mount, whose directory is unknown".into(), |dir| dir.display().to_string());
                    return Err(Refusal::invalid(format!(
                        "{path} is not under {dir}: name a path below it, or one relative to it"
                    )));
                }
            };
        }
        below
            .components()
            .filter(|component| *component != Component::CurDir)
            .map(|component| match component {
                Component::Normal(name) => name.to_str(),
                _ => None,
            })
            .map(|name| {
                name.ok_or_else(|| {
                    Refusal::invalid(format!("{path}: .. leads out of the directory that the path is relative to"))
                })
            })
            .collect()
    }
}
