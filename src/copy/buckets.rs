//! Which buckets there are, and how they are reached.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::base::{BucketName, Clock};
use crate::metrics::Metrics;
use crate::store::{self, Addressing, Connected, Dialect, Error, ErrorKind, Result, Store, StoreMut};

/// A bucket that can be read and changed.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// For reading and listing the bucket.
    pub store: Arc<dyn Store>,
    /// For changing the bucket.
    pub mutable: Arc<dyn StoreMut>,
    /// The protocol that it speaks.
    pub dialect: Dialect,
}

/// The buckets that copies go between, by name.
pub trait Buckets: Send + Sync + Debug + 'static {
    /// The bucket of this name. Nothing is sent: whether there is one shows in what is asked of it.
    ///
    /// Fails where it cannot be reached with what is configured. Called within a Tokio runtime.
    fn bucket(&self, name: &BucketName) -> Result<Bucket>;
}

/// The buckets of one endpoint and one set of credentials.
#[derive(Debug)]
pub struct Account {
    options: store::Options,
    metrics: Arc<Metrics>,
    clock: Clock,

    connected: Mutex<BTreeMap<BucketName, Bucket>>,
}

impl Account {
    /// The buckets that are reached as these options say, whichever bucket they name.
    pub fn new(options: store::Options, metrics: Arc<Metrics>, clock: Clock) -> Self {
        Account { options, metrics, clock, connected: Mutex::default() }
    }

    /// The same, where the bucket that the options name is reached through what is there already, and shares its
    /// limits with everything else that goes through it.
    pub fn sharing(self, connected: &Connected) -> Self {
        let Connected { store, mutable, .. } = connected;
        let bucket = Bucket { store: store.clone(), mutable: mutable.clone(), dialect: self.options.dialect };
        self.connected.lock().insert(self.options.bucket.clone(), bucket);
        self
    }
}

impl Buckets for Account {
    fn bucket(&self, name: &BucketName) -> Result<Bucket> {
        let mut connected = self.connected.lock();
        if let Some(bucket) = connected.get(name) {
            return Ok(bucket.clone());
        }
        if self.options.addressing == Addressing::Cname && *name != self.options.bucket {
            let message = format!("the endpoint is a domain of bucket {:?} alone", self.options.bucket.as_str());
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let options = store::Options { bucket: name.clone(), ..self.options.clone() };
        let Connected { store, mutable, .. } = store::connect(options, self.metrics.clone(), self.clock.clone())?;
        let bucket = Bucket { store, mutable, dialect: self.options.dialect };
        connected.insert(name.clone(), bucket.clone());
        Ok(bucket)
    }
}
