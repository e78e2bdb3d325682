//! Copies of single objects over HTTP: every manner, in both dialects; what is carried over; what is asked; what is
//! refused, and how that is told.

use std::time::Duration;

use ossmount::base::{ETag, Key};
use ossmount::copy::{Directive, LeftParts, Manner, Options, Request, Shallow, State};
use ossmount::emulator::{Fault, FaultKind, Operation, PutOptions, StorageClass as EmulatedClass};
use ossmount::store::{Dialect, Metadata, Overwrite, StorageClass};

use crate::conformance::pattern;
use crate::copy::bench::{Bench, HERE, MIB, THERE, copy, small};

const REQUESTS: [Operation; 6] = [
    Operation::HeadObject,
    Operation::CopyObject,
    Operation::InitiateMultipartUpload,
    Operation::UploadPartCopy,
    Operation::CompleteMultipartUpload,
    Operation::GetObjectTagging,
];

/// Whether the copy is the source in everything.
async fn assert_same(bench: &Bench, to: (&str, &str)) {
    let (source, copy) = (bench.head(HERE, "from").await.unwrap(), bench.head(to.0, to.1).await.unwrap());
    assert_eq!((copy.size, copy.crc64), (source.size, source.crc64));
    assert_eq!((&copy.content_type, &copy.headers, &copy.user), (&source.content_type, &source.headers, &source.user));
    assert_eq!(source.headers.len(), 5);
    assert_eq!(bench.tags(to.0, to.1).await, bench.tags(HERE, "from").await);
    assert_eq!(bench.content(HERE, "from").await, bench.content(to.0, to.1).await);
}

#[tokio::test]
async fn every_manner_carries_everything_over() {
    for dialect in [Dialect::Oss, Dialect::S3] {
        let parts = if dialect == Dialect::Oss { 11 } else { 3 };
        // S3 looks at the source again: nothing else shows that it stayed the same.
        let heads = if dialect == Dialect::Oss { 1 } else { 2 };
        for (size, to, manner, requests) in [
            (0, THERE, Manner::Single, [1, 1, 0, 0, 0, 0]),
            (2 * MIB, THERE, Manner::Single, [1, 1, 0, 0, 0, 0]),
            (11 * MIB - 7, THERE, Manner::Parts, [heads, 0, 1, parts, 1, 1]),
            (11 * MIB - 7, HERE, Manner::Shallow, [1, 1, 0, 0, 0, 0]),
        ] {
            let bench = Bench::new(dialect);
            bench.put_dressed(pattern(size));
            let status = bench.done(copy("from", (to, "to a+b/é"))).await;
            if manner == Manner::Shallow && dialect == Dialect::S3 {
                assert_eq!(status.manner, Some(Manner::Parts), "S3 has no shallow copies");
            } else {
                assert_eq!((status.manner, bench.asked(REQUESTS)), (Some(manner), requests), "{dialect:?} {size}");
            }
            assert_eq!((status.bytes.done, status.bytes.total), (size as u64, size as u64));
            assert_eq!(status.parts.done, status.parts.total);
            let (made, there) = (status.result.unwrap(), bench.head(to, "to a+b/é").await.unwrap());
            assert_eq!(made.etag.as_deref(), there.etag.as_ref().map(ETag::as_str));
            assert_eq!(made.crc64, there.crc64.map(|crc64| crc64.to_string()));
            assert!(made.request_id.is_some());
            assert_same(&bench, (to, "to a+b/é")).await;
            assert_eq!(bench.uploads(to), 0);
        }
    }
}

#[tokio::test]
async fn what_replaces_leaves_nothing_of_the_source() {
    for size in [1000, 11 * MIB] {
        let bench = Bench::new(Dialect::Oss);
        bench.put_dressed(pattern(size));
        let metadata = Metadata { content_type: Some("text/x-new".into()), ..Metadata::default() };
        let tags = vec![("only one".to_owned(), "a=b+".to_owned())];
        let request = Request {
            metadata: Directive::Replace(metadata),
            tags: Directive::Replace(tags.clone()),
            storage_class: Some(StorageClass("IA".into())),
            acl: Some("private".into()),
            ..copy("from", (THERE, "to"))
        };
        bench.done(request).await;
        let there = bench.head(THERE, "to").await.unwrap();
        assert_eq!((there.content_type.as_deref(), there.headers.len(), there.user.len()), (Some("text/x-new"), 0, 0));
        assert_eq!(there.storage_class.unwrap().0.as_ref(), "IA");
        assert_eq!((bench.tags(THERE, "to").await, bench.asked([Operation::GetObjectTagging])), (tags, [1]));
    }
}

#[tokio::test]
async fn a_copy_onto_itself_keeps_its_metadata_and_changes_what_is_asked() {
    let bench = Bench::new(Dialect::Oss);
    bench.put_dressed(pattern(1000));
    bench.done(copy("from", (HERE, "from"))).await;
    assert_same(&bench, (HERE, "from")).await;
    let class = Some(StorageClass("IA".into()));
    bench.done(Request { storage_class: class, ..copy("from", (HERE, "from")) }).await;
    assert_same(&bench, (HERE, "from")).await;
    assert_eq!(bench.head(HERE, "from").await.unwrap().storage_class.unwrap().0.as_ref(), "IA");

    let bench = Bench::new(Dialect::S3);
    bench.put_dressed(pattern(1000));
    let status = bench.run(copy("from", (HERE, "from"))).await;
    let error = status.error.unwrap();
    assert_eq!((status.state, error.code.as_deref()), (State::Failed, Some("InvalidRequest")));
}

#[tokio::test]
async fn what_the_service_refuses_is_told_in_its_words() {
    let bench = Bench::new(Dialect::Oss);
    bench.put_dressed(pattern(11 * MIB));
    let cold = PutOptions { storage_class: EmulatedClass::Archive, ..PutOptions::default() };
    bench.emulator.put_with(HERE, "cold", pattern(11 * MIB), cold);
    let keeping = Request { overwrite: Overwrite::Forbid, ..copy("from", (HERE, "cold")) };
    let elsewhere = copy("from", ("no-such-bucket", "to"));
    let stale = {
        let mut stale = copy("from", (THERE, "to"));
        stale.source.if_match = ETag::parse("0123");
        stale
    };
    for (request, code, says) in [
        (copy("nothing", (THERE, "to")), Some("NoSuchKey"), "HeadObject"),
        (copy("cold", (THERE, "to")), Some("InvalidObjectState"), "restore the object"),
        (keeping, Some("FileAlreadyExists"), "status 409"),
        (elsewhere, Some("NoSuchBucket"), "request id"),
        (stale, None, "does not have the requested entity tag"),
    ] {
        let status = bench.run(request.clone()).await;
        let error = status.error.unwrap();
        assert_eq!((status.state, error.code.as_deref()), (State::Failed, code), "{request:?}: {error:?}");
        assert!(error.message.contains(says), "{says}: {}", error.message);
        assert!(status.result.is_none() && status.upload_id.is_none());
    }
    assert_eq!((bench.uploads(HERE), bench.uploads(THERE)), (0, 0));
    assert_eq!(bench.content(THERE, "to").await, None);
}

#[tokio::test]
async fn links_are_copied_as_links() {
    let bench = Bench::new(Dialect::Oss);
    bench.put_dressed(pattern(5 * MIB));
    let link = PutOptions { symlink_target: Some("from".to_owned()), ..PutOptions::default() };
    bench.emulator.put_with(HERE, "link", "", link);
    let status = bench.done(copy("link", (HERE, "link too"))).await;
    assert_eq!(status.manner, Some(Manner::Single));
    assert_eq!(bench.store(HERE).symlink_target(&Key::new("link too"), None).await.unwrap(), "from");
}

#[tokio::test]
async fn a_source_that_changes_meanwhile_is_never_mixed() {
    let bench = Bench::with(Dialect::Oss, Options { parallel: 1, shallow: Shallow::Off, ..small() });
    bench.put_dressed(pattern(11 * MIB));
    let job = bench.copier.start(copy("from", (THERE, "to"))).unwrap();
    let mut status = bench.copier.watch(job).unwrap();
    status.wait_for(|status| status.parts.done >= 2).await.unwrap();
    bench.emulator.put(HERE, "from", vec![0; 11 * MIB]);
    let status = bench.copier.ended(job).await.unwrap();
    // Unless the last part was on its way already, the pin is what fails.
    let error = status.error.unwrap();
    assert_eq!((status.state, error.code.as_deref()), (State::Failed, Some("PreconditionFailed")), "{error:?}");
    assert_eq!((bench.content(THERE, "to").await, bench.uploads(THERE)), (None, 0));
}

#[tokio::test]
async fn a_cancelled_copy_leaves_nothing_unless_told_and_can_be_gone_on_with() {
    let options = Options { parallel: 1, left_parts: LeftParts::Leave, ..small() };
    let bench = Bench::with(Dialect::Oss, options);
    bench.put_dressed(pattern(30 * MIB));
    // Slow enough to be cancelled in the middle.
    let slow = FaultKind::StallBeforeHeaders(Duration::from_millis(50));
    bench.emulator.set_faults(vec![Fault::always(slow).on(Operation::UploadPartCopy)]);
    let cancel = async |request: Request| {
        let job = bench.copier.start(request).unwrap();
        let mut status = bench.copier.watch(job).unwrap();
        status.wait_for(|status| status.parts.done >= 3).await.unwrap();
        assert!(bench.copier.cancel(job));
        let status = bench.copier.ended(job).await.unwrap();
        assert_eq!(status.state, State::Cancelled, "{status:?}");
        assert!(!bench.copier.cancel(job), "it has ended");
        status
    };
    let status = cancel(Request { left_parts: Some(LeftParts::Abort), ..copy("from", (THERE, "to")) }).await;
    assert_eq!((status.upload_id, bench.uploads(THERE)), (None, 0));

    let status = cancel(copy("from", (THERE, "to"))).await;
    assert!(status.upload_id.is_some());
    assert_eq!((bench.uploads(THERE), bench.content(THERE, "to").await), (1, None));
    bench.emulator.set_faults(Vec::new());
    bench.emulator.reset_counters();
    // The parts of the upload decide, not what is asked for now.
    let resumed = Request { resume: status.upload_id, part_bytes: Some(7 << 20), ..copy("from", (THERE, "to")) };
    let status = bench.done(resumed.clone()).await;
    let [parts, listed] = bench.asked([Operation::UploadPartCopy, Operation::ListParts]);
    assert!((1..30).contains(&parts) && listed == 1, "{parts} of 30 parts were copied again");
    assert_eq!((status.parts.done, bench.uploads(THERE)), (30, 0));
    assert_same(&bench, (THERE, "to")).await;
    let again = bench.run(resumed).await;
    assert_eq!(again.error.unwrap().code.as_deref(), Some("NoSuchUpload"));
}

#[tokio::test]
async fn jobs_wait_for_each_other_and_are_told_about_after_their_end() {
    let bench = Bench::with(Dialect::Oss, Options { requests: 2, ..small() });
    bench.put_dressed(pattern(11 * MIB));
    let mut written = bench.copier.written();
    let request = |n: usize| Request { parallel: Some(100), ..copy("from", (THERE, &format!("to {n}"))) };
    let jobs: Vec<_> = (0..20).map(|n| bench.copier.start(request(n)).unwrap()).collect();
    for job in &jobs {
        assert_eq!(bench.copier.ended(*job).await.unwrap().state, State::Done);
    }
    assert!(bench.emulator.counters().peak_concurrency <= 10, "two parts, and a request each of eight jobs");
    let listed: Vec<_> = bench.copier.list().into_iter().map(|status| (status.job, status.state)).collect();
    assert_eq!(listed, jobs.iter().map(|job| (*job, State::Done)).collect::<Vec<_>>());
    let mut keys = std::collections::BTreeSet::new();
    while let Ok(object) = written.try_recv() {
        assert_eq!(object.bucket.as_str(), THERE);
        keys.insert(object.key);
    }
    assert_eq!(keys.len(), 20);
    for _ in 0..300 {
        bench.done(Request { threshold_bytes: Some(1 << 30), ..request(0) }).await;
    }
    assert_eq!((bench.copier.list().len(), bench.copier.status(jobs[0])), (256, None));
    assert!(!bench.copier.cancel(jobs[0]));
}
