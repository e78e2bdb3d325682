//! From the arguments of `cp` to a request.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches};

use crate::app::commands::stat::attribute;
use crate::base::{BucketName, ETag};
use crate::config::{BucketUrl, Problem, Result};
use crate::copy::{Destination, Directive, Existing, Request, Scope, Source, parse_tagging};
use crate::fuse;
use crate::store::{self, Metadata, Overwrite, StorageClass};

/// Headers of an object that have a flag of their own name.
const HEADERS: [&str; 5] = ["cache-control", "content-disposition", "content-encoding", "content-language", "expires"];

/// What is asked for.
pub(super) struct Arguments {
    pub(super) source: Operand,
    pub(super) destination: Operand,
    pub(super) request: Request,
}

/// One side of a copy.
pub(in crate::app::commands) struct Operand {
    pub(in crate::app::commands) url: BucketUrl,
    /// The tag that a mount shows of it.
    pub(in crate::app::commands) etag: Option<ETag>,
    is_directory: bool,
}

pub(super) fn accepted() -> Vec<Arg> {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).help_heading("The copy")
    };
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help).help_heading("The copy")
    };
    let directive = "copy (the source's) or replace (what is given here, and nothing else)";
    let mut args = vec![
        text("metadata-directive", "WORD", directive),
        text("metadata", "NAME=VALUE", "User metadata, in place of the source's").action(ArgAction::Append),
        text("content-type", "TYPE", "The MIME type, in place of the source's"),
    ];
    args.extend(HEADERS.map(|name| text(name, "VALUE", "This header, in place of the source's")));
    args.extend([
        text("tagging-directive", "WORD", directive),
        text("tagging", "TAGS", "Tags in place of the source's: NAME=VALUE&NAME=VALUE, percent-encoded"),
        text("storage-class", "CLASS", "The storage class, such as Standard or IA; otherwise that of the bucket"),
        text("acl", "RULE", "The access rule, such as private; otherwise that of the bucket"),
        text("if-match", "ETAG", "Fail unless the source has this entity tag"),
        text("resume", "UPLOAD-ID", "Resume an earlier copy of this object from the parts that it left"),
        flag("forbid-overwrite", "Fail if the destination exists"),
        flag(
            "skip-existing",
            "With -r, skip objects that exist with the same size and checksum, or local files of the same size and time",
        ),
    ]);
    args
}

pub(super) fn read(matches: &ArgMatches) -> Result<Arguments> {
    let scope = if matches.get_flag("recursive") { Scope::Prefix } else { Scope::Object };
    let [source, destination] = ["src", "dst"].map(|name| {
        let path = matches.get_one::<std::path::PathBuf>(name);
        path.ok_or_else(|| Problem::usage("SRC and DST are required; see ossmount cp --help"))
            .and_then(|path| Operand::of(path))
    });
    let (source, destination) = (source?, destination?);
    if scope == Scope::Object && source.is_directory {
        return Err(Problem::usage(format!("{} is a directory: copy what is below it with -r", source.url)));
    }
    let request = request(matches, scope, &source, &destination)?;
    Ok(Arguments { source, destination, request })
}

fn request(matches: &ArgMatches, scope: Scope, source: &Operand, destination: &Operand) -> Result<Request> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let refused = |error: store::Error| Problem::usage(error.message());
    let (key, version) = match scope {
        Scope::Prefix => (source.url.directory(), None),
        Scope::Object => {
            let (key, version) = source.url.key_and_version();
            (key.to_owned(), version.map(str::to_owned))
        }
    };
    let if_match = if_match(matches, source)?;
    let tags = text("tagging").map(|tags| parse_tagging(&tags)).transpose().map_err(refused)?;
    let to = match scope {
        Scope::Prefix => destination.url.directory(),
        Scope::Object => destination.object_key(&key),
    };
    Ok(Request {
        scope,
        metadata: Directive::of("metadata-directive", text("metadata-directive").as_deref(), metadata(matches)?)
            .map_err(refused)?,
        tags: Directive::of("tagging-directive", text("tagging-directive").as_deref(), tags).map_err(refused)?,
        overwrite: if matches.get_flag("forbid-overwrite") { Overwrite::Forbid } else { Overwrite::Allow },
        storage_class: text("storage-class").map(|class| StorageClass(class.into())),
        acl: text("acl"),
        resume: text("resume"),
        existing: if matches.get_flag("skip-existing") { Existing::Skip } else { Existing::Copy },
        ..Request::new(
            Source { bucket: source.url.bucket.clone(), key, version, if_match },
            Destination { bucket: destination.url.bucket.clone(), key: to },
        )
    })
}

/// The entity tag that the source must have: the one that is asked for, or the one that a mount shows.
pub(super) fn if_match(matches: &ArgMatches, source: &Operand) -> Result<Option<ETag>> {
    match matches.get_one::<String>("if-match") {
        Some(given) => {
            let tag = ETag::parse(given).ok_or_else(|| Problem::usage("if-match: this is not a valid entity tag"))?;
            Ok(Some(tag))
        }
        None => Ok(source.etag.clone()),
    }
}

/// The source of a copy to a local path.
pub(super) fn local_source(matches: &ArgMatches) -> Result<Operand> {
    let Some(path) = matches.get_one::<std::path::PathBuf>("src") else {
        return Err(Problem::usage("SRC and DST are required; see ossmount cp --help"));
    };
    Operand::of(path)
}

/// Options that only objects in a bucket have.
pub(super) fn refuse_for_local(matches: &ArgMatches) -> Result<()> {
    const LOCAL: [&str; 3] = ["if-match", "skip-existing", "forbid-overwrite"];
    let is_given =
        |arg: &Arg| matches.value_source(arg.get_id().as_str()) == Some(clap::parser::ValueSource::CommandLine);
    let given = accepted().into_iter().find(|arg| !LOCAL.contains(&arg.get_id().as_str()) && is_given(arg));
    match given {
        None => Ok(()),
        Some(arg) if arg.get_id() == "resume" => Err(Problem::usage(
            "--resume is for copies within the service; a copy to a local file continues when the same command is given",
        )),
        Some(arg) => {
            let name = arg.get_id();
            Err(Problem::usage(format!("--{name} is for copies within the service; a local file has none of it")))
        }
    }
}

/// The metadata that is given; `None` where none is.
fn metadata(matches: &ArgMatches) -> Result<Option<Metadata>> {
    let mut metadata =
        Metadata { content_type: matches.get_one::<String>("content-type").cloned(), ..Metadata::default() };
    for name in HEADERS {
        metadata.headers.extend(matches.get_one::<String>(name).map(|value| (name.to_owned(), value.clone())));
    }
    for pair in matches.get_many::<String>("metadata").into_iter().flatten() {
        let (name, value) = pair
            .split_once('=')
            .filter(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))
            .ok_or_else(|| {
                Problem::usage(format!("metadata: {pair:?} is not NAME=VALUE with a name of letters, digits and -"))
            })?;
        metadata.user.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    Ok((metadata != Metadata::default()).then_some(metadata))
}

impl Operand {
    /// What a URL, or a path in a live mount, names.
    pub(in crate::app::commands) fn of(what: &Path) -> Result<Operand> {
        match what.to_str().filter(|text| BucketUrl::is_url(text)) {
            Some(url) => {
                let url: BucketUrl = url.parse()?;
                let is_directory = url.path.is_empty() || url.path.ends_with('/');
                Ok(Operand { url, etag: None, is_directory })
            }
            None => Operand::of_path(what),
        }
    }

    /// A path under a live mount, which may not exist yet. The mount tells key and tag as it shows them.
    fn of_path(path: &Path) -> Result<Operand> {
        let fail = |error: std::io::Error| Problem::failure(format!("{}: {error}", path.display()));
        let Ok(found) = fs::metadata(path) else { return Operand::of_new_path(path) };
        let fact = |name: &str| attribute(path, &format!("user.oss.{name}")).ok().filter(|value| !value.is_empty());
        let text = |name: &str| fact(name).and_then(|value| String::from_utf8(value).ok());
        // The root of a mount of a whole bucket has an empty key.
        let (Some(bucket), key) = (text("bucket"), text("key").unwrap_or_default()) else {
            let sentence = "is not a path in a live ossmount mount; name one, or a URL such as oss://bucket/key";
            return Err(Problem::failure(format!("{} {sentence}", path.display())));
        };
        let dialect = dialect_at(&path.canonicalize().map_err(fail)?)?;
        Ok(Operand {
            url: BucketUrl { dialect, bucket: BucketName::new(bucket), path: key },
            etag: text("etag").as_deref().and_then(ETag::parse),
            is_directory: found.is_dir(),
        })
    }

    /// A path that is to be: its directory tells the key.
    fn of_new_path(path: &Path) -> Result<Operand> {
        let fail = |why: &str| Problem::failure(format!("{}: {why}", path.display()));
        let name = path.file_name().and_then(OsStr::to_str).ok_or_else(|| fail("the name is not UTF-8"))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if fs::metadata(parent).is_err() {
            return Err(fail("no such file or directory"));
        }
        let parent = Operand::of_path(parent)?;
        let path = format!("{}{name}", parent.url.directory());
        Ok(Operand { url: BucketUrl { path, ..parent.url }, etag: None, is_directory: false })
    }

    /// The key of the copy of an object: a directory takes its name.
    fn object_key(&self, source: &str) -> String {
        match self.is_directory {
            true => format!("{}{}", self.url.directory(), source.rsplit('/').next().unwrap_or(source)),
            false => self.url.path.clone(),
        }
    }
}

/// The protocol of the mount that a path is in.
fn dialect_at(path: &Path) -> Result<store::Dialect> {
    let mounts = fuse::mounts().map_err(|error| Problem::failure(format!("mounts cannot be listed: {error}")))?;
    let mount =
        mounts.iter().filter(|mount| path.starts_with(&mount.dir)).max_by_key(|mount| mount.dir.as_os_str().len());
    let url: Option<BucketUrl> = mount.and_then(|mount| mount.source.parse().ok());
    url.map(|url| url.dialect).ok_or_else(|| Problem::failure(format!("{} is not in a live mount", path.display())))
}
