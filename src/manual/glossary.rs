//! Glossary: the words that the manual, the messages and the code use, each for one thing.
//!
//! # The store
//!
//! | word | meaning |
//! |---|---|
//! | service, store | The server that is asked: OSS, S3, or one that speaks either protocol; in the code, what implements the trait [`Store`](crate::store::Store). |
//! | dialect | The protocol that a service speaks, OSS or S3: headers, parameters, signatures and error codes. |
//! | endpoint | The host, scheme and port at which the service answers. |
//! | bucket | A named set of objects of one account; a mount shows one bucket or the part of it below a prefix. |
//! | key | The full name of an object in its bucket: UTF-8 text in which `/` separates components. |
//! | component | What lies between two `/` of a key, or behind the last one; most components are file names as they are. |
//! | prefix | Text with which keys begin; one that ends in `/` is shown as a directory. |
//! | common prefix | One entry of a listing with a delimiter, which stands for all keys up to their next `/`. |
//! | object | Bytes under a key, with size, time, entity tag, storage class and further metadata. |
//! | marker | An object whose key ends in `/`; it makes a directory exist that holds nothing else. |
//! | entity tag, ETag | The service's identifier of one version of an object's bytes; every read is pinned to it (`If-Match`). |
//! | part | A range of a file that one GET request fetches, up to `part-size`; in copies, a range that one UploadPartCopy request writes. |
//! | page | One answer of a listing, with up to 1000 keys and common prefixes. |
//! | continuation token | The place at which a service resumes a listing with the next page. |
//! | layer | A [`Store`](crate::store::Store) around another one that adds retries, limits, time-outs or figures. |
//! | retry budget | The time, 60 s, within which a failed request is repeated before its error is reported. |
//! | hedge | A second, identical request that is sent when the first one takes much longer than usual; the first answer wins. |
//!
//! # The file system
//!
//! | word | meaning |
//! |---|---|
//! | mount | A bucket or prefix that is visible in a directory, and the connection to the kernel that serves it. |
//! | daemon | The process that serves a mount. |
//! | inode | A file or directory as the kernel identifies it, by a number that is computed from bucket, key and entity tag. |
//! | entry | A name in a directory, with the inode that it leads to. |
//! | handle | An open file or directory, from `open` to `release`. |
//! | tree | All entries that the daemon knows, with their attributes and ages. |
//! | TTL | How long names and attributes are used without asking the service again: `metadata-ttl`, and `negative-ttl` for missing names. |
//! | fresh, stale | Younger than the TTL; known to be out of date, so that the next use asks the service. |
//! | segment | A span of keys that one worker of a listing fetches page by page. |
//! | round | What the pages of running listings have shown of one directory so far; a complete round makes the directory known. |
//! | walk | A program that reads one directory after another, as `find` does; the directories ahead of it are listed early. |
//! | ledger | A file in memory that records open files and known directories, so that the next daemon can continue the mount. |
//!
//! # Reading
//!
//! | word | meaning |
//! |---|---|
//! | stream | A sequence of reads at increasing offsets of one file, recognised from the reads themselves; one file can have several. |
//! | window | The bytes that are fetched ahead of a stream; it grows while the stream continues. |
//! | prefetch | To fetch bytes before a program asks for them: windows, whole files, the next files, recorded loads. |
//! | read-ahead | The kernel's own prefetching into its page cache. |
//! | in flight | Sent and not yet answered. |
//! | demand | A request that a program waits for; it goes before everything that is prefetched. |
//! | block | A piece of memory that receives the bytes of a part and stays with them. |
//! | memory limit | The bound (`memory-limit`) on blocks in use, shared by all files of the daemon. |
//! | evict | To give up bytes or names that no program uses, in favour of others. |
//! | pin | To keep a file in memory until it is dropped, whatever else is read. |
//! | backing file | The file on a tmpfs that holds a whole object and that the kernel can read directly. |
//! | passthrough | Reads that the kernel answers from a backing file, without the daemon (Linux 6.9). |
//! | bridge | An EROFS image that the daemon serves and from which the kernel reads large files by passthrough. |
//! | direct I/O | Reads that bypass the page cache and go straight into the program's buffer. |
//! | page cache | The kernel's cache of file contents. |
//! | job | A copy or a prefetch that was requested through a control request, with a number and a state. |
