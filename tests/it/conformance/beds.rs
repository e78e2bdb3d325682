//! The beds that the conformance suite runs on, each a test of its own.

use std::sync::Arc;

use ossmount::base::{BucketName, Clock, Timestamp};
use ossmount::emulator::{
    ACCESS_KEY_ID, ACCESS_KEY_SECRET, Account, AnonymousRead, Emulator, Options as EmulatorOptions, PutOptions,
    StorageClass as EmulatorClass,
};
use ossmount::store::credentials::{Credentials, Source};
use ossmount::store::layers::{At, Fault, FaultStore, LayerOptions, layered};
use ossmount::store::memory::MemoryStore;
use ossmount::store::{
    Addressing, Dialect, ErrorKind, ListVersion, Options, Sign, StorageClass, Store, StoreMut, connect,
};

use crate::conformance::{Bed, Bucket, Traits, conformance};
use crate::support::radosgw::Radosgw;

fn bucket<S: Store + StoreMut>(store: Arc<S>) -> Bucket {
    Bucket { store: store.clone(), writer: store }
}

const MEMORY: Traits = Traits { leading_slash: true, ..Traits::OSS };
const MEMORY_LACKS: &[(&str, &str)] = &[
    ("a_missing_bucket_is_named", "a store in memory is its bucket"),
    ("a_wrong_secret_is_denied", "a store in memory asks nobody for credentials"),
];

fn memory_bed(name: &'static str, wrap: impl Fn(Arc<MemoryStore>) -> Bucket) -> Bed {
    let memory = Arc::new(MemoryStore::new());
    let (archive, link) = (memory.clone(), memory.clone());
    Bed {
        name,
        bucket: wrap(memory),
        versioned: Some(wrap(Arc::new(MemoryStore::new().versioned()))),
        wrong_secret: None,
        no_bucket: None,
        archive: Some(Box::new(move |key| {
            archive.put(key, "cold");
            archive.amend(key, |meta| meta.storage_class = Some(StorageClass("Archive".into())));
        })),
        link: Some(Box::new(move |key, target| link.put_symlink(key, target))),
        traits: MEMORY,
        lacks: MEMORY_LACKS,
    }
}

#[tokio::test]
async fn memory() {
    conformance(memory_bed("memory", bucket)).await;
}

/// The layers keep every promise while the store under them breaks a request in three. Time is paused: nothing waits.
#[tokio::test(start_paused = true)]
async fn memory_under_faults() {
    let faults = [
        (0.05, Fault::Error(ErrorKind::Server)),
        (0.05, Fault::Error(ErrorKind::Network)),
        (0.05, Fault::Throttle(std::time::Duration::from_secs(1))),
        (0.02, Fault::Silence),
        (0.05, Fault::Break(At::Random)),
        (0.05, Fault::Short(At::Random)),
        (0.05, Fault::Stall(At::Random)),
    ];
    let clock = Clock::runtime(Timestamp::from_unix(1_700_000_000));
    // Three faults of 20 s in a row spend the usual minute, and one request in three thousand meets them.
    let mut options = LayerOptions::default();
    options.retry.budget = std::time::Duration::from_secs(3600);
    let wrap = |memory| {
        let faulty = FaultStore::new(memory).randomly(42, faults.clone());
        bucket(layered(Arc::new(faulty), &options, &Arc::default(), &clock))
    };
    conformance(memory_bed("memory under faults", wrap)).await;
}

/// One way to talk to the emulator.
#[derive(Clone, Copy)]
struct Manner {
    dialect: Dialect,
    sign: Sign,
    addressing: Addressing,
    list_version: ListVersion,
    token: Option<&'static str>,
}

const OSS: Manner = Manner {
    dialect: Dialect::Oss,
    sign: Sign::V4,
    addressing: Addressing::Path,
    list_version: ListVersion::V2,
    token: None,
};
const S3: Manner = Manner { dialect: Dialect::S3, ..OSS };

impl Manner {
    fn options(self, endpoint: &str, region: &str, bucket: &str, key: (&str, &str)) -> Options {
        let mut options = Options::new(self.dialect, BucketName::new(bucket));
        options.endpoint = Some(endpoint.to_owned());
        options.region = Some(region.to_owned());
        options.addressing = self.addressing;
        options.sign = self.sign;
        options.list_version = self.list_version;
        options.credentials = match self.sign {
            Sign::None => Source::Anonymous,
            _ => Source::Static(Credentials::new(key.0, key.1).with_token(self.token.map(str::to_owned))),
        };
        options
    }
}

fn connected(options: Options) -> Bucket {
    let connected = connect(options, Arc::default(), Clock::system()).unwrap();
    Bucket { store: connected.store, writer: connected.mutable }
}

const NO_LINKS: (&str, &str) = ("links_resolve_on_the_server", "S3 has no symlink objects");

async fn emulated(name: &'static str, manner: Manner, lacks: &'static [(&'static str, &'static str)]) {
    let account = Account::default();
    let account = manner.token.map_or(account.clone(), |token| account.with_token(token));
    let anonymous_read = if manner.sign == Sign::None { AnonymousRead::Everything } else { AnonymousRead::Nothing };
    let options = EmulatorOptions { credentials: vec![account], anonymous_read, ..EmulatorOptions::default() };
    let emulator = Arc::new(Emulator::start(options).unwrap());
    emulator.create_bucket("conformance");
    emulator.create_versioned_bucket("versioned");
    let port = emulator.address().port();
    let at = |bucket: &str, secret: &str| {
        let endpoint = match manner.addressing {
            Addressing::Virtual => format!("http://oss.localhost:{port}"),
            Addressing::Cname => format!("http://{bucket}.localhost:{port}"),
            Addressing::Auto | Addressing::Path => emulator.endpoint(),
        };
        let options = manner.options(&endpoint, "cn-hangzhou", bucket, (ACCESS_KEY_ID, secret));
        let signed = Manner { sign: if manner.sign == Sign::None { Sign::V4 } else { manner.sign }, ..manner };
        let writer = connected(signed.options(&endpoint, "cn-hangzhou", bucket, (ACCESS_KEY_ID, secret))).writer;
        Bucket { writer, ..connected(options) }
    };
    let (archive, link) = (emulator.clone(), emulator.clone());
    let bed = Bed {
        name,
        bucket: at("conformance", ACCESS_KEY_SECRET),
        versioned: Some(at("versioned", ACCESS_KEY_SECRET)),
        wrong_secret: Some(at("conformance", "NotTheSecret").store),
        no_bucket: Some(at("no-such-bucket", ACCESS_KEY_SECRET).store),
        archive: Some(Box::new(move |key| {
            let cold = PutOptions { storage_class: EmulatorClass::Archive, ..PutOptions::default() };
            archive.put_with("conformance", key, "cold", cold);
        })),
        link: Some(Box::new(move |key, target| {
            let options = PutOptions { symlink_target: Some(target.to_owned()), ..PutOptions::default() };
            link.put_with("conformance", key, "", options);
        })),
        traits: if manner.dialect == Dialect::Oss { Traits::OSS } else { Traits::S3 },
        lacks,
    };
    conformance(bed).await;
    drop(emulator);
}

#[tokio::test]
async fn emulator_oss_v4() {
    emulated("emulator, OSS V4", OSS, &[]).await;
}

#[tokio::test]
async fn emulator_oss_v4_bound_domain() {
    emulated("emulator, OSS V4, bound domain", Manner { addressing: Addressing::Cname, ..OSS }, &[]).await;
}

#[tokio::test]
async fn emulator_oss_v4_virtual_host() {
    emulated("emulator, OSS V4, virtual host", Manner { addressing: Addressing::Virtual, ..OSS }, &[]).await;
}

#[tokio::test]
async fn emulator_oss_v4_with_a_token() {
    emulated("emulator, OSS V4, token", Manner { token: Some("a+token/with=odd characters"), ..OSS }, &[]).await;
}

#[tokio::test]
async fn emulator_oss_v1() {
    emulated("emulator, OSS V1", Manner { sign: Sign::V1, ..OSS }, &[]).await;
}

#[tokio::test]
async fn emulator_oss_v1_with_a_token_and_the_first_listing() {
    let manner = Manner { sign: Sign::V1, list_version: ListVersion::V1, token: Some("a+token/with=odd"), ..OSS };
    emulated("emulator, OSS V1, token, ListObjects", manner, &[]).await;
}

#[tokio::test]
async fn emulator_oss_unsigned() {
    let lacks = &[("a_wrong_secret_is_denied", "unsigned requests carry no secret")];
    emulated("emulator, OSS, unsigned", Manner { sign: Sign::None, ..OSS }, lacks).await;
}

#[tokio::test]
async fn emulator_s3() {
    emulated("emulator, S3", S3, &[NO_LINKS]).await;
}

#[tokio::test]
async fn emulator_s3_virtual_host() {
    emulated("emulator, S3, virtual host", Manner { addressing: Addressing::Virtual, ..S3 }, &[NO_LINKS]).await;
}

#[tokio::test]
async fn emulator_s3_with_a_token_and_the_first_listing() {
    let manner = Manner { list_version: ListVersion::V1, token: Some("a+token/with=odd"), ..S3 };
    emulated("emulator, S3, token, ListObjects", manner, &[NO_LINKS]).await;
}

async fn independent(name: &'static str, manner: Manner) {
    let server = Radosgw::start();
    server.create_bucket("conformance");
    server.create_bucket("versioned");
    server.keep_versions("versioned");
    let endpoint = match manner.addressing {
        Addressing::Virtual => server.endpoint.replace("127.0.0.1", "s3.localhost"),
        _ => server.endpoint.clone(),
    };
    let at = |bucket: &str, secret: &str| {
        connected(manner.options(&endpoint, &server.region, bucket, (&server.access_key, secret)))
    };
    conformance(Bed {
        name,
        bucket: at("conformance", &server.secret_key),
        versioned: Some(at("versioned", &server.secret_key)),
        wrong_secret: Some(at("conformance", "NotTheSecret").store),
        no_bucket: Some(at("no-such-bucket", &server.secret_key).store),
        archive: None,
        link: None,
        traits: Traits::RADOSGW,
        lacks: &[
            NO_LINKS,
            ("archived_objects_say_so", "radosgw has no archive"),
            ("copies_are_pinned_to_their_source", "radosgw takes no notice of the condition"),
            ("copies_leave_what_is_there_where_told", "radosgw takes no notice of the condition"),
        ],
    })
    .await;
}

#[tokio::test]
async fn radosgw() {
    independent("radosgw", S3).await;
}

#[tokio::test]
async fn radosgw_virtual_host_and_the_first_listing() {
    let manner = Manner { addressing: Addressing::Virtual, list_version: ListVersion::V1, ..S3 };
    independent("radosgw, virtual host, ListObjects", manner).await;
}
