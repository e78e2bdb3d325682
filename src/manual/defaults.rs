//! Defaults: the reason for each default value, to judge whether it fits a machine or a load.
//!
//! `memory-limit`: a quarter of the machine, or of the cgroup's limit if that is smaller, and at least 64 MiB where
//! there is room. The page cache, the programs that read and their own copies of what they read want the other three;
//! in a container the page cache counts against the same limit. Together with names and a reserve (an eighth and 16
//! MiB: the program, its connections, pages of listings on their way, what allocators keep) it fits what the cgroup
//! allows: at 200 MiB that is 64 MiB for reading, 71 for names and 41 for the rest, at 64 MiB it is 20, 15 and 24. What
//! is set by hand leaves less to the other. `status` shows the parts. Version 1 and 2 of cgroups are understood, and
//! every level from the process's own group up to the root, for the tightest one is what kills.
//!
//! The daemon looks how much is left below each of these limits and of the machine, and how long programs stood still
//! for lack of memory: when the kernel says that some did, or that a cgroup has reached its limit; and while it holds
//! more than 32 MiB, often enough to see a neighbour that takes a twentieth of a limit each second. Less than a
//! twentieth (at most 1 GiB), or a tenth of the time (unless three quarters are free), halves what it holds, down to 32
//! MiB; after ten seconds of calm that grows back within half a minute. No read fails for it. What the process takes
//! beyond what is accounted for (by more than a twentieth and 32 MiB) is given back to the system.
//!
//! `max-connections`: 64. One connection to the service carries some 100 MB/s; 32 fill the network of a machine with
//! two cores, the rest is room for listings and look-ups that should not wait behind parts.
//!
//! `prefetch-threshold`: 128 KiB. The kernel's first read of a file that is read in order is that long; a header is
//! shorter. `prefetch-parts`: auto. Windows grow with what was read, and share the connections by turns; a number is
//! for buckets that throttle. `max-bandwidth`: none.
//!
//! `part-size`: 8 MiB. With 20 ms to the first byte and 100 MB/s a connection, a request spends a fifth of its time
//! waiting, and a file of some hundred megabytes still splits over many connections.
//!
//! `metadata-ttl`: 60 s, `negative-ttl`: 5 s. Training data and models are written once. The absence of a name that a
//! program looks for again is believed for a shorter time, because waiting for a file to appear is a habit of scripts.
//!
//! `listing`: auto. A program that looks into two directories pays for what lies ahead, at most 32 pages; one that
//! walks a million small directories pays for a thousand pages instead of a million.
//!
//! `list-concurrency`: 64, as `max-connections`. With 50 ms a page that is more than a million keys a second.
//!
//! `metadata-memory`: an eighth of the machine, or of the cgroup's limit, and at least 256 MiB where there is room,
//! which holds some two million files. The kernel's own memory of a name takes several times as much and is given up
//! first.
//!
//! `direct-io`: auto. Reads past the page cache cost a third of the CPU time of filling it (0.12 against 0.37 s per
//! GB), which pays for big files; small files and small reads gain from the page cache: reads of 4 KiB go at 0.23 GB/s
//! past it and at 3.1 through it. How a program reads shows only once its file is open. So the first big file of a
//! program goes through the page cache: where two cores are shared with everything else, a reader in pieces of 1 MiB
//! takes up to half as much time again for it (1.4 instead of 1.0 s for a GiB), but a reader in pieces of 4 KiB takes
//! seven times as long past it (3.5 instead of 0.5 s for 256 MiB). What the kernel counts of the program's calls
//! (`/proc/PID/io`) tells how it reads; if in pieces of 64 KiB and more, its next opens go past the page cache. Where
//! the daemon may not see that (another user's processes without `CAP_SYS_PTRACE`, as under the unit for systemd; a
//! process name space of its own), big files are read past the page cache at first.
//!
//! `verify`: crc64. Comparing costs little beside receiving, and only whole objects can be compared.
//!
//! `file-mode`, `dir-mode`: 0444 and 0555. Nothing can be written, and a mode that says otherwise misleads programs;
//! owner and group are those of the user who mounts. Execution is a matter of `file-mode=0555`.
//!
//! `odd-keys`: hide. Keys that make no safe path are rare and mostly mistakes; what is left out is counted, and named
//! once in the log.
//!
//! The first request at the start has about 15 s to succeed, and gives up after some 6 s of failures; every later one
//! is retried for a minute. A user who waits for a mount can act on a sentence; a program that reads a file cannot act
//! on EIO.
