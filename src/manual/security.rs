//! Security: which threats a mount is protected against, how, and which tests show it.
//!
//! ossmount is one process that holds access keys, sends requests to a service, and answers the kernel. Four parties
//! are involved: the user who mounts (the *owner*), other users of the machine, the writers of objects in the bucket,
//! and the services on the network.
//!
//! # What is not protected
//!
//! - Root of the machine and processes of the owner can read everything that the owner can read.
//! - A service can return wrong bytes together with a matching checksum.
//! - The policy of the bucket decides what the keys can do: grant only listing and reading, and writing if copies are
//!   needed.
//!
//! # Secrets
//!
//! | where | what is done |
//! |---|---|
//! | command line | no option takes a key, so that `ps` shows none. A password in a URL (`proxy`) is warned about, and blanked once it was read |
//! | environment | keys in it are taken at the start. What was put there stays in `/proc/PID/environ`, which root alone may read: the process is not dumpable, and `/proc` gives such a process to root. Files, roles and programs leave nothing there |
//! | log, errors, panics | secrets have a `Debug` written by hand; what a source of keys said is quoted by its code and message only; a signature that is refused is told without the text that was signed |
//! | figures, control answers, the runtime directory | hold no keys, nor do recordings of loads |
//! | memory | keys are overwritten when they are dropped or replaced |
//! | core files | none: the limit is 0, and the process is not dumpable, which also holds where cores are piped to a program |
//! | other processes | `fusermount3` gets `PATH` and nothing else of the environment. The program of `credentials-process` gets the environment as it is: it is the owner's own, and may need keys of its own |
//! | files of keys | refused where another user owns them or others may write to them, warned about in the log when others may read them; read again when they change, never written |
//! | network | the secret never travels: requests carry signatures. Tokens of temporary keys do travel, and are worthless without the secret |
//!
//! A process that is not dumpable cannot be traced or profiled by its owner (`strace`, `gdb`, `perf`): root still can.
//!
//! A test runs a daemon with keys from each source, logs all there is while requests fail in every way, and searches
//! what the daemon printed, wrote down, answered, and passed on.
//!
//! # Other users of the machine
//!
//! - The kernel lets only the owner into a mount, not even root, until `allow-root` or `allow-other` says so; then the
//!   modes hold (`uid`, `gid`, `file-mode`, `dir-mode`), and the kernel checks them. With `control-xattr` it does not,
//!   which is why that option is refused beside `allow-other`.
//! - There are no devices and no set-uid programs on a mount (`nodev`, `nosuid`), whatever an object says; `noexec`
//!   forbids programs, and without the execute bit in `file-mode` there are none anyway.
//! - Control requests are taken from the owner and from root, by the user number that the kernel vouches for; every
//!   other user gets EPERM, also one that may read. Root of a container to which the mount is bound may look and read
//!   ahead, and do nothing else ([`control`](super::control#who-may-ask) has the table). The socket has mode 0600,
//!   lines have a bounded length, and there are at most 64 clients.
//! - The runtime directory must belong to the user, and no other user may write to it: daemons and commands use no
//!   other.
//! - What another user planted is not obeyed, also by root: neither an entry of a daemon in their runtime directory,
//!   which `status` shows as theirs (`by uid N`) and which is neither removed nor waited for, nor a link of theirs on
//!   the way to a file, a named pipe, a device, or a file without an end. A mount is found in the kernel's table, and
//!   asked on a socket only where the process that listens there is of the user who mounted it.
//! - A configuration file that another user owns, or that others may write to, chooses neither keys and programs that
//!   print them nor hosts, certificates, files that are written or who is let in; other options it may set. A file of
//!   keys like that is refused whole. The error names owner, mode and cure, as in `chown 0 FILE` or `chmod go-w FILE`.
//! - Sockets have their mode before they have a name, and files are never written through links of other users.
//! - Users without privileges mount through `fusermount3`, whose rules hold. ossmount itself is not set-uid, and gives
//!   up nothing when it runs as root, so run it as a user where that suffices.
//!
//! # Writers of objects
//!
//! Keys, metadata and bytes of objects are untrusted.
//!
//! | object | what happens |
//! |---|---|
//! | a key with `..`, `.`, an empty component, a NUL, or far too long | it has no name in the tree, or a reversible escaped one (`odd-keys`); no path leads out of the mount |
//! | two keys for one name (`a` beside `a/b`) | the directory takes the name |
//! | a symlink object | shown as a file; with `symlinks=on` as a relative link that never leads out of the mount, else as a file |
//! | control characters or bidirectional marks in names, classes, tags, or in what the service says | escaped in the log, in errors, and wherever a command prints to a terminal; the log is one line an event |
//! | a key, or a message of the service, of megabytes | log lines and errors show the first 4096 bytes |
//! | a million directories, a directory of millions | names take bounded memory (`metadata-memory`), open or not: what does not fit is read page by page and not kept; a walk ahead ends when no program follows |
//! | a file that calls itself safetensors or GGUF, with a header full of lies | the header is a hint about what to fetch next: at worst some requests for nothing, within `memory-limit` |
//! | an object that changes while it is read | one descriptor shows one version; ESTALE otherwise |
//!
//! # Services
//!
//! - TLS with the machine's certificates, or those of `ca-bundle`, for every endpoint that is not written with
//!   `http://`; names are checked; there is no option to leave that out. A certificate that `ca-bundle` holds itself,
//!   byte for byte, is trusted without an authority; its name and its time are checked all the same.
//! - Redirects are not followed: a service that names another endpoint is told as an error, and keys go nowhere else.
//! - Answers are bounded: headers, listings, errors and keys have a most, bodies are as long as was asked for. Ranges,
//!   sizes and entity tags are compared with what was asked. XML is read by a parser that expands no entity, loads
//!   nothing, and is fuzzed, as are the parsers of headers, ranges, times and models.
//! - Whole objects are compared with the CRC-64 of the service (`verify`), which finds accidents, not malice.
//! - Every wait has an end. A service that stalls costs a slow read, in the end EIO.
//! - The clock of the service is believed for signing alone, by as much as it differs.
//!
//! # Writes
//!
//! Reading cannot change a bucket: requests that write are a separate interface in the code, which only copies use.
//! `copy=off` disables copies, as does `allow-other` without `copy=on`. Copies are limited to the mounted prefix and to
//! what `copy-from` and `copy-to` name. The kernel treats the mount as read-only.
//!
//! # Containers
//!
//! A pod that mounts needs `/dev/fuse` and CAP_SYS_ADMIN in its name space. Where a supervisor may hand over a
//! descriptor of `/dev/fuse` that it has mounted itself (`/dev/fd/N` as the directory), the daemon needs neither. It
//! writes nothing but what `log-file`, `pid-file` and `record` name, and its runtime directory.
//!
//! # What shows it
//!
//! Each row has a promise, the party that it protects against, and the tests that play this party or measure the bound.
//! `tests/run` runs all of them; the names are those of test functions.
//!
//! | promise | against | test |
//! |---|---|---|
//! | keys are in no log, argument, figure, answer or child process | other users | `security::secrets::keys_from_the_environment`, `security::secrets::keys_from_a_program` and the others there |
//! | a password given as an argument does not stay on the command line | other users | `security::planted::a_password_does_not_stay_on_the_command_line` |
//! | a command of root obeys no entry, link, pipe or socket that another user made | other users | `security::planted::roots_commands_obey_no_entry_of_another_user` |
//! | a runtime folder of another user is not used | other users | `security::planted::a_runtime_folder_that_another_user_made_is_used_by_nobody` |
//! | a configuration of another user runs no program and names no keys | other users | `security::planted::a_file_of_another_user_runs_no_program_and_names_no_keys` |
//! | no file is written through another user's link | other users | `security::planted::no_file_is_written_through_another_users_link` |
//! | files are opened by path only where a reason stands | other users | `house::paths::nothing_is_opened_by_path_but_where_a_reason_stands` |
//! | control requests are served to the owner and root only | other users | `control::tests::the_owner_and_root_are_served_and_no_other_user` |
//! | root of a container reads, and neither steers nor writes | containers | `control::namespaces::root_of_another_mount_namespace_reads_and_does_no_more`, `control::namespaces::root_of_another_user_namespace_reads_and_does_no_more` |
//! | copies stay within what the mount names, and are off with `allow-other` | containers | `control::namespaces::copies_stay_within_what_the_mount_names`, `control::namespaces::a_mount_for_everyone_makes_no_copies_unless_asked` |
//! | a helper for keys that hangs is ended with all it started | a broken helper | `security::planted::a_program_for_keys_that_hangs_ends_with_the_mount` |
//! | what others wrote does not act on a terminal, and a log line has a bounded length | writers of keys, services | `base::foreign::tests::what_acts_is_escaped`, `app::daemon::log::lines::tests::a_line_of_either_format_has_a_bounded_length_and_nothing_in_it_acts`, `cli::usage::an_argument_cannot_act_on_the_terminal` |
//! | a directory larger than `metadata-memory` reads whole and takes no more | writers of keys | `fs::rest_tests::hundreds_of_thousands_of_names_take_no_more_than_the_limit`, `mount::listing::a_directory_larger_than_memory_is_listed_whole_within_it` |
//! | redirects are not followed | services | `http::wire::redirects_are_not_followed` |
//! | certificates are checked, and only the bundle given is trusted | services | `http::wire::tls_trusts_the_bundle_it_is_given_and_no_other` |
//! | damaged answers become no other bytes than were asked for | services | `fuzz::a_damaged_answer_never_becomes_other_bytes_than_asked_for` |
