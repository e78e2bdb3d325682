//! What the tasks of a job share: the request, the permits, cancellation and progress.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit, broadcast, watch};

use super::request::{Request, Scope};
use super::status::{Manner, Status};
use super::{Bucket, Buckets, Options};
use crate::base::{BucketName, Key};
use crate::list::AsOf;
use crate::store::{Error, Result, Upload};

/// An object that a job has written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// The bucket of the object.
    pub bucket: BucketName,
    /// The key of the object.
    pub key: Key,
}

/// Why a job ends before it is done.
#[derive(Debug)]
pub(super) enum Stopped {
    /// It was cancelled by a request.
    Cancelled,
    /// The copy failed with an error.
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Stopped::Failed(error)
    }
}

/// A job as those see it who do it.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) buckets: Arc<dyn Buckets>,
    pub(super) request: Request,
    /// What the request and the options say together.
    pub(super) options: Options,
    /// A permit for each copying request under way, all jobs together.
    pub(super) requests: Arc<Semaphore>,
    pub(super) written: broadcast::Sender<Written>,
    pub(super) status: watch::Sender<Status>,
    pub(super) cancelled: watch::Receiver<bool>,
}

impl Work {
    /// Does this, unless or until the job is cancelled.
    pub(super) async fn unless_cancelled<T>(&self, doing: impl Future<Output = T>) -> std::result::Result<T, Stopped> {
        let mut cancelled = self.cancelled.clone();
        tokio::select! {
            biased;
            // It also ends when no holder is left that could cancel.
            Ok(_) = cancelled.wait_for(|cancelled| *cancelled) => Err(Stopped::Cancelled),
            done = doing => Ok(done),
        }
    }

    /// The bucket of the source, as it is or as it stood at the time that the request names.
    pub(super) fn source(&self) -> Result<Bucket> {
        let bucket = self.buckets.bucket(&self.request.source.bucket)?;
        Ok(match self.request.at {
            Some(at) => Bucket { store: Arc::new(AsOf::new(bucket.store, at)), ..bucket },
            None => bucket,
        })
    }

    /// Tells that an object has been written.
    pub(super) fn has_written(&self, key: &str) {
        let written = Written { bucket: self.request.destination.bucket.clone(), key: Key::new(key) };
        // There need not be a listener.
        let _ = self.written.send(written);
    }

    /// Tells how an object is copied, and how much there is to do. Below a prefix that is the sum over all objects, and
    /// their bytes were counted when they were found.
    pub(super) fn goes(&self, manner: Manner, bytes: u64, parts: u64) {
        self.status.send_modify(|status| {
            status.parts.total += parts;
            if self.request.scope == Scope::Object {
                status.manner = Some(manner);
                status.bytes.total = bytes;
            }
        });
    }

    /// Tells that so many more bytes and parts are done.
    pub(super) fn advance(&self, bytes: u64, parts: u64) {
        self.status.send_modify(|status| {
            status.bytes.done = status.bytes.done.saturating_add(bytes);
            status.parts.done += parts;
        });
    }

    /// Tells that an upload was left with its parts.
    pub(super) fn has_left(&self, upload: Upload) {
        self.status.send_modify(|status| {
            if self.request.scope == Scope::Object {
                status.upload_id = Some(upload.id);
            }
        });
    }

    /// Waits for the right to send one copying request.
    pub(super) async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.requests.acquire().await.ok()
    }
}
