//! Copying: copy objects within a service (server-side), without their bytes passing through this machine.
//!
//! `ossmount cp SRC DST` copies one object, and `ossmount cp -r SRC DST` all objects below a prefix. Each side is a URL
//! or a path in a live mount. A path stands for the version that the mount shows; the copy fails if the object has
//! changed since. Both buckets are reached with the same endpoint and credentials, and must be in one region.
//!
//! # How an object is copied
//!
//! 1. The source is looked at (HEAD). From then on every request names its entity tag, and its version where there is
//!    one: an object that is overwritten meanwhile fails the copy, and never makes a mixture.
//! 2. Up to `copy-threshold` (200 MiB), and for symlink objects, which are copied as links: one CopyObject.
//! 3. Above it, one CopyObject is tried where OSS may only have to write down a name: within a bucket, with no other
//!    storage class asked for, without server-side encryption. After 30 s, or where the service says `EntityTooLarge`,
//!    it goes on with parts; `shallow-copy=off` begins with them. S3 has no such copies.
//! 4. Else in parts of `copy-part-size` (64 MiB; S3 takes none below 5 MiB), `copy-parallel` (3) at a time. Objects of
//!    more than 10,000 such parts get parts of as many times that size as it takes. Metadata and tags are carried over
//!    by the client, since the service does not do so for parts.
//! 5. The CRC-64 of the copy is compared with the source's. S3 keeps none: there the source is looked at once more
//!    after a copy in parts, for not all servers heed the condition on it.
//!
//! A copy that is not right is reported with both checksums, and left where it is: what was there before is gone by
//! then, and nothing is deleted unasked.
//!
//! # What becomes of it when something fails
//!
//! Requests are repeated as everywhere else, by the same rules. When an answer is lost after the service has done what
//! it was asked, the repeated request finds the upload gone, or the object there that it must not replace; then the
//! destination is looked at, and the copy has succeeded if it has the source's bytes.
//!
//! A copy that fails or is cancelled aborts its upload, and makes sure that it is gone: parts that were on their way
//! may arrive later. `leave-parts-on-error` keeps them, and tells the upload's id; `--resume ID` goes on with those
//! parts that fit, whatever size they have. A try to begin an upload whose answer was lost leaves one without parts,
//! which costs nothing and which a lifecycle rule removes. Once CompleteMultipartUpload is sent, a copy can no longer
//! be cancelled, and a CopyObject that was cancelled may still be carried out.
//!
//! Refusals are told in the service's words, with its code and request id: `InvalidObjectState` for an archived source,
//! `FileImmutable` where a retention policy holds, `AccessDenied` where the buckets are not in one region.
//!
//! # Metadata, tags, class
//!
//! Without a word the copy gets the source's metadata and tags, and the storage class of its bucket. What is given on
//! the command line replaces: any of `--metadata`, `--content-type` and the other headers replaces all of them,
//! `--tagging` all tags. `--metadata-directive` and `--tagging-directive` say it expressly; a word that is neither
//! `copy` nor `replace`, and `copy` beside something that should replace, are refused before anything is sent.
//!
//! A copy onto itself keeps its metadata on OSS, although the service would take the request's; S3 refuses it unless
//! something changes. `--forbid-overwrite` fails where there is an object; OSS does not heed it on versioned buckets.
//!
//! # Below a prefix
//!
//! `cp -r oss://a/x oss://b/y` copies every object below `x/` to the same name below `y/`. The prefix is listed by a
//! few requests at once, and objects are copied as they are found, so that memory does not grow with their number. What
//! fails is counted, the first hundred are named, and the rest goes on; only a bucket that is not there, or credentials
//! that are not accepted, end it. `--skip-existing` leaves out objects that are there with the same size and the same
//! tag or checksum, and so goes on where an earlier copy ended. `copy-requests` (32) bounds the requests of all copies
//! together; they wait behind what programs read.
//!
//! # What the official copier does differently
//!
//! The same copy takes the same requests as with the copier of `alibabacloud-oss-v2`, and a test compares them. It
//! differs where that one is wrong:
//!
//! | | its copier | here |
//! |---|---|---|
//! | tags, copied in parts | sent as they are: `+` becomes a blank, `&` and `=` end a tag | encoded |
//! | unknown directives | ignored | refused |
//! | the source of parts | not pinned: may be mixed of two versions | pinned by tag and version |
//! | time for a silent copy | 20 s, more for larger parts | 20 s, and 1 s for every 4 MiB |
//! | checksum of copies in one request | not compared | compared |
//! | Complete whose answer was lost | fails, and aborts | is found to have succeeded |
//! | parts left behind | no way to go on with them | `--resume` |
