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
//! | `/healthz` | 200 while the daemon serves, with what is wrong with the store; 503 once the kernel has ended the session |
//! | `/readyz` | 200 while the mount is fit to be used; else 503 and the reason |
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
//! | `requests_total` | counter | op: get head list write | Requests sent to the store, each try counted, by what they ask for. |
//! | `requests_in_flight` | gauge |  | Requests under way now; a GET until its body is in. |
//! | `retries_total` | counter | cause: network timeout server throttled garbled signature | Tries after the first, by what went wrong before. |
//! | `hedges_total` | counter |  | GETs sent a second time because the first answer was late. |
//! | `hedges_won_total` | counter |  | GETs sent a second time whose second answer came first. |
//! | `several_tags` | gauge |  | 1 once the store was found to have several entity tags for one version of an object, so that size and time are compared too. |
//! | `throttled_total` | counter |  | Answers that told us to slow down. |
//! | `body_resumes_total` | counter |  | Response bodies resumed after they broke, stalled or ended early. |
//! | `request_errors_total` | counter |  | Requests that failed for good, after all tries. |
//! | `fetched_bytes_total` | counter |  | Body bytes received from the store. |
//! | `prefetched_bytes_total` | counter |  | Body bytes received before a program asked for them. |
//! | `prefetched_unread_bytes_total` | counter |  | Body bytes received before a program asked for them, and let go before one did. |
//! | `replay_skipped_total` | counter |  | Objects of a recorded load that have changed, are gone or may not be read. |
//! | `read_bytes_total` | counter |  | Bytes that programs read through the mount. |
//! | `reads_total` | counter |  | Read requests that were answered. |
//! | `reads_buffered_total` | counter |  | Read requests answered at once from a buffer. |
//! | `read_errors_total` | counter |  | Read requests that have failed. |
//! | `reads_waiting` | gauge |  | Read requests that wait for their bytes now. |
//! | `memory_bytes` | gauge | consumer: read-buffers names | Memory held now, by what it is for. |
//! | `memory_limit_bytes` | gauge | consumer: read-buffers names | Memory that may be held, by what it is for. |
//! | `pinned_bytes` | gauge |  | Bytes of read buffers that are pinned. |
//! | `resident_bytes` | gauge |  | Memory of the process that lies in RAM now. |
//! | `memory_shortages_total` | counter |  | Times that memory became short. |
//! | `checksums_total` | counter | result: match mismatch | Whole objects whose CRC-64 was compared with the store's, by the result. |
//! | `wrong_ranges_total` | counter |  | Ranges of objects that came otherwise when they were fetched again: some bytes were wrong on their way. |
//! | `lookups_total` | counter |  | Look-ups of a name, by the kernel. |
//! | `lookups_known_total` | counter |  | Look-ups answered at once from what is known. |
//! | `list_pages_total` | counter |  | Pages of listings taken in. |
//! | `listed_names_total` | counter |  | Keys and directories that those pages had. |
//! | `tree_entries` | gauge |  | Entries held in the tree now. |
//! | `large_directories` | gauge |  | Directories with more names than there is memory for: they are read straight from the store. |
//! | `odd_keys_total` | counter |  | Keys left out of the tree because no safe name exists for them. |
//! | `open_files` | gauge |  | Files that are open now. |
//! | `held_files` | gauge |  | Files of which bytes are held now, open or not. |
//! | `streams` | gauge |  | Readers that go through a file now, each at its own place. |
//! | `copies` | gauge | state: queued running done failed cancelled | Copies within the service that are remembered, by state. |
//! | `copied_bytes` | gauge |  | Bytes that the copies remembered have copied so far. |
//! | `credentials_obtained_timestamp_seconds` | gauge |  | When the credentials in use were had, in seconds since 1970. |
//! | `credentials_expire_timestamp_seconds` | gauge |  | When the credentials in use end, in seconds since 1970, if they do. |
//! | `credential_failures_total` | counter |  | Requests that were not sent because no valid credentials could be had. |
//! | `last_answer_timestamp_seconds` | gauge |  | When the bucket last answered a request as it should, in seconds since 1970. |
//! | `trouble_seconds` | gauge |  | For how long the store has been silent, failing or throttling, or no read that waits has gone on; 0 while all is well. |
//! | `restarts_total` | counter |  | Times that a daemon was started again and went on with this mount. |
//! | `start_time_seconds` | gauge |  | When this daemon began to serve, in seconds since 1970. |
//! | `read_duration_seconds` | histogram | source: buffer under-way store | How long reads that succeeded took, by where their bytes were. |
//! | `read_size_bytes` | histogram | source: buffer under-way store | Bytes of reads that succeeded, by where their bytes were. |
//! | `request_duration_seconds` | histogram | op: get head list write | How long tries took until the answer began, of listings until it was in, by what they ask for. |
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
//! | Does fetching ahead work? | `reads_buffered_total` over `reads_total`; `prefetched_unread_bytes_total` over `prefetched_bytes_total` is what it wastes |
//! | Is more fetched than read? | `fetched_bytes_total` over `read_bytes_total`; below 1 where files are read twice |
//! | Is the bucket slow, or are we? | `request_duration_seconds` beside `read_duration_seconds{source="store"}` |
//! | Is it silent? | `time() - last_answer_timestamp_seconds`, with `reads_waiting` |
//! | What takes the memory? | `memory_bytes` by consumer, its limits, `resident_bytes` |
//!
//! # What it costs
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
