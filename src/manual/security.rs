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
//! | place | protection |
//! |---|---|
//! | command line | No option takes a key, so that `ps` shows none. A password in a URL (`proxy`) causes a warning and is overwritten once it was read. |
//! | environment | Keys are read from it at the start. They remain in `/proc/PID/environ`, which only root can read because the process is not dumpable. Keys from files, roles and programs are not there. |
//! | log, errors, panics | Types with secrets have a hand-written `Debug`. Of the answer of a source of keys only code and message are quoted. The error for a rejected signature omits the text that was signed. |
//! | figures, control answers, the runtime directory, recorded loads | They contain no keys. |
//! | memory | Keys are overwritten when they are dropped or replaced. |
//! | core files | None is written: the limit is 0, and the process is not dumpable, which also covers cores that are piped to a program. |
//! | other processes | `fusermount3` gets only `PATH` of the environment. The program of `credentials-process` gets the complete environment: it belongs to the owner and may need keys itself. |
//! | files of keys | A file that another user owns or can write to is refused. A file that other users can read causes a warning in the log. Files are read again when they change, and are never written. |
//! | network | The secret is never sent: requests carry signatures. Tokens of temporary keys are sent; they are useless without the secret. |
//!
//! Only root, not the owner, can trace or profile a process that is not dumpable (`strace`, `gdb`, `perf`).
//!
//! # Other users of the machine
//!
//! - **Access.** The kernel admits only the owner, and not even root, unless `allow-root` or `allow-other` is set. Then
//!   the modes apply (`uid`, `gid`, `file-mode`, `dir-mode`), and the kernel checks them. With `control-xattr` it does
//!   not check them; therefore that option is refused together with `allow-other`.
//! - **Programs.** A mount has no devices and no set-uid programs (`nodev`, `nosuid`). `noexec` forbids executing
//!   files; without the execute bit in `file-mode` that is impossible as well.
//! - **Control.** Requests are served to the owner and to root, identified by the kernel; other users get EPERM, even
//!   if they can read. Root of a container with the mount can query, refresh and prefetch, and nothing else
//!   ([`control`](super::control#access) has the table). The socket has mode 0600, lines have a bounded length,
//!   and there are at most 64 clients.
//! - **Runtime directory.** It must belong to the user and must not be writable by others; otherwise it is not used.
//! - **Planted files.** Commands and daemons, also of root, ignore what other users planted: entries of daemons in
//!   their runtime directories (`status` marks them with `by uid N`), links on the way to a file, named pipes, devices
//!   and endless files. Mounts are found in the kernel's table, and asked on a socket only if the process that listens
//!   there belongs to the user who mounted.
//! - **Configuration files.** A file that another user owns or can write to cannot set keys, programs that print keys,
//!   hosts, certificates, files that are written, or access for others; it can set other options. A file of keys like
//!   that is refused. The error names owner, mode and remedy, as in `chown 0 FILE` or `chmod go-w FILE`.
//! - **Files and sockets.** Sockets get their mode before their name, and files are never written through links of
//!   other users.
//! - **Privileges.** Users mount through `fusermount3` and its rules. ossmount is not set-uid. It does not drop
//!   privileges when it runs as root: run it as a user if possible.
//!
//! # Writers of objects
//!
//! Keys, metadata and bytes of objects are untrusted.
//!
//! | object | effect |
//! |---|---|
//! | a key with `..`, `.`, an empty component, a NUL, or far too long | it has no name in the tree, or a reversible escaped one (`odd-keys`); no path leads out of the mount |
//! | two keys for one name (`a` beside `a/b`) | the directory takes the name |
//! | a symlink object | shown as a file; with `symlinks=on` as a relative link that never leads out of the mount, else as a file |
//! | control characters or bidirectional marks in names, classes, tags or messages of the service | escaped in the log, in errors and on terminals; an event is one line of the log |
//! | a key, or a message of the service, of megabytes | log lines and errors show the first 4096 bytes |
//! | a million directories, a directory of millions of names | names take bounded memory (`metadata-memory`): what does not fit is read page by page and not kept; listing ahead of a walk ends when the program does not follow |
//! | a file with the name of a safetensors or GGUF file and a false header | the header only predicts what is fetched next: at worst some unneeded requests, within `memory-limit` |
//! | an object that changes while it is read | one descriptor shows one version; ESTALE otherwise |
//!
//! # Services
//!
//! - **TLS** is used for every endpoint that does not begin with `http://`, with the certificates of the machine or of
//!   `ca-bundle`. Names are checked, and no option turns that off. A certificate that is in `ca-bundle` itself is
//!   trusted without an authority; its name and validity are checked.
//! - **Redirects** are not followed: another endpoint is an error, and keys are not sent to it.
//! - **Answers are bounded**: headers, listings, errors and keys have maximum sizes, and bodies the size that was
//!   requested. Ranges, sizes and entity tags are compared with the request. The XML parser expands no entities and
//!   loads nothing. It is fuzzed, as are the parsers of headers, ranges, times and models.
//! - **Checksums**: objects that are read completely are compared with the CRC-64 of the service (`verify`), which
//!   detects corruption, not attacks.
//! - **Time limits**: every wait has a limit. A service that stalls causes slow reads, and finally EIO.
//! - **Clock**: the time of the service is used only for signatures.
//!
//! # Writes
//!
//! Reading cannot change a bucket: requests that write are a separate interface in the code, which only copies use.
//! `copy=off` disables copies, as does `allow-other` without `copy=on`. Copies are limited to the mounted prefix and to
//! what `copy-from` and `copy-to` name. The kernel treats the mount as read-only.
//!
//! # Containers
//!
//! A pod that mounts needs `/dev/fuse` and CAP_SYS_ADMIN in its namespace. If a supervisor mounts and passes a
//! descriptor of `/dev/fuse` (`/dev/fd/N` as the directory), the daemon needs neither. It writes only to the files that
//! `log-file`, `pid-file` and `record` name, and to its runtime directory.
//!
//! # Tests
//!
//! Each row has a promise, the party that it protects against, and the tests that play this party or measure the bound.
//! `tests/run` runs all of them; the names are those of test functions.
//!
//! | promise | against | test |
//! |---|---|---|
//! | keys are in no log, argument, figure, answer or child process | other users | `security::secrets::keys_from_the_environment`, `security::secrets::keys_from_a_program` and the others there |
//! | a password given as an argument does not stay on the command line | other users | `security::planted::a_password_does_not_stay_on_the_command_line` |
//! | a command of root ignores entries, links, pipes and sockets that another user made | other users | `security::planted::roots_commands_obey_no_entry_of_another_user` |
//! | a runtime folder of another user is not used | other users | `security::planted::a_runtime_folder_that_another_user_made_is_not_used` |
//! | a configuration of another user runs no program and names no keys | other users | `security::planted::a_file_of_another_user_runs_no_program_and_names_no_keys` |
//! | no file is written through another user's link | other users | `security::planted::no_file_is_written_through_another_users_link` |
//! | files are opened by path only where a reason stands | other users | `house::paths::nothing_is_opened_by_path_but_where_a_reason_stands` |
//! | control requests are served to the owner and root only | other users | `control::tests::the_owner_and_root_are_served_and_no_other_user` |
//! | root of a container can read, and can neither control nor write | containers | `control::namespaces::root_of_another_mount_namespace_reads_and_does_no_more`, `control::namespaces::root_of_another_user_namespace_reads_and_does_no_more` |
//! | copies stay within what the mount names, and are off with `allow-other` | containers | `control::namespaces::copies_stay_within_what_the_mount_names`, `control::namespaces::a_mount_for_everyone_makes_no_copies_unless_asked` |
//! | a program for keys that hangs is killed with its children | a broken program | `security::planted::a_program_for_keys_that_hangs_ends_with_the_mount`, `security::orphans::a_program_for_keys_does_not_begin_before_it_is_watched` |
//! | an image is built from base images named by digest only | registries | `house::images::base_images_are_named_by_digest` |
//! | foreign text has no effect on a terminal, and a log line has a bounded length | writers of keys, services | `base::foreign::tests::what_acts_is_escaped`, `app::daemon::log::lines::tests::a_line_of_either_format_has_a_bounded_length_and_nothing_in_it_acts`, `cli::usage::an_argument_cannot_act_on_the_terminal` |
//! | a directory larger than `metadata-memory` is read completely, within that memory | writers of keys | `fs::names::paging_tests::hundreds_of_thousands_of_names_take_no_more_than_the_limit`, `mount::listing::a_directory_larger_than_memory_is_listed_whole_within_it` |
//! | redirects are not followed | services | `http::wire::redirects_are_not_followed` |
//! | certificates are checked, and only the given bundle is trusted | services | `http::wire::tls_trusts_the_bundle_it_is_given_and_no_other` |
//! | a damaged answer never returns other bytes than those requested | services | `fuzz::a_damaged_answer_never_becomes_other_bytes_than_asked_for` |
