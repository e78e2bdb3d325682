//! Installing: packages, what is in them, upgrading and removing; images; building for older systems.
//!
//! # From source
//!
//! ```text
//! cargo build --release --locked && sudo packaging/install
//! ```
//!
//! puts the binary into `/usr/local/bin` and the names that mount(8) looks for into `/sbin`. The package fuse3 has
//! `fusermount3`, through which users other than root mount, and `mount.fuse3`, for `mount -t fuse 'ossmount#…'`.
//!
//! # Packages
//!
//! ```text
//! packaging/deb/build OUT_DIR      # needs dpkg-dev; then: apt install ./ossmount_VERSION_ARCH.deb
//! packaging/rpm/build OUT_DIR      # needs rpmbuild; then: dnf install ./ossmount-VERSION-1.ARCH.rpm
//! ```
//!
//! Both lay out the same files, by `packaging/stage`, and find out from the binary what it needs. They are built by the
//! systems' own tools rather than by additions to cargo: those take minutes to build on a fresh machine, these are
//! there.
//!
//! | file | |
//! |---|---|
//! | `/usr/bin/ossmount` | the binary |
//! | `/usr/sbin/mount.ossmount`, `/usr/sbin/mount.fuse.ossmount` | links to it, for `mount -t ossmount`, `mount -t fuse.ossmount` and fstab |
//! | `/etc/ossmount/config.json` | options for all mounts of the machine; empty, and kept when edited |
//! | `/usr/share/man` | `ossmount(1)`, a page for each command, `mount.ossmount(8)`, `ossmount.json(5)` with every option |
//! | `/usr/share/bash-completion`, `zsh`, `fish` | completions |
//! | `/usr/share/doc/ossmount` | README, what has changed, `examples/` |
//!
//! Manual pages and completions are printed by the binary itself (`ossmount generate DIR`), from the table of options.
//!
//! # Mounting by fstab
//!
//! ```text
//! oss://bucket/models  /mnt/models  fuse.ossmount  _netdev,nofail,allow_other,region=cn-hangzhou,credentials-file=/etc/ossmount/keys.json  0 0
//! ```
//!
//! or, with region and credentials in `/etc/ossmount/config.json`, without them. `mount /mnt/models` and
//! `umount /mnt/models` then work as for any file system. Keys in a file belong to root, with mode 0600.
//!
//! # Upgrading and removing
//!
//! An upgrade replaces the binary and leaves live mounts alone: each goes on with the binary that it began with, until
//! it is mounted anew. Removing leaves them alone too; unmount them first (`ossmount status` lists them), and take
//! their lines out of `/etc/fstab`. `/etc/ossmount/config.json` stays when the package is removed, and goes when it is
//! purged. Nothing else is ever written outside `/run/ossmount` and the files that options name.
//!
//! The test command does so with the `.deb` and with the `.rpm`: it installs it, mounts by `/etc/fstab`, puts another
//! in its place below the mount, removes it, and looks whether anything is left.
//!
//! # Images
//!
//! `packaging/docker/Dockerfile` builds the `.deb` and installs it in a slim Debian; its head says how to run it. In a
//! container the daemon stays in the foreground (`-f`), which also puts the log on stderr. It can run without root, as
//! the image's user `ossmount`: fusermount3 mounts only for users that `/etc/passwd` names. The test command builds the
//! image and mounts from it as both.
//!
//! # Which systems
//!
//! The packages are linked with the C library, glibc, dynamically, and run on systems with the version that they were
//! built with or a newer one, roughly: built on Debian 12 the binary asks for 2.34, which Debian 12, Ubuntu 22.04 and
//! RHEL 9 have. For older systems (Alibaba Cloud Linux 3 has 2.32) build on an older one; nothing in the source needs
//! anything newer than 2.30, and the Dockerfile does so with the build argument `BASE=bullseye`. Linux 5.4 is enough;
//! newer ones give more ([`kernel`](super::kernel)).
//!
//! A static build with musl would run everywhere, and is not what is shipped, because
//!
//! - names are resolved by glibc through nsswitch: `/etc/hosts`, mDNS, systemd-resolved and whatever else a machine was
//!   given work as in every other program. musl knows `/etc/hosts` and DNS, and asks all name servers at once, which
//!   internal endpoints behind split DNS do not survive;
//! - musl's allocator takes one lock for all threads, and this is a program of many threads;
//! - a dynamic binary gets the distribution's fixes of its C library.
