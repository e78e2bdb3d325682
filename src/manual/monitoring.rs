//! Watching mounts: figures, health, alerts, the live view, the log.
//!
//! Nothing of this goes through the mount: it answers while every read waits for a bucket that is silent.
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
//! It listens before the bucket is asked for anything, so that `/readyz` says from the start why a mount is not there
//! yet. An address that is taken is an error at the start. Port 0 takes a free one; the control request `health` tells
//! which. There is no password and no TLS: keep it on the loopback, or where only those come who may know which bucket
//! is read how much. Figures hold no keys of objects and no credentials. 64 clients are served at once, each for 10 s
//! at most, and for one more the oldest that has not asked makes room; only GET and HEAD are taken.
//!
//! There is one judgement of how well the store answers: silent (requests are sent and nothing comes), failing,
//! throttled, or stuck (reads wait and none of them goes on), each once it lasts 10 s, until an answer comes or nothing
//! was asked for a minute. `status` and the control request `health` show it with the number of reads that wait, so do
//! `/healthz`, `/readyz`, `trouble_seconds` and the status line of a service; the log has a warning when it begins and
//! one when it is over. It goes by monotonic time: a clock that is set does not change it.
//!
//! Ready means that the kernel has had its first answer, and that the store answers. `/readyz` says at once what is
//! known. Where no request has been answered for 30 s it has the bucket asked for one key below the prefix; from the
//! next time on it tells what came of that, and that nothing did within 4 s. That is at most one list request every 30
//! s for a mount that no program reads from. Credentials that are not accepted any more show here, with the service's
//! own words.
//!
//! Without HTTP, `ossmount status DIR --prometheus` prints the same figures, as does the control request `metrics`; a
//! node exporter can pick them up as a text file.
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
//! Reads that the kernel answers from its page cache, or from a file that is left to it, never reach the daemon and are
//! in none of these. A read counts as answered from a `buffer` where all of its bytes were there when it came, as
//! `under-way` where it waited for a request that another had caused, and as `store` where it caused one itself.
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
//! A read costs two looks at the clock and some eight additions without a lock more than it would uncounted; the span
//! of a read costs nothing to speak of while the log does not ask for it. A scrape took 2.3 ms (median of 27 while
//! files of 1 GiB were read). Loads of 1 GiB and random reads of 4 KiB with a scrape each second and without
//! `metrics-listen` differed by less than their runs differed among themselves, on a busy machine with two cores.
//!
//! # The live view
//!
//! `ossmount status DIR` on a terminal shows rates, the files that are read most, memory, what is in flight and what
//! goes wrong, once a second, until `q` or Ctrl-C. Into a pipe, or with `--json`, it prints all figures once.
//!
//! # The log
//!
//! Goes to `log-file`; without one, to stderr in the foreground and to the system's log (`/dev/log`) in the background.
//! Where there is neither, `ossmount mount` says so on a terminal. `log-format=json` prints one object a line.
//!
//! - **Rotation.** `log-file-size=100MiB` keeps a file that has grown as `FILE.1`, `FILE.2` and so on, `log-file-count`
//!   in all. With logrotate leave that out, and send SIGHUP after moving the file: it is opened anew. One that was
//!   removed is begun anew with the next line. Lines that the file does not take, as on a full disk, go to where they
//!   would go without `log-file`, and end no file. Output that is closed, full or without a reader loses lines and
//!   stops nothing.
//! - **journald.** A service whose stderr goes to the journal prints priorities and no times. To the system's log a
//!   line that it cannot take at once is lost; reads do not wait for it.
//! - **Repeats.** Of warnings and errors that say the same of the same key the first five are written, then one a
//!   minute with the number of those left out. Where no other comes for a minute, a line of its own has the number and
//!   the first that was left out.
//! - **Levels.** `log-level`, live by SIGUSR2, SIGHUP or the control request `set`. From `debug` on each read, fetch,
//!   listing and copy is a span with inode and key, and each answer of the service a line with operation, status, time
//!   and request id.
