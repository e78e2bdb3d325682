//! An OSS and S3 server for the demo, the tests and the benchmarks.
//!
//! It is the second reading of the protocol: it shares no code with `store`, so that a mistake has to be made twice to
//! go unnoticed, and the official clients are run against both. The difficulties, and the type that solves each:
//!
//! 1. **The path that was signed is the path that was sent.** `request::Request` keeps the raw target and decodes it
//!    once; nothing normalises it.
//! 2. **Six ways to sign.** `auth` builds each string to sign from what arrived, and a refusal shows it.
//! 3. **Sending must cost next to nothing**, or benchmarks would measure the server: `content::Content` hands out
//!    slices of shared bytes and `body::Body` passes them on in large frames without a copy. Files are not even read:
//!    `sendfile` has the kernel send them.
//! 4. **Terabytes and millions of keys without a disk.** [`Generator`] computes a key from its index, in order, and its
//!    content from one endless noise whose period no block size divides.
//! 5. **Slowness to the millisecond** although timers are late: `shaping::Pace` keeps a schedule, not intervals.
//! 6. **Everything that goes wrong in production**, on demand and the same way every time: `fault::Dice`.
//!
//! A request goes through `service::Service::answer`: parsed, perhaps failed by a fault, its signature verified,
//! performed by a function of `ops` on a `bucket::Bucket`, completed with the common headers, delayed, sent.
//!
//! | file | what it owns |
//! |---|---|
//! | `admin` | the emulator's own switches over HTTP, unsigned, for tests in other languages |
//! | `auth` | verifying signatures |
//! | `body` | a body on its way out |
//! | `bucket` | what a bucket holds |
//! | `connection` | what the answers of one connection share |
//! | `content` | the bytes of objects |
//! | `counters` | counts of requests and of bytes sent |
//! | `failure` | error answers: code, status, message, elements and headers |
//! | `fault` | injected faults |
//! | `generator` | buckets that are computed: millions of keys, terabytes of content |
//! | `history` | how often the keys of a generated bucket were written |
//! | `model` | the headers of generated model files (safetensors) |
//! | `object` | an object as it is kept |
//! | `operation` | the operations of the protocol, as counters and faults name them |
//! | `ops` | the operations, one file each kind |
//! | `options` | the options of an emulator |
//! | `past` | the versions of generated buckets |
//! | `receive` | a body on its way in: unframed, hashed, checked, kept |
//! | `reply` | an answer before it is sent |
//! | `request` | a request as it was sent: target, bucket, key, query, dialect |
//! | `sendfile` | stretches of files on their way out, which the kernel sends by itself |
//! | `server` | the accept loop and the connections, on threads of their own |
//! | `service` | from a request to its answer |
//! | `shaping` | delays and bandwidth of the emulated network |
//! | `text` | percent-encoding and hexadecimal, and the comparison of secrets |
//! | `time` | dates as the protocol writes them |
//! | `xml` | XML as the emulator writes it, and a small reader for the documents clients send |

mod admin;
mod auth;
mod body;
mod bucket;
mod connection;
mod content;
mod counters;
mod failure;
mod fault;
mod generator;
mod history;
mod model;
mod object;
mod operation;
mod ops;
mod options;
mod past;
mod receive;
mod reply;
mod request;
mod sendfile;
mod server;
mod service;
mod shaping;
mod text;
mod time;
mod xml;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

pub use counters::Counters;
pub use fault::{Fault, FaultKind};
pub use generator::{GeneratedBucket, Generator, GeneratorKind, generated_content};
pub use history::History;
pub use operation::Operation;
pub use options::{
    ACCESS_KEY_ID, ACCESS_KEY_SECRET, Account, AnonymousRead, Dialect, Options, PageLimits, PutOptions, StorageClass,
};
pub use shaping::Shaping;

use server::Server;
use service::Service;

/// A running server. It stops, and closes every connection, when dropped.
#[derive(Debug)]
pub struct Emulator {
    service: Arc<Service>,
    server: Server,
}

impl Emulator {
    /// Binds and serves on threads of its own. Fails when the address cannot be bound or the root cannot be read.
    pub fn start(options: Options) -> io::Result<Emulator> {
        let (listen, threads) = (options.listen, options.worker_threads);
        let service = Arc::new(Service::new(options)?);
        let server = Server::start(listen, threads, service.clone())?;
        Ok(Emulator { service, server })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The endpoint for clients, as in `http://127.0.0.1:41234`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Creates an empty bucket in memory; one that exists stays as it is.
    pub fn create_bucket(&self, name: &str) {
        self.service.create_in_memory(name);
    }

    /// Creates an empty bucket in memory that keeps versions; one that exists begins to.
    pub fn create_versioned_bucket(&self, name: &str) {
        self.service.create_versioned(name);
    }

    /// Whether a bucket keeps versions from now on; once it has, it never stops but only suspends that. Its directory,
    /// or what is computed of it, stays as it is beneath. Panics if there is no such bucket.
    pub fn keep_versions(&self, bucket: &str, keep: bool) {
        self.service.keep_versions(bucket, keep);
    }

    /// Stores an object. Panics if there is no such bucket, or if its directory cannot be written.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) {
        self.put_with(bucket, key, bytes, PutOptions::default());
    }

    /// Stores an object with its metadata. Panics if there is no such bucket, or if its directory cannot be written.
    pub fn put_with(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>, options: PutOptions) {
        self.service.store(bucket, key, bytes.into(), options);
    }

    /// Deletes an object, or hides it under a delete marker in a versioned bucket. Panics if there is no such bucket.
    pub fn delete(&self, bucket: &str, key: &str) {
        self.service.delete(bucket, key);
    }

    /// Creates a bucket whose keys and content are computed, in place of one of that name. Objects can be written
    /// over it and deleted from it; that is kept in memory.
    pub fn generate(&self, bucket: &str, generator: Generator) {
        self.service.generate(bucket, generator);
    }

    /// Uploads of a bucket that were neither completed nor aborted: how many parts each of them holds. Panics if there
    /// is no such bucket.
    pub fn uploads(&self, bucket: &str) -> Vec<usize> {
        self.service.uploads(bucket)
    }

    /// What has been asked and sent since the start or the last reset.
    pub fn counters(&self) -> Counters {
        self.service.tally().snapshot()
    }

    /// Sets the counters to zero; requests under way keep counting towards the peak.
    pub fn reset_counters(&self) {
        self.service.tally().reset();
    }

    /// Replaces the faults that strike from now on.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.service.dice().replace(faults);
    }

    /// Replaces the shaping, for answers that begin from now on.
    pub fn set_shaping(&self, shaping: Shaping) {
        self.service.set_shaping(shaping);
    }

    /// Moves the server's clock by some seconds from the true time: in the `Date` header and in signature checks.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.service.set_clock_offset(seconds);
    }
}
