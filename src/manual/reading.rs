//! Reading: predict which bytes are fetched when, what stays in memory, and how bytes are checked.
//!
//! With this page you can tell how many requests a program causes, why a read was fast or slow, and which option
//! changes it. The options are in [`tuning`](super::tuning), the figures in [`monitoring`](super::monitoring).
//!
//! | a program | the daemon fetches |
//! |---|---|
//! | reads a file of up to 1 MiB | the complete file, in one GET |
//! | reads a file from its beginning to its end | windows ahead of the program, in many GETs at once |
//! | reads the header of a file | one GET of 128 or 512 KiB |
//! | looks up values at random offsets | the bytes that the kernel asks for, and the complete file once that is cheaper |
//! | loads a safetensors or GGUF file | complete tensors, and the tensors that probably follow |
//! | reads the files of a directory in a recognisable order | the next files, before they are opened |
//! | loads the same bytes as in a recorded load | the recorded bytes, in the recorded order |
//! | reads a file again | nothing, while the file is in memory |
//!
//! # Streams
//!
//! A *stream* is a sequence of reads at increasing offsets of one object. The daemon recognises streams by the
//! offsets of the reads, not by descriptors: threads that share a descriptor, processes with descriptors of their own
//! and page faults of a mapping each form a stream of their own, and two programs that read the same range share one.
//! An open object has up to 32 streams.
//!
//! Every byte is fetched once, however many programs wait for it: a read of bytes that are in flight waits for that
//! GET.
//!
//! The kernel keeps several requests in flight and sends them out of order. A stream therefore accepts reads some way
//! before and behind its position. It ends when fewer than half of the bytes that it passed were read: prefetching
//! stops and resumes when reads follow each other again. Random reads do not displace an established stream; a
//! thousand in a row were tested.
//!
//! # Windows
//!
//! A *window* is the range that is prefetched ahead of a stream. Its size depends on what the stream has read:
//!
//! | reads so far | fetched |
//! |---|---|
//! | a first read of less than 128 KiB | 128 KiB in one GET, which takes about as long as 4 KiB at 20 ms to the first byte |
//! | a first read of less than 64 KiB, and what the kernel reads ahead behind it | the same; a further read opens a window |
//! | a first read of 128 KiB up to 512 KiB at the beginning of a file, as Python and stdio send it | 512 KiB in one GET; the second read opens a window |
//! | a first read of 512 KiB and more at the beginning of a file, as `cp` sends it | a window of 16 MiB in GETs of 1 MiB at once |
//! | further reads from the beginning | a window of 32 times the bytes read, at least 16 MiB (4 MiB before 512 KiB were read), up to 256 MiB, which 8 MiB of reads reach |
//! | reads in sequence from the middle of a file | a window of 2 times the bytes read, and of 8 times after 32 MiB; where the kernel reads ahead, from 4 MiB on, because up to 3 MiB may be its read-ahead |
//!
//! - **Directories.** How the last three files of a directory were read decides about the next one there: if at least
//!   half of each was read, a first read of 128 KiB opens a window; if less than half of each was read, no first read
//!   does, and small files are not fetched completely.
//! - **Runs.** A *run* is what a stream reads without a jump, such as a chunk, a row of tiles or a column. After two
//!   runs in the middle of a file, windows there end with a run as long as the longest of the latest eight, until a run
//!   becomes twice as long. If the latest runs are about as long as each other, the first read of the next one fetches
//!   all of it, up to 4 MiB. If three runs start at equal distances, the next ones are prefetched: up to 4 MiB, or a
//!   quarter of the bytes that were read of such runs. So the headers of the members of a tar archive, the rows of
//!   tiles of a GeoTIFF and the storages of a PyTorch checkpoint do not cost a round trip each.
//! - **Read-ahead behind runs.** The kernel marks the first page of what it reads ahead and requests more when a
//!   program touches that page. A last request that nothing followed was therefore not touched, and does not count for
//!   the length of a run. Once all of the latest runs, at least two, ended before such a request, the daemon answers it
//!   with an error in the next runs, as around page faults (below). A window of a GeoTIFF fetches 20 MB instead of 34.
//! - **GETs.** Requests grow with the window, to 4 MiB at a window of 128 MiB, and are as long as `part-size` while
//!   half of a window of 64 MiB or more has arrived, because the reader waits for none of them. `part-size` is the
//!   upper bound. They end on multiples of 1 MiB, so that an aligned read of up to 1 MiB is answered from one buffer
//!   without a copy.
//! - **End.** A window ends with the object, whose short tail is part of the last GET, and at the position of another
//!   stream of the object.
//! - **Memory.** All streams together use up to three quarters of `memory-limit` for windows.
//! - **Network.** After the first second of a load, a window is limited to twice the bytes that the network delivers
//!   during one undisturbed GET of the same size. At 600 MB/s and 20 ms to the first byte that is about 70 MiB
//!   instead of 256 MiB, at the same speed and with less memory. If programs wait and the throughput falls, the limit
//!   is raised. On a network that holds more than 256 MiB in flight, windows become larger than 256 MiB. Readers of one
//!   file that are 64 MiB and more from each other share the limit.
//!
//! Other objects of up to 1 MiB are fetched completely with their first read; objects of up to `part-size` are
//! fetched in one GET once a window is opened.
//!
//! # Look-ups
//!
//! A read at a random offset fetches the bytes that the kernel asked for, in one GET, and costs a round trip. When the
//! waits for such reads have added up to the time that the complete file takes, the daemon fetches the complete file.
//! It assumes 150 MB/s, or the throughput that the network has shown, if that is lower; the waits of threads that wait
//! at the same time count once. The total wait is then at most twice the best possible one. At 20 ms to the first byte,
//! a database of 40 MB is fetched completely after about 13 look-ups, and a file of 1 GB after about 330; 100 look-ups
//! by sqlite take 0.5 s instead of 2.6 s.
//!
//! The complete file is not fetched
//!
//! - if it is larger than a quarter of `memory-limit`;
//! - for a program that only moves forward in the file, as one that lists a tar archive does;
//! - a second time during the same open, if its bytes were evicted.
//!
//! # Page faults
//!
//! For a page fault in a mapping the kernel requests its read-ahead around the page: 1 MiB for 4 KiB where the daemon
//! runs as root. After four faults at different places that no further request followed, the daemon answers such
//! requests with an error. The kernel then requests the one page that the program waits for, and the program does not
//! notice. From then on each page is requested when it is touched, and one GET fetches what a program reads at one
//! place: 128 KiB at first, then as much as three of four of the latest places needed. 64 rows of 16 KiB in a matrix
//! of 256 MiB cost 6 MB instead of 59 MB, in less time.
//!
//! If a program uses a quarter of such a region, the daemon answers requests in full again for the next 8 faults at
//! other places, then for 16, and so on, because reading page by page takes the daemon about 50 us a page. Tensors of
//! known models, `prefetch=off` and mounts without root are not affected: there the kernel gets what it requests.
//! `ossmount_refused_read_arounds_total` counts these requests.
//!
//! # Models
//!
//! The header of a `*.safetensors` or `*.gguf` file contains the offsets of its tensors. The daemon parses the header
//! as soon as its bytes have arrived; the first read of such a file opens no window. From then on a read of the first
//! or the last page of a tensor fetches the complete tensor, in several GETs at once. Copying out of a mapping touches
//! the first page of a tensor, then its last one, and continues from either end; the kernel reads half of its
//! read-ahead before and behind each such page. A tensor counts as started when 2 MiB of it, or all of it, were read,
//! because less may be read-ahead. The order of the tensors that were started predicts the next ones, until a read
//! contradicts the prediction:
//!
//! | tensors started so far | prefetched |
//! |---|---|
//! | three at equal distances: every eighth as a rank of experts reads, the same one of each layer as adapters do, or backwards | the next three at that distance, one more tensor extends this to seven, and so on; nothing in between |
//! | three neighbours in order | a sixteenth of the bytes requested so far, and 64 MiB, so that loading half of the tensors does not fetch the other half |
//! | two neighbours | twice the bytes requested so far, in the order of the file |
//! | five or more in another order | the rest of the file in its order, after all requests that programs wait for: up to half of the bytes requested so far, twice as much with each further tensor, up to eight times; only for files smaller than half of `memory-limit` |
//!
//! A window ends at the end of the tensor that the program reads, until the program has continued from one tensor to
//! the next without a gap, as `cp` does. If tensors are shorter than 4 MiB on average, GETs end with a tensor and with
//! what the kernel was seen to read behind it, and otherwise on the next multiple of 1 MiB. Tensors shorter than 1 MiB
//! are not distinguished: one page fault reads their neighbours. If a program repeatedly stops in the middle of a
//! tensor, as a rank that reads a slice of each tensor does, the file is read like any other file.
//!
//! Programs that load models through mappings were recorded, and replayed at 20 ms to the first byte. Bytes fetched for
//! each byte that the kernel requests: every eighth of 96 tensors of 4 MiB 1.02, four of 48 tensors of 8 MiB 1.04,
//! adapters 1.02, the first half of a file 1.1. With a read-ahead of 1 MiB the kernel itself requests 1.5 times the
//! bytes of a tensor of 4 MiB that is loaded alone, and twice those of a tensor of 1 MiB.
//!
//! # Successors
//!
//! The daemon predicts the next files of a directory and prefetches them before a program opens them. It recognises
//! three orders, for each directory separately:
//!
//! | order | prefetched |
//! |---|---|
//! | of the listing: three neighbours were read | the next four files, two more with each further file, up to 64 ahead |
//! | of shards, as in `model-00003-of-00038.safetensors` | the next shard, then two, up to four ahead |
//! | of numbers in other names, as `part_9.parquet` before `part_10.parquet` | as in the order of the listing |
//!
//! - **Tolerance.** Skipped files, files read late and several workers that share a directory are accepted while at
//!   least half of the files passed are read, and nearly all of the first ones. Up to eight readers at different
//!   positions are distinguished. A jump ends a sequence. After sequences that ended early, a new one must read more
//!   files before it is used, up to 48.
//! - **When a file counts as read.** A small file counts with its first byte, a larger one when an eighth of it, and
//!   at least 1 MiB, was read: reading headers prefetches no further files. The next file is prefetched when at most
//!   64 MiB, or a quarter, of the present one are left.
//! - **Requests.** Only GETs are sent. Names come from listings that programs caused; no directory is listed for
//!   this. These GETs have the lowest priority and leave half of `max-connections` to open files.
//! - **Shards.** The next file is prefetched as far as the credit below allows; files behind it only while at most
//!   64 MiB of unopened files are prefetched. Files of a directory in which less than half of the last three files was
//!   read are not prefetched.
//! - **Cost of wrong predictions.** Prefetched files that were not opened use up to 32 MiB until one of them is
//!   opened. Each byte that is opened then adds two, and each byte that is not opened removes two, up to a quarter of
//!   `memory-limit` and at most 1 GiB. A file counts until it is opened or a minute has passed, even if it was
//!   evicted, so that wrong predictions fetch at most that much a minute.
//! - **Eviction.** Prefetched files are evicted like files that were read, the least recently used first, but not to
//!   prefetch others. A file that
//!   is opened and closed without a read loses its prefetched bytes. Predictions that are still queued are dropped
//!   after sixteen reads of other files.
//! - **Exceptions.** Objects of an archive class are not predicted, and no window is opened on them before a read has
//!   succeeded.
//!
//! At 20 ms to the first byte, 800 files of 128 KiB in the order of the listing take one thread 0.9 s instead of 18
//! s, and four threads 0.8 s instead of 4.5 s, whether the threads take every fourth file or batches of 32 in turn.
//! Reading a random quarter of them fetches 2 % more bytes than are read. 38 shards of 32 MiB take a third less time.
//!
//! `prefetched_bytes` counts the bytes of all prefetching, and `prefetched_unread_bytes` those that were evicted
//! unread.
//!
//! # Modes
//!
//! | `prefetch` | effect |
//! |---|---|
//! | `auto` | everything on this page |
//! | `open` | also fetches whole files from the moment they are opened, in the order of the opens, in up to three quarters of `memory-limit`; closing a file frees the bytes that were not read and cancels the rest |
//! | `off` | fetches only the bytes that programs ask for; reads of the same bytes still share a GET |
//!
//! # Recorded loads
//!
//! A program that loads a model or a data set usually reads the same bytes each time. `record=FILE` writes which
//! bytes of which objects are read, in the order in which they are first needed. `replay=FILE` makes a later mount
//! prefetch them in that order. Both options can name the same file: each mount then replays the last load and
//! records the present one, and the first mount has nothing to replay.
//!
//! ```text
//! ossmount mount oss://bucket/models /mnt/models -o record=/var/lib/ossmount/load,replay=/var/lib/ossmount/load
//! ```
//!
//! - **Contents.** Key, version, ETag, size and inode number of each object, and ranges of up to 8 MiB. The file has
//!   one JSON object a line and at most about 16 MiB; of a longer load the beginning is recorded. The daemon replaces
//!   the file atomically, every five seconds while there are new reads, and at the end. Objects without an ETag and
//!   objects of an archive class are not recorded. A file that the kernel reads by passthrough counts as read
//!   completely.
//! - **Start.** The replay starts when a program opens one of the recorded objects, not at the mount, which may be
//!   made long before. It needs no listing: objects are found by their inode numbers, and GETs carry the recorded
//!   ETag. An object that has changed, was removed or may not be read is skipped and counted in `replay_skipped`.
//! - **Window.** The replay prefetches 64 MiB ahead, and one byte more for each byte that the program used, up to 256
//!   MiB and a quarter of `memory-limit`. Its GETs come after those of windows and leave half of `max-connections` to
//!   others until 64 MiB were used. Reads that the recording contains, and a few next to them, open no window and
//!   predict no other files. The prefetched bytes of a file stay in memory when it is closed and opened again.
//! - **Deviations.** A range that is read before its turn is fetched immediately, and if it is far from the present
//!   position, the replay continues from there. The bytes that were prefetched and not read never exceed the window,
//!   64 MiB and an eighth of the bytes read; then the replay waits. It ends when the program has read 64 MiB, plus
//!   half of what the replay served, without its help. It starts again when a load is nearly finished and the program
//!   opens a file again that it has read.
//!
//! A file that is not a recording, or the recording of another bucket, is an error at the mount.
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
//! `memory-limit` bounds the read buffers of the daemon, over all files. A read that a program waits for is never
//! refused: if nothing can be evicted, its bytes are fetched beyond the limit, but only as many as the program asked
//! for. When memory is short, prefetching is refused in this order: whole files at open, first windows, windows.
//!
//! Bytes stay in memory after the last close until the memory is needed: a file that was read and fits is read again
//! without a request. Bytes that no program has read are evicted first, then the least recently used ones. Bytes
//! prefetched for a stream that has been quiet for a second are evicted if the window of an active stream needs the
//! room.
//!
//! A stream also survives the close of its file. A program that opens a file, reads 100 KB and closes it, again and
//! again and in order, forms one stream: the first close cancels what was in flight, but when a later open continues
//! where an earlier one stopped, the window stays while the file is closed. Bytes that are read a second time do not
//! enlarge a window. An object without an ETag in the listing does not stay in memory after its last close, because
//! another version could not be told from it.
//!
//! # Passthrough
//!
//! If the daemon runs as root, it stores objects of 16 MiB up to half of `memory-limit` in files on a tmpfs that is
//! mounted nowhere, in huge pages. When an object is there completely and its checksum matches, the next open is passed
//! through to that file: the kernel reads and maps it at the speed of memory, without the daemon. A file is not evicted
//! while it is open in this way, or still mapped after it was closed. At most three quarters of `memory-limit` are used
//! for such files. A file that is open in the ordinary way is not passed through before it is closed. If the kernel or
//! the privileges of the daemon do not allow passthrough, and with `passthrough=off`, repeated reads come from the
//! memory of the daemon or from the page cache, also without a request.
//!
//! # The bridge
//!
//! Model loaders map their files, and through FUSE alone a mapped file costs a page fault for each 64 KiB and pages of
//! 4 KiB. With `bridge=auto` or `on` the kernel reads files from `bridge-min` up through a second file system: the
//! daemon serves an EROFS image on a mount that no program sees, the kernel mounts EROFS on it, and an open is passed
//! through to the inode of that object in the image. The image exists only as answers to the kernel's reads: a read of
//! it is a read of the object, with the same prefetching, budget, retries and checks as any other. The page cache of
//! EROFS holds large pages and is filled with requests as long as the read-ahead.
//!
//! | | |
//! |---|---|
//! | needs | root (CAP_SYS_ADMIN), EROFS on files in the kernel, Linux 6.12.90, 6.18.30, or 7.0 or later, and a trial at start, in which answers that fail or are too short must become errors |
//! | programs seen to read in large pieces | their reads go to the daemon as with direct I/O, and only their mappings through the bridge |
//! | a file that is completely in memory when it is opened | is passed through to that memory instead |
//! | `O_DIRECT` | EINVAL while a file is open or mapped through the bridge, because EROFS has no direct reads of files; opened first, it is read as without the bridge |
//! | an error | EIO for `read`, SIGBUS for a mapping; never zeros. A daemon that dies is such an error |
//! | an object that changed | reads through old handles fail with EIO, and a new open sees the new version |
//! | a wrong checksum | pages that no program maps are dropped at once. While the file is still open, further opens fail with EIO; after its last close an open fetches it again |
//! | memory | pages belong to the kernel, which evicts them when memory is wanted, and are charged to the reader's cgroup. The daemon evicts first what the page cache holds, so that `memory-limit` is not spent twice |
//! | restarts (`supervise`, systemd with handover) | exclude the bridge: mappings could not outlive the daemon. `auto` leaves it off and says so in the log, `on` is an error |
//!
//! `posix_fadvise` and `readahead` act on the visible file and have no effect on pages of the bridge; `madvise` does.
//! The bridge is off by default.
//!
//! # Consistency
//!
//! Every GET carries the ETag with which the file was opened, or that of the first answer if the listing had none. If
//! the object turns out to be another version, because the service says so or because the size or ETag of an answer
//! differ, this read and all later ones on the open handles fail with ESTALE. The next open sees the new version.
//!
//! Gateways and stores that encrypt can have several ETags for one version: one in listings and another one in
//! answers, or another one for a part than for the whole. Before a differing ETag counts as a change, the daemon
//! therefore sends a HEAD, and if that returns a third ETag or is refused, it lists the key. If the object is the same,
//! the mount remembers that the store does this (one line in the log, `metrics.several_tags` in `status`): its GETs no
//! longer carry `If-Match`, and size and time are compared with those in the listing, ETags with those of earlier
//! answers for the object. If answers have no ETag, size and Last-Modified are compared.
//!
//! If a store sends another ETag with every answer, a second HEAD in a row shows it, and the mount remembers it. Size
//! and Last-Modified are compared then, which tells versions apart as soon as the object is a minute old. For a younger
//! object the ETag in the listing decides, if the store keeps that one; otherwise a read that needs a second GET fails
//! with EIO, and the log says why, and opens that ask the store (`metadata-ttl=0`, `O_DIRECT`) fail with ESTALE.
//!
//! A missing header is tolerated if the answer is unambiguous without it:
//!
//! | the answer has | accepted if |
//! |---|---|
//! | no Content-Length (chunked, or up to the end of the connection) | it ends at the size in the listing |
//! | no Content-Range, one with `/*`, or status 200 for a part | its length, and its ETag or time, match the request |
//! | more bytes than the range requested, such as all of the object | it contains the range |
//! | a header that is not valid HTTP | it is neither Content-Length nor Transfer-Encoding; the log names it |
//!
//! In all other cases the read fails with EIO, and the log names the header.
//!
//! If a server ignores the Range header, the bytes before the range are received and dropped, and the connection is
//! closed behind it. Such an answer is requested once more before it is used; then the log says it once, and `status`
//! shows it (`metrics.ranges_ignored`). Reads far into large objects are slow on such a server.
//!
//! # Checksums
//!
//! With `verify=crc64` the daemon computes the checksum of each GET while it copies the bytes. When all bytes of an
//! object have arrived, in any order, it combines the checksums and compares the result with the CRC-64 that OSS
//! stores (S3 stores none). The last bytes are returned only after the comparison, so that a program cannot read a
//! corrupt object to its end.
//!
//! - **Mismatch.** An object of up to 1 MiB is returned only after it was checked; after a mismatch it is fetched
//!   again before a program sees it. For a larger object all reads on the open handles fail with EIO, and the next
//!   open fetches it again.
//! - **Caches.** After a mismatch the bytes are dropped from the memory of the daemon and from the page cache, which
//!   includes mappings. No open that begins after the first EIO sees a wrong byte: until the kernel has dropped its
//!   pages, each open makes it drop them. A pinned file is fetched again and stays pinned.
//! - **Pieces.** Bytes that are fetched again after an eviction are compared with the earlier ones. A file that is
//!   read in pieces, by several opens, is checked when the last piece arrives. A file is passed through to the kernel
//!   only if its bytes in memory match the checksum.
//! - **Search.** After a mismatch the object is fetched once more in the background, in requests with other bounds.
//!   The log names the ranges that differ, and `wrong_ranges` counts them. If none differ, the stored object does not
//!   match its checksum. The search is made for objects of up to 64 GiB and at most once a minute.
//!
//! # Errors
//!
//! A GET that fails is retried, and a body that breaks is resumed, until the retry budget of 60 s is spent. The
//! failure of a prefetch is not an error: it is dropped, or, if a read has started to wait for it, tried once more
//! from the byte at which it failed. Errors that programs see are not cached: the next read tries again.
//!
//! If the service throttles, the number of requests at once is halved once for each round of requests that were
//! throttled, and raised by one for each round that was answered, up to `max-connections`.
//!
//! If the first byte of a GET that a program waits for takes more than twice as long as 95 of 100 of the last 256
//! GETs, and at least 50 ms, the request is sent a second time and the first answer is used. At most one GET in fifty
//! is, so that a slow service is not asked for more. Pages of listings and HEADs are sent again in the same way,
//! after at least a second. `hedges` and `hedges_won` count such requests.
