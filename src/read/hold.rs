//! Holding bytes back until all of their object has been compared with the checksum that the store keeps
//! ([`Options::proven_from`](super::Options)).
//!
//! Such an object is fetched whole when a program first reads it, and the read waits. Wrong bytes are then fetched
//! again, from the bucket alone, before any program has seen one. What cannot be proved (there is no room for it in
//! memory, or no checksum) comes from the bucket alone, and so does what is fetched again after the proof.

use super::File;
use super::accounting::{Source, WaitingRead};
use super::integrity::Verified;
use crate::store::Result;

impl File {
    /// Returns when bytes of the object may be handed out. Fails as a read does.
    pub(super) async fn prove(&self, source: &mut Source) -> Result<()> {
        let (reader, inode) = (&self.reader, &self.inode);
        let _waiting = WaitingRead::begin(reader, inode, source);
        let _turn = inode.proof.turn.lock().await;
        if !inode.proof.is_wanted() {
            return Ok(());
        }
        if inode.object.size > reader.warm_bytes_limit() {
            tracing::debug!(key = inode.object.key.as_str(), "too large to be proved in memory: read from the bucket");
        } else {
            loop {
                let generation = inode.generation();
                self.fetch().await?;
                if inode.verified() == Verified::Yes {
                    inode.proof.settle();
                    return Ok(());
                }
                if inode.generation() == generation {
                    break;
                }
                // Some of it was wrong, and all of it was dropped. A second time is an error.
            }
            tracing::debug!(key = inode.object.key.as_str(), "the store keeps no checksum of it: read from the bucket");
        }
        // What is there, or on its way, may have come from anywhere.
        reader.drop_from_disk(inode);
        inode.proof.settle();
        inode.take_back().iter().for_each(|part| part.drop_out());
        Ok(())
    }
}
