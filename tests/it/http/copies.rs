//! Copies over HTTP against a server that answers byte for byte as told: what is sent, and answers that begin well and
//! turn out to be errors.

use std::sync::Arc;
use std::time::Duration;

use ossmount::base::{BucketName, ByteRange, Clock, ETag, Key};
use ossmount::copy::{self, Account, Copier, Destination, Request, Source, State};
use ossmount::store::{
    CompleteRequest, CopyPartRequest, CopyRequest, CopySource, Dialect, ErrorKind, Metadata, Overwrite, StorageClass,
    StoreMut, Upload, connect,
};

use crate::http::wire::{options, store};
use crate::support::wire::{Reply, Wire};

const COPIED: &str = "<CopyObjectResult><ETag>\"e2\"</ETag></CopyObjectResult>";

fn source() -> CopySource {
    CopySource {
        bucket: BucketName::new("from"),
        key: Key::new("a b/+é"),
        version: Some("v/1".into()),
        if_match: ETag::parse("e1"),
    }
}

fn copying() -> CopyRequest {
    CopyRequest {
        source: source(),
        size: 5,
        key: Key::new("to"),
        metadata: None,
        tags: None,
        storage_class: None,
        acl: None,
        overwrite: Overwrite::Allow,
    }
}

fn upload() -> Upload {
    Upload { key: Key::new("to"), id: "U+/=".into() }
}

#[tokio::test]
async fn what_is_copied_is_named_encoded_and_pinned() {
    for (dialect, prefix) in [(Dialect::Oss, "x-oss-"), (Dialect::S3, "x-amz-")] {
        let part = "<CopyPartResult><ETag>\"p\"</ETag></CopyPartResult>";
        let wire = Wire::new(vec![Reply::new("200 OK", &[], COPIED), Reply::new("200 OK", &[], part)]);
        let store = store(&wire, dialect);
        let request = CopyRequest {
            metadata: Some(Metadata { user: vec![("Owner".into(), "alice".into())], ..Metadata::default() }),
            tags: Some(vec![("a&b".into(), "x+y=1".into())]),
            storage_class: Some(StorageClass("IA".into())),
            acl: Some("private".into()),
            overwrite: Overwrite::Forbid,
            ..copying()
        };
        assert_eq!(store.copy(request).await.unwrap().etag, ETag::parse("e2"));
        let range = ByteRange::new(10, 20);
        let part = CopyPartRequest { upload: upload(), number: 7, source: source(), range };
        assert_eq!(Some(store.copy_part(part).await.unwrap()), ETag::parse("p"));

        let asked = wire.asked();
        for asked in &asked {
            let own = |name: &str| asked.header(&format!("{prefix}{name}"));
            assert_eq!(own("copy-source"), Some("/from/a%20b/%2B%C3%A9?versionId=v%2F1"));
            assert_eq!(own("copy-source-if-match"), Some("\"e1\""));
        }
        let own = |name: &str| asked[0].header(&format!("{prefix}{name}"));
        assert_eq!((own("metadata-directive"), own("meta-owner")), (Some("REPLACE"), Some("alice")));
        assert_eq!(own("tagging-directive").map(str::to_ascii_lowercase).as_deref(), Some("replace"));
        assert_eq!((own("tagging"), own("storage-class")), (Some("a%26b=x%2By%3D1"), Some("IA")));
        let (acl, keeping) = match dialect {
            Dialect::Oss => ("x-oss-object-acl", ("x-oss-forbid-overwrite", "true")),
            Dialect::S3 => ("x-amz-acl", ("if-none-match", "*")),
        };
        assert_eq!((asked[0].header(acl), asked[0].header(keeping.0)), (Some("private"), Some(keeping.1)));
        assert!(asked[1].target.ends_with("/to?partNumber=7&uploadId=U%2B%2F%3D"), "{}", asked[1].target);
        assert_eq!(asked[1].header(&format!("{prefix}copy-source-range")), Some("bytes=10-19"));
    }
}

#[tokio::test]
async fn an_answer_that_turns_out_to_be_an_error_is_one() {
    let late = |code: &str| {
        let body = format!("\n  \n<?xml version=\"1.0\"?><Error><Code>{code}</Code><RequestId>R1</RequestId></Error>");
        Reply::new("200 OK", &[], &body)
    };
    for (code, kind) in [
        ("InternalError", ErrorKind::Server),
        ("SlowDown", ErrorKind::Throttled),
        ("NoSuchUpload", ErrorKind::NotFound),
        ("SomethingNew", ErrorKind::Protocol),
    ] {
        let wire = Wire::new(vec![late(code); 3]);
        let store = store(&wire, Dialect::S3);
        let part = CopyPartRequest { upload: upload(), number: 1, source: source(), range: ByteRange::new(0, 1) };
        let whole = CompleteRequest {
            upload: upload(),
            parts: vec![(1, source().if_match.unwrap())],
            acl: None,
            overwrite: Overwrite::Allow,
        };
        let errors = [
            store.copy(copying()).await.unwrap_err(),
            store.copy_part(part).await.unwrap_err(),
            store.complete_upload(whole).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!((error.kind(), error.code(), error.request_id()), (kind, Some(code), Some("R1")), "{error}");
        }
    }

    let wire = Wire::new(vec![late("InternalError"), Reply::new("200 OK", &[], COPIED)]);
    let mut options = options(&wire, Dialect::S3);
    options.retry.base_delay = Duration::from_millis(1);
    let connected = connect(options, Default::default(), Clock::system()).unwrap();
    assert_eq!(connected.mutable.copy(copying()).await.unwrap().etag, ETag::parse("e2"));
    assert_eq!(wire.asked().len(), 2);
}

#[tokio::test]
async fn an_answer_that_says_nothing_is_no_copy() {
    for body in ["", "<CopyPartResult/>", "<CopyPartResult><ETag>\"\"</ETag></CopyPartResult>", "<html>", "no"] {
        let wire = Wire::new(vec![Reply::new("200 OK", &[], body)]);
        let part = CopyPartRequest { upload: upload(), number: 1, source: source(), range: ByteRange::new(0, 1) };
        let error = store(&wire, Dialect::Oss).copy_part(part).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{body:?}: {error}");
    }
}

/// What the service will not do is told in its own words, with its code and the number of the request; and nothing is
/// tried a second time, or in another manner.
#[tokio::test]
async fn a_copy_that_is_refused_says_why_in_the_words_of_the_service() {
    let head =
        "HTTP/1.1 200 OK\r\nETag: \"e1\"\r\nContent-Length: 5\r\nLast-Modified: Thu, 29 Feb 2024 12:34:56 GMT\r\n\r\n";
    for (status, code, words) in [
        ("409 Conflict", "FileImmutable", "The object you specified is immutable."),
        ("403 Forbidden", "AccessDenied", "Target object does not reside in the same data center as source object."),
        ("403 Forbidden", "InvalidObjectState", "The operation is not valid for the object's state"),
    ] {
        let body = format!("<Error><Code>{code}</Code><Message>{words}</Message><RequestId>R7</RequestId></Error>");
        let wire = Wire::new(vec![Reply::Keep(head.into()), Reply::new(status, &[], &body)]);
        let account = Account::new(options(&wire, Dialect::Oss), Arc::default(), Clock::system());
        let copier = Copier::new(Arc::new(account), copy::Options::default());
        let (key, bucket) = ("from".to_owned(), BucketName::new("bucket"));
        let source = Source { bucket: bucket.clone(), key, version: None, if_match: None };
        let request = Request::new(source, Destination { bucket, key: "to".to_owned() });
        let job = copier.start(request).unwrap();
        copier.ended(job).await;
        let status = copier.status(job).unwrap();
        let error = status.error.unwrap();
        assert_eq!(
            (status.state, error.code.as_deref(), error.request_id.as_deref()),
            (State::Failed, Some(code), Some("R7"))
        );
        assert!(error.message.contains(words), "{}", error.message);
        assert_eq!(wire.asked().len(), 2, "{code}");
    }
}
