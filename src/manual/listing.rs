//! Listing: how fast names arrive, how many requests that takes, and what to expect of unusual servers and very large
//! directories.
//!
//! # FastList
//!
//! A service returns keys in byte order, up to 1000 a page. Sequentially, at 50 ms a page, a million keys take 50 s.
//! However, a listing can start after any text. FastList therefore cuts the span of keys into segments and lists them
//! in parallel, with at most `list-concurrency` (64) requests in flight. A worker that finishes early takes over half
//! of the longest segment.
//!
//! The places of the cuts are estimated, because the keys are not known: from the characters seen so far, from the part
//! of that space that the last page covered, and from the names at the top, which two or three requests with a
//! delimiter show. A cut in the wrong place costs an empty page, or half a page that two segments both receive.
//!
//! | listing | requests |
//! |---|---|
//! | a directory of up to 1000 names | 1 |
//! | a directory of a few thousand names | its pages and 2 or 3 more |
//! | 100 pages | at most about 160 |
//! | 1000 pages | at most about 1200 |
//!
//! Each key belongs to exactly one segment, so that no key is lost or repeated. Keys that are put or deleted during a
//! listing may appear or not.
//!
//! # Servers that keep no order
//!
//! FastList needs keys in byte order, each key once, and listings that start after a given key. OSS, S3 and most other
//! services guarantee that; S3 directory buckets, gateways to file systems and some emulators do not. Every page, and
//! every place where two segments meet, is checked. A server that breaks a rule is listed in a slower way from then on,
//! for all prefixes of the mount. The log says so once, and `status` shows it (`listing.server`, `listing.finding`):
//!
//! | finding | meaning | consequence |
//! |---|---|---|
//! | `no-start-after` | the server ignores or refuses `start-after` | listings are sequential |
//! | `no-order` | keys arrive in another order, or again on later pages | listings are sequential, names are shown only when a listing is complete, and nothing is listed ahead of a walk. One listing holds at most half of `metadata-memory`; a larger directory is an error |
//!
//! Running listings start again at that moment, and names that earlier pages seemed to exclude are unknown again.
//! Directories that are being read get the missing names after those already returned.
//!
//! Empty pages that are not the last are requested more and more slowly; 1000 in a row end the listing with an error. A
//! listing that no program waits for ends after a few of them.
//!
//! # In a mount
//!
//! - **Age.** The age of a page is that of its request, and the age of a directory that of its oldest page; the TTL
//!   runs from there. A page never replaces what a later request has returned, for a directory or for one name in it.
//! - **Arrival.** Pages are applied to the tree as they arrive, in any order. A page settles its span of keys: which
//!   names exist and which do not. A look-up waits for the page with its name, or for a request for that name alone,
//!   whichever is first. A program that reads a directory gets names as pages arrive.
//! - **`listing=auto`** lists nothing at the start. When a program opens a second directory beside one that it has
//!   read, everything behind is listed, and the more of it the program has read, the further ahead. `find`, `du` and
//!   `os.walk` over a thousand directories take a few requests more than the number of pages, not one for each
//!   directory. Where directories fill pages by themselves, their names, which the walk has read, tell where to send
//!   requests, and a walk that has caught up with them waits for two pages' time before it lists a directory itself. A
//!   wrong guess costs about 30 pages, of directories of full pages up to 80, and delays the next one.
//! - **`listing=eager`** lists everything at mount, in the background, and again when it expires and was used.
//!   **`listing=lazy`** lists only directories that are used.
//! - **Renewal.** Directories in use are listed again before `metadata-ttl` ends, with at most a quarter of the
//!   requests, so that a program that opens files now and then does not wait. The kernel is notified of changes and
//!   keeps all other inode numbers, attributes and pages.
//! - **Memory.** A name takes about 100 bytes beside its text; `metadata-memory` bounds all names. Beyond it the least
//!   recently used directories are evicted and listed again when they are needed. Entries that the kernel refers to
//!   stay; the kernel is asked to evict files that are not open, and gets further names without attributes, so that `ls
//!   -l` and `find -size` look each of them up. Until then look-ups request single names instead of listings that could
//!   not be kept. A directory is not evicted while a look-up in it waits.
//!
//! # Directories larger than memory
//!
//! A directory is too large for memory if it alone takes more than half of `metadata-memory` (at 128 bytes a name,
//! 262,144 names for 64 MiB), or if it does not fit beside the directories in use. Its names are not kept. The log has
//! one warning for each such directory; `status` counts them (`tree.large-directories`) and recommends a larger
//! `metadata-memory`.
//!
//! - **Reading.** The listing stops at the limit. A program that was reading the directory gets the listed names first
//!   and then the remaining keys, page by page, in the order of the keys. A program that opens the directory later
//!   reads all of it page by page. A name that exists throughout is returned exactly once. All such programs together
//!   send at most 16 requests at once, and at most eight of them read ahead.
//! - **Look-ups.** A look-up sends a HEAD for the name and a listing of what lies below it, both at once. For a symlink
//!   object, or if HEAD is refused, it lists this one name. The answer is cached for the usual TTL. The name of a part
//!   directory (`odd-keys=escape`, names over 255 bytes) can be found only by a complete listing: its look-up fails
//!   with ENOMEM.
//! - **Seeking.** `rewinddir` starts again. `seekdir` returns to a position that was read page by page; if names were
//!   put or deleted before it in the meantime, it is off by as many names. For an earlier position, all names are
//!   returned again from the first one on.
//! - **Restarts.** A restarted daemon does not continue such a listing: the program gets an error and has to open the
//!   directory again.
//! - **Shrinking.** When a program has read the complete directory and it fits, its names are kept again.
//! - **Servers.** A server that ignores `start-after` (`no-start-after`) is read in the same way, sequentially. For a
//!   server without an order (`no-order`) this is not possible: such a directory fails with EIO, and the log has the
//!   reason.
//! - **Refresh.** `refresh` of such a directory drops what is cached of it. A recursive `refresh` of more names than
//!   fit fails.
//!
//! The daemon needs this memory for names in addition to `metadata-memory`:
//!
//! | for | memory |
//! |---|---|
//! | pages in flight of a listing | four pages of 200 KB for each of `list-concurrency` requests |
//! | pages in flight of directories that are read page by page | 64 pages, 13 MB |
//! | an open directory that is read page by page | one page, and the positions of 4096 others, at most 1 MiB |
//!
//! In a trial with `metadata-memory=64MiB` (debug build, busy machine) the daemon took 17 MiB before, and 55 MiB after
//! listing one directory, of 500,000 and of 1,000,000 names alike.
//!
//! # `ossmount ls`
//!
//! `ossmount ls -r URL` uses FastList and prints pages as they arrive. `--sort` prints in the order of the keys, with a
//! look-ahead of at most 256 pages. The memory, 20 to 60 MB, does not grow with the number of keys.
