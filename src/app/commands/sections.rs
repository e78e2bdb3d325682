//! The sections of manual pages that the command line does not describe itself: examples, files, environment, exit
//! statuses and other pages.

use clap_mangen::roff::{Roff, bold, roman};

/// What one page has at its end.
pub(super) struct Sections {
    /// What each example does, and its command.
    examples: &'static [(&'static str, &'static str)],
    files: &'static [(&'static str, &'static str)],
    environment: &'static [(&'static str, &'static str)],
    see_also: &'static str,
}

const STATUS: [(&str, &str); 3] = [
    ("0", "Success."),
    ("1", "The command was understood and could not be done; one sentence on stderr says why."),
    ("2", "The command line, a variable or a configuration file was not understood."),
];

const CONFIGURATION: (&str, &str) =
    ("/etc/ossmount/config.json, ~/.config/ossmount/config.json", "Options of all commands; see ossmount.json(5).");
const RUNTIME: (&str, &str) =
    ("$XDG_RUNTIME_DIR/ossmount, /run/ossmount", "A file for each live mount, and the sockets for control requests.");
const KEYS: (&str, &str) = (
    "~/.aliyun/config.json, ~/.ossutilconfig, ~/.passwd-ossfs, ~/.aws/credentials, ~/.aws/config",
    "Where access keys are looked for.",
);

const OPTIONS: (&str, &str) =
    ("OSSMOUNT_<NAME>", "An option by its name in capitals, with _ for -, as in OSSMOUNT_MEMORY_LIMIT.");
const CONFIG: (&str, &str) = ("OSSMOUNT_CONFIG", "A configuration file in place of the standard ones.");
const OSS: (&str, &str) =
    ("OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET, OSS_SESSION_TOKEN", "Access keys of OSS, for oss:// URLs.");
const S3: (&str, &str) = (
    "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_PROFILE",
    "Access keys of S3, or a profile of the aws command line, for s3:// URLs.",
);

const WITH_OPTIONS: &[(&str, &str)] = &[CONFIGURATION, KEYS];
const VARIABLES: &[(&str, &str)] = &[OPTIONS, CONFIG, OSS, S3];

/// The sections of a page.
pub(super) fn of(page: &str) -> Sections {
    let (files, environment) = match page {
        "ossmount-umount" | "ossmount-prefetch" | "ossmount-jobs" | "ossmount-status" | "ossmount-control" => {
            (&[RUNTIME][..], &[][..])
        }
        "ossmount-manual" | "ossmount-cache" | "ossmount-emulator" | "ossmount-demo" => (&[][..], &[][..]),
        "ossmount" | "ossmount-mount" | "mount.ossmount" => (&[CONFIGURATION, KEYS, RUNTIME][..], VARIABLES),
        _ => (WITH_OPTIONS, VARIABLES),
    };
    let see_also = match page {
        "ossmount" => {
            "ossmount-mount(1), ossmount-umount(1), ossmount-ls(1), ossmount-cp(1), ossmount-status(1), ossmount.json(5), mount.ossmount(8), fusermount3(1)"
        }
        "ossmount-mount" | "mount.ossmount" => {
            "ossmount(1), ossmount-umount(1), ossmount-status(1), ossmount.json(5), mount(8), fstab(5)"
        }
        _ => "ossmount(1), ossmount-mount(1), ossmount.json(5)",
    };
    let examples = EXAMPLES.iter().find(|(name, _)| *name == page).map_or(&[][..], |(_, examples)| *examples);
    Sections { examples, files, environment, see_also }
}

/// What the examples of a page do, and the commands.
type Examples = &'static [(&'static str, &'static str)];

const EXAMPLES: &[(&str, Examples)] = &[
    (
        "ossmount",
        &[
            ("Try it without an account:", "ossmount demo"),
            (
                "Mount a bucket, and unmount it:",
                "ossmount mount oss://bucket/models /mnt/models --region cn-hangzhou\nossmount umount /mnt/models",
            ),
            ("Read the manual:", "ossmount manual"),
        ],
    ),
    (
        "ossmount-mount",
        &[
            (
                "From a machine of the bucket's region, for all users:",
                "ossmount mount oss://bucket/models /mnt/models --region cn-hangzhou --internal --allow-other",
            ),
            ("A public bucket of S3:", "ossmount mount s3://bucket /mnt --region eu-west-1 --credentials anonymous"),
            (
                "As a bucket with versions stood half a day ago:",
                "ossmount mount oss://bucket /mnt --region cn-hangzhou --at 12h",
            ),
        ],
    ),
    (
        "mount.ossmount",
        &[
            (
                "A line of /etc/fstab:",
                "oss://bucket/models /mnt/models fuse.ossmount _netdev,nofail,allow_other,region=cn-hangzhou,credentials-file=/etc/ossmount/keys.json 0 0",
            ),
            ("By mount(8):", "mount -t ossmount oss://bucket/models /mnt/models -o region=cn-hangzhou"),
        ],
    ),
    ("ossmount-umount", &[("Unmount while files are open:", "ossmount umount --lazy /mnt/models")]),
    (
        "ossmount-ls",
        &[
            ("Sizes for people, of a mount:", "ossmount ls -lh /mnt/models"),
            (
                "Everything below a prefix, for a program:",
                "ossmount ls -r --json oss://bucket/models --region cn-hangzhou",
            ),
            ("How much there is:", "ossmount ls -rh --summary oss://bucket --region cn-hangzhou"),
        ],
    ),
    (
        "ossmount-stat",
        &[("An old version:", "ossmount stat 'oss://bucket/key?versionId=VERSION' --region cn-hangzhou")],
    ),
    (
        "ossmount-log",
        &[("All versions of what is below a prefix:", "ossmount log oss://bucket/models/ --region cn-hangzhou")],
    ),
    (
        "ossmount-cp",
        &[
            (
                "To a local directory; the same command goes on after an interruption:",
                "ossmount cp oss://bucket/large . --region cn-hangzhou",
            ),
            (
                "A prefix to local files, those left out that are there:",
                "ossmount cp -r --skip-existing oss://bucket/dir/ dir --region cn-hangzhou",
            ),
            ("Within the service:", "ossmount cp -r oss://bucket/dir oss://other/dir --region cn-hangzhou"),
        ],
    ),
    (
        "ossmount-cat",
        &[(
            "Unpack an archive without a copy of it:",
            "ossmount cat oss://bucket/set.tar --region cn-hangzhou | tar x",
        )],
    ),
    ("ossmount-prefetch", &[("Into memory, and wait:", "ossmount prefetch --wait /mnt/models/llama")]),
    (
        "ossmount-jobs",
        &[
            ("What is prefetched and copied:", "ossmount jobs /mnt/models"),
            ("Cancel a prefetch:", "ossmount jobs /mnt/models --cancel prefetch:3"),
        ],
    ),
    (
        "ossmount-status",
        &[
            ("The live mounts:", "ossmount status"),
            ("All figures, for a program:", "ossmount status --json /mnt/models"),
        ],
    ),
    (
        "ossmount-config",
        &[("What a mount would use, and where from:", "ossmount config oss://bucket --region cn-hangzhou")],
    ),
    ("ossmount-control", &[("List a directory anew:", "ossmount control /mnt/models '{\"op\":\"refresh\"}'")]),
    (
        "ossmount-cache",
        &[
            ("How much a cache holds:", "ossmount cache status /var/cache/ossmount"),
            ("Check all of it:", "ossmount cache verify /var/cache/ossmount"),
        ],
    ),
    ("ossmount-demo", &[("On a directory of your choice:", "ossmount demo /tmp/demo")]),
    ("ossmount-emulator", &[("Serve the directories below root as buckets:", "ossmount emulator --root root")]),
    ("ossmount-manual", &[("What programs can rely on:", "ossmount manual semantics | less")]),
];

impl Sections {
    /// The sections in the language of manual pages.
    pub(super) fn to_roff(&self) -> String {
        let mut page = Roff::default();
        if !self.examples.is_empty() {
            page.control("SH", ["EXAMPLES"]);
            for (what, command) in self.examples {
                page.control("PP", []);
                page.text([roman(*what)]);
                page.control("RS", ["4"]);
                page.control("nf", []);
                for line in command.lines() {
                    page.text([bold(line)]);
                }
                page.control("fi", []);
                page.control("RE", []);
            }
        }
        let lists = [("FILES", self.files), ("ENVIRONMENT", self.environment), ("EXIT STATUS", &STATUS[..])];
        for (title, entries) in lists.into_iter().filter(|(_, entries)| !entries.is_empty()) {
            page.control("SH", [title]);
            for (name, what) in entries {
                page.control("TP", []);
                page.text([bold(*name)]);
                page.text([roman(*what)]);
            }
        }
        page.control("SH", ["SEE ALSO"]);
        page.text([roman(self.see_also)]);
        page.to_roff()
    }
}
