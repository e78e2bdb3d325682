//! `ossmount stat URL-or-PATH`.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgMatches, Command};
use serde_json::{Map, Value, json};

use super::text::{Output, json_line, shown, time};
use super::{ls, small_runtime};
use crate::app::args::{config_arg, json_arg};
use crate::app::daemon::{
    log,
    reach::{self, Below},
};
use crate::app::sources;
use crate::app::variable;
use crate::base::{Clock, Key, Timestamp};
use crate::config::{self, BucketUrl, Caller, Group, Problem, Result};
use crate::metrics::Metrics;
use crate::store::{Connected, ErrorKind, HeadRequest, ObjectMeta};

/// The extended attributes of files under a mount.
const ATTRIBUTES: &str = "user.oss.";

/// A JSON object in the order written.
macro_rules! facts {
    ($($name:literal: $value:expr),* $(,)?) => {{
        let mut map = Map::new();
        $(map.insert($name.to_owned(), json!($value));)*
        map
    }};
}

/// Those that are not listed, because they cost the mount a request.
const ON_REQUEST: [&str; 3] = ["crc64", "content-type", "version-id"];

pub(in crate::app) fn command() -> Command {
    Command::new("stat")
        .about("Print all metadata of an object, by its URL or by a path in a live mount")
        .arg(
            Arg::new("what")
                .value_name("URL-or-PATH")
                .required(true)
                .value_parser(PathBufValueParser::new())
                .help("oss://BUCKET/KEY[?versionId=VERSION], s3://..., or a file in a mount"),
        )
        .arg(json_arg())
        .arg(config_arg())
        .args(config::args(&[Group::Connection, Group::Credentials, Group::View]))
        .args_override_self(true)
}

pub(in crate::app) fn run(matches: &ArgMatches) -> Result<()> {
    let Some(what) = matches.get_one::<PathBuf>("what") else {
        return Err(Problem::usage("a URL or path is required; see ossmount stat --help"));
    };
    let facts = match what.to_str().filter(|text| BucketUrl::is_url(text)) {
        Some(url) => of_url(&url.parse()?, matches)?,
        None => of_path(what)?,
    };
    let mut out = Output::new();
    if matches.get_flag("json") {
        out.line(&json_line(&Value::Object(facts)))?;
    } else {
        for (name, value) in &facts {
            let text = value.as_str().map_or_else(|| value.to_string(), shown);
            out.line(&format!("{name:<16}{text}"))?;
        }
    }
    out.flush().map(drop)
}

fn of_url(url: &BucketUrl, matches: &ArgMatches) -> Result<Map<String, Value>> {
    let given = sources::gather(matches, Caller::Person)?;
    let options = config::resolve_store(&given.raw, url, &variable)?;
    log::start_quietly(&given.raw)?;
    let at = config::resolve_at(&given.raw)?.map(|moment| moment.before(Clock::system().now()));
    small_runtime()?.block_on(async {
        // Also because a HEAD has no body to tell a missing bucket from a missing key.
        let (connected, below) =
            reach::reach(options, (&url.directory(), at), &Metrics::default().into(), &Clock::system()).await?;
        look(&connected, at, below, url).await
    })
}

async fn look(
    connected: &Connected,
    at: Option<Timestamp>,
    below: Below,
    url: &BucketUrl,
) -> Result<Map<String, Value>> {
    let (bucket, endpoint) = (url.bucket.as_str(), connected.endpoint.as_str());
    let (key, version) = url.key_and_version();
    let mut facts = facts! { "url": url.to_string(), "bucket": bucket, "endpoint": endpoint };
    if key.is_empty() {
        facts.extend(facts! { "type": "bucket" });
        return Ok(facts);
    }
    let request = HeadRequest { key: Key::new(key), version: version.map(str::to_owned) };
    match reach::viewed(connected, at).head(request).await {
        Ok(meta) => {
            facts.extend(facts! { "key": key });
            facts.extend(facts_of(&meta));
            Ok(facts)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if below == Below::Nothing {
                return Err(Problem::failure(format!("object {url} does not exist")));
            }
            facts.extend(facts! { "key": url.directory(), "type": "directory" });
            Ok(facts)
        }
        Err(error) => Err(reach::explain(&error, bucket, endpoint)),
    }
}

fn facts_of(meta: &ObjectMeta) -> Map<String, Value> {
    let mut facts = facts! { "size": meta.size, "type": ls::kind(meta.kind) };
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            facts.insert(name.to_owned(), value.into());
        }
    };
    put("last-modified", meta.last_modified.map(time));
    put("etag", meta.etag.as_ref().map(|etag| etag.as_str().to_owned()));
    put("crc64", meta.crc64.map(|crc64| crc64.to_string()));
    put("version-id", meta.version.clone());
    put("storage-class", meta.storage_class.as_ref().map(|class| class.0.to_string()));
    put("content-type", meta.content_type.clone());
    put("restore", meta.restore.clone());
    for (name, value) in &meta.user {
        put(&format!("meta.{name}"), Some(value.clone()));
    }
    facts
}

fn of_path(path: &Path) -> Result<Map<String, Value>> {
    let fail = |error: io::Error| Problem::failure(format!("{}: {error}", path.display()));
    std::fs::symlink_metadata(path).map_err(fail)?;
    let mut facts = Map::new();
    let listed = attribute_names(path).map_err(fail)?;
    let listed: Vec<_> = listed.iter().filter_map(|name| name.strip_prefix(ATTRIBUTES)).collect();
    let more = if listed.is_empty() { &[][..] } else { &ON_REQUEST };
    for plain in listed.into_iter().chain(more.iter().copied()) {
        match attribute(path, &format!("{ATTRIBUTES}{plain}")) {
            Ok(value) => {
                let text = String::from_utf8_lossy(&value);
                let number = text.parse::<u64>().ok().filter(|_| plain == "size");
                facts.insert(plain.to_owned(), number.map_or_else(|| Value::from(text.as_ref()), Value::from));
            }
            // Not known of this object, or gone since it was listed.
            Err(error) if error.raw_os_error() == Some(libc::ENODATA) => {}
            Err(error) => return Err(fail(error)),
        }
    }
    if facts.is_empty() {
        return Err(Problem::failure(format!(
            "{} is not a file in a live ossmount mount; name one, or a URL such as oss://bucket/key",
            path.display()
        )));
    }
    Ok(facts)
}

fn attribute_names(path: &Path) -> io::Result<Vec<String>> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path is a C string and the buffer is as long as said; links are not followed.
    let list = grown(|buffer, length| unsafe { libc::llistxattr(path.as_ptr(), buffer.cast(), length) })?;
    let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

/// An extended attribute of a file or directory; links are not followed.
pub(super) fn attribute(path: &Path, name: &str) -> io::Result<Vec<u8>> {
    let (path, name) = (CString::new(path.as_os_str().as_bytes())?, CString::new(name)?);
    // SAFETY: path and name are C strings and the buffer is as long as said; links are not followed.
    grown(|buffer, length| unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), buffer.cast(), length) })
}

/// Calls with a buffer of the largest size that Linux allows for either answer, and cuts it to what came.
fn grown(call: impl Fn(*mut u8, usize) -> isize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 64 << 10];
    match usize::try_from(call(buffer.as_mut_ptr(), buffer.len())) {
        Ok(length) => {
            buffer.truncate(length);
            Ok(buffer)
        }
        Err(_) => match io::Error::last_os_error() {
            // This file system has none.
            error if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(Vec::new()),
            error => Err(error),
        },
    }
}
