//! `ossmount cat URL...`: prints objects, each by parallel requests, in order and compared with its checksum.

use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgMatches, Command};
use futures::StreamExt;

use super::bulk_runtime;
use super::cp::{ObjectVersion, Operand, look, part_bytes};
use super::text::{Output, Reader};
use crate::app::args::config_arg;
use crate::app::daemon::{log, reach};
use crate::app::sources::{self, Given};
use crate::app::variable;
use crate::base::crc64::{combine, crc64};
use crate::base::{ByteRange, Clock};
use crate::config::{self, Caller, Group, Name, Problem, Result};
use crate::store::{Error, ErrorKind, Store};

/// Bytes that may wait to be printed.
const WINDOW_BYTES: u64 = 128 << 20;

/// The fewest requests under way at once, however large the parts are.
const LEAST_AT_ONCE: u64 = 2;

pub(in crate::app) fn command() -> Command {
    Command::new("cat")
        .about("Print objects to standard output, at the speed of parallel requests")
        .arg(
            Arg::new("what")
                .value_name("URL-or-PATH")
                .required(true)
                .num_args(1..)
                .value_parser(PathBufValueParser::new())
                .help("oss://BUCKET/KEY[?versionId=VERSION], s3://..., or a file in a live mount"),
        )
        .arg(config_arg())
        .args(config::args(&[Group::Connection, Group::Credentials, Group::View]))
        .args(config::args_of(&[Name::PartSize, Name::MaxConnections, Name::MaxBandwidth]))
        .args_override_self(true)
}

pub(in crate::app) fn run(matches: &ArgMatches) -> Result<()> {
    let given = sources::gather(matches, Caller::Person)?;
    log::start_quietly(&given.raw)?;
    let operands: Vec<Operand> = matches
        .get_many::<PathBuf>("what")
        .into_iter()
        .flatten()
        .map(|path| Operand::of(path))
        .collect::<Result<_>>()?;
    let mut out = Output::new();
    for operand in &operands {
        if print(operand, &given, &mut out)? == Reader::Left {
            break;
        }
    }
    out.flush().map(drop)
}

/// Prints one object, in order.
pub(super) fn print(operand: &Operand, given: &Given, out: &mut Output<'_>) -> Result<Reader> {
    let options = config::resolve_store(&given.raw, &operand.url, &variable)?;
    let at = config::resolve_at(&given.raw)?.map(|moment| moment.before(Clock::system().now()));
    let (part_bytes, most) = (part_bytes(given), options.connections.now() as u64);
    bulk_runtime()?.block_on(async {
        let (connected, version) = look(options, &operand.url, at, operand.etag.clone()).await?;
        let at_once = (WINDOW_BYTES / part_bytes).clamp(LEAST_AT_ONCE, most.max(LEAST_AT_ONCE));
        printed(reach::viewed(&connected, at), version, (part_bytes, at_once), out).await
    })
}

async fn printed(
    store: Arc<dyn Store>,
    version: ObjectVersion,
    (part_bytes, at_once): (u64, u64),
    out: &mut Output<'_>,
) -> Result<Reader> {
    let failed = |error: Error| Problem::failure(error.to_string());
    let version = Arc::new(version);
    let starts = (0..version.size.max(1)).step_by(usize::try_from(part_bytes).unwrap_or(usize::MAX));
    let mut parts = futures::stream::iter(starts)
        .map(|start| {
            let range = ByteRange::new(start, (start + part_bytes).min(version.size));
            tokio::spawn(part(store.clone(), version.clone(), range))
        })
        .buffered(usize::try_from(at_once).unwrap_or(usize::MAX));
    let (mut checksum, mut stored) = (0, None);
    while let Some(ended) = parts.next().await {
        let ended = ended.map_err(|error| Problem::failure(format!("a request was given up: {error}")))?;
        let (bytes, own, whole) = ended.map_err(failed)?;
        checksum = combine(checksum, own, bytes.len() as u64);
        stored = whole.or(stored);
        if out.write(&bytes)? == Reader::Left {
            return Ok(Reader::Left);
        }
    }
    match stored.filter(|stored| *stored != checksum) {
        None => Ok(Reader::Listens),
        Some(stored) => Err(Problem::failure(format!(
            "{}: the bytes that were printed do not have the CRC-64 of the object (received {checksum}, stored {stored})",
            version.key
        ))),
    }
}

/// The bytes of one part, their checksum, and the one that the store keeps of the whole object.
async fn part(
    store: Arc<dyn Store>,
    version: Arc<ObjectVersion>,
    range: ByteRange,
) -> std::result::Result<(Vec<u8>, u64, Option<u64>), Error> {
    let mut answer = store.get(version.request(range)).await?;
    let (mut bytes, mut filled) = (vec![0; usize::try_from(range.len()).unwrap_or(usize::MAX)], 0);
    while filled < bytes.len() {
        // A body that ends early is an error.
        match answer.body.read(&mut bytes[filled..]).await? {
            0 => return Err(Error::new(ErrorKind::Protocol, "the answer ended early")),
            received => filled += received,
        }
    }
    let checksum = crc64(&bytes);
    Ok((bytes, checksum, answer.meta.crc64))
}
