//! Installing: from source, as a package or as an image; upgrading, removing, and building for older systems.
//!
//! # From source
//!
//! ```text
//! cargo build --release --locked && sudo packaging/install
//! ```
//!
//! installs the binary in `/usr/local/bin` and the helpers of mount(8) in `/sbin`. The package `fuse3` is needed for
//! mounts by users other than root (`fusermount3`) and for `mount -t fuse 'ossmount#…'` (`mount.fuse3`).
//!
//! # Packages
//!
//! ```text
//! packaging/deb/build OUT_DIR      # needs dpkg-dev; then: apt install ./ossmount_VERSION_ARCH.deb
//! packaging/rpm/build OUT_DIR      # needs rpmbuild; then: dnf install ./ossmount-VERSION-1.ARCH.rpm
//! ```
//!
//! Both packages hold the same files and take their dependencies from the binary.
//!
//! | file | content |
//! |---|---|
//! | `/usr/bin/ossmount` | the binary |
//! | `/usr/sbin/mount.ossmount`, `/usr/sbin/mount.fuse.ossmount` | links to the binary, for `mount -t ossmount`, `mount -t fuse.ossmount` and fstab |
//! | `/etc/ossmount/config.json` | options for all mounts of the machine; empty at first, and not overwritten once it was edited |
//! | `/usr/share/man` | `ossmount(1)`, a page for each command, `mount.ossmount(8)`, `ossmount.json(5)` with every option |
//! | `/usr/share/bash-completion`, `zsh`, `fish` | completions |
//! | `/usr/share/doc/ossmount` | README, changelog, `examples/` |
//!
//! `ossmount generate DIR` writes the manual pages and completions.
//!
//! # Mounting by fstab
//!
//! ```text
//! oss://bucket/models  /mnt/models  fuse.ossmount  _netdev,nofail,allow_other,region=cn-hangzhou,credentials-file=/etc/ossmount/keys.json  0 0
//! ```
//!
//! Region and credentials can be in `/etc/ossmount/config.json` instead. `mount /mnt/models` and `umount /mnt/models`
//! then work as for any file system. The file with the keys should belong to root and have mode 0600.
//!
//! # Upgrading and removing
//!
//! | action | live mounts | `/etc/ossmount/config.json` |
//! |---|---|---|
//! | upgrade | continue with the old binary until they are mounted again | is kept |
//! | remove | continue; unmount them first (`ossmount status` lists them), and remove their lines from `/etc/fstab` | is kept |
//! | purge | as above | is removed |
//!
//! The daemon writes nothing outside `/run/ossmount` and the files that options name.
//!
//! # Images
//!
//! `packaging/docker/Dockerfile` builds the `.deb` and installs it in a slim Debian image; the comment at its top shows
//! how to build and run it. Its base images are named by digest, and a build from a tag alone is refused:
//! `packaging/docker/base-images` prints both as arguments of the build from `base-images.lock` beside it. Where that
//! file is missing, and as `base-images renew`, the script looks the digests up (with `skopeo` or `docker buildx`) and
//! writes it; commit it, and later builds use the same images. In a container the daemon runs in the foreground (`-f`)
//! and logs to stderr. It can run without root as the user `ossmount` of the image, since `fusermount3` mounts only for
//! users in `/etc/passwd`.
//!
//! # Supported systems
//!
//! The binary is linked dynamically with glibc and needs about the version that it was built with: built on Debian 12
//! it needs 2.34, which Debian 12, Ubuntu 22.04 and RHEL 9 have. For older systems (Alibaba Cloud Linux 3 has 2.32)
//! build on an older distribution, or make the lock file of the image with `BASE=bullseye
//! packaging/docker/base-images renew`; the source needs glibc 2.30. Linux 5.4 is
//! enough; newer kernels add features ([`kernel`](super::kernel)).
//!
//! There is no static build with musl, for three reasons:
//!
//! - glibc resolves names through nsswitch, so that `/etc/hosts`, mDNS, systemd-resolved and other modules work as in
//!   every other program. musl supports `/etc/hosts` and DNS only, and queries all name servers at once, which fails
//!   for internal endpoints behind split DNS.
//! - musl's allocator takes one lock for all threads, and the daemon has many threads.
//! - A dynamic binary receives the distribution's fixes of the C library.
