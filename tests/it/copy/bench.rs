//! What the tests of copies stand on: an emulator with two buckets, and a copier that goes between them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ossmount::base::{BucketName, Clock, Key};
use ossmount::copy::{Account, Copier, Destination, Options, Request, Scope, Source, State, Status};
use ossmount::emulator::{ACCESS_KEY_ID, ACCESS_KEY_SECRET, Emulator, Operation, Options as Served, PutOptions};
use ossmount::store::credentials::{Credentials, Source as Keys};
use ossmount::store::{self, Dialect, GetRequest, HeadRequest, ObjectMeta, Store, Tags, connect};

pub(crate) const MIB: usize = 1 << 20;

/// The buckets.
pub(crate) const HERE: &str = "here";
pub(crate) const THERE: &str = "there";

/// An emulator and a copier.
pub(crate) struct Bench {
    pub(crate) emulator: Emulator,
    pub(crate) copier: Copier,
    options: store::Options,
}

/// Parts of 1 MiB (5 in S3) above 2 MiB, and little patience.
pub(crate) fn small() -> Options {
    Options { part_bytes: MIB as u64, threshold_bytes: 2 * MIB as u64, ..Options::default() }
}

impl Bench {
    pub(crate) fn new(dialect: Dialect) -> Bench {
        Bench::with(dialect, small())
    }

    pub(crate) fn with(dialect: Dialect, copies: Options) -> Bench {
        let emulator = Emulator::start(Served::default()).unwrap();
        emulator.create_bucket(HERE);
        emulator.create_bucket(THERE);
        let mut options = store::Options::new(dialect, BucketName::new(HERE));
        options.endpoint = Some(emulator.endpoint());
        options.region = Some("cn-hangzhou".to_owned());
        options.credentials = Keys::Static(Credentials::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET));
        options.timeouts.first_byte = Duration::from_secs(1);
        options.timeouts.stall = Duration::from_secs(1);
        options.retry.budget = Duration::from_secs(3);
        options.retry.base_delay = Duration::from_millis(2);
        options.retry.max_delay = Duration::from_millis(20);
        let account = Account::new(options.clone(), Arc::default(), Clock::system());
        let copier = Copier::new(Arc::new(account), copies);
        Bench { emulator, copier, options }
    }

    /// The object `from`, with everything that an object can carry.
    pub(crate) fn put_dressed(&self, bytes: impl Into<Bytes>) {
        let own = |text: &str| Some(text.to_owned());
        let dressed = PutOptions {
            content_type: own("text/x-copied"),
            cache_control: own("max-age=60"),
            content_disposition: own("attachment; filename=\"a b\""),
            content_encoding: own("identity"),
            content_language: own("de"),
            expires: own("Thu, 29 Feb 2024 12:34:56 GMT"),
            user_metadata: vec![("owner".to_owned(), "alice".to_owned())],
            tags: vec![("a b".to_owned(), "x+y=1:/".to_owned()), ("c".to_owned(), String::new())],
            ..PutOptions::default()
        };
        self.emulator.put_with(HERE, "from", bytes, dressed);
        self.emulator.reset_counters();
    }

    /// Runs a copy to its end.
    pub(crate) async fn run(&self, request: Request) -> Status {
        let job = self.copier.start(request).unwrap();
        self.copier.ended(job).await.unwrap()
    }

    /// Runs a copy that must succeed.
    pub(crate) async fn done(&self, request: Request) -> Status {
        let status = self.run(request).await;
        assert_eq!(status.state, State::Done, "{status:?}");
        status
    }

    /// The tags of an object.
    pub(crate) async fn tags(&self, bucket: &str, key: &str) -> Tags {
        self.store(bucket).tags(&Key::new(key), None).await.unwrap()
    }

    /// How often the emulator was asked for each of these operations.
    pub(crate) fn asked<const N: usize>(&self, operations: [Operation; N]) -> [u64; N] {
        let counters = self.emulator.counters();
        operations.map(|operation| counters.of(operation))
    }

    pub(crate) fn store(&self, bucket: &str) -> Arc<dyn Store> {
        let options = store::Options { bucket: BucketName::new(bucket), ..self.options.clone() };
        connect(options, Arc::default(), Clock::system()).unwrap().store
    }

    pub(crate) async fn head(&self, bucket: &str, key: &str) -> store::Result<ObjectMeta> {
        self.store(bucket).head(HeadRequest::new(Key::new(key))).await
    }

    /// The bytes of an object; `None` where there is none.
    pub(crate) async fn content(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let response = self.store(bucket).get(GetRequest::new(Key::new(key))).await.ok()?;
        Some(response.body.collect(64 * MIB).await.unwrap())
    }

    /// The uploads that a bucket holds. The store has no call for them.
    pub(crate) fn uploads(&self, bucket: &str) -> usize {
        self.emulator.uploads(bucket).len()
    }

    /// Those of them that hold parts, which are charged.
    pub(crate) fn uploads_with_parts(&self, bucket: &str) -> usize {
        self.emulator.uploads(bucket).into_iter().filter(|parts| *parts > 0).count()
    }
}

/// One object of the first bucket, to the second unless told otherwise.
pub(crate) fn copy(from: &str, to: (&str, &str)) -> Request {
    let source = Source { bucket: BucketName::new(HERE), key: from.to_owned(), version: None, if_match: None };
    Request::new(source, Destination { bucket: BucketName::new(to.0), key: to.1.to_owned() })
}

/// Everything below a prefix.
pub(crate) fn copy_prefix(from: &str, to: (&str, &str)) -> Request {
    Request { scope: Scope::Prefix, ..copy(from, to) }
}
