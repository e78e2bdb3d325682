//! The effective value of each option and its source: the given value and its place, or the default, and the computed
//! value.
//!
//! For people and programs that look into a configuration; nothing is decided here. Secrets cannot show, for no option
//! takes one but in a URL or a command line: those are cut.

use std::ffi::OsString;

use super::json::Place;
use super::machine::Machine;
use super::problem::Problem;
use super::raw::{Origin, Raw};
use super::resolve::{self, Mounting};
use super::table::{Name, Row, Standing, TABLE};
use super::url::BucketUrl;
use super::value::Kind;
use super::words::Words;
use crate::base::ByteSize;
use crate::store;

/// One option as it holds.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The row of the option.
    pub row: &'static Row,
    /// What was given, or the default, without secrets.
    pub value: Option<String>,
    /// Where it was given; `None` for defaults.
    pub origin: Option<Origin>,
    /// What the program takes instead, where the value leaves that to it.
    pub computed: Option<Computed>,
}

/// A value that was worked out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Computed {
    /// The value that holds, as text.
    pub value: String,
    /// From what, as a phrase.
    pub because: String,
}

impl Effective {
    /// What holds in the end, if anything does.
    pub fn holds(&self) -> Option<&str> {
        self.computed.as_ref().map(|computed| computed.value.as_str()).or(self.value.as_deref())
    }

    /// Where that comes from, as a phrase: `--part-size`, `OSSMOUNT_PART_SIZE`, `/etc/ossmount/config.json:3:16`,
    /// `default`.
    pub fn from(&self) -> String {
        let given = match &self.origin {
            Some(Origin::File { path, at: Place { line, column } }) => format!("{}:{line}:{column}", path.display()),
            Some(Origin::Environment) => self.row.variable(),
            Some(Origin::Word) => format!("-o {}", self.row.name),
            Some(Origin::Flag) => format!("--{}", self.row.name),
            None => "default".to_owned(),
        };
        match (&self.computed, &self.value, self.row.standing) {
            (Some(Computed { because, .. }), Some(value), _) => format!("{given}: {value}, {because}"),
            (Some(Computed { because, .. }), None, _) => format!("{given}: {because}"),
            (None, None, Standing::Unset(text)) => format!("{given}: {text}"),
            _ => given,
        }
    }
}

/// Every option as it would hold for a mount of `url`, and what stands in the way of one. Without a URL, what depends
/// on a bucket is left out, credentials among it.
pub fn effective(
    raw: &Raw,
    words: Words,
    url: Option<&BucketUrl>,
    machine: Machine,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> (Vec<Effective>, Option<Problem>) {
    let resolved = match url {
        Some(url) => resolve::resolve(raw, words, url, machine, variable),
        None => resolve::resolve_without_bucket(raw, words, machine),
    };
    // A bucket that cannot be reached is told by mounting; what is known of it all the same is shown.
    let (mounting, mut problem) = match resolved {
        Ok(mounting) => (Some(mounting), None),
        Err(problem) => (None, Some(problem)),
    };
    let reached = mounting.as_ref().filter(|_| url.is_some()).map(|mounting| store::reached(&mounting.store));
    let reached = match reached.transpose() {
        Ok(reached) => reached,
        Err(error) => {
            problem.get_or_insert(Problem::failure(error.message().to_owned()));
            None
        }
    };
    let known = Known { raw, machine, mounting, reached, is_bucket: url.is_some() };
    let all = TABLE.iter().map(|row| Effective {
        row,
        value: raw.text(row.key).map(|text| without_secrets(row, text)),
        origin: raw.origin(row.key).cloned(),
        computed: known.computed(row.key),
    });
    (all.collect(), problem)
}

/// What values are worked out from.
struct Known<'a> {
    raw: &'a Raw,
    machine: Machine,
    mounting: Option<Mounting>,
    reached: Option<store::Reached>,
    is_bucket: bool,
}

impl Known<'_> {
    fn computed(&self, name: Name) -> Option<Computed> {
        let mounting = self.mounting.as_ref()?;
        let is_auto = self.raw.text(name) == Some("auto");
        let because = |value: String, because: &str| Some(Computed { value, because: because.to_owned() });
        let of_memory = |bytes: u64, divisor: u64, share: &str| {
            let share = if bytes == self.machine.memory / divisor { share } else { "its share" };
            because(ByteSize(bytes).to_string(), &format!("{share} of {}", self.machine.memory_phrase()))
        };
        match name {
            Name::MemoryLimit if is_auto => of_memory(mounting.read.memory_limit, 4, "a quarter"),
            Name::MetadataMemory if is_auto => of_memory(mounting.fs.metadata_bytes, 8, "an eighth"),
            Name::MaxConnections if is_auto => {
                let most = mounting.store.connections.most();
                let because_of = format!("at first; up to {most} while more connections bring more");
                because(mounting.store.connections.first().to_string(), &because_of)
            }
            Name::PrefetchParts if is_auto => {
                because(mounting.store.connections.first().to_string(), "as many as max-connections")
            }
            Name::Uid if !self.raw.is_given(name) => because(mounting.fs.uid.to_string(), "the user who mounts"),
            Name::Gid if !self.raw.is_given(name) => because(mounting.fs.gid.to_string(), "the user who mounts"),
            Name::Endpoint if !self.raw.is_given(name) => {
                because(self.reached.as_ref()?.endpoint.clone(), "from the region")
            }
            Name::Region if !self.raw.is_given(name) => {
                let region = &self.reached.as_ref()?.region;
                because((!region.is_empty()).then(|| region.clone())?, "from the endpoint")
            }
            Name::Addressing if is_auto => because(self.reached.as_ref()?.addressing.to_owned(), "from the endpoint"),
            Name::Credentials if is_auto && self.is_bucket => {
                because(mounting.store.credentials.describe(), "the first source found")
            }
            _ => None,
        }
    }
}

/// A value that may be shown to any user: URLs without user and query, commands without their arguments.
fn without_secrets(row: &Row, text: &str) -> String {
    match row.kind {
        Kind::Text("COMMAND") => match text.trim().split_once(char::is_whitespace) {
            Some((program, _)) => format!("{program} (arguments hidden)"),
            None => text.to_owned(),
        },
        Kind::Text("URL" | "HOST") => {
            let (text, query) = match text.split_once(['?', '#']) {
                Some((text, _)) => (text, "?(hidden)"),
                None => (text, ""),
            };
            let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
            let scheme = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let authority = match authority.rsplit_once('@') {
                Some((_, host)) => format!("(hidden)@{host}"),
                None => authority.to_owned(),
            };
            format!("{scheme}{authority}{path}{query}")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Caller;

    const MACHINE: Machine = Machine { memory: 8 << 30, installed: 16 << 30, uid: 7, gid: 8 };

    fn shown(url: &str, list: &str) -> (Vec<Effective>, Option<Problem>) {
        let (mut raw, mut words) = (Raw::default(), Words::default());
        words.read(list, &mut raw, Caller::Person).unwrap();
        let keys = |name: &str| name.contains("ACCESS_KEY").then(|| OsString::from("hush"));
        let url: Option<BucketUrl> = (!url.is_empty()).then(|| url.parse().unwrap());
        effective(&raw, words, url.as_ref(), MACHINE, &keys)
    }

    fn line(all: &[Effective], name: Name) -> String {
        let found = all.iter().find(|option| option.row.key == name).unwrap();
        format!("{} <- {}", found.holds().unwrap_or("-"), found.from())
    }

    #[test]
    fn each_value_says_where_it_comes_from() {
        let (all, problem) = shown("oss://bkt", "region=cn-hangzhou,part-size=1MiB");
        assert_eq!(problem, None);
        for (name, expected) in [
            (Name::PartSize, "1MiB <- -o part-size"),
            (Name::Region, "cn-hangzhou <- -o region"),
            (Name::Endpoint, "https://oss-cn-hangzhou.aliyuncs.com <- default: from the region"),
            (Name::Addressing, "virtual <- default: auto, from the endpoint"),
            (Name::MemoryLimit, "2GiB <- default: auto, a quarter of the cgroup's limit of 8GiB"),
            (Name::MetadataMemory, "1GiB <- default: auto, an eighth of the cgroup's limit of 8GiB"),
            (Name::MaxConnections, "64 <- default: auto, at first; up to 256 while more connections bring more"),
            (Name::Uid, "7 <- default: the user who mounts"),
            (Name::Verify, "crc64 <- default"),
        ] {
            assert_eq!(line(&all, name), expected);
        }
        assert!(line(&all, Name::LogFile).starts_with("- <- default: "));
        assert!(line(&all, Name::Credentials).ends_with("<- default: auto, the first source found"));
        assert_eq!(all.len(), TABLE.len());
    }

    #[test]
    fn without_a_bucket_the_rest_is_shown_and_checked() {
        let (all, problem) = shown("", "memory-limit=1GiB");
        assert_eq!(problem, None);
        assert_eq!(line(&all, Name::MemoryLimit), "1GiB <- -o memory-limit");
        assert_eq!(line(&all, Name::Credentials), "auto <- default");
        let (all, problem) = shown("", "replay=/f,prefetch=off");
        assert!(problem.unwrap().sentence.contains("give only one of them"));
        assert_eq!(line(&all, Name::Prefetch), "off <- -o prefetch");
    }

    #[test]
    fn secrets_are_cut() {
        let words =
            "proxy=u:hush@h:1,credentials-process=/bin/keys --secret hush,credentials-uri=http://u:hush@h/k?token=hush";
        let (all, _) = shown("oss://b", words);
        assert!(!format!("{all:?}").contains("hush"), "{all:?}");
        assert_eq!(line(&all, Name::CredentialsProcess), "/bin/keys (arguments hidden) <- -o credentials-process");
        assert_eq!(line(&all, Name::CredentialsUri), "http://(hidden)@h/k?(hidden) <- -o credentials-uri");
    }

    #[test]
    fn what_stands_in_the_way_is_told_beside_the_values() {
        let (all, problem) = shown("oss://b", "");
        assert!(problem.unwrap().sentence.contains("neither endpoint nor region"));
        assert_eq!(line(&all, Name::MemoryLimit).split(' ').next(), Some("2GiB"));
    }
}
