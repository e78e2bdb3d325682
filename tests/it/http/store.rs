//! The store over HTTP against the emulator, which reads the protocol for itself: every way to sign, every refusal,
//! and what the layers make of each fault.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ossmount::base::{BucketName, ByteRange, Clock, Key};
use ossmount::emulator::{self, ACCESS_KEY_ID, ACCESS_KEY_SECRET, Account, Emulator, Fault, FaultKind, PutOptions};
use ossmount::metrics::{Metric, Metrics};
use ossmount::store::credentials::{Credentials, Source};
use ossmount::store::{
    Dialect, ErrorKind, GetRequest, HeadRequest, HttpStore, ListRequest, Options, PutRequest, Sign, Store, StoreMut,
    connect,
};

const BUCKET: &str = "examplebucket";
const REGION: &str = "cn-hangzhou";

fn emulator() -> Emulator {
    let temporary = Account::new("STS.id", "temporary secret").with_token("tok/en+=");
    let mut expired = Account::new("STS.old", "old secret").with_token("old");
    expired.expires = Some(ossmount::base::Timestamp::from_unix(1_000_000_000));
    let options = emulator::Options {
        credentials: vec![Account::default(), temporary, expired],
        region: REGION.to_owned(),
        anonymous_read: emulator::AnonymousRead::Buckets(vec!["public".to_owned()]),
        ..emulator::Options::default()
    };
    let emulator = Emulator::start(options).unwrap();
    emulator.create_bucket(BUCKET);
    emulator.create_bucket("public");
    emulator
}

fn options(emulator: &Emulator, dialect: Dialect) -> Options {
    let mut options = Options::new(dialect, BucketName::new(BUCKET));
    options.endpoint = Some(emulator.endpoint());
    options.region = Some(REGION.to_owned());
    options.credentials = Source::Static(Credentials::new(ACCESS_KEY_ID, ACCESS_KEY_SECRET));
    options
}

fn store(options: Options) -> HttpStore {
    HttpStore::new(options, Clock::system()).unwrap()
}

fn get(key: &str) -> GetRequest {
    GetRequest::new(Key::new(key))
}

async fn read(store: &dyn Store, request: GetRequest) -> ossmount::store::Result<Vec<u8>> {
    store.get(request).await?.body.collect(16 << 20).await
}

/// Every way to sign that a dialect has.
fn ways(emulator: &Emulator) -> Vec<Options> {
    let mut ways = Vec::new();
    for (dialect, sign) in [(Dialect::Oss, Sign::V4), (Dialect::Oss, Sign::V1), (Dialect::S3, Sign::V4)] {
        for token in [None, Some("tok/en+=".to_owned())] {
            let mut options = options(emulator, dialect);
            options.sign = sign;
            if token.is_some() {
                options.credentials = Source::Static(Credentials::new("STS.id", "temporary secret").with_token(token));
            }
            ways.push(options.clone());
            // The bucket as a virtual host.
            options.endpoint = Some(format!("http://oss.localhost:{}", emulator.address().port()));
            ways.push(options);
        }
    }
    ways
}

#[tokio::test]
async fn every_way_to_sign_is_accepted() {
    let emulator = emulator();
    for options in ways(&emulator) {
        let what = format!("{:?} {:?} {:?}", options.dialect, options.sign, options.endpoint);
        let store = store(options);
        for key in ["plain", "a/../b", "d//e/", "a+b c%20&=?#", "照片/é🚀", "ctl\u{1}\t\n\\"] {
            let body = Bytes::from(format!("bytes of {key}"));
            let mut put = PutRequest::new(Key::new(key), body.clone());
            (put.content_type, put.user) = (Some("text/plain".into()), vec![("owner".into(), "alice".into())]);
            store.put(put).await.unwrap_or_else(|error| panic!("{what} {key:?}: {error}"));
            assert_eq!(read(&store, get(key)).await.unwrap(), body, "{what} {key:?}");
            let part = get(key).range(ByteRange::new(3, 7));
            assert_eq!(read(&store, part).await.unwrap(), body[3..7], "{what} {key:?}");
            let head = store.head(HeadRequest::new(Key::new(key))).await.unwrap();
            assert_eq!((head.size, head.user), (body.len() as u64, vec![("owner".to_owned(), "alice".to_owned())]));
            let listed = store.list(ListRequest { prefix: key.into(), ..ListRequest::default() }).await.unwrap();
            assert_eq!(listed.entries[0].key, key, "{what}");
            assert_eq!(listed.entries[0].etag, head.etag);
            assert_eq!(listed.entries[0].last_modified, head.last_modified);
        }
    }
}

#[tokio::test]
async fn pages_go_on_where_they_ended_in_every_dialect() {
    let emulator = emulator();
    let keys: Vec<String> = (0..23).map(|number| format!("p/{:02}+ü {}", number / 3, number)).collect();
    for key in &keys {
        emulator.put(BUCKET, key, "x");
    }
    for mut options in ways(&emulator) {
        for version in [ossmount::store::ListVersion::V1, ossmount::store::ListVersion::V2] {
            options.list_version = version;
            let store = store(options.clone());
            let mut request = ListRequest { prefix: "p/".into(), max_keys: 4, ..ListRequest::default() };
            let mut found = Vec::new();
            loop {
                let page = store.list(request.clone()).await.unwrap();
                assert!(page.entries.len() <= 4);
                found.extend(page.entries.into_iter().map(|entry| entry.key));
                request.continuation = page.next;
                if request.continuation.is_none() {
                    break;
                }
            }
            let mut expected = keys.clone();
            expected.sort();
            assert_eq!(found, expected, "{:?} {:?} {version:?}", options.dialect, options.sign);
        }
    }
}

#[tokio::test]
async fn what_is_refused_is_told_apart() {
    let emulator = emulator();
    emulator.put(BUCKET, "k", "x");
    let cold = PutOptions { storage_class: emulator::StorageClass::Archive, ..PutOptions::default() };
    emulator.put_with(BUCKET, "cold", "x", cold);
    for dialect in [Dialect::Oss, Dialect::S3] {
        let with = |id: &str, secret: &str, token: Option<&str>| {
            let mut options = options(&emulator, dialect);
            let credentials = Credentials::new(id, secret).with_token(token.map(str::to_owned));
            options.credentials = Source::Static(credentials);
            options
        };
        let mut elsewhere = options(&emulator, dialect);
        elsewhere.bucket = BucketName::new("no-such-bucket");
        let mut region = options(&emulator, dialect);
        region.region = Some("cn-beijing".into());
        for (options, key, kind) in [
            (options(&emulator, dialect), "missing", ErrorKind::NotFound),
            (options(&emulator, dialect), "cold", ErrorKind::Archived),
            (elsewhere, "k", ErrorKind::NoSuchBucket),
            (region, "k", ErrorKind::WrongRegion),
            (with(ACCESS_KEY_ID, "wrong", None), "k", ErrorKind::AccessDenied),
            (with("nobody", "x", None), "k", ErrorKind::Credentials),
            (with("STS.id", "temporary secret", Some("forged")), "k", ErrorKind::Credentials),
            (with("STS.old", "old secret", Some("old")), "k", ErrorKind::Credentials),
        ] {
            let error = read(&store(options), get(key)).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{dialect:?}: {error}");
            assert!(error.request_id().is_some(), "{error}");
        }
        let head = store(options(&emulator, dialect)).head(HeadRequest::new(Key::new("missing"))).await.unwrap_err();
        assert_eq!(head.kind(), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn public_buckets_need_no_signature() {
    let emulator = emulator();
    emulator.put("public", "k", "for all");
    emulator.put(BUCKET, "k", "for some");
    let mut options = options(&emulator, Dialect::Oss);
    options.credentials = Source::Anonymous;
    assert_eq!(read(&store(options.clone()), get("k")).await.unwrap_err().kind(), ErrorKind::AccessDenied);
    options.bucket = BucketName::new("public");
    assert_eq!(read(&store(options), get("k")).await.unwrap(), b"for all");
}

#[tokio::test]
async fn each_fault_has_its_kind() {
    let emulator = emulator();
    emulator.put(BUCKET, "k", vec![7u8; 300_000]);
    for dialect in [Dialect::Oss, Dialect::S3] {
        let store = store(options(&emulator, dialect));
        let etag = store.head(HeadRequest::new(Key::new("k"))).await.unwrap().etag;
        for (fault, kind) in [
            (FaultKind::DropBeforeHeaders, ErrorKind::Network),
            (FaultKind::ResetInBody, ErrorKind::Network),
            (FaultKind::ShortBody, ErrorKind::Network),
            (FaultKind::Status500, ErrorKind::Server),
            (FaultKind::Status503, ErrorKind::Server),
            (FaultKind::Throttle(Duration::from_secs(3)), ErrorKind::Throttled),
            (FaultKind::WrongContentRange, ErrorKind::Protocol),
            (FaultKind::ChangedEtag, ErrorKind::Changed),
            (FaultKind::ClockSkewed(7200), ErrorKind::ClockSkew),
        ] {
            // A connection that was used before may have been closed meanwhile: the request goes out once more by itself.
            let times = if fault == FaultKind::DropBeforeHeaders { 2 } else { 1 };
            emulator.set_faults(vec![Fault { times: Some(times), ..Fault::always(fault) }]);
            let request = get("k").range(ByteRange::new(100, 200_000)).if_match(etag.clone());
            let error = read(&store, request).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{dialect:?} {fault:?}: {error}");
            if kind == ErrorKind::Throttled {
                assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
            }
        }
        // The last one made the store sign by the server's clock of that moment; the next refusal brings it back.
        let _ = read(&store, get("k")).await;
        assert_eq!(read(&store, get("k")).await.unwrap().len(), 300_000);
    }
}

#[tokio::test]
async fn the_layers_ride_out_what_may_pass() {
    let emulator = emulator();
    let body: Vec<u8> = (0..3_000_000u32).map(|number| (number % 251) as u8).collect();
    emulator.put(BUCKET, "k", body.clone());
    for dialect in [Dialect::Oss, Dialect::S3] {
        for fault in [
            FaultKind::RefuseConnection,
            FaultKind::DropBeforeHeaders,
            FaultKind::ResetInBody,
            FaultKind::ShortBody,
            FaultKind::Stall(Duration::from_secs(60)),
            FaultKind::StallBeforeHeaders(Duration::from_secs(60)),
            FaultKind::Status500,
            FaultKind::Throttle(Duration::from_millis(1)),
            FaultKind::ClockSkewed(-7200),
        ] {
            emulator.set_faults(vec![Fault::once(fault)]);
            let mut options = options(&emulator, dialect);
            (options.timeouts.first_byte, options.timeouts.stall) =
                (Duration::from_millis(300), Duration::from_millis(300));
            options.retry.base_delay = Duration::from_millis(1);
            let metrics = Arc::new(Metrics::default());
            let connected = connect(options, metrics.clone(), Clock::system()).unwrap();
            let got = read(&*connected.store, get("k")).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
            assert!(got == body, "{fault:?} changed the bytes");
            assert!(metrics.value(Metric::Retries) > 0, "{fault:?} struck nothing");
        }
    }
}
