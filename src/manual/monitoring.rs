//! Monitoring: export figures to Prometheus, probe health, watch a mount live, and read its log.
//!
//! None of this goes through the mount, so that it works while all reads wait for a bucket that does not answer.
//!
//! # Over HTTP
//!
//! `metrics-listen=127.0.0.1:9464` (or a path, for a Unix socket) serves
//!
//! | path | answers |
//! |---|---|
//! | `/metrics` | the figures below, in Prometheus' text format 0.0.4 |
//! | `/healthz` | 200 while the daemon serves, with the health of the store; 503 after the kernel has ended the session |
//! | `/readyz` | 200 while the mount is ready; otherwise 503 with the reason |
//!
//! The server starts before the first request to the bucket, so that `/readyz` explains a mount that is not ready yet.
//! An address in use is an error at the start. Port 0 selects a free port, which the control request `health` returns.
//! There is no password and no TLS: bind it to the loopback address or to a trusted network. Figures contain no object
//! keys and no credentials. At most 64 clients are served at once, each for at most 10 s; a further client replaces the
//! oldest one that has not sent a request. Only GET and HEAD are accepted.
//!
//! The health of the store is one of these states. A state begins when it has lasted 10 s, and ends with an answer or
//! after a minute without requests:
//!
//! | state | meaning |
//! |---|---|
//! | silent | requests are sent and not answered |
//! | failing | requests fail |
//! | throttled | the service asks to slow down |
//! | stuck | reads wait and none makes progress |
//!
//! `status` and the control request `health` show the state with the number of waiting reads, as do `/healthz`,
//! `/readyz`, `trouble_seconds` and the status line of a systemd service. The log has a warning when it starts and
//! ends. All times are monotonic, so that setting the clock has no effect.
//!
//! A mount is ready when the kernel has received its first answer and the store answers. `/readyz` answers immediately
//! with what is known. If no request was answered for 30 s, it starts a listing of one key below the prefix, and the
//! next `/readyz` reports the result, or that none arrived within 4 s. An idle mount thus sends at most one list
//! request every 30 s. Expired credentials are reported here with the message of the service.
//!
//! Without HTTP, `ossmount status DIR --prometheus` and the control request `metrics` print the same figures, for
//! example for the text file collector of the node exporter.
//!
//! ```text
//! scrape_configs:
//!   - job_name: ossmount
//!     static_configs:
//!       - targets: [127.0.0.1:9464]
//! ```
//!
//! `packaging/grafana/ossmount.json` is a dashboard, `packaging/prometheus/ossmount.rules.yml` a set of alerts to begin
//! with. In Kubernetes, `/healthz` is for the liveness probe and `/readyz` for readiness and start-up.
//!
//! # Figures
//!
//! Names begin with `ossmount_`. The JSON of the control request `stats` has the same figures under shorter names.
//!
//! <!-- figures: printed from the table in the code -->
//!
//! | name | kind | by | meaning |
//! |---|---|---|---|
//! | `requests_total` | counter | op: get head list write | Requests sent to the store, retries included, by operation. |
//! | `requests_in_flight` | gauge |  | Requests in flight; a GET is in flight until its body has arrived. |
//! | `retries_total` | counter | cause: network timeout server throttled garbled signature | Retries, by the cause of the failure before. |
//! | `hedges_total` | counter |  | GETs sent a second time because the first answer was late. |
//! | `hedges_won_total` | counter |  | GETs sent a second time whose second answer came first. |
//! | `several_tags` | gauge |  | 1 after the store was found to have several entity tags for one version of an object, so that size and time are compared too. |
//! | `ranges_ignored` | gauge |  | 1 after the server was found to ignore the Range header, so that each GET of a part receives the object from its first byte. |
//! | `throttled_total` | counter |  | Answers with which the service throttled a request. |
//! | `body_resumes_total` | counter |  | Response bodies resumed after they broke, stalled or ended early. |
//! | `request_errors_total` | counter |  | Requests that failed after all retries. |
//! | `fetched_bytes_total` | counter |  | Body bytes received from the store. |
//! | `prefetched_bytes_total` | counter |  | Body bytes received before a program asked for them. |
//! | `prefetched_unread_bytes_total` | counter |  | Body bytes received before a program asked for them, and evicted before one did. |
//! | `used_bytes_total` | counter |  | Body bytes received that programs have read, each counted once. |
//! | `replay_skipped_total` | counter |  | Objects of a recorded load that were skipped because they have changed, do not exist or may not be read. |
//! | `read_bytes_total` | counter |  | Bytes that programs read through the mount. |
//! | `reads_total` | counter |  | Read requests that were answered. |
//! | `reads_buffered_total` | counter |  | Read requests answered from a buffer without waiting. |
//! | `read_errors_total` | counter |  | Read requests that failed. |
//! | `reads_waiting` | gauge |  | Read requests that are waiting for their bytes. |
//! | `refused_read_arounds_total` | counter |  | Read requests of the kernel around page faults that were refused, so that it asks for single pages. |
//! | `disk_cache_lookups_total` | counter | result: hit miss | Parts of files that were found in the disk cache. |
//! | `disk_cache_read_bytes_total` | counter |  | Bytes read from the disk cache. |
//! | `disk_cache_written_bytes_total` | counter |  | Bytes written to the disk cache. |
//! | `disk_cache_writes_dropped_total` | counter |  | Parts that were not written to the disk cache, because the disk was too slow, full or failing. |
//! | `disk_cache_evicted_bytes_total` | counter |  | Bytes evicted from the disk cache. |
//! | `disk_cache_corrupt_total` | counter |  | Parts read from the disk cache that were not what had been written; they were fetched again. |
//! | `disk_cache_errors_total` | counter |  | Operations of the disk cache that failed or took too long. No program sees them. |
//! | `disk_cache_bytes` | gauge |  | Bytes on disk that the disk cache uses. |
//! | `disk_cache_limit_bytes` | gauge |  | Limit of the bytes that the disk cache uses; 0 where only the free space limits it. |
//! | `disk_cache_free_bytes` | gauge |  | Bytes that are free on the file systems of the disk cache. |
//! | `memory_bytes` | gauge | consumer: read-buffers names | Memory in use, by consumer. |
//! | `memory_limit_bytes` | gauge | consumer: read-buffers names | Limit of memory, by consumer. |
//! | `pinned_bytes` | gauge |  | Bytes of read buffers that are pinned. |
//! | `resident_bytes` | gauge |  | Resident memory of the process. |
//! | `memory_shortages_total` | counter |  | Number of times that memory became short. |
//! | `checksums_total` | counter | result: match mismatch | Complete objects whose CRC-64 was compared with that of the store, by result. |
//! | `wrong_ranges_total` | counter |  | Ranges of objects that differed when they were fetched again, because bytes were corrupted on their way. |
//! | `lookups_total` | counter |  | Look-ups of names by the kernel. |
//! | `lookups_known_total` | counter |  | Look-ups answered from the cache. |
//! | `list_pages_total` | counter |  | Pages of listings received. |
//! | `listed_names_total` | counter |  | Keys and common prefixes in those pages. |
//! | `tree_entries` | gauge |  | Cached entries of directories. |
//! | `large_directories` | gauge |  | Directories with more names than fit in metadata-memory: their names are not cached. |
//! | `odd_keys_total` | counter |  | Keys that are not shown because they cannot be file names. |
//! | `open_files` | gauge |  | Files that are open. |
//! | `passthrough_opens_total` | counter |  | Opens of files that the kernel reads directly from memory or from the disk cache, so that their reads are not counted. |
//! | `passthrough_files` | gauge |  | Open files that the kernel reads directly from memory or from the disk cache. |
//! | `passthrough_bytes` | gauge |  | Bytes of open files that the kernel reads directly from memory or from the disk cache. |
//! | `held_files` | gauge |  | Files with bytes in memory, open or not. |
//! | `streams` | gauge |  | Streams: sequential readers of files, each at a position of its own. |
//! | `copies` | gauge | state: queued running done failed cancelled | Server-side copies that the daemon remembers, by state. |
//! | `copied_bytes` | gauge |  | Bytes copied so far by the copies that the daemon remembers. |
//! | `credentials_obtained_timestamp_seconds` | gauge |  | When the credentials in use were obtained, in seconds since 1970. |
//! | `credentials_expire_timestamp_seconds` | gauge |  | When the credentials in use expire, in seconds since 1970; 0 if they do not. |
//! | `credential_failures_total` | counter |  | Requests that were not sent because no valid credentials could be obtained. |
//! | `last_answer_timestamp_seconds` | gauge |  | When the bucket last answered a request properly, in seconds since 1970. |
//! | `trouble_seconds` | gauge |  | How long the store has been silent, failing or throttling, or waiting reads have made no progress; 0 while there is no trouble. |
//! | `restarts_total` | counter |  | Number of times that a restarted daemon continued this mount. |
//! | `start_time_seconds` | gauge |  | When this daemon started to serve, in seconds since 1970. |
//! | `read_duration_seconds` | histogram | source: buffer under-way store | Time that successful reads took, by where their bytes were. |
//! | `read_size_bytes` | histogram | source: buffer under-way store | Bytes of successful reads, by where they were. |
//! | `request_duration_seconds` | histogram | op: get head list write | Time from sending a request to the beginning of its answer, or to the end of a page of a listing, by operation. |
//! | `info` | gauge | source directory version | What is served, and by which version; always 1. |
//!
//! <!-- end of figures -->
//!
//! Reads that the kernel answers by itself, from its page cache or by passthrough, are not counted. The label `source`
//! of a read is `buffer` if all of its bytes were in memory when it arrived, `under-way` if it waited for a request
//! that was already in flight, and `store` if it caused a request.
//!
//! What to look at first:
//!
//! | question | figures |
//! |---|---|
//! | Does prefetching help? | `reads_buffered_total` divided by `reads_total`; `prefetched_unread_bytes_total` divided by `prefetched_bytes_total` is the wasted share |
//! | Is more fetched than used? | `fetched_bytes_total` divided by `used_bytes_total`: `fetched-per-used` in `status --json` |
//! | Are bytes read repeatedly? | `read_bytes_total` divided by `used_bytes_total` |
//! | Is the bucket slow, or the daemon? | `request_duration_seconds`, compared with `read_duration_seconds{source="store"}` |
//! | Does the bucket answer? | `time() - last_answer_timestamp_seconds`, with `reads_waiting` |
//! | What uses memory? | `memory_bytes` and `memory_limit_bytes` by consumer, `resident_bytes` |
//!
//! # Cost
//!
//! Counting a read takes two readings of the clock and about eight atomic additions. A scrape takes 2.3 ms (median of
//! 27, while files of 1 GiB were read). With one scrape a second, sequential reads of 1 GiB and random reads of 4 KiB
//! were as fast as without `metrics-listen`, within the variation between runs, on a busy machine with two cores.
//!
//! # The live view
//!
//! `ossmount status DIR` on a terminal shows rates, the files that are read most, memory, requests in flight and
//! failures, once a second, until `q` or Ctrl-C. In a pipe, or with `--json`, it prints all figures once.
//!
//! # The log
//!
//! | where the daemon runs | the log goes to |
//! |---|---|
//! | anywhere, with `log-file` | that file |
//! | in the foreground | stderr |
//! | in the background | the system's log (`/dev/log`); if there is none, `ossmount mount` says so on a terminal |
//!
//! `log-format=json` prints one object a line.
//!
//! - **Rotation.** With `log-file-size=100MiB` a file that would grow beyond that size is renamed to `FILE.1`, `FILE.2`
//!   and so on; `log-file-count` files are kept. With logrotate omit these options, and send SIGHUP after the rename,
//!   which opens the file again. A removed file is created again with the next line. Lines that cannot be written, for
//!   example to a full disk, go to the place without `log-file`. Output that is closed, full or without a reader loses
//!   lines; reads continue.
//! - **journald.** A service whose stderr goes to the journal prints priorities and no times. A line that the system's
//!   log does not accept immediately is lost; reads do not wait for it.
//! - **Repeats.** Of equal warnings and errors for one key the first five are written, and then one a minute, with the
//!   number of omitted ones. If no further one follows within a minute, a separate line has that number and the first
//!   omitted one.
//! - **Levels.** Set `log-level`, or change it on a live mount with SIGUSR2, SIGHUP or the control request `set`. From
//!   `debug` on, each read, fetch, listing and copy is a span with inode and key, and each answer of the service is a
//!   line with operation, status, time and request id.
