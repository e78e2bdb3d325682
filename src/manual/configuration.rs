//! Configuration: set options in files and the environment, print the effective values, and change them on a live
//! mount.
//!
//! # Where options come from
//!
//! From the highest precedence to the lowest:
//!
//! 1. flags (`--part-size 16MiB`);
//! 2. words after `-o` (`-o part-size=16MiB`);
//! 3. variables (`OSSMOUNT_PART_SIZE=16MiB`);
//! 4. `~/.config/ossmount/config.json`;
//! 5. `/etc/ossmount/config.json`;
//! 6. the defaults.
//!
//! `--config FILE` or `OSSMOUNT_CONFIG` names one file that replaces both standard files. Except for `--config`, every
//! [option](super::options) can be set in every place.
//!
//! # The file
//!
//! One JSON object; its keys are the names of options.
//!
//! ```json
//! { "region": "cn-hangzhou", "memory-limit": "16GiB", "metadata-ttl": "10m", "allow-other": true, "uid": 1000 }
//! ```
//!
//! - Sizes and times are text with a unit; sizes may also be a number of bytes. Switches are `true` and `false`.
//! - `null` means not set. `config/default.json`, which has every option, can be copied and filled in.
//! - JSON has no comments; [worked examples](#worked-examples) explains the examples.
//! - A byte order mark is ignored. Files larger than 1 MiB are refused.
//!
//! An invalid file ends the command with status 2 and one sentence that names file, line, column and key. Invalid are
//! text that is not JSON, unknown keys (the sentence suggests a similar one), repeated keys, and values of the wrong
//! kind.
//!
//! ```text
//! ossmount: /etc/ossmount/config.json:3:16: part-size: "8 apples" is not a size; write a whole number with KiB, MiB, GiB or TiB, as in 512MiB
//! ```
//!
//! Options that exclude each other are refused too, with both places:
//!
//! ```text
//! ossmount: /etc/ossmount/config.json:2:14: internal and --endpoint each say where the bucket is: give one of the two
//! ```
//!
//! `--internal=off` turns off a switch that is on in a file.
//!
//! # Print the effective values
//!
//! `ossmount config [URL] [options]` prints every option with its effective value and the source of that value: the
//! flag, word or variable, the file with line and column, or the default. For `auto` it prints the computed value and
//! how it was computed. With the URL, DIR and options of a mount it also checks everything that can be checked without
//! sending a request, including the presence of credentials. The exit status tells whether the mount would be refused.
//!
//! ```text
//! # /etc/ossmount/config.json: read
//! region               cn-hangzhou       /etc/ossmount/config.json:2:13
//! endpoint             https://oss-cn-hangzhou-internal.aliyuncs.com  default: from the region
//! memory-limit         8GiB              default: auto, a quarter of the cgroup's limit of 32GiB
//! part-size            16MiB             --part-size
//! ```
//!
//! `--json` prints one object a line: `option`, `value` (the effective one), `given`, `from` with its `kind`
//! (`default`, `file`, `environment`, `word`, `flag`) and place, and `computed` for computed values. User names and
//! queries in URLs, and arguments of commands, are not printed. Variables that begin with `OSSMOUNT_` and belong to no
//! option are reported on stderr; other commands ignore them.
//!
//! # Proxies and interfaces
//!
//! `proxy=http://[USER:PASSWORD@]HOST[:PORT]` sends requests through an HTTP proxy.
//!
//! - HTTPS requests use a tunnel (CONNECT); HTTP requests are sent to the proxy itself.
//! - Requests for roles and tokens use the proxy if they are HTTPS. Those over HTTP go to services of the machine, such
//!   as the metadata service, and do not use it.
//! - User and password are percent-encoded. They are not logged. Set them in a file or the environment, because other
//!   users can read a command line.
//! - Proxies that are reached by TLS and SOCKS proxies are not supported. Variables of other programs, such as
//!   `https_proxy`, are ignored.
//! - All bytes pass through the proxy, which limits the throughput.
//!
//! `bind` names the interface (`bind=eth1`) or local address of outgoing connections. With several values (in a file a
//! list) each connection uses the next one, and skips one that does not reach the service, so that two network cards of
//! 25 Gbit/s work together. An interface takes precedence over the routing table (`SO_BINDTODEVICE`; before Linux 5.7
//! it requires root). An address selects the route that the rules of the machine define for it. Name resolution is not
//! affected.
//!
//! # Worked examples
//!
//! The files are in `config/` of the source and in `/usr/share/doc/ossmount/examples` of the packages.
//!
//! | file | for | settings and reasons |
//! |---|---|---|
//! | `model-serving.json` | servers that load large models at the start and keep them | `prefetch=open` fetches files completely when they are opened; parts of 16 MiB over 128 connections use a fast network; names are cached for 10 minutes, because models do not change under their names; other services can read (`allow-other`); SIGTERM waits 30 s for reads in flight |
//! | `training-data.json` | many small files, read in random order, epoch after epoch | the whole prefix is listed at mount (`listing=eager`) by 128 requests at once and cached for an hour; 4 GiB for names hold some 20 million files; files stay in memory between epochs while there is room; copies are off, because jobs of other users may share the mount |
//! | `small-machine.json` | machines with 1 or 2 GB of memory that run other programs | 128 MiB of read buffers, 64 MiB of names, parts of 4 MiB and at most 4 of them ahead of a reader, so that several readers fit; files are evicted when they are closed; `max-bandwidth` is 50 MiB a second |
//!
//! The first two use the internal endpoint of the region, which is free of traffic fees and reachable only from
//! machines of that region. None sets credentials: an ECS instance with a role, or a pod of a cluster with RRSA, needs
//! none; set `credentials-file` elsewhere.
//!
//! # While it is mounted
//!
//! SIGHUP reads the files again and recomputes all options from them and from the variables, words and flags of the
//! mount. Relative file names still refer to the directory in which the mount was made. If anything is invalid, nothing
//! changes, and the log has the reason.
//!
//! | option | takes effect |
//! |---|---|
//! | `log-level`, `max-bandwidth`, `drain-timeout` | immediately |
//! | `memory-limit` | immediately; a lower limit evicts bytes that no program waits for, and the rest when it was read |
//! | `prefetch`, `part-size` | for files that are opened later; files in memory keep their parts |
//! | `metadata-ttl`, `negative-ttl` | immediately, also for names that are cached by the daemon. The kernel keeps what it has cached for the old time. A mount with `indefinite` keeps it |
//! | all others | with a new mount; the log names those that have changed, with their places |
//!
//! SIGHUP undoes what a `set` request or SIGUSR2 has changed. `set` changes the log level, the limits and the
//! prefetching of single files ([`control`](super::control)) until the next SIGHUP or the end of the mount.
