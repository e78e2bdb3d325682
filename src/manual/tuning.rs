//! Tuning: what each option gains or costs compared with its default, measured, and when to change it.
//!
//! Most mounts need no tuning: windows, connections, caches and listings adapt to what programs do.
//!
//! # How it was measured
//!
//! Each figure compares mounts with the default and with the option, in turn and three times each, by their medians:
//! 1.00 is as fast as the default, 2.00 takes twice the time. The server runs on the same machine and imitates a
//! network of 200 MB/s:
//!
//! ```text
//! ossmount emulator --public-read --ttfb 20ms --page-time 50ms --conn-bandwidth 25MB --total-bandwidth 200MB \
//!     --generate large=shards:1:256MiB --generate models=models:8:32MiB --generate small=flat:800:128KiB \
//!     --generate flat=flat:100000:1KiB
//! ```
//!
//! The network is the bottleneck, so that ratios apply to other machines too, and savings of CPU time do not show as
//! time. Other programs ran at the same time: ratios within a tenth of 1 are not significant. To measure an option on
//! another machine, run the benchmark twice, the second time with the option as a variable:
//!
//! ```text
//! cargo bench --bench mount -- --bandwidth 600MB seq-1g
//! OSSMOUNT_PART_SIZE=1MiB cargo bench --bench mount -- --bandwidth 600MB seq-1g
//! ```
//!
//! # Memory
//!
//! | | 256 MiB in order | by four threads | again after closing it | peak memory |
//! |---|---|---|---|---|
//! | `memory-limit=64MiB` | 1.02 | 0.86 | 35, all fetched again | 75 MB instead of 267 |
//!
//! 64 MiB are enough to keep this network busy; on a faster one, bandwidth times the time of a request must fit several
//! times: some 50 MB for 10 Gbit/s and 20 ms, and room for them to arrive in any order. What a larger limit buys beyond
//! that is second reads. Lower it where programs need the memory themselves; what is given up under pressure anyway is
//! written down in [`defaults`](super::defaults).
//!
//! # Connections
//!
//! | | 256 MiB in order | 800 files of 128 KiB, 16 threads |
//! |---|---|---|
//! | `max-connections=4` | 2.64 | 3.72 |
//! | `max-connections=256` | 0.96 | |
//! | `prefetch-parts=2` | 2.61 | |
//!
//! Each connection brought 25 MB/s of 200 here: eight fill the network, and four cannot. More than the default is
//! wanted where a connection brings less than a 64th of the network, for instance across the world; fewer where the
//! service throttles one (it is noticed, and requests become fewer by themselves). `prefetch-parts` limits one reader
//! and leaves the connections to others.
//!
//! # Parts
//!
//! | | 256 MiB in order | requests |
//! |---|---|---|
//! | `part-size=1MiB` | 0.92 | 257 instead of 99 |
//! | `part-size=64MiB` | 1.04 | 99 |
//!
//! Requests grow with what is read in order, up to this size. Smaller ones cost more requests, which are paid for one
//! by one, and bring the first bytes no later.
//!
//! # Reading ahead
//!
//! | | | |
//! |---|---|---|
//! | `prefetch=off` | the first 32 MiB of a large file | 1.71, and 34 MB fetched instead of 238 |
//! | `prefetch=off` | 300 files of 128 KiB in order | 11.6 |
//! | `prefetch=open` | eight shards of 32 MiB opened, then read | 0.78, and 33 requests instead of 137 |
//! | `prefetch-threshold=16MiB` | 256 MiB in order | 1.49 |
//!
//! `off` suits programs that look into many files and read little of each, and networks that are paid for by the byte:
//! nothing is fetched that was not asked for. `open` suits loaders that open all that they will read, in the order in
//! which they read it. A larger threshold is a middle way: headers are read without consequence, whole files a little
//! later. A load that is always the same is better served by `record` and `replay` ([`reading`](super::reading)).
//!
//! # What is kept
//!
//! | | 256 MiB again after closing it |
//! |---|---|
//! | `memory-cache=off` | 20, all fetched again |
//! | `memory-cache=off,direct-io=off` | 3.0, from the page cache |
//! | `passthrough=off` | 1.0, from the daemon: 0.6 instead of 0.25 s of its processor time for both reads |
//!
//! By default what was read stays with the daemon while there is memory, and the kernel reads it there by itself. With
//! `memory-cache=off` a file that no program has open is forgotten; `direct-io=off` then leaves second reads to the
//! page cache, which the kernel shares out among all programs. Filling it costs more processor time at the first read
//! ([`defaults`](super::defaults) has the figures).
//!
//! # The page cache
//!
//! | | 256 MiB in order, cold |
//! |---|---|
//! | `direct-io=on` | 0.97 |
//! | `direct-io=off` | 1.00 |
//!
//! A network as thin as this one is what limits either way. [`defaults`](super::defaults) has what they cost in
//! processor time.
//!
//! # Listing
//!
//! | | names of 100,000 objects in one directory | requests |
//! |---|---|---|
//! | `list-concurrency=8` | 1.12 | 116 instead of 129 |
//! | `list-concurrency=1` | 1.90 | 100 |
//!
//! On this machine client and server shared two busy processors, which hides most of what many requests gain: alone,
//! 100,000 names take 0.7 s and a hundred pages one after the other 5. `list-concurrency=1` is for services that charge
//! for listings, or that do not list in byte order. `listing=eager` is for programs that will look everywhere, `lazy`
//! for buckets of which little is ever looked at.
//!
//! # Freshness
//!
//! | | 100 files of 128 KiB read again |
//! |---|---|
//! | `metadata-ttl=0` | 130, a request for each: 2.3 s instead of 0.02 |
//!
//! `metadata-ttl=indefinite` makes every open and look-up free, for data that does not change while it is mounted; `0`
//! asks the service at every open, which costs a round trip each. `negative-ttl` matters to programs that look for
//! files in vain.
//!
//! # Bandwidth
//!
//! `max-bandwidth` is kept to, by all requests together; what a program waits for goes first. It is for machines that
//! serve something else over the same network, and it can be changed while mounted:
//! `ossmount control DIR '{"op":"set","max-bandwidth":"500MiB"}'`.
//!
//! # Checksums
//!
//! | | 256 MiB in order, cold |
//! |---|---|
//! | `verify=off` | 1.00 |
//!
//! `verify=off` saves little ([`defaults`](super::defaults)), and gives up that a garbled object is noticed.
