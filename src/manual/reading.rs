//! Reading: what is fetched when, what stays in memory, what is checked.
//!
//! # Streams
//!
//! The daemon does not guess from descriptors. Each object that is open has a table of up to 32 *streams*, and a read
//! belongs to the stream whose position it is near. Threads on one descriptor, processes with descriptors of their own
//! and page faults of a mapping are each recognised by where they read, and two readers of the same stretch share one
//! stream. Every byte is fetched once, however many readers wait for it: a read joins the GET that is already on its
//! way.
//!
//! The kernel keeps several requests in flight and lets them overtake each other. A stream therefore accepts reads
//! some way before and behind its position; what it insists on is density: the bytes read must cover at least half of
//! the way it has gone. Otherwise the run is over, fetching ahead stops, and starts again when reads follow each other
//! again. A thousand random reads do not push a proven stream out of the table.
//!
//! # Windows
//!
//! - The first read of a file, at its head and of 512 KiB or more, starts 16 MiB in GETs of 1 MiB side by side:
//!   programs that copy read so. One of 128 KiB up to that is what Python and stdio ask for to look at a header; it
//!   brings 512 KiB in one GET, and only the second read shows a stream. That costs a stream of such reads one round
//!   trip, and saves 15 GETs and 15 MiB for each header. What was read of the last three files of the directory decides
//!   too: where they were read whole, 128 KiB are enough, and where less than half of each was, no first read is.
//! - From the second read on, the window is 32 times what was read, up to 256 MiB: after 8 MiB the pipe is full.
//! - A smaller first read (a header) fetches 128 KiB; at 20 ms to the first byte that costs no more time than 4 KiB.
//! - A run that begins in the middle of a file, as that of one tensor in a shard, is given twice what it has read,
//!   and eight times after 32 MiB.
//! - GETs grow with the window, to 4 MiB at 128 MiB; `part-size` is the upper bound. All of them end on whole MiB, so
//!   that the kernel's aligned reads of up to 1 MiB are answered from one buffer without a copy.
//! - A window ends with the last byte of the object, whose short tail is part of the last GET, and where another
//!   reader of the same object began.
//! - All streams that want more share three quarters of the memory limit.
//! - Once a load has gone on for a second, no window is larger than the network is worth: twice what it brings in the
//!   time that a GET of that size takes when it is alone. At 600 MB/s and 20 ms that is some 70 MiB instead of 256,
//!   at the same speed; what lies beyond would only wait in the network, in memory that other files can use. Where
//!   readers wait and less arrives than once did, because GETs last longer than the network explains, the bound is
//!   raised until that ends. Where a network holds more than 256 MiB, windows do too.
//!
//! # Look-ups
//!
//! Random reads fetch the bytes that the kernel asked for, in one GET, and cost a round trip each. When those waits
//! have added up to what all of the file takes at 150 MB/s (or at what the network has shown, where that is less), all
//! of the file is fetched: as many look-ups will follow as there were, is the best guess, and so the wait is never more
//! than twice of the best. A database of 40 MB is had after some 13 look-ups, one of 1 GB after 330. There is no wider
//! reading around each look-up in between: where nothing foretells the next place, a byte more pays nowhere or
//! everywhere. Only files of up to a quarter of the memory limit are fetched so; a program that goes forward only, as
//! one that lists a tar, pays for nothing that it leaves behind; and what was given up again while the file is open is
//! not fetched a second time. 100 look-ups by sqlite take 0.5 s instead of 2.6 at 20 ms to the first byte.
//!
//! Objects of up to 1 MiB come whole with their first read; objects of up to `part-size` in one GET once they are read
//! in earnest.
//!
//! # Models
//!
//! The header of a `*.safetensors` or `*.gguf` file says where its tensors lie, and is looked at as soon as its bytes
//! are in. From then on a read that holds the first byte of a tensor makes all of it come, in GETs side by side. Which
//! tensors come next is a hypothesis that the order of those begun suggests, and that is dropped with the first one
//! that contradicts it:
//!
//! - Three at the same distance from each other (every eighth, as a rank of experts reads; the same in each layer, as
//!   adapters do; backwards) lead to the next three, one more to the next seven, and so on; nothing in between is
//!   fetched.
//! - Neighbours one after the other are read for like any file in order.
//! - Other orders may be any: the file follows in the order of its bytes, behind what readers wait for and in GETs of 4
//!   MiB, up to half of what was asked for after two tensors and twice as much with each further one, up to eight
//!   times; and only of files that take less than half of the memory limit.
//!
//! A window ends with the tensor that its reader is in until the reader has come from one tensor to the next by itself.
//! So tensors may be read in any order, through mappings too, and there is little that is not wanted. Who leaves
//! tensors halfway, as a rank does that takes a slice of each, is believed no more after a few; such files are then
//! read like any other.
//!
//! The first read of a model opens no window: it is for the header, which says more than a guess.
//!
//! # The files that come next
//!
//! Three orders are recognised, in each directory for itself:
//!
//! - *That of the listing.* When three neighbours have been read, the four that stand behind them are fetched, and with
//!   each further file two more, up to 64 ahead. Steps over a few files, files that come late and workers that share
//!   the directory between them do not end that, as long as half of the files passed are read (of the first ones,
//!   nearly all); up to eight readers at different places are told apart. A jump ends it. Runs that break off short
//!   make the next ones prove themselves for longer, up to 48 files.
//! - *Shards*, `model-00003-of-00038.safetensors`: when one of them is read, the next is fetched; then two, up to four
//!   ahead.
//! - *Numbers in other names*, where the listing has another order: `part_9.parquet` is followed by `part_10.parquet`.
//!
//! A small file counts as read with its first byte, a larger one with an eighth of it and at least 1 MiB: looking at
//! headers leads to nothing. Of one that takes a while no more than 64 MiB, or a quarter, may be left. No request is
//! made but the GETs. Names come from what was listed; a directory is never listed for a guess.
//!
//! Such GETs come after all others and leave half of `max-connections` to files that are open. Files fetched and not
//! opened may hold a quarter of the memory limit, 1 GiB at most, and count against further ones until they are opened
//! or a minute has passed, even when their memory was given up before. So wrong guesses cost at most that much a
//! minute. Until a guess has come true they hold 32 MiB at most, which is as much as the first bytes of the next file
//! are waited for; each byte that was opened allows for two more, each that was not for two less. Their bytes stay and
//! go as those of files that were read do, the least recently used first. A file that is opened and closed without a
//! read loses what was fetched of it. Files that wait for their turn are forgotten when sixteen others were read and
//! none of those that led to them; when their reader goes on they are expected anew. `prefetched_bytes` and
//! `prefetched_unread_bytes` count what all fetching ahead brought, and what of it was let go unread. Files of an
//! archive class are never guessed, and no window is opened on them before a read has brought bytes.
//!
//! At 20 ms to the first byte, 800 files of 128 KiB take one thread 0.9 s instead of 18 s in the order of the listing,
//! four threads 0.8 s instead of 4.5 s, whether they take every fourth file or batches of 32 in turn. A random quarter
//! of them fetches 2 % more than it reads; 38 shards of 32 MiB take a third less time.
//!
//! `prefetch=off` fetches the bytes asked for and nothing else; reads of the same bytes still share a GET.
//! `prefetch=open` begins with the first byte at open, file after file in the order of the opens, in up to three
//! quarters of the memory; closing a file frees what was not read of it and gives up its place.
//!
//! # Loads that are recorded and replayed
//!
//! A program that loads a model or a data set mostly reads the same bytes each time, in an order that cannot be
//! guessed. `record=FILE` writes down which bytes of which objects are read, in the order in which they are first
//! wanted; `replay=FILE` makes the next mount fetch them in that order, ahead of the program. The same file may be
//! named by both: a mount in a pod then follows the last load and records the present one, and the first time there is
//! nothing to follow.
//!
//! ```text
//! ossmount mount oss://bucket/models /mnt/models -o record=/var/lib/ossmount/load,replay=/var/lib/ossmount/load
//! ```
//!
//! - *What is recorded.* Key, version, ETag, size and inode number of each object, and stretches of up to 8 MiB. The
//!   file is JSON, a line each, at most some 16 MiB; a longer load is recorded up to there. It is replaced at once and
//!   whole, every five seconds while something new was read, and at the end. Objects without an ETag and objects of an
//!   archive class are not recorded. Of files that the kernel reads by itself all bytes count as read.
//! - *When it is followed.* From its beginning, at the moment that one of its objects is opened, and not from the
//!   mount: a mount may be made long before the load, and an open costs no more than a first byte's time. No listing is
//!   needed: objects are found by their inode numbers, and GETs carry the recorded ETag. An object that has changed, is
//!   gone or may not be read is left out, and counted in `replay_skipped`.
//! - *How far ahead.* 64 MiB at first and a byte more for each that was used, up to 256 MiB and a quarter of
//!   `memory-limit`. The GETs come after those of windows, and leave half of `max-connections` to others until 64 MiB
//!   were used. Reads that were foretold, and a few beside them, open no window of their own and expect no
//!   other file. What was fetched stays
//!   when a file is closed and opened again.
//! - *When the program does something else.* A stretch that is read before its turn is fetched at once, and where it is
//!   far from the present place, the plan goes on from there. What is fetched and not read is never more than the
//!   window, 64 MiB and an eighth of what was read; then fetching waits. When 64 MiB and half of what the plan served
//!   were read without its help, it is followed no more. When a load is nearly through and one of its files that was
//!   read is opened again, it begins anew.
//!
//! A file that is no recording, or one of another bucket, is an error at mount.
//!
//! ```
//! use std::sync::Arc;
//!
//! use ossmount::base::{BucketName, Ino, Key};
//! use ossmount::metrics::{Metric, Metrics};
//! use ossmount::read::{Object, Options, Reader, Trace};
//! use ossmount::store::memory::MemoryStore;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let store = Arc::new(MemoryStore::new());
//! let meta = store.put("weights", vec![7; 4 << 20]);
//! let (ino, key, etag, size) = (Ino(2), Key::new("weights"), meta.etag, meta.size);
//! let object = Object { ino, key, version: None, etag, size, mtime: None, archived: false };
//!
//! let reader = Reader::new(store.clone(), Options::default(), Arc::new(Metrics::default()));
//! reader.record();
//! reader.open(object.clone()).read(3 << 20, 1000).await?;
//! let bucket = BucketName::new("bucket");
//! let text = reader.recorded().unwrap().to_text(&bucket);
//! assert!(text.contains("[0,3145728,3146728]"));
//!
//! let metrics = Arc::new(Metrics::default());
//! let reader = Reader::new(store, Options::default(), metrics.clone());
//! reader.replay(Trace::parse(&text, &bucket)?);
//! let file = reader.open(object);
//! while metrics.value(Metric::PrefetchedBytes) < 1000 {
//!     tokio::task::yield_now().await;
//! }
//! file.read(3 << 20, 1000).await?;
//! assert_eq!(metrics.value(Metric::ReadsBuffered), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Memory
//!
//! `memory-limit` bounds all read buffers of the daemon together. Bytes for which a program waits are never refused:
//! where nothing can be given up they are fetched beyond the limit, but then exactly as many as were asked for, so that
//! the excess is bounded by the reads in flight. Windows, first windows and files opened ahead are refused in this
//! order, the last first.
//!
//! What has come stays, also after the last close, until the memory is wanted: a file that was read and fits is read
//! again without a request. Bytes that no program has read go first, then the least recently used ones; bytes fetched
//! ahead of a reader that has been quiet for a second go when a live reader's window needs the room.
//!
//! Streams stay with the bytes. A program that opens a file, reads 100 KB and closes it, again and again and in order,
//! is one stream: what was on its way at the first close was called off, but once a reader has come back to where it
//! was, its window lives on while the file is closed, and grows when it is read. Bytes that are read again prove
//! nothing. An object listed without an ETag is not kept after its last close, since nothing would tell another version
//! from it.
//!
//! # Files that the kernel reads by itself
//!
//! Where the daemon runs as root, objects of 16 MiB up to half of the memory limit lie in files of a file system in
//! memory that is mounted nowhere, in huge pages. When all of an object is there, and its checksum was found right, the
//! next open is passed through to that file: the kernel reads and maps it at the speed of memory, and asks the daemon
//! for nothing. For as long as a program has it open like that, none of it is given up; at most three quarters of the
//! memory limit are held this way. A file that is open in another way is not passed through until it was closed. Where
//! the kernel or the daemon's rights do not allow it (`passthrough=off` has the same effect), second reads come from
//! the daemon's memory or the page cache, also without a request.
//!
//! # Consistency
//!
//! Every GET carries the ETag under which the file was opened; where the listing had none, the first answer's. When the
//! object turns out to be another version (the service says so, or size or tag of an answer differ), that read and all
//! later ones on the open handles fail with ESTALE. The next open sees the new version.
//!
//! Gateways and stores that encrypt may have several tags for one version: one in listings and another with the bytes,
//! or another with a part than with the whole. So a tag that does not fit is looked into before it is called a change:
//! a HEAD, and where that shows a third tag the listing of that key, tell whether the object is what it was. Where it
//! is, the mount remembers that (one line in the log, `metrics.several_tags` in `status`): from then on its GETs go
//! without `If-Match`, and size and time are compared with those listed, tags with those of the earlier answers for the
//! same object. Where answers carry no tag at all, size and Last-Modified stand in for it.
//!
//! What an answer leaves out is taken from what was asked for and what was listed, if that leaves no doubt: a body
//! without Content-Length (chunked, or up to the end of the connection) is whole when it ends at the listed size, a
//! part without Content-Range (or with `/*`, or called 200) is the one asked for when its length, and its tag or time,
//! say so. A header that breaks the rules of HTTP is passed over and named in the log, but for Content-Length and
//! Transfer-Encoding. All else is EIO, with a line in the log that names the header.
//!
//! # Checksums
//!
//! With `verify=crc64` the checksum of each GET is computed while its bytes are copied. When all bytes of an object
//! have passed through, in any order, the checksums are combined and compared with the one that OSS keeps (S3 keeps
//! none). The last bytes are handed out only after that, so a program cannot read a garbled object to its end. An
//! object of up to 1 MiB is handed out only once it was checked: a mismatch there is fetched again before anybody saw
//! it. For larger ones a mismatch fails all reads on the open handles with EIO; the next open fetches everything again.
//!
//! A mismatch is found when the last byte comes, and the others have been handed out by then. So whatever holds them is
//! emptied: the daemon's memory, and the kernel's page cache, of which mappings are a part. No open that begins after
//! the first EIO sees a wrong byte: until the kernel has dropped its pages, each open makes it drop them. A file that
//! is pinned is fetched again and stays pinned.
//!
//! Bytes that come again (because memory was wanted meanwhile) are compared with those that came before, and a file
//! that was read in pieces, by several opens, is compared when the last piece comes. The kernel is left to read a file
//! by itself only if the bytes in memory, as they are then, match the checksum.
//!
//! Which bytes were wrong is found in the background: the object is fetched once more, in requests that begin and end
//! elsewhere, and the ranges that come otherwise are named in the log and counted in `wrong_ranges`. An object that
//! comes the same again is stored otherwise than its checksum says. That is done for objects of up to 64 GiB, and at
//! most once a minute.
//!
//! # Errors
//!
//! A GET is resumed and retried by the store until its budget is spent. A failure of a GET that was made ahead of a
//! reader is not an error: it is forgotten, or, where a read had come to wait for it, tried once more from the byte
//! where it broke. A failure that reaches a program is not remembered: the next read tries again.
//!
//! A service that throttles gets half as many requests at a time for each round of them that met a busy service, and
//! one more for each round that it answered, up to `max-connections` again.
//!
//! A GET that a program waits for, and whose first byte takes more than twice as long as 95 in 100 of the last 256 did
//! (and 50 ms at least), is sent a second time, and the first answer is taken. At most one GET in fifty is, so that a
//! service that is slow as a whole is not asked for more; `hedges` and `hedges_won` count them. So are pages of
//! listings and HEADs, after a second at least.
