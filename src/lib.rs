//! ossmount mounts an Alibaba Cloud OSS bucket (or an S3-compatible one) read-only through FUSE.
//!
//! This page is the map of the house. Each room is one module with one duty; the arrows between them point one way
//! and `tests/it/house/arrows.rs` fails on any other.
//!
//! | room | owns | may use |
//! |---|---|---|
//! | [`base`] | small shared nouns: keys, names, inode numbers, ranges, sizes, the clock | nothing |
//! | [`files`] | opening folders, small files and sockets so that nothing is obeyed that another user planted | `base` |
//! | [`metrics`] | the table of figures the daemon keeps | `base` |
//! | [`store`] | the bucket over HTTP: dialects, signing, endpoints, XML, retries, limits | `files`, `base`, `metrics` |
//! | [`cache`] | where local bytes live | `files`, `base`, `metrics` |
//! | [`list`] | listing a prefix as a stream of pages | `store`, `base`, `metrics` |
//! | [`tree`] | names, inodes, children, freshness; no I/O, no async | `base` |
//! | [`read`] | streams, windows, fetching, the memory budget, integrity | `store`, `cache`, `base`, `metrics` |
//! | [`copy`] | server-side copies, of one object or of all below a prefix | `store`, `list`, `base`, `metrics` |
//! | [`control`] | control requests, their JSON, who may call | `base` |
//! | [`fs`] | the conductor: lookup, open, read, readdir; handles; the one error-to-errno match | `tree`, `list`, `read`, `copy`, `control`, `base`, `metrics`, of `store` the trait and its error |
//! | [`fuse`] | the only room that names the FUSE crate: decode, reply, session, mount | `fs`, `base`, `metrics` |
//! | [`config`] | one option table, and its resolution into each room's `Options` | `files`, `base`, the rooms' `Options` |
//! | [`emulator`] | an OSS and S3 server for the demo, the tests and the benchmarks | `files`, `base` |
//! | [`app`] | the commands, and the daemon that serves a mount | all |
//!
//! `tree` never awaits; `cache` never fetches; `list` knows no inode; no room below `fs` knows errno; no room below
//! `config` sees a flag, a file or the environment; only `fuse` names the FUSE crate and only `store::http` those for
//! TLS and for reading HTTP; no clock is read outside `base`. `store` and `emulator` share no code on purpose: two
//! readings of the protocol check each other.
//!
//! # Where is what
//!
//! | question | file |
//! |---|---|
//! | Which options are there? How is one added? | `config/table.rs`: one row; `config/resolve.rs` hands it to its room |
//! | Which words does an option take? | `config/choices.rs` |
//! | How is a command added? | `app/cli.rs`, and a file in `app/commands/` |
//! | How is a figure added? | `metrics/mod.rs`: one row, counted where it happens |
//! | How is a control request added? | `control/request.rs` reads it, `fs/control/mod.rs` does it |
//! | How is a layer over the store added? | a file in `store/layers/`, put into place in `store/layers/mod.rs` |
//! | How is an operation of the store added? | `store/mod.rs` (the trait), a file in `store/ops/`, `store/memory.rs` |
//! | What is the retry budget? | `store/layers/patience.rs`; `store/layers/retry.rs` spends it |
//! | When is a request sent a second time? | `store/layers/hedge.rs`, and `store/layers/crawl.rs` for slow bodies |
//! | Which connection and address does a request take? | `store/http/pool.rs`, `store/http/addresses.rs` |
//! | How is a request signed? | `store/sign/mod.rs` |
//! | Where do access keys come from? | `config/credentials.rs` chooses, `store/credentials/mod.rs` asks |
//! | Which errno does an error become? | `fs/errno.rs` |
//! | Who may ask for what? | `control/caller.rs`, `fuse/namespaces.rs`, `copy/reach.rs` |
//! | How is a listing cut into requests? | `list/splitter.rs`; `list/gather.rs` where a server keeps no order |
//! | How is a bucket shown as it stood at a time? | `list/as_of.rs`; `list/fold.rs` decides |
//! | How are all buckets of an account shown? | `store/account.rs` |
//! | How long is a name believed? | `tree/lookup.rs`, `fs/names/lookup.rs`; `fs/names/upkeep.rs` lists again in time |
//! | Which inode number and which name does a key get? | `tree/ino.rs`, `tree/escape.rs` |
//! | What is forgotten when names take too much memory? | `tree/eviction.rs` |
//! | How is a directory read that is larger than memory? | `fs/names/overflow.rs`, `fs/names/paging.rs` |
//! | What decides direct I/O? | `fs/files/habits.rs`, asked by `fs/files/file.rs` at each open |
//! | When does the kernel read a file by itself? | `read/whole.rs`, `fuse/passthrough.rs` |
//! | Which file is fetched next? | `fs/files/successors.rs` |
//! | Who gets memory for reading, and who gives it back? | `read/budget.rs`, `app/daemon/pressure.rs` |
//! | Why is something fetched early, and in which order? | `read/why.rs`: one row; `read/agenda.rs` keeps the queues |
//! | Where are the numbers that decide how much? | `read/tuning.rs`, `fs/tuning.rs` |
//! | How are bytes checked? | `read/integrity.rs`, `read/version.rs`, `store/ops/fit.rs` |
//! | What happens at kill -9? | `app/daemon/supervise.rs`, `fs/lives/ledger/mod.rs`, `fs/resume.rs`, `fuse/resume_session.rs` |
//! | What happens at SIGTERM and SIGHUP? | `app/daemon/signals.rs`, `app/daemon/reload.rs` |
//! | When is the store said not to answer? | `metrics/pulse.rs`; `app/daemon/health.rs` tells it |
//! | What is logged, where and in which form? | `app/daemon/log/mod.rs` |
//!
//! # Three walks
//!
//! **A read**, function by function:
//!
//! | function | does |
//! |---|---|
//! | `fuse/ops.rs::read` | decodes the request, and refuses one that has killed daemons |
//! | `fuse/answer.rs::answer` | polls the future once: what is ready is answered on this thread, the rest on the runtime |
//! | `fs/mod.rs::read_pages` | the face of `fs`: hands the read to the wing of files |
//! | `fs/files/file.rs::reading` | finds the handle, and shows the read to `habits` and `successors` |
//! | `read/file.rs::read_pages` | asks `read/streams.rs::refuses` whether the kernel shall ask for single pages instead |
//! | `read/file.rs::answer` | asks for a plan and for the parts, and waits until they have the bytes |
//! | `read/streams.rs::observe` | pure: to which stream the read belongs, and how what it misses is fetched |
//! | `read/inode.rs::cover` | finds the parts that hold the read; `read/planner.rs::demanded` cuts what is missing, and `read/budget.rs::reserve` gives it memory |
//! | `read/pump.rs::pump` | beside that: fills windows, as far as places and memory reach |
//! | `read/fetcher.rs::start` | one task for each GET |
//! | `store/layers/mod.rs::layered` | the way of the GET: the layers between here and `store/http` |
//! | `read/fetcher.rs::transfer` | receives the body into the memory where it stays, by `store/body.rs::receive` |
//! | `read/part.rs::advanced` | wakes the reads whose bytes are in: those in `read/part.rs::wait` |
//! | `read/file.rs::deliver` | makes the slice that is written to the kernel from that memory, and counts it |
//! | `fs/failure.rs::report` | an error: one line of the log, and the errno that `fs/errno.rs` gives it |
//!
//! **A readdir.** `fs/names/directory.rs::Names::opendir` asks `Tree::open_complete` for a list that is known and young
//! enough; else `fs/names/listing.rs::Names::listing` joins the directory's listing or begins one. `list::pages` sends
//! the requests that the splitter asks for; each page is merged by `Tree::apply` under a short lock. `Names::readdir`
//! gives entries by their index in the list of the handle, and waits for the next page only where it has none to give.
//!
//! **A copy.** The bytes of an ioctl, of a line on the socket or of an extended attribute reach `Fs::control`;
//! `control::Request::parse` reads them and `control::may` says whether the caller is served. `fs/control/copies.rs`
//! turns paths into keys and versions and calls `copy::Copier::start`, which checks `copy::Reach` and answers a job
//! number. `copy/jobs.rs` runs the job: `copy/object.rs` looks at the source, `copy/plan.rs` decides how,
//! `copy/parts.rs` copies parts, and what was written appears in the tree.
//!
//! The [`manual`] holds the essays, the files of `docs/manual`: semantics, reading, listing, control, defaults and why,
//! kernel traps. Its glossary defines the words that the code uses.
//!
//! # What is stable
//!
//! Versions follow semantic versioning for what users see: the commands, the options in all their forms, the control
//! requests with their JSON, the names and units of figures, and the semantics in `docs/manual/semantics.md`. The Rust
//! interface of this library serves the binary, its tests and its benchmarks. No item of it is stable: any release may
//! change or remove it. Programs that want to talk to a mount use the control requests of `docs/manual/control.md`.
// These macros panic where the output is closed or full, and no output may end a daemon whose mount stands.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod app;
pub mod base;
pub mod cache;
pub mod config;
pub mod control;
pub mod copy;
pub mod emulator;
pub mod files;
pub mod fs;
pub mod fuse;
pub mod list;
pub mod manual;
pub mod metrics;
pub mod read;
pub mod store;
pub mod tree;
