//! Every fault of the emulator, at every step of every kind of copy. Whatever happens, the destination is whole and
//! right, or what it was before; no part is left unless asked for; and the job says why it failed.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use ossmount::copy::{LeftParts, Options, Request, Shallow, State, Status};
use ossmount::emulator::{Fault, FaultKind, Operation};
use ossmount::store::{Dialect, Overwrite};

use crate::conformance::pattern;
use crate::copy::bench::{Bench, HERE, MIB, THERE, copy, small};

/// Longer than any time limit of these tests.
const FOR_EVER: Duration = Duration::from_secs(30);

const KINDS: [FaultKind; 13] = [
    FaultKind::DropBeforeHeaders,
    FaultKind::ResetInBody,
    FaultKind::Stall(FOR_EVER),
    FaultKind::StallBeforeHeaders(FOR_EVER),
    FaultKind::ShortBody,
    FaultKind::FlippedByte,
    FaultKind::Status500,
    FaultKind::Status503,
    FaultKind::Throttle(Duration::from_millis(20)),
    FaultKind::WrongContentRange,
    FaultKind::ChangedEtag,
    FaultKind::RangeIgnored,
    FaultKind::ClockSkewed(3600),
];

/// Six parts in OSS, and two in S3, which takes none below 5 MiB.
fn content(dialect: Dialect) -> Bytes {
    static CONTENT: LazyLock<Bytes> = LazyLock::new(|| pattern(5 * MIB + 1000));
    match dialect {
        Dialect::Oss => CONTENT.slice(..550 << 10),
        Dialect::S3 => CONTENT.clone(),
    }
}

/// A kind of copy: its name, the request, and the steps that it takes.
fn copies() -> [(&'static str, Request, &'static [Operation]); 4] {
    use Operation::*;
    let single = Request { threshold_bytes: Some(1 << 30), ..copy("from", (THERE, "to")) };
    let parts = Request { shallow: Some(Shallow::Off), ..copy("from", (THERE, "to")) };
    const PARTS: &[Operation] =
        &[HeadObject, GetObjectTagging, InitiateMultipartUpload, UploadPartCopy, CompleteMultipartUpload];
    [
        ("single", single, &[HeadObject, CopyObject]),
        ("shallow", copy("from", (HERE, "to")), &[HeadObject, CopyObject]),
        ("parts", parts.clone(), PARTS),
        ("forbidding", Request { overwrite: Overwrite::Forbid, ..parts }, PARTS),
    ]
}

fn bench(dialect: Dialect) -> Bench {
    let bench = Bench::with(dialect, Options { part_bytes: 100 << 10, threshold_bytes: 200 << 10, ..small() });
    bench.put_dressed(content(dialect));
    bench
}

/// The destination is the source, or what it was before, and no upload with parts is left.
async fn assert_whole_or_untouched(bench: &Bench, bucket: &str, before: Option<&[u8]>, status: &Status, what: &str) {
    let (source, content) = (bench.content(HERE, "from").await, bench.content(bucket, "to").await);
    match status.state {
        State::Done => {
            assert!(content == source, "{what}: the copy is not the source");
            let (source, copy) = (bench.head(HERE, "from").await.unwrap(), bench.head(bucket, "to").await.unwrap());
            assert_eq!((copy.headers, copy.user), (source.headers, source.user), "{what}");
            assert_eq!(bench.tags(bucket, "to").await, bench.tags(HERE, "from").await, "{what}");
        }
        State::Failed => {
            let is_right = content == source || content.as_deref() == before;
            assert!(is_right, "{what}: {:?} bytes are there", content.map(|content| content.len()));
            let error = status.error.as_ref().unwrap();
            assert!(!error.message.is_empty() && error.message.contains(['(', ':']), "{what}: {error:?}");
        }
        other => panic!("{what}: {other:?}"),
    }
    assert_eq!(bench.uploads_with_parts(bucket), 0, "{what}: parts are left");
}

async fn every_fault_once(dialect: Dialect) {
    let copies = copies();
    let cases = copies.iter().flat_map(|(name, request, steps)| {
        let steps = steps.iter().flat_map(|step| KINDS.map(|kind| (*step, kind)));
        steps.map(move |(step, kind)| (name, request, step, kind))
    });
    // Most of the time goes by while an answer is waited for.
    let cases = stream::iter(cases).map(async |(name, request, step, kind)| {
        survive(dialect, request, step, kind, &format!("{dialect:?} {name} {step} {kind:?}")).await;
    });
    cases.buffer_unordered(8).collect::<()>().await;
}

async fn survive(dialect: Dialect, request: &Request, step: Operation, kind: FaultKind, what: &str) {
    let bench = bench(dialect);
    let bucket = request.destination.bucket.to_string();
    let fault = match kind {
        // A clock that is wrong stays wrong.
        FaultKind::ClockSkewed(_) => Fault::always(kind),
        _ => Fault::once(kind).on(step),
    };
    bench.emulator.set_faults(vec![fault]);
    let status = bench.run(request.clone()).await;
    // A flipped bit is a lie that only checksums find, and what is said to have changed is not copied.
    let may_fail = matches!(kind, FaultKind::FlippedByte | FaultKind::ChangedEtag);
    assert!(status.state == State::Done || may_fail, "{what}: {status:?}");
    bench.emulator.set_faults(Vec::new());
    assert_whole_or_untouched(&bench, &bucket, None, &status, what).await;
}

#[tokio::test]
async fn a_fault_that_passes_is_survived_at_every_step() {
    every_fault_once(Dialect::Oss).await;
}

#[tokio::test]
async fn a_fault_that_passes_is_survived_at_every_step_in_s3() {
    every_fault_once(Dialect::S3).await;
}

#[tokio::test]
async fn a_fault_that_stays_is_told_and_leaves_what_was_there() {
    for (name, request, steps) in copies() {
        if request.overwrite == Overwrite::Forbid {
            continue;
        }
        for step in steps {
            let what = format!("{name} {step}");
            let bench = bench(Dialect::Oss);
            let bucket = request.destination.bucket.to_string();
            bench.emulator.put(&bucket, "to", "old");
            bench.emulator.set_faults(vec![Fault::always(FaultKind::Status500).on(*step)]);
            let status = bench.run(request.clone()).await;
            let error = status.error.clone().unwrap();
            assert_eq!((status.state, error.code.as_deref()), (State::Failed, Some("InternalError")), "{what}");
            assert!(error.message.contains(step.name()) && error.request_id.is_some(), "{what}: {error:?}");
            bench.emulator.set_faults(Vec::new());
            assert_whole_or_untouched(&bench, &bucket, Some(b"old"), &status, &what).await;
            assert_eq!(bench.content(&bucket, "to").await.unwrap(), b"old", "{what}");
        }
    }
}

#[tokio::test]
async fn parts_that_cannot_be_aborted_or_are_to_stay_are_named() {
    let failing = Fault::always(FaultKind::Status500);
    for (left_parts, faults) in [
        (LeftParts::Leave, vec![failing.clone().on(Operation::CompleteMultipartUpload)]),
        (
            LeftParts::Abort,
            vec![
                failing.clone().on(Operation::CompleteMultipartUpload),
                failing.clone().on(Operation::AbortMultipartUpload),
            ],
        ),
    ] {
        let bench = bench(Dialect::Oss);
        bench.emulator.set_faults(faults);
        let request = Request { left_parts: Some(left_parts), ..copy("from", (THERE, "to")) };
        let status = bench.run(request.clone()).await;
        assert_eq!((status.state, bench.uploads_with_parts(THERE)), (State::Failed, 1));
        bench.emulator.set_faults(Vec::new());
        bench.emulator.reset_counters();
        let resumed = bench.done(Request { resume: status.upload_id, ..request }).await;
        assert_eq!((resumed.parts.done, bench.asked([Operation::UploadPartCopy])), (6, [0]));
        assert_whole_or_untouched(&bench, THERE, None, &resumed, "resumed").await;
    }
}

#[tokio::test]
async fn a_service_that_throttles_is_obeyed_to_the_end() {
    let bench = bench(Dialect::Oss);
    let often = Fault { probability: 0.3, ..Fault::always(FaultKind::Throttle(Duration::from_millis(5))) };
    bench.emulator.set_faults(vec![often]);
    let status = bench.done(Request { parallel: Some(11), ..copy("from", (THERE, "to")) }).await;
    assert!(bench.emulator.counters().faults > 0);
    bench.emulator.set_faults(Vec::new());
    assert_whole_or_untouched(&bench, THERE, None, &status, "throttled").await;
}
