//! Defaults: the reason for each default value, to judge whether it fits a machine or a load.
//!
//! | option | default | reason |
//! |---|---|---|
//! | `max-connections` | 64 | One connection delivers about 100 MB/s, and 32 fill the network of a machine with two cores. The rest is for listings and look-ups, which should not wait for parts. |
//! | `prefetch-threshold` | 128 KiB | The kernel's first read of a sequential reader has this size; headers are shorter. |
//! | `prefetch-parts` | auto | Windows grow with the bytes read, and readers take turns on the connections. A number helps with services that throttle. |
//! | `part-size` | 8 MiB | With 20 ms to the first byte and 100 MB/s a connection, a request waits for a fifth of its time, and a file of a few hundred megabytes still uses many connections. |
//! | `metadata-ttl`, `negative-ttl` | 60 s, 5 s | Training data and models are written once. Missing names that are looked up again have a shorter TTL, because scripts wait for files to appear. |
//! | `listing` | auto | A program that opens two directories causes at most 32 unneeded pages. A walk over a million small directories takes a thousand pages instead of a million. |
//! | `list-concurrency` | 64 | With 50 ms a page, more than a million keys a second. |
//! | `metadata-memory` | an eighth of the machine's memory or of the cgroup's limit, at least 256 MiB where there is room | Holds two million files at 256 MiB. The kernel's own entries take several times as much and are evicted first. |
//! | `verify` | crc64 | The comparison costs little compared with receiving the bytes. |
//! | `file-mode`, `dir-mode` | 0444, 0555 | Files cannot be written, and other modes would mislead programs. Owner and group are those of the user who mounts. Use `file-mode=0555` for programs. |
//! | `odd-keys` | hide | Keys that cannot be file names are rare and mostly mistakes. They are counted, and logged once. |
//!
//! # Time limits
//!
//! The first request of a mount has about 15 s to succeed, and is given up after 6 s of failures. All later requests
//! are retried for a minute. A user who waits for a mount can react to a message; a program that reads a file cannot
//! react to EIO.
//!
//! # Memory
//!
//! `memory-limit` is a quarter of the machine's memory, or of the cgroup's limit if that is smaller, and at least 64
//! MiB where there is room. The other three quarters are for the page cache, the programs and their copies of the data;
//! in a container the page cache counts against the same limit. The limits for reading and for names and a reserve (an
//! eighth and 16 MiB, for the program, connections, pages in flight and allocators) together fit the limit of the
//! cgroup:
//!
//! | limit of the cgroup | reading | names | reserve |
//! |---|---|---|---|
//! | 200 MiB | 64 MiB | 71 MiB | 41 MiB |
//! | 64 MiB | 20 MiB | 15 MiB | 24 MiB |
//!
//! A value that is set explicitly leaves less for the other. `status` prints the shares. Both versions of cgroups are
//! supported. All levels from the group of the process to the root are considered, because the smallest limit applies.
//!
//! The daemon checks the free memory of the machine and below each limit, and the time that programs were stalled for
//! lack of memory (pressure). It checks when the kernel reports pressure or a reached limit, and while it holds more
//! than 32 MiB often enough to notice a program that allocates a twentieth of a limit each second. If less than a
//! twentieth (at most 1 GiB) is free, or programs are stalled for a tenth of the time while less than three quarters
//! are free, the daemon halves what it holds, down to 32 MiB. After ten seconds without pressure that grows back within
//! half a minute. No read fails for it. Memory of the process beyond the accounted amount (by more than a twentieth and
//! 32 MiB) is returned to the system.
//!
//! # Direct I/O
//!
//! `direct-io` is auto. Direct I/O costs a third of the CPU time of filling the page cache (0.12 and 0.37 s per GB),
//! which pays off for large files. Small files and small reads gain from the page cache: reads of 4 KiB reach 0.23 GB/s
//! with direct I/O and 3.1 GB/s with the page cache.
//!
//! How a program reads is known only after it has opened a file. Therefore the first large file of a program is read
//! through the page cache:
//!
//! | reader, on two cores shared with other programs | page cache | direct I/O |
//! |---|---|---|
//! | pieces of 1 MiB, 1 GiB | 1.4 s | 1.0 s |
//! | pieces of 4 KiB, 256 MiB | 0.5 s | 3.5 s |
//!
//! The kernel's counters of the program's calls (`/proc/PID/io`) show the size of its reads; from 64 KiB on its next
//! opens use direct I/O. If the daemon cannot read the counters (processes of other users without `CAP_SYS_PTRACE`, as
//! under the systemd unit, or another PID namespace), large files use direct I/O from the start.
//!
//! Direct I/O leaves the bytes in no memory but the daemon's. Programs that read whole files so that the page cache
//! holds them, and map them then (`prefetch` of vLLM, `cat model/* > /dev/null`), would fetch a model twice that is
//! larger than `memory-limit`; and a mapping that is made through direct I/O makes the kernel drop the pages that it
//! has. Whatever is known of the program, the daemon therefore opens a large file through the page cache in these
//! cases, of which the last three require that the free memory of the machine can hold it:
//!
//! | | the page cache is used |
//! |---|---|
//! | the file is open through the page cache, three quarters of it are there, or a mapping has used it | at once |
//! | it was read with direct I/O, and the daemon's memory has lost it when it is opened again | from then on, also for the next 16 files of the program that had read it |
//! | the program has mapped files that were opened with direct I/O | for its next 16 files, and for 32 if that shows again |
//! | the program has another large file open, and opens a `safetensors` or `gguf` file of a model that `memory-limit` cannot hold and the free memory can; `-of-00038` in the name tells how large that is | at once |
//!
//! Six shards, 805 MB in all, read by eight threads and then mapped, with `memory-limit=256MiB`: 808 MB are fetched by
//! a program that was not seen before, and nothing the second time. If the program is known for large reads, its first
//! file uses direct I/O, and is fetched twice. Programs that copy such a model with many threads pay 40 % more CPU
//! time.
