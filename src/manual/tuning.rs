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
//! 64 MiB are enough for this network. A faster network needs several times its bandwidth multiplied by the time of a
//! request: for 10 Gbit/s and 20 ms that product is about 25 MB. A larger limit speeds up only repeated reads. Lower
//! the limit if programs need the memory; [`defaults`](super::defaults) says what is evicted under memory pressure in
//! any case.
//!
//! # Connections
//!
//! | | 256 MiB in order | 800 files of 128 KiB, 16 threads |
//! |---|---|---|
//! | `max-connections=4` | 2.64 | 3.72 |
//! | `max-connections=256` | 0.96 | |
//! | `prefetch-parts=2` | 2.61 | |
//!
//! Each connection delivers 25 of 200 MB/s here: eight fill the network, four do not. Raise the number if a connection
//! delivers less than a 64th of the bandwidth, for example over long distances. Lower it if the service throttles;
//! ossmount also reduces the requests in flight by itself then. `prefetch-parts` limits one reader and leaves the
//! connections to others.
//!
//! # Parts
//!
//! | | 256 MiB in order | requests |
//! |---|---|---|
//! | `part-size=1MiB` | 0.92 | 257 instead of 99 |
//! | `part-size=64MiB` | 1.04 | 99 |
//!
//! Requests grow with the bytes read in sequence, up to this size. Smaller parts need more requests, each of which is
//! charged, and do not delay the first bytes.
//!
//! # Prefetching
//!
//! | | | |
//! |---|---|---|
//! | `prefetch=off` | the first 32 MiB of a large file | 1.71, and 34 MB fetched instead of 238 |
//! | `prefetch=off` | 300 files of 128 KiB in order | 11.6 |
//! | `prefetch=open` | eight shards of 32 MiB opened, then read | 0.78, and 33 requests instead of 137 |
//! | `prefetch-threshold=16MiB` | 256 MiB in order | 1.49 |
//!
//! | value | suits |
//! |---|---|
//! | `prefetch=off` | programs that read little of many files, and networks with traffic fees: nothing is fetched in advance |
//! | `prefetch=open` | loaders that open all files first and read them in the same order |
//! | a larger `prefetch-threshold` | programs that read headers of many files and only some files completely |
//! | `record` and `replay` | loads that are always the same ([`reading`](super::reading)) |
//!
//! # Bytes kept in memory
//!
//! | | 256 MiB again after closing it |
//! |---|---|
//! | `memory-cache=off` | 20, all fetched again |
//! | `memory-cache=off,direct-io=off` | 3.0, from the page cache |
//! | `passthrough=off` | 1.0, from the daemon: 0.6 instead of 0.25 s of its processor time for both reads |
//!
//! By default files stay in the daemon's memory while there is room, and the kernel reads them there by passthrough.
//! With `memory-cache=off` a file is evicted when no program has it open; `direct-io=off` then lets repeated reads use
//! the page cache, which the kernel shares among all programs, and which costs more CPU time at the first read
//! ([`defaults`](super::defaults) has the figures).
//!
//! # The page cache
//!
//! | | 256 MiB in order, cold |
//! |---|---|
//! | `direct-io=on` | 0.97 |
//! | `direct-io=off` | 1.00 |
//!
//! This network is the bottleneck in both cases; [`defaults`](super::defaults) has the costs in CPU time.
//!
//! # Listing
//!
//! | | names of 100,000 objects in one directory | requests |
//! |---|---|---|
//! | `list-concurrency=8` | 1.12 | 116 instead of 129 |
//! | `list-concurrency=1` | 1.90 | 100 |
//!
//! Client and server shared two busy processors here, which hides most of the gain: on an idle machine 100,000 names
//! take 0.7 s, and a hundred sequential pages 5 s. `list-concurrency=1` suits services that charge for listings.
//! `listing=eager` suits programs that use the whole bucket, `lazy` buckets of which little is used.
//!
//! # Freshness
//!
//! | | 100 files of 128 KiB read again |
//! |---|---|
//! | `metadata-ttl=0` | 130, a request for each: 2.3 s instead of 0.02 |
//!
//! `metadata-ttl=indefinite` avoids all requests of opens and look-ups, for data that does not change while it is
//! mounted. `0` costs a round trip at every open. `negative-ttl` matters for programs that look for missing files.
//!
//! # Bandwidth
//!
//! `max-bandwidth` limits all requests together; those that programs wait for go first. It suits machines that share
//! the network with other services, and can be changed on a live mount: `ossmount control DIR
//! '{"op":"set","max-bandwidth":"500MiB"}'`.
//!
//! # Checksums
//!
//! | | 256 MiB in order, cold |
//! |---|---|
//! | `verify=off` | 1.00 |
//!
//! `verify=off` saves little ([`defaults`](super::defaults)), and corrupt objects are not detected.
