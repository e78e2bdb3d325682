//! Makes what a copy has written visible: names that were missing exist, also for the kernel.

use std::sync::Arc;

use super::Names;
use crate::base::{Ino, Key};
use crate::store::HeadRequest;
use crate::tree::{Depth, Lookup, Probe};

impl Names {
    /// An object was written: its name, and those of the directories above it, are there now.
    pub(in crate::fs) async fn appear(self: &Arc<Self>, key: &str) {
        let Some((way, name)) = self.way_to(key) else { return };
        let parent = self.directories_appear(&way).await;
        let (Some(parent), false) = (parent, name.is_empty()) else { return };
        let asked_at = self.clock.elapsed();
        match self.store.head(HeadRequest::new(Key::new(key))).await {
            Ok(meta) => {
                self.learn(parent, key, &Probe::Object(self.listed_facts(None, &meta)), asked_at);
                self.kernel_forgets([(parent, name.into_bytes())]).await;
            }
            Err(error) => tracing::debug!(%error, "a copied object was not found"),
        }
    }

    /// Objects were written below a prefix: the directory is listed anew.
    pub(in crate::fs) async fn list_what_appeared(self: &Arc<Self>, prefix: &str) {
        let Some((way, _)) = self.way_to(prefix) else { return };
        if let Some(directory) = self.directories_appear(&way).await
            && let Err(errno) = self.clone().refresh(directory, Depth::Subtree).await
        {
            tracing::warn!(?errno, prefix, "the copied object will appear when the directory is listed again");
        }
    }

    /// The directories from the root on that a key lies in, and what remains of it; `None` for keys outside the mount.
    fn way_to(&self, key: &str) -> Option<(Vec<String>, String)> {
        let below = key.strip_prefix(&self.options.prefix)?;
        let (directories, name) = below.rsplit_once('/').unwrap_or(("", below));
        let way = directories.split('/').filter(|_| !directories.is_empty()).map(str::to_owned).collect();
        Some((way, name.to_owned()))
    }

    /// Makes directories known, each in the one before; returns the last. `None` where one has no plain name.
    async fn directories_appear(self: &Arc<Self>, way: &[String]) -> Option<Ino> {
        let mut directory = Ino::ROOT;
        for name in way {
            let now = self.clock.elapsed();
            self.learn(directory, name, &Probe::Directory, now);
            let found = self.state.lock().tree.lookup(directory, name.as_bytes(), now, now);
            self.kernel_forgets([(directory, name.clone().into_bytes())]).await;
            match found {
                Lookup::Found(view) => directory = view.ino,
                _ => return None,
            }
        }
        Some(directory)
    }
}
