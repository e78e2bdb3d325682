//! The past: mount, list and copy a versioned bucket as it stood at a time, and see which versions there are.
//!
//! A bucket that keeps versions keeps what was overwritten and deleted. `at` shows it as it stood: training runs read
//! the same data again although the bucket has changed since, and a bad upload is undone by copying what was there
//! before.
//!
//! ```console
//! $ mkdir mnt
//! $ ossmount log oss://past/data/
//! ...Z ... 13 * ...  data/a.txt
//! ...Z ... deleted * ...  data/b.txt
//! ...Z ... 6   ...  data/b.txt
//! ...Z ... 6   ...  data/a.txt
//! $ ossmount ls -r --sort --at 90m oss://past
//! data/a.txt
//! data/b.txt
//! $ ossmount mount oss://past mnt --at 90m
//! $ cat mnt/data/a.txt mnt/data/b.txt
//! old a
//! old b
//! $ ossmount cp -r --at 90m oss://past/data/ oss://past/data/
//! oss://past/data/ -> oss://past/data/: 2 objects, 12B
//! ```
//!
//! # The time
//!
//! `at` takes a time in RFC 3339 (`2026-03-01T12:00:00Z`), or how long ago (`90m`, `12h`, `3d`). A mount counts a
//! duration from its own beginning: it shows the same time until it is unmounted, also if its daemon is replaced. The
//! log names that time.
//!
//! The services tell times in whole seconds. What was written within the second that `at` names is shown. A time that
//! is less than 60 s ago by the server's clock, or in the future, is refused, because what stood then can still change.
//!
//! # What is shown
//!
//! An object is shown with the newest version that is not younger than the time. A key whose newest such version is a
//! delete marker is not shown.
//!
//! - Each GET names the version, and carries its entity tag as well. A file never changes. If its version is deleted
//!   for good while the mount stands, reads fail with ESTALE.
//! - Names and attributes are cached for the life of the mount. `metadata-ttl` with any other value than `indefinite`
//!   is refused.
//! - Inode numbers are a function of bucket, key and version id. Of versions without an id (`null`), the entity tag
//!   takes its place.
//! - `name?versionId=V` opens any version. `user.oss.version-id` tells which one a file is.
//! - `record`, `replay`, caches and passthrough work as on any mount.
//! - Copies from a path of the mount copy the version that is shown; copies of a directory copy what stood below it.
//!   Copies into the bucket succeed, and do not appear in the mount.
//!
//! # Directories
//!
//! With `listing=eager`, the default with `at`, everything below the prefix is listed when the mount is made. A
//! directory is shown once the listing has passed it, and the directories are exact.
//!
//! With `listing=lazy` or `auto`, and if the names exceed `metadata-memory`, a directory is listed when it is opened.
//! The service then names every directory below which there is any version. One in which nothing stood at the time can
//! appear, and is empty.
//!
//! # Copying back
//!
//! `ossmount cp -r --at TIME SRC DST` copies every object that stood below a prefix at the time. With SRC and DST the
//! same, it undoes what was overwritten and deleted since: each copy becomes the newest version of its key. Objects
//! that were added since stay; `ossmount ls` without `--at` shows them. `--skip-existing` leaves out those that have
//! not changed.
//!
//! # Permissions
//!
//! | request | OSS | S3 |
//! |---|---|---|
//! | listing versions | `oss:ListObjectVersions` | `s3:ListBucketVersions` |
//! | reading a version | `oss:GetObjectVersion` | `s3:GetObjectVersion` |
//!
//! A refusal names the permission that is missing.
//!
//! # Costs
//!
//! A listing of versions returns all versions and delete markers, at most 999 in a page, and most of them may not be
//! shown: a bucket with ten versions of each key takes ten times the pages of its objects. OSS bills these requests in
//! the class of PUT requests, as it does all listings. FastList splits the listing between keys: 100,000 keys with
//! three versions take some 390 requests, and 0.6 to 1.0 s at 50 ms a page. The versions of one key are listed one page
//! after the other, and are left as soon as the one that stood is found.
//!
//! Each file takes some 110 bytes of `metadata-memory` more, for its version id.
//!
//! A look-up of a single name, which `listing=lazy` needs, takes a listing of its versions and a HEAD request.
//!
//! # Holes
//!
//! The view is what is left of the past:
//!
//! - A lifecycle rule or a user may have deleted versions. Nothing tells that one is missing, and an older one, or
//!   none, is shown in its place.
//! - While versioning is suspended, each write replaces the version `null`. What it replaced is gone.
//! - A bucket that never kept versions shows those of its present objects that are not younger than the time. The log
//!   has one warning.
//! - S3 dates a multipart upload by its beginning: an object that was completed after the time can be shown. OSS dates
//!   it by its completion.
//! - A symlink object is that of the time, but without `symlinks=on` the service returns the present bytes of its
//!   target.
//! - An archived version must be restored before it is read (EACCES).
//!
//! # ossmount log
//!
//! `ossmount log URL` prints the versions of an object, or with a final slash those of all objects below a prefix, the
//! newest first: time, size or `deleted`, a star for the current version, version id, key. `-n N` prints the newest N
//! and holds no more in memory; `--json` prints one JSON object a line.
