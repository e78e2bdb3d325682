//! Copying: copy objects within a service (server-side), without their bytes passing through this machine.
//!
//! `ossmount cp SRC DST` copies one object, and `ossmount cp -r SRC DST` all objects below a prefix. Each side is a URL
//! or a path in a live mount. A path stands for the version that the mount shows; the copy fails if the object has
//! changed since. Both buckets are reached with the same endpoint and credentials, and must be in one region.
//!
//! # How an object is copied
//!
//! 1. A HEAD request reads the metadata of the source. All further requests are pinned to its entity tag, and to its
//!    version if there is one: if the source is overwritten, the copy fails and never mixes two versions. Some services
//!    have several tags for one version: if the tag is refused and a second HEAD shows the same object, the tag of the
//!    listing is sent, then none; without a tag, the source is compared again after the copy. If HEAD is refused, a GET
//!    of the first byte reads the metadata.
//! 2. Objects up to `copy-threshold` (200 MiB) are copied by one CopyObject request, and so are symlink objects, as
//!    links.
//! 3. Larger objects are first tried with one CopyObject where OSS may copy without moving data: within a bucket,
//!    without another storage class and without server-side encryption. After 30 s, or if the service answers
//!    `EntityTooLarge`, the copy continues in parts. `shallow-copy=off` skips this step. S3 has no such copies.
//! 4. All others are copied in parts of `copy-part-size` (64 MiB; at least 5 MiB on S3), `copy-parallel` (3) at a time.
//!    The size is multiplied for objects that would have more than 10,000 parts. The client transfers metadata and
//!    tags, because the service does not copy them with parts.
//! 5. The CRC-64 of the copy is compared with that of the source. S3 has no CRC-64: after a copy in parts a second HEAD
//!    request checks the source, because some servers ignore the condition on it.
//!
//! A copy with a wrong checksum is reported with both checksums and is not deleted; the object that was there before is
//! already gone.
//!
//! # Failures
//!
//! Failed requests are retried by the same rules as reads. If the answer to a successful request is lost, the retry
//! finds that the upload is gone, or that the object exists. The destination is then examined, and the copy has
//! succeeded if it has the bytes of the source.
//!
//! | situation | result |
//! |---|---|
//! | the copy fails or is cancelled | The upload is aborted, repeatedly until no late part is left. With `leave-parts-on-error` it is kept and its id is reported; `--resume ID` continues with the parts that fit, of any size. |
//! | the answer to InitiateMultipartUpload is lost | An upload without parts remains, which costs nothing and which a lifecycle rule removes. |
//! | CompleteMultipartUpload was sent | The copy cannot be cancelled any more. |
//! | a CopyObject was cancelled | The service may still complete it. |
//!
//! Refusals are reported with the message, code and request id of the service: `InvalidObjectState` for an archived
//! source, `FileImmutable` under a retention policy, `AccessDenied` for buckets in different regions.
//!
//! # Metadata, tags, class
//!
//! By default a copy gets the metadata and tags of the source, and the storage class of its bucket. Any of
//! `--metadata`, `--content-type` and the other header options replaces all metadata, and `--tagging` replaces all
//! tags. `--metadata-directive` and `--tagging-directive` state this explicitly. Other words than `copy` and `replace`,
//! and `copy` together with a replacement, are refused before a request is sent.
//!
//! A copy of an object onto itself keeps its metadata on OSS; S3 refuses it unless something changes.
//! `--forbid-overwrite` fails if the destination exists; OSS ignores it on versioned buckets.
//!
//! # Below a prefix
//!
//! `cp -r oss://a/x oss://b/y` copies every object below `x/` to the same name below `y/`. Objects are copied while the
//! prefix is listed, so that memory does not grow with their number. Failures are counted, the first hundred are named,
//! and the other objects are copied; only a missing bucket or rejected credentials end the copy. `--skip-existing`
//! skips objects that exist with the same size and the same tag or checksum, which continues an earlier copy.
//! `copy-requests` (32) bounds the requests in flight of all copies; reads of programs go before them.
//!
//! `--at TIME` copies what stood at that time in a versioned bucket, of an object or below a prefix; see
//! [`past`](super::past).
//!
//! # Differences from the official copier
//!
//! A copy sends the same requests as the copier of `alibabacloud-oss-v2` (a test compares them), except where the
//! official one is wrong:
//!
//! | | official copier | ossmount |
//! |---|---|---|
//! | tags of copies in parts | sent without encoding: `+` becomes a blank, `&` and `=` end a tag | percent-encoded |
//! | unknown directives | ignored | refused |
//! | the source of parts | not pinned: the copy can mix two versions | pinned by tag and version |
//! | time limit without an answer | 20 s, more for larger parts | 20 s, and 1 s for every 4 MiB |
//! | checksum of copies in one request | not compared | compared |
//! | lost answer to CompleteMultipartUpload | fails, and aborts the upload | detects that the copy has succeeded |
//! | parts of an interrupted copy | cannot be used | `--resume` continues with them |
