//! Configuration: files, the environment, worked examples, what holds and why, what changes while a mount lives.
//!
//! # Where options come from
//!
//! A flag beats a word after `-o`, that beats `OSSMOUNT_<NAME>` in the environment, that beats a file, that beats the
//! default. `/etc/ossmount/config.json` is read first and then `~/.config/ossmount/config.json`, which wins option by
//! option; `--config FILE` or `OSSMOUNT_CONFIG` names one file to be read instead of both. Every
//! [option](super::options) can stand in every place, but `--config` itself.
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
//! - `null` means not given, so that `config/default.json`, which has every option, can be copied and filled in.
//! - JSON has no comments; what an example is for stands [below](#worked-examples).
//! - A byte order mark is passed over. Files of more than 1 MiB are refused, whatever is in them.
//!
//! A mistake ends the command with status 2 and one sentence that names file, line, column and key: unknown keys, with
//! the one that was probably meant; keys given twice; values that are not of the option's kind; text that is no JSON.
//!
//! ```text
//! ossmount: /etc/ossmount/config.json:3:16: part-size: "8 apples" is not a size; write a whole number with KiB, MiB, GiB or TiB, as in 512MiB
//! ```
//!
//! Options that exclude each other are refused too, with both places, for they often stand far apart:
//!
//! ```text
//! ossmount: /etc/ossmount/config.json:2:14: internal and --endpoint each say where the bucket is: give one of the two
//! ```
//!
//! A switch of the file is taken back by `--internal=off`.
//!
//! # What holds, and why
//!
//! `ossmount config [URL] [options]` prints every option with the value that holds and its place: the flag, the word,
//! the variable, file with line and column, or the default. Where a value leaves the choice to the program (`auto`),
//! what it takes is shown, and from what it follows. Written with the URL, DIR and options of a mount it checks all
//! that the mount would, credentials among it, as far as that can be done with nothing sent; the exit status tells.
//!
//! ```text
//! # /etc/ossmount/config.json: read
//! region               cn-hangzhou       /etc/ossmount/config.json:2:13
//! endpoint             https://oss-cn-hangzhou-internal.aliyuncs.com  default: from the region
//! memory-limit         8GiB              default: auto, a quarter of the cgroup's limit of 32GiB
//! part-size            16MiB             --part-size
//! ```
//!
//! `--json` prints one object a line: `option`, `value` (what holds), `given`, `from` with its `kind` (`default`,
//! `file`, `environment`, `word`, `flag`) and place, and `computed` where the value was worked out. Users and queries
//! in URLs and arguments of commands are not shown. Variables that begin with `OSSMOUNT_` and belong to no option are
//! named on stderr; other commands pass over them.
//!
//! # Proxies and interfaces
//!
//! `proxy=http://[USER:PASSWORD@]HOST[:PORT]` puts a proxy between here and the service: encrypted requests go through
//! a tunnel (CONNECT), others are handed to it. Requests for roles and tokens over TLS take it too; those without TLS
//! do not, for they go to the machine's own metadata service and its like. User and password are percent-encoded, and
//! are neither logged nor shown; they belong into a file or the environment, since everybody can read a command line.
//! Proxies that are themselves reached by TLS, and SOCKS, are not known. Variables that other programs take a proxy
//! from (`https_proxy` and the like) are not looked at. A proxy costs what it costs: every byte goes through it, so
//! near the bucket there should be none.
//!
//! `bind` names an interface (`bind=eth1`) or one of the machine's addresses that connections set out from. Given
//! several times (in a file as a list) each connection takes the next, and passes over one that does not lead there:
//! two cards of 25 Gbit/s then carry what one alone could not. An interface binds whatever the routes say
//! (`SO_BINDTODEVICE`; before Linux 5.7 only root can); an address picks the route that the machine's rules have for
//! it. Names are resolved as always.
//!
//! # Worked examples
//!
//! In `config/` of the source and in `/usr/share/doc/ossmount/examples` of the packages; tests load and mount each.
//!
//! | file | for | what it sets, and why |
//! |---|---|---|
//! | `model-serving.json` | servers that load large models at the start and keep them | `prefetch=open` fetches files from open on, in the order of the opens; parts of 16 MiB over 128 connections keep a fast network busy; names are believed for 10 minutes, for models do not change under their name; the services beside the one that mounted may read (`allow-other`); reads under way at the end get 30 s |
//! | `training-data.json` | many small files, read in random order, epoch after epoch | the whole prefix is listed at the mount (`listing=eager`) by 128 requests at once and believed for an hour; 4 GiB for names hold some 20 million files; files stay in memory between epochs while it lasts; copies are off, for jobs of strangers may run beside it |
//! | `small-machine.json` | a machine of 1 or 2 GB that does other things too | 128 MiB of read buffers, 64 MiB of names, parts of 4 MiB and at most 4 ahead of a reader, so that several readers fit; nothing stays in memory after closing; at most 50 MiB a second leave the network to others |
//!
//! The first two take the region's internal endpoint, which only machines of that region reach and which costs no
//! traffic fees. None names credentials: on an ECS instance with a role, and in a pod of a cluster with RRSA, there is
//! nothing to name; elsewhere add `credentials-file`.
//!
//! # While it is mounted
//!
//! SIGHUP reads the files again and, with the variables, words and flags that the mount was made with, works out anew
//! what holds. Files are found again where they were, relative names too. With a mistake anywhere nothing changes, and
//! the log names it.
//!
//! | option | taken over |
//! |---|---|
//! | `log-level`, `max-bandwidth`, `drain-timeout` | at once |
//! | `memory-limit` | at once; a lower one gives up what no program waits for, the rest as it is read |
//! | `prefetch`, `part-size` | by files opened from then on; files in memory keep the parts they began with |
//! | `metadata-ttl`, `negative-ttl` | at once, also for what is known; the kernel goes on believing what it was told for as long as it was told. A view that was frozen (`indefinite`) stays so |
//! | all others | by a new mount; the log names those that have changed, with their places |
//!
//! What a `set` request or SIGUSR2 had changed goes back to what the configuration says. Without the signal, `set`
//! changes the level, the limits and the prefetching of single files ([`control`](super::control)), until the next
//! SIGHUP or the end of the mount.
